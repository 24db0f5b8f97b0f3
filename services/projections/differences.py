"""What changed between two versions of a definition: added, removed, changed, by path. Pure.

Items of lists are matched by what names them (`id`, or source and target of an edge), so that an inserted node is one
addition and not a change of all that follow. Settings of a node are the same beside its common fields and in `config`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, cast

import msgspec

Change = Literal["added", "removed", "changed"]


class Difference(msgspec.Struct, omit_defaults=True):
    """One change; `path` is a JSON path in which items are named, such as `$.nodes[extract].queue`."""

    path: str
    change: Change
    before: Any = None
    after: Any = None


class Names(msgspec.Struct):
    """What of one kind was added, removed and changed, by name."""

    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []


class Summary(msgspec.Struct):
    """The changes at a glance. Nodes and edges are those of loops' bodies too; an edge without an id is `a→b`.

    `settings` and `fields` are the names of what changed of the settings, and of the definition itself.
    """

    nodes: Names
    edges: Names
    triggers: Names
    variables: Names
    settings: list[str]
    fields: list[str]


_KINDS = ("nodes", "edges", "triggers", "variables")
_ITEM = re.compile(r"^\$\.(nodes|edges|triggers|variables)\[([^\]]*)\]")
_IN_BODY = re.compile(r"\.body\.(nodes|edges)\[([^\]]*)\]")
_NODE = re.compile(r"\$\.nodes\[[^\]]*\](?:\.body\.nodes\[[^\]]*\])*")
_FIELD = re.compile(r"^\$\.([^.\[]+)(?:\.([^.\[]+))?")


def differences(before: Any, after: Any, path: str = "$") -> Iterator[Difference]:
    """All changes, in the order of the documents."""
    if isinstance(before, dict) and isinstance(after, dict):
        one, other = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        if _NODE.fullmatch(path):
            one, other = _flat(one), _flat(other)
        yield from _by_name(one, other, path, ".", "")
    elif (old := _named(before)) is not None and (new := _named(after)) is not None:
        yield from _by_name(old, new, path, "[", "]")
    elif type(before) is not type(after) or before != after:
        yield Difference(path, "changed", before, after)


def _by_name(before: dict[str, Any], after: dict[str, Any], path: str, opens: str, closes: str) -> Iterator[Difference]:
    for name, value in before.items():
        if name not in after:
            yield Difference(f"{path}{opens}{name}{closes}", "removed", before=value)
        else:
            yield from differences(value, after[name], f"{path}{opens}{name}{closes}")
    for name, value in after.items():
        if name not in before:
            yield Difference(f"{path}{opens}{name}{closes}", "added", after=value)


def _flat(node: dict[str, Any]) -> dict[str, Any]:
    """A node with the settings that stand in `config` beside the others."""
    config = node.get("config")
    if not isinstance(config, dict):
        return node
    return {**cast("dict[str, Any]", config), **{name: value for name, value in node.items() if name != "config"}}


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


def summary(changes: Iterable[Difference]) -> Summary:
    """Which things changed, each told once."""
    found = {kind: Names([], [], []) for kind in _KINDS}
    settings: list[str] = []
    fields: list[str] = []
    for change in changes:
        item = _ITEM.match(change.path)
        if item is None:
            field = _FIELD.match(change.path)
            is_setting = field is not None and field[1] == "settings" and field[2]
            _add(settings if is_setting else fields, "" if field is None else field[2] if is_setting else field[1])
            continue
        while (inner := _IN_BODY.match(change.path, item.end())) is not None:
            item = inner
        kind: Change = change.change if item.end() == len(change.path) else "changed"
        _add(getattr(found[item[1]], kind), item[2])
    return Summary(**found, settings=settings, fields=fields)


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
