"""What of a document can be read, so that one mistake does not hide the next.

A node that cannot be read leaves its id behind, and a field that cannot be read its name, so that nothing is called
missing that is there. The bodies of loops are graphs as the workflow's own is, and read in the same way.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import msgspec
from flowforge.definition import Edge, Fault, LoopNode, Node, Trigger, Workflow, effective_edges, parse

from services.catalog.settings import loop_depth_max
from services.catalog.validation.implied import named_places

Item = TypeVar("Item")
_LISTS = ("nodes", "edges", "triggers")
_GRAPH = ("nodes", "edges")
_IN_LIST = re.compile(r"^\$\.(nodes|edges|triggers)(?:\[(\d+)\])?")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_FIELD = re.compile(r"^\$\.([^.\[]+)")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_HEAD_FAULTS_MAX = 50
_PLACEHOLDER = "unnamed"
_STAND_IN: dict[str, Any] = {"id": _PLACEHOLDER, "type": "start"}


@dataclass(frozen=True, slots=True)
class Placed(Generic[Item]):
    """An item of a list of the document; `at` is its JSON path.

    Of an edge that nobody wrote it is the path of what implies it, "" where `order_index` does, and `raw` is empty.
    """

    at: str
    item: Item
    raw: dict[str, Any]

    def path(self, field: str) -> str:
        """The JSON path of one of its fields, which may stand inside `config`."""
        return f"{self.at}.config.{field}" if _is_in_config(self.raw, field) else f"{self.at}.{field}"

    def has(self, field: str) -> bool:
        """Whether its author wrote the field."""
        return field in self.raw or _is_in_config(self.raw, field)

    @property
    def is_written(self) -> bool:
        return bool(self.raw)


@dataclass(frozen=True, slots=True)
class Region:
    """One graph: the workflow's own, or the body of `loop`, which stands in the region of that number."""

    at: str
    nodes: list[Placed[Node]]
    edges: list[Placed[Edge]]
    unread_ids: frozenset[str] = frozenset()
    has_unread_nodes: bool = False
    """Whether its list of nodes cannot be read at all."""
    loop: Placed[Node] | None = None
    around: int = -1
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """The readable parts of a document. `head` has no nodes, edges or triggers; `regions` begin with the own graph, and
    each stands before the bodies inside it."""

    head: Workflow
    settings: dict[str, Any]
    """As they were written."""
    unread: frozenset[str]
    regions: list[Region]
    triggers: list[Placed[Trigger]]

    @property
    def own(self) -> Region:
        return self.regions[0]

    def nodes(self) -> Iterator[Placed[Node]]:
        """All of them, the bodies of loops included."""
        return (placed for region in self.regions for placed in region.nodes)

    @property
    def has_unread_nodes(self) -> bool:
        return any(region.unread_ids or region.has_unread_nodes for region in self.regions)


def read(document: dict[str, Any]) -> tuple[Workflow | None, Draft, list[Fault]]:
    """The workflow if all of it can be read, the draft in any case, and what cannot be read."""
    workflow, faults = parse(document)
    if workflow is not None:
        regions = _Regions()
        regions.place(document, workflow.nodes, workflow.edges, "$")
        triggers = _placed(document, "triggers", workflow.triggers, set(), "$")
        return workflow, _draft(document, workflow, frozenset(), regions, triggers), []
    head = {name: value for name, value in document.items() if name not in _LISTS}
    head_workflow, faults, unread_fields = _read_head(head)
    if "nodes" not in document:
        faults.append(Fault("$", "Object missing required field `nodes`", "add `nodes`, a list with at least one node"))
    regions = _Regions()
    regions.read({name: document[name] for name in _GRAPH if name in document}, "$")
    found = _read_lists({"triggers": document.get("triggers", [])})
    faults += [*regions.faults, *found.faults]
    unread = unread_fields | found.unread | {name for name in _GRAPH if not isinstance(document.get(name, []), list)}
    triggers = _placed(document, "triggers", found.workflow.triggers, found.broken["triggers"], "$")
    return None, _draft(document, head_workflow, frozenset(unread), regions, triggers), faults


@dataclass(slots=True)
class _Regions:
    """Collects graphs, the bodies of loops after the graph that they stand in."""

    regions: list[Region] = field(default_factory=list[Region])
    faults: list[Fault] = field(default_factory=list[Fault])

    def place(self, raw: dict[str, Any], nodes: list[Node], edges: list[Edge], at: str, **inside: Any) -> None:
        """A graph that was read as a whole."""
        number = len(self.regions)
        placed = _placed(raw, "nodes", nodes, set(), at)
        self.regions.append(Region(at, placed, _edges(raw, placed, edges, set(), at), **inside))
        for loop in placed:
            if isinstance(loop.item, LoopNode) and (inner := self._inside(loop, number)) is not None:
                body = loop.item.body
                self.place(_field(loop.raw, "body"), body.nodes, body.edges, loop.path("body"), **inner)

    def read(self, raw: dict[str, Any], at: str, **inside: Any) -> None:
        """A graph of which not all can be read."""
        number = len(self.regions)
        found = _read_lists(raw)
        loops = self._reread_loops(raw, found, at)
        self.faults += [_rooted(fault, raw, at) for fault in found.faults]
        nodes, edges = found.workflow.nodes, found.workflow.edges
        placed = _placed(raw, "nodes", nodes, found.broken["nodes"], at)
        unread_ids = frozenset(filter(None, (_id(raw["nodes"][index]) for index in found.broken["nodes"])))
        self.regions.append(
            Region(
                at,
                placed,
                _edges(raw, placed, edges, found.broken["edges"], at),
                unread_ids,
                has_unread_nodes="nodes" in found.unread,
                **inside,
            )
        )
        for loop in placed:
            inner = self._inside(loop, number) if isinstance(loop.item, LoopNode) else None
            if inner is None:
                continue
            body = _field(loop.raw, "body")
            if loop.at in loops:
                self.read({name: body[name] for name in _GRAPH if name in body}, loop.path("body"), **inner)
            else:
                known = cast("LoopNode", loop.item).body
                self.place(body, known.nodes, known.edges, loop.path("body"), **inner)

    def _inside(self, loop: Placed[Node], around: int) -> dict[str, Any] | None:
        depth = self.regions[around].depth + 1
        return {"loop": loop, "around": around, "depth": depth} if depth <= loop_depth_max else None

    def _reread_loops(self, raw: dict[str, Any], found: "_Found", at: str) -> set[str]:
        """Loops that could not be read are read without what is in their bodies. The paths of those that can."""
        loops: set[str] = set()
        for index in sorted(found.broken["nodes"]):
            node = raw["nodes"][index]
            bodiless = _without_body(node)
            if bodiless is None:
                continue
            alone, faults = parse({"id": _PLACEHOLDER, "name": _PLACEHOLDER, "nodes": [bodiless]})
            place = f"$.nodes[{index}]"
            found.faults = [fault for fault in found.faults if not _is_at(fault.path, place)]
            found.faults += [_moved(fault, "$.nodes[0]", place) for fault in faults]
            if alone is None:  # a mistake beside the nodes and edges of the body
                bare = _with_body(bodiless, {"nodes": [_STAND_IN]})
                alone, _ = parse({"id": _PLACEHOLDER, "name": _PLACEHOLDER, "nodes": [bare]})
            if alone is not None:
                found.broken["nodes"].discard(index)
                found.workflow.nodes.insert(
                    index - sum(other < index for other in found.broken["nodes"]), alone.nodes[0]
                )
                loops.add(f"{at}.nodes[{index}]")
        return loops


@dataclass(slots=True)
class _Found:
    """What of some lists of a document can be read."""

    workflow: Workflow
    broken: dict[str, set[int]]
    unread: frozenset[str]
    faults: list[Fault]


def _read_lists(lists: dict[str, Any]) -> _Found:
    """Lists of nodes, edges and triggers, without the items that cannot be read."""
    named: dict[str, Any] = {"id": _PLACEHOLDER, "name": _PLACEHOLDER, "nodes": [], **lists}
    broken: dict[str, set[int]] = {name: set() for name in _LISTS}
    workflow, faults = parse(named)
    if workflow is not None:
        return _Found(workflow, broken, frozenset(), [])
    unread: set[str] = set()
    for fault in faults:
        if match := _IN_LIST.match(fault.path):
            broken[match[1]].add(int(match[2])) if match[2] else unread.add(match[1])
    kept = {name: [] if name in unread else _kept(named.get(name, []), broken[name]) for name in _LISTS}
    items, _ = parse({"id": _PLACEHOLDER, "name": _PLACEHOLDER, **kept})
    if items is None:  # cannot be: what is broken was left out
        items = Workflow(id=_PLACEHOLDER, name=_PLACEHOLDER, nodes=[])
    return _Found(items, broken, frozenset(unread), faults)


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
    document: dict[str, Any],
    head: Workflow,
    unread: frozenset[str],
    regions: _Regions,
    triggers: list[Placed[Trigger]],
) -> Draft:
    settings: Any = document.get("settings")
    return Draft(
        head=msgspec.structs.replace(head, nodes=[], edges=[], triggers=[]),
        settings=cast("dict[str, Any]", settings) if isinstance(settings, dict) else {},
        unread=unread,
        regions=regions.regions,
        triggers=triggers,
    )


def _placed(raw: dict[str, Any], name: str, items: list[Any], broken: set[int], at: str) -> list[Placed[Any]]:
    raws: Any = raw.get(name, [])
    if not items or not isinstance(raws, list):
        return []
    indexes = [index for index in range(len(cast("list[Any]", raws))) if index not in broken]
    return [Placed(f"{at}.{name}[{index}]", item, raws[index]) for index, item in zip(indexes, items, strict=True)]


def _edges(
    raw: dict[str, Any], nodes: list[Placed[Node]], edges: list[Edge], broken: set[int], at: str
) -> list[Placed[Edge]]:
    """Those that are written, and those that are implied; none are implied by an order while some cannot be read."""
    written: list[Placed[Edge]] = _placed(raw, "edges", edges, broken, at)
    if broken and not edges:
        return written
    implied = effective_edges([placed.item for placed in nodes], edges)[len(edges) :]
    if not implied:
        return written
    source = {placed.item.id: placed for placed in nodes}
    places: dict[str, dict[str, str]] = {}
    for edge in implied:
        name = edge.source_node_id
        if name not in places:
            places[name] = named_places(source[name])
        written.append(Placed(places[name].get(edge.target_node_id, ""), edge, {}))
    return written


def _without_body(node: object) -> dict[str, Any] | None:
    """A loop with a body in which there is nothing to be misread; None for another node."""
    if not isinstance(node, dict) or _field(cast("dict[str, Any]", node), "type") != "loop":
        return None
    fields = cast("dict[str, Any]", node)
    body = _field(fields, "body")
    if not isinstance(body, dict):
        return None
    bare: dict[str, Any] = {**cast("dict[str, Any]", body)}
    if bare.get("nodes") != []:
        bare |= {"nodes": [_STAND_IN]} if "nodes" in bare else {}
    bare |= {"edges": []} if "edges" in bare else {}
    return _with_body(fields, bare)


def _with_body(fields: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    if _is_in_config(fields, "body"):
        return {**fields, "config": {**fields["config"], "body": body}}
    return {**fields, "body": body}


def _field(raw: dict[str, Any], name: str) -> Any:
    return raw["config"][name] if _is_in_config(raw, name) else raw.get(name)


def _is_in_config(raw: dict[str, Any], name: str) -> bool:
    config = raw.get("config")
    return isinstance(config, dict) and name in config and name not in raw


def _rooted(fault: Fault, raw: dict[str, Any], at: str) -> Fault:
    """A fault of a graph at the place of the graph in the document, through `config` where its author wrote that."""
    path = fault.path
    match = _IN_LIST.match(path)
    if match and match[1] == "nodes" and match[2] and path.startswith(f"{match[0]}."):
        node = raw["nodes"][int(match[2])]
        below = path.removeprefix(match[0])
        name = _STEP.match(below)
        if isinstance(node, dict) and name and _is_in_config(cast("dict[str, Any]", node), name[1]):
            path = f"{match[0]}.config{below}"
    return msgspec.structs.replace(fault, path=at + path.removeprefix("$"))


def _moved(fault: Fault, before: str, after: str) -> Fault:
    return msgspec.structs.replace(fault, path=after + fault.path.removeprefix(before))


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))


def _id(raw: object) -> str:
    name = cast("dict[str, Any]", raw).get("id") if isinstance(raw, dict) else None
    return name if isinstance(name, str) else ""


def node_at(document: dict[str, Any], path: str) -> list[str]:
    """The id of the innermost node that a path leads into, if it has one."""
    value: Any = document
    found, name = "", ""
    for step, index in _STEP.findall(path):
        if index:
            if not isinstance(value, list) or int(index) >= len(cast("list[Any]", value)):
                break
            value = cast("list[Any]", value)[int(index)]
            found = _id(value) or found if name == "nodes" else found
        elif isinstance(value, dict) and step in value:
            value, name = cast("dict[str, Any]", value)[step], step
        else:
            break
    return [found] if found else []
