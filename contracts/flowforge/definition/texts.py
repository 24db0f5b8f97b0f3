"""Definitions as text: JSON, or YAML 1.2's core schema; and where in a text a JSON path is."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from flowforge.errors import DefinitionInvalid

DEPTH_MAX = 200
"""Lists and objects inside one another in a YAML text; the service takes no more either."""
WORDS_MAX = 1_000_000
"""Keys and values in a YAML text, and beginnings and ends of lists and objects; a workflow of 10,000 nodes has half as many."""


def from_text(text: str | bytes) -> object:
    """The plain document in a JSON or YAML text. Raises `DefinitionInvalid` naming line and column."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # YAML, or JSON with a mistake: the YAML reader says where
    try:
        _refuse_huge(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with fewer implicit types
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "$"
        raise DefinitionInvalid(f"the text is neither JSON nor YAML: {fault.problem or fault}", where) from fault
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        raise DefinitionInvalid(f"the text is neither JSON nor YAML: {fault}") from fault


def _refuse_huge(text: str | bytes) -> None:
    """Raises `DefinitionInvalid`. To be asked before anything is made of the text: the library makes it by recursion in C,
    and a text nested a few ten thousand times ends the process; and of each value it makes 200 bytes, twice. Events it makes
    one by one."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if count > WORDS_MAX:
            raise DefinitionInvalid(f"the text has more than {WORDS_MAX:,} keys and values: make it smaller")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                where = f"line {event.start_mark.line + 1}, column {event.start_mark.column + 1}"
                raise DefinitionInvalid(f"the text is nested deeper than {DEPTH_MAX} levels: make it flatter", where)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def locate(text: str, path: str) -> tuple[int, int] | None:
    """Line and column (from 1) of a JSON path in the text it came from, or of its nearest ancestor."""
    node = yaml.compose(text, Loader=_Loader)
    if node is None:
        return None
    for step in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        name, index = step
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == name]
        elif isinstance(node, yaml.SequenceNode) and index:
            found = node.value[int(index) : int(index) + 1]
        else:
            found = []
        if not found:
            break
        node = found[0]
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2's core schema: no dates, no yes/no booleans, no sexagesimal numbers; a key twice is a mistake."""

    yaml_implicit_resolvers: Mapping[str, Any] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002 - its signature is PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return {str(key.value): self.construct_object(value, deep=True) for key, value in node.value}


def _construct_map(loader: Any, node: Any) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _loader, node: float(node.value))
