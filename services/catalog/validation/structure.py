"""Ids, edges and the shapes of the graphs: the workflow's own, and those in the bodies of loops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import msgspec
from flowforge.definition import Edge, LoopNode, Node

from services.catalog.settings import loop_depth_max, nodes_max
from services.catalog.validation import graph
from services.catalog.validation.draft import Draft, Placed, Region
from services.catalog.validation.report import Findings


class Seen(Enum):
    """How one node is seen from another."""

    UPSTREAM = "it has ended before"
    NOT_UPSTREAM = "it need not have ended before"
    AROUND = "it is a loop around it"
    HIDDEN = "it is in the body of a loop that the other is not in"


@dataclass(frozen=True, slots=True)
class Shape:
    """The graph of the readable nodes: of nodes with the same id the first one, of edges those between known nodes."""

    region: Region
    nodes: list[Placed[Node]]
    number: dict[str, int]
    edges: list[tuple[int, int, Placed[Edge]]]
    successors: list[list[int]]
    around: "tuple[Shape, int] | None"
    """Of a body: where its loop stands."""
    tangles: list[list[int]]
    """Its strongly connected components."""
    above: list[int] = field(default_factory=list[int])
    """Filled when first asked for: bit sets of ancestors."""

    def id(self, number: int) -> str:
        return self.nodes[number].item.id

    def is_upstream(self, source: int, of: int) -> bool:
        """Whether `source` has ended when `of` starts."""
        if not self.above:
            self.above.extend(graph.ancestors(self.successors, self.tangles))
        return bool(self.above[of] >> source & 1)

    @property
    def loop_id(self) -> str:
        return "" if self.around is None else self.around[0].id(self.around[1])


class Shapes(NamedTuple):
    """All graphs, the own one first; `of` says in which a node stands."""

    all: list[Shape]
    of: dict[str, Shape]

    @property
    def own(self) -> Shape:
        return self.all[0]

    def seen(self, name: str, shape: Shape, number: int) -> Seen:
        """How the node `name` is seen from node `number` of `shape`: own graph and the graphs around it are visible."""
        at: tuple[Shape, int] | None = (shape, number)
        while at is not None and at[0] is not self.of[name]:
            at = at[0].around
        if at is None:
            return Seen.HIDDEN
        there, here = at
        target = there.number[name]
        if target == here:
            return Seen.NOT_UPSTREAM if there is shape else Seen.AROUND
        return Seen.UPSTREAM if there.is_upstream(target, here) else Seen.NOT_UPSTREAM

    def visible_loop(self, name: str, shape: Shape) -> str:
        """The loop that holds a hidden node and can itself be seen from `shape`."""
        around: list[Shape] = [shape]
        while around[-1].around is not None:
            around.append(around[-1].around[0])
        hidden = self.of[name]
        while hidden.around is not None and not any(hidden.around[0] is one for one in around):
            hidden = hidden.around[0]
        return hidden.loop_id


def shapes_of(draft: Draft) -> Shapes:
    """The graphs that the draft describes."""
    shapes = Shapes([], {})
    for region in draft.regions:
        shape = _shape_of(
            region, None if region.loop is None else _place(shapes.all[region.around], region.loop), shapes
        )
        shapes.all.append(shape)
    return shapes


def _place(shape: Shape, loop: Placed[Node]) -> tuple[Shape, int]:
    """Where a loop stands; one whose id is taken already stands for the first one."""
    return shape, shape.number.get(loop.item.id, 0)


def _shape_of(region: Region, around: tuple[Shape, int] | None, shapes: Shapes) -> Shape:
    number: dict[str, int] = {}
    nodes: list[Placed[Node]] = []
    for placed in region.nodes:
        name = placed.item.id
        if name not in number and name not in shapes.of:
            number[name] = len(nodes)
            nodes.append(placed)
    edges = [
        (number[edge.item.source_node_id], number[edge.item.target_node_id], edge)
        for edge in region.edges
        if edge.item.source_node_id in number and edge.item.target_node_id in number
    ]
    successors: list[list[int]] = [[] for _ in nodes]
    for source, target, _ in edges:
        successors[source].append(target)
    shape = Shape(region, nodes, number, edges, successors, around, graph.components(successors))
    shapes.of.update(dict.fromkeys(number, shape))
    return shape


def check_structure(draft: Draft, shapes: Shapes, findings: Findings) -> None:
    """Everything that ids and edges alone tell."""
    own = draft.own
    if not own.nodes and not own.unread_ids and "nodes" not in draft.unread:
        findings.error("NO_NODES", "$.nodes", "a workflow needs at least one node", "add a node")
    _check_size(draft, findings)
    _check_ids(draft, findings)
    unread_ids = frozenset[str]().union(*(region.unread_ids for region in draft.regions))
    for shape in shapes.all:
        _check_depth(shape, findings)
        _check_edges(shape, shapes, unread_ids, findings)
        _check_cycles(shape, findings)
        _check_islands(shape, findings)
        _check_conditions_of_running(shape, findings)
        _check_order(shape.region, findings)
        _check_markers(shape, findings)


def _check_size(draft: Draft, findings: Findings) -> None:
    count = sum(len(region.nodes) for region in draft.regions)
    if count > nodes_max:
        findings.error(
            "TOO_MANY_NODES",
            "$.nodes",
            f"the definition has {count} nodes, the bodies of loops included; the limit is {nodes_max}",
            "split it: a part of it can be a workflow of its own, started by a workflow node",
        )


def _check_depth(shape: Shape, findings: Findings) -> None:
    if shape.region.depth < loop_depth_max:
        return
    for placed in shape.nodes:
        if isinstance(placed.item, LoopNode):
            findings.error(
                "LOOP_TOO_DEEP",
                placed.path("body"),
                f"the loop '{placed.item.id}' stands inside {loop_depth_max} others, its body would be one too many",
                "let the inner part be a workflow of its own, started by a workflow node",
                [placed.item.id],
            )


def _check_ids(draft: Draft, findings: Findings) -> None:
    _check_node_ids(draft, findings)
    for region in draft.regions:
        named = [(edge.item.id, f"{edge.at}.id") for edge in region.edges if edge.item.id is not None]
        _check_unique("edge", named, findings)
    _check_unique("trigger", [(placed.item.id, f"{placed.at}.id") for placed in draft.triggers], findings)
    variables = draft.head.variables
    _check_unique("variable", [(item.name, f"$.variables[{at}].name") for at, item in enumerate(variables)], findings)


def _check_node_ids(draft: Draft, findings: Findings) -> None:
    """Ids of nodes are unique in the whole definition."""
    first: dict[str, tuple[str, Region]] = {}
    for region in draft.regions:
        for placed in region.nodes:
            name, path = placed.item.id, f"{placed.at}.id"
            before, where = first.setdefault(name, (path, region))
            if before == path:
                continue
            also = "" if where is region else ": ids are unique in the whole definition, bodies of loops included"
            findings.error(
                "DUPLICATE_NODE", path, f"the node '{name}' stands twice, first at {before}{also}",
                "give one of them another id", [name],
            )  # fmt: skip


def _check_unique(what: str, names: Sequence[tuple[str, str]], findings: Findings) -> None:
    first: dict[str, str] = {}
    for name, path in names:
        if first.setdefault(name, path) != path:
            findings.error(
                f"DUPLICATE_{what.upper()}",
                path,
                f"the {what} '{name}' stands twice, first at {first[name]}",
                f"give one of them another {'name' if what == 'variable' else 'id'}",
            )


def _check_edges(shape: Shape, shapes: Shapes, unread_ids: frozenset[str], findings: Findings) -> None:
    seen: dict[Edge, str] = {}
    for edge in shape.region.edges:
        if not edge.is_written:
            continue
        for end in ("source_node_id", "target_node_id"):
            name = getattr(edge.item, end)
            if name not in shape.number:
                _check_end(edge, end, shape, shapes, unread_ids, findings)
        plain = edge.item if edge.item.id is None else msgspec.structs.replace(edge.item, id=None)
        if seen.setdefault(plain, edge.at) != edge.at:
            findings.warning(
                "DUPLICATE_EDGE",
                edge.at,
                f"the edge {_written(edge.item)} stands twice, first at {seen[plain]}",
                "remove one of them",
                [edge.item.source_node_id, edge.item.target_node_id],
            )


def _check_end(
    edge: Placed[Edge], end: str, shape: Shape, shapes: Shapes, unread_ids: frozenset[str], findings: Findings
) -> None:
    """An end of an edge that is no node of its graph."""
    name: str = getattr(edge.item, end)
    if name in shapes.of:
        loop = shapes.of[name].loop_id or shape.loop_id
        findings.error(
            "CROSSES_BODY",
            f"{edge.at}.{end}",
            f"the edge {_written(edge.item)} crosses the border of the body of the loop '{loop}': '{name}' stands "
            f"{'inside' if shapes.of[name].around else 'outside'}",
            f"an edge joins nodes of one graph: lead it to or from the loop '{loop}' itself",
            [edge.item.source_node_id, edge.item.target_node_id],
        )
    elif name not in unread_ids and not shape.region.has_unread_nodes:
        findings.error(
            "MISSING_DEPENDENCY",
            f"{edge.at}.{end}",
            f"the edge {_written(edge.item)} names a node '{name}' that does not exist",
            findings.did_you_mean(name, shape.number, "add the node, or remove the edge"),
            [name],
        )


def _written(edge: Edge) -> str:
    return f"{edge.source_node_id} → {edge.target_node_id}"


def _check_cycles(shape: Shape, findings: Findings) -> None:
    cycles = graph.cycles(shape.successors, shape.tangles)
    places = {(source, target): edge.at for source, target, edge in shape.edges} if cycles else {}
    for cycle in cycles:
        names = [shape.id(number) for number in cycle]
        findings.cycles.append(names)
        closing = places[cycle[-1], cycle[0]]
        if len(names) == 1:
            message = f"the node '{names[0]}' has an edge to itself"
            mend = "remove the edge; to repeat a node over a list, use for_each"
        else:
            shown = names if len(names) <= 20 else [*names[:10], "…", *names[-9:]]
            message = f"these nodes wait for each other: {' → '.join([*shown, names[0]])}"
            mend = f"remove one of the edges, for instance {names[-1]} → {names[0]}"
        findings.error("CIRCULAR_DEPENDENCY", closing or f"{shape.region.at}.edges", message, mend, names)


def _check_islands(shape: Shape, findings: Findings) -> None:
    """Nodes without any edge, and nodes that nothing can ever reach."""
    edges = shape.region.edges
    if not edges:
        return
    predecessors = graph.reversed_edges(shape.successors)
    named = {name for edge in edges for name in (edge.item.source_node_id, edge.item.target_node_id)}
    for number, placed in enumerate(shape.nodes):
        if (
            len(shape.nodes) > 1
            and placed.item.id not in named
            and not predecessors[number]
            and not shape.successors[number]
        ):
            findings.orphaned.append(placed.item.id)
            findings.warning(
                "ORPHANED_NODE",
                placed.at,
                f"no edge leads to or from the node '{placed.item.id}': it runs at once, beside all others",
                "add an edge, or remove the node",
                [placed.item.id],
            )
    roots = [number for number, sources in enumerate(predecessors) if not sources]
    reached = graph.reachable(shape.successors, roots)
    unreached = [placed for number, placed in enumerate(shape.nodes) if number not in reached]
    if unreached:
        findings.unreachable += [placed.item.id for placed in unreached]
        names = ", ".join(placed.item.id for placed in unreached[:10]) + (", …" if len(unreached) > 10 else "")
        findings.warning(
            "UNREACHABLE_NODE",
            unreached[0].at,
            f"these can never run, since everything that leads to them waits for a cycle: {names}",
            "break the cycle",
            [placed.item.id for placed in unreached],
        )


def _check_conditions_of_running(shape: Shape, findings: Findings) -> None:
    for _, target, edge in shape.edges:
        node = shape.nodes[target]
        if edge.item.dependency in (None, "on_success") or node.item.run_if == "all_success":
            continue
        findings.error(
            "RUN_IF_CONFLICT",
            f"{edge.at}.dependency",
            f"the node '{node.item.id}' has run_if '{node.item.run_if}', so the edge {_written(edge.item)} cannot have "
            f"the dependency '{edge.item.dependency}' as well",
            "use one of the two: leave out the dependency, or leave out run_if",
            [edge.item.source_node_id, node.item.id],
        )


def _check_order(region: Region, findings: Findings) -> None:
    if any(edge.is_written for edge in region.edges):
        return
    ordered = [placed for placed in region.nodes if placed.item.order_index is not None]
    if ordered and len(ordered) < len(region.nodes):
        without = [placed.item.id for placed in region.nodes if placed.item.order_index is None]
        findings.warning(
            "ORDER_INCOMPLETE",
            f"{region.at}.nodes",
            "some nodes have an order_index and some have none, so it is not followed: all nodes run in parallel",
            "give every node an order_index, or write edges",
            without,
        )
    elif len({placed.item.order_index for placed in ordered}) < len(ordered):
        findings.warning(
            "ORDER_AMBIGUOUS",
            f"{region.at}.nodes",
            "several nodes have the same order_index; they run in the order in which they are written",
            "give every node its own order_index",
        )


def _check_markers(shape: Shape, findings: Findings) -> None:
    for source, target, edge in shape.edges:
        for number, kind, words in ((target, "start", "leads into the start"), (source, "end", "leaves the end")):
            node = shape.nodes[number].item
            if node.__struct_config__.tag == kind and source != target:
                findings.warning(
                    "MARKER_MISPLACED",
                    edge.at,
                    f"the edge {_written(edge.item)} {words} node '{node.id}'",
                    "markers stand at the beginning and the end of a workflow",
                    _ids(shape, (source, target)),
                )


def _ids(shape: Shape, numbers: Iterable[int]) -> list[str]:
    return [shape.id(number) for number in numbers]
