"""What of a document can be read, so that one mistake does not hide the next.

A node that cannot be read leaves its id behind, and a field that cannot be read its name, so that nothing is called
missing that is there.
"""

import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import msgspec
from flowforge.definition import Edge, Fault, Node, Trigger, Workflow, parse

Item = TypeVar("Item")
_LISTS = ("nodes", "edges", "triggers")
_IN_LIST = re.compile(r"^\$\.(nodes|edges|triggers)(?:\[(\d+)\])?")
_FIELD = re.compile(r"^\$\.([^.\[]+)")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_HEAD_FAULTS_MAX = 50
_PLACEHOLDER = "unnamed"


@dataclass(frozen=True, slots=True)
class Placed(Generic[Item]):
    """An item of a list of the document; `at` is its JSON path, "" for an edge that `order_index` implies."""

    at: str
    item: Item
    raw: dict[str, Any]

    def path(self, field: str) -> str:
        """The JSON path of one of its fields, which may stand inside `config`."""
        config = self.raw.get("config")
        inside = isinstance(config, dict) and field in config and field not in self.raw
        return f"{self.at}.config.{field}" if inside else f"{self.at}.{field}"


@dataclass(frozen=True, slots=True)
class Draft:
    """The readable parts of a document. `head` has no nodes, edges or triggers."""

    head: Workflow
    unread: frozenset[str]
    nodes: list[Placed[Node]]
    edges: list[Placed[Edge]]
    triggers: list[Placed[Trigger]]
    unread_ids: frozenset[str]


def read(document: dict[str, Any]) -> tuple[Workflow | None, Draft, list[Fault]]:
    """The workflow if all of it can be read, the draft in any case, and what cannot be read."""
    workflow, faults = parse(document)
    if workflow is not None:
        return workflow, _draft(document, workflow, workflow, {name: set() for name in _LISTS}, frozenset()), []
    broken: dict[str, set[int]] = {name: set() for name in _LISTS}
    unread: set[str] = set()
    for fault in faults:
        if match := _IN_LIST.match(fault.path):
            broken[match[1]].add(int(match[2])) if match[2] else unread.add(match[1])
    head = {name: value for name, value in document.items() if name not in _LISTS}
    head_workflow, head_faults, unread_fields = _read_head(head)
    faults = [fault for fault in faults if fault not in head_faults] + head_faults
    kept = {name: [] if name in unread else _kept(document.get(name, []), broken[name]) for name in _LISTS}
    items, _ = parse({"id": _PLACEHOLDER, "name": _PLACEHOLDER, **kept})
    if items is None:  # cannot be: what is broken was left out
        items = Workflow(id=_PLACEHOLDER, name=_PLACEHOLDER, nodes=[])
    readable = {**document, **{name: [] for name in unread}}
    return None, _draft(readable, head_workflow, items, broken, frozenset(unread | unread_fields)), faults


def _kept(items: list[Any], broken: set[int]) -> list[Any]:
    return [item for index, item in enumerate(items) if index not in broken]


def _read_head(head: dict[str, Any]) -> tuple[Workflow, list[Fault], set[str]]:
    """The top-level fields, leaving out one that cannot be read after the other."""
    found: list[Fault] = []
    unread: set[str] = set()
    fields = {**head, "nodes": []}
    for _ in range(_HEAD_FAULTS_MAX):
        workflow, faults = parse(fields)
        if workflow is not None:
            return workflow, found, unread
        found += faults
        name = _culprit(faults[0])
        fields.pop(name, None)
        unread.add(name)
        if name in ("id", "name"):
            fields[name] = _PLACEHOLDER
    return Workflow(id=_PLACEHOLDER, name=_PLACEHOLDER, nodes=[]), found, unread | set(head)


def _culprit(fault: Fault) -> str:
    if fault.path == "$":
        unknown = _UNKNOWN.search(fault.message)
        return unknown[1] if unknown else "id" if "`id`" in fault.message else "name"
    match = _FIELD.match(fault.path)
    return match[1] if match else ""


def _draft(
    document: dict[str, Any], head: Workflow, items: Workflow, broken: dict[str, set[int]], unread: frozenset[str]
) -> Draft:
    nodes = _placed(document, "nodes", items.nodes, broken["nodes"])
    edges = _placed(document, "edges", items.edges, broken["edges"])
    if not document.get("edges") and not broken["nodes"]:
        edges = [Placed("", edge, {}) for edge in items.effective_edges()]
    return Draft(
        head=msgspec.structs.replace(head, nodes=[], edges=[], triggers=[]),
        unread=unread,
        nodes=nodes,
        edges=edges,
        triggers=_placed(document, "triggers", items.triggers, broken["triggers"]),
        unread_ids=frozenset(filter(None, (_id(document["nodes"][index]) for index in broken["nodes"]))),
    )


def _placed(document: dict[str, Any], name: str, items: list[Any], broken: set[int]) -> list[Placed[Any]]:
    raws = cast("list[Any]", document.get(name, []))
    indexes = [index for index in range(len(raws)) if index not in broken]
    return [Placed(f"$.{name}[{index}]", item, raws[index]) for index, item in zip(indexes, items, strict=True)]


def _id(raw: object) -> str:
    name = cast("dict[str, Any]", raw).get("id") if isinstance(raw, dict) else None
    return name if isinstance(name, str) else ""


def node_at(document: dict[str, Any], path: str) -> list[str]:
    """The id of the node that a path leads into, if it has one."""
    match = _IN_LIST.match(path)
    if match is None or match[1] != "nodes" or not match[2]:
        return []
    return list(filter(None, [_id(document["nodes"][int(match[2])])]))
