"""The templates that come with the code: one YAML file each, beside this one, whose name is the template's id."""

from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec
from flowforge.definition import from_text, parse, with_defaults

from services.catalog.templates.template import Template

FOLDER = Path(__file__).with_name("ready_made")


@cache
def ready_made() -> dict[str, Template]:
    """All of them by id, in the order of their ids."""
    templates = [_read(file) for file in sorted(FOLDER.glob("*.yaml"))]
    return {template.id: template for template in templates}


def _read(file: Path) -> Template:
    fields = cast("dict[str, Any]", from_text(file.read_text()))
    document = {"id": file.stem, "name": fields["name"], **fields["definition"]}
    workflow, faults = parse(document)
    if workflow is None:
        raise ValueError(f"the template in {file.name} is no workflow: {faults[0].message} (at {faults[0].path})")
    return Template(
        id=file.stem,
        name=fields["name"],
        description=fields["description"],
        category=fields["category"],
        source="builtin",
        definition=msgspec.Raw(msgspec.json.encode(with_defaults(document, workflow))),
    )
