"""What changed between two versions of a document: added, removed, changed, by path. Pure.

Items of lists are matched by what names them (`id`, or source and target of an edge), so that an inserted node is one
addition and not a change of all that follow.
"""

from collections.abc import Iterator
from typing import Any, Literal, cast

import msgspec


class Difference(msgspec.Struct, omit_defaults=True):
    """One change; `path` is a JSON path in which items are named, such as `$.nodes[extract].queue`."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None


def differences(before: Any, after: Any, path: str = "$") -> Iterator[Difference]:
    """All changes, in the order of the documents."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _by_name(cast("dict[str, Any]", before), cast("dict[str, Any]", after), path + ".{}")
    elif (old := _named(before)) is not None and (new := _named(after)) is not None:
        yield from _by_name(old, new, path + "[{}]")
    elif type(before) is not type(after) or before != after:
        yield Difference(path, "changed", before, after)


def _by_name(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Difference]:
    for name, value in before.items():
        if name not in after:
            yield Difference(path.format(name), "removed", before=value)
        else:
            yield from differences(value, after[name], path.format(name))
    for name, value in after.items():
        if name not in before:
            yield Difference(path.format(name), "added", after=value)


def _named(value: Any) -> dict[str, Any] | None:
    """The items of a list by their names; None for what is no list, or whose items have none."""
    if not isinstance(value, list):
        return None
    named: dict[str, Any] = {}
    for item in cast("list[Any]", value):
        name = _name(item)
        if name is None or name in named:
            return None
        named[name] = item
    return named


def _name(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    fields = cast("dict[str, Any]", item)
    if "source_node_id" in fields and "target_node_id" in fields:
        return fields.get("id") or f"{fields['source_node_id']}→{fields['target_node_id']}"
    name = fields.get("id") or fields.get("name") or fields.get("trigger_type")
    return name if isinstance(name, str) else None
