"""The examples that people are shown, and the templates that they start from, are sound to the last warning."""

from pathlib import Path

import pytest
from flowforge.definition import from_text

from services.catalog.templates.ready_made import ready_made
from services.catalog.validation import validate
from tests.unit.catalog.documents import told

EXAMPLES = Path(__file__).parents[3] / "contracts" / "examples"
FILES = [str(file.relative_to(EXAMPLES)) for file in sorted(EXAMPLES.rglob("*.yaml"))]


@pytest.mark.parametrize("file", FILES)
def test_an_example_has_no_finding(file: str) -> None:
    assert told(validate(from_text((EXAMPLES / file).read_text()))) == []


@pytest.mark.parametrize("name", ready_made())
def test_a_ready_made_template_has_no_finding(name: str) -> None:
    assert told(validate(from_text(bytes(ready_made()[name].definition)))) == []


def test_there_are_examples_of_all_sorts() -> None:
    assert {Path(file).parent.name for file in FILES} == {"", "nodes", "patterns"}
