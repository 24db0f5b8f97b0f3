"""What a body must be before anybody looks at what it says."""

import subprocess
import sys
import time
from typing import Any

import msgspec
import pytest
from flowforge.definition import from_text
from flowforge.errors import DefinitionInvalid
from hypothesis import given
from hypothesis import strategies as st

from infra.http.problems import Problem
from services.gateway.body import check_json, shaped
from services.gateway.routes.runs import Execute
from services.gateway.settings import json_depth_max

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.sampled_from(["[[[", '"', "\\", "{"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_sound_json_passes(value: Any) -> None:
    check_json(msgspec.json.encode(value))


@given(st.binary(max_size=50))
def test_whatever_else_is_sent_is_a_400_or_nothing(body: bytes) -> None:
    found: list[Problem] = []
    try:
        check_json(body)
    except Problem as problem:
        found.append(problem)
    assert all((problem.status, problem.errors[0]["path"]) == (400, "$") for problem in found)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "the body is no JSON: it ends too early at line 1, column 2"),
        (b'{\n  "a" 1\n}', "the body is no JSON: expected ':' at line 2, column 7"),
        (b"\xff", "the body is no JSON: invalid character at line 1, column 1"),
    ],
)
def test_the_place_of_the_fault_is_told(body: bytes, words: str) -> None:
    with pytest.raises(Problem) as raised:
        check_json(body)
    assert raised.value.detail == words


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_counted_by_brackets_outside_of_texts(opening: bytes, closing: bytes) -> None:
    check_json(opening * json_depth_max + b'"[[[[{{{{\\"[["' + closing * json_depth_max)
    with pytest.raises(Problem, match="nested deeper than 200 levels"):
        check_json(opening * (json_depth_max + 1) + b"1" + closing * (json_depth_max + 1))


@pytest.mark.parametrize("ending", [b"", b"\\"])
def test_a_text_that_does_not_end_is_looked_at_once(ending: bytes) -> None:
    body = b"[" * (json_depth_max + 1) + b'"' + b'\\"' * 20_000 + ending
    began = time.process_time()
    with pytest.raises(Problem):
        check_json(body)
    assert time.process_time() - began < 0.5, "looking at it took as long as the square of its length"


def test_many_brackets_beside_each_other_are_not_deep() -> None:
    check_json(b"[" + b",".join([b"[]"] * 10_000) + b"]")


def test_the_path_of_what_does_not_fit_is_told() -> None:
    with pytest.raises(Problem) as raised:
        shaped(b'{"options": {"timeout_ms": "soon"}}', Execute)
    problem = raised.value.document()
    assert (problem["status"], problem["errors"][0]["path"]) == (422, "$.options.timeout_ms")


def test_no_body_is_an_empty_object() -> None:
    assert shaped(b"", Execute) == Execute()


NESTED = {"flow": "[", "closed flow": "[", "block": "- ", "keys": "? ", "objects": "{a: "}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("depth", [json_depth_max + 1, 100_000])
def test_yaml_that_is_nested_too_deep_is_refused_and_ends_no_process(kind: str, depth: int) -> None:
    closing = "]" * depth if kind == "closed flow" else ""
    reading = f"""
from flowforge.definition import from_text
from flowforge.errors import DefinitionInvalid
try:
    from_text({NESTED[kind]!r} * {depth} + "a" + {closing!r})
except DefinitionInvalid as fault:
    print(fault.message)
"""
    done = subprocess.run([sys.executable, "-"], input=reading, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "the text is nested deeper than 200 levels: make it flatter")


def test_yaml_may_be_as_deep_as_json() -> None:
    deepest = from_text("[" * json_depth_max + "a" + "]" * json_depth_max)
    assert msgspec.json.encode(deepest) == b"[" * json_depth_max + b'"a"' + b"]" * json_depth_max


def test_yaml_is_read_as_json_is() -> None:
    assert from_text("a: 2020-01-01\nb: yes\nc: 1_0") == {"a": "2020-01-01", "b": "yes", "c": "1_0"}


def test_a_yaml_text_of_a_million_words_is_refused_before_anything_is_made_of_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flowforge.definition.texts.WORDS_MAX", 100)
    assert from_text("a: [" + "x, " * 80 + "]") == {"a": ["x"] * 80}
    with pytest.raises(DefinitionInvalid, match="more than 100 keys and values"):
        from_text("a: [" + "x, " * 100 + "]")
