"""Ids, edges and the shape of the graph."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flowforge.definition import Edge, Node

from services.catalog.validation import graph
from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.report import Findings


@dataclass(frozen=True, slots=True)
class Shape:
    """The graph of the readable nodes: of nodes with the same id the first one, of edges those between known nodes."""

    nodes: list[Placed[Node]]
    number: dict[str, int]
    edges: list[tuple[int, int, Placed[Edge]]]
    successors: list[list[int]]
    above: list[int] = field(default_factory=list[int])
    """Filled when first asked for: bit sets of ancestors."""

    def id(self, number: int) -> str:
        return self.nodes[number].item.id

    def is_upstream(self, source: int, of: int) -> bool:
        """Whether `source` has ended when `of` starts."""
        if not self.above:
            self.above.extend(graph.ancestors(self.successors))
        return bool(self.above[of] >> source & 1)


def shape_of(draft: Draft) -> Shape:
    """The graph that the draft describes."""
    number: dict[str, int] = {}
    nodes: list[Placed[Node]] = []
    for placed in draft.nodes:
        if number.setdefault(placed.item.id, len(nodes)) == len(nodes):
            nodes.append(placed)
    edges = [
        (number[edge.item.source_node_id], number[edge.item.target_node_id], edge)
        for edge in draft.edges
        if edge.item.source_node_id in number and edge.item.target_node_id in number
    ]
    successors: list[list[int]] = [[] for _ in nodes]
    for source, target, _ in edges:
        successors[source].append(target)
    return Shape(nodes, number, edges, successors)


def check_structure(draft: Draft, shape: Shape, findings: Findings) -> None:
    """Everything that ids and edges alone tell."""
    if not draft.nodes and not draft.unread_ids and "nodes" not in draft.unread:
        findings.error("NO_NODES", "$.nodes", "a workflow needs at least one node", "add a node")
    _check_ids(draft, findings)
    _check_edges(draft, shape, findings)
    _check_cycles(shape, findings)
    _check_islands(draft, shape, findings)
    _check_conditions_of_running(shape, findings)
    _check_order(draft, findings)
    _check_markers(shape, findings)


def _check_ids(draft: Draft, findings: Findings) -> None:
    nodes = [(placed.item.id, f"{placed.at}.id") for placed in draft.nodes]
    _check_unique("node", nodes, findings)
    named = [(edge.item.id, f"{edge.at}.id") for edge in draft.edges if edge.item.id is not None]
    _check_unique("edge", named, findings)
    _check_unique("trigger", [(placed.item.id, f"{placed.at}.id") for placed in draft.triggers], findings)
    variables = draft.head.variables
    _check_unique("variable", [(item.name, f"$.variables[{at}].name") for at, item in enumerate(variables)], findings)


def _check_unique(what: str, names: Sequence[tuple[str, str]], findings: Findings) -> None:
    first: dict[str, str] = {}
    for name, path in names:
        if first.setdefault(name, path) != path:
            findings.error(
                f"DUPLICATE_{what.upper()}",
                path,
                f"the {what} '{name}' stands twice, first at {first[name]}",
                f"give one of them another {'name' if what == 'variable' else 'id'}",
                [name] if what == "node" else [],
            )


def _check_edges(draft: Draft, shape: Shape, findings: Findings) -> None:
    seen: dict[Edge, str] = {}
    for edge in draft.edges:
        for end in ("source_node_id", "target_node_id"):
            name = getattr(edge.item, end)
            if name not in shape.number and name not in draft.unread_ids and "nodes" not in draft.unread:
                findings.error(
                    "MISSING_DEPENDENCY",
                    f"{edge.at}.{end}",
                    f"the edge {_written(edge.item)} names a node '{name}' that does not exist",
                    findings.did_you_mean(name, shape.number, "add the node, or remove the edge"),
                    [name],
                )
        if not edge.at:
            continue
        plain = Edge(**{name: getattr(edge.item, name) for name in Edge.__struct_fields__ if name != "id"})
        if seen.setdefault(plain, edge.at) != edge.at:
            findings.warning(
                "DUPLICATE_EDGE",
                edge.at,
                f"the edge {_written(edge.item)} stands twice, first at {seen[plain]}",
                "remove one of them",
                [edge.item.source_node_id, edge.item.target_node_id],
            )


def _written(edge: Edge) -> str:
    return f"{edge.source_node_id} → {edge.target_node_id}"


def _check_cycles(shape: Shape, findings: Findings) -> None:
    cycles = graph.cycles(shape.successors)
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
        findings.error("CIRCULAR_DEPENDENCY", closing or "$.edges", message, mend, names)


def _check_islands(draft: Draft, shape: Shape, findings: Findings) -> None:
    """Nodes without any edge, and nodes that nothing can ever reach."""
    if not draft.edges or len(shape.nodes) < 2:
        return
    predecessors = graph.reversed_edges(shape.successors)
    named = {name for edge in draft.edges for name in (edge.item.source_node_id, edge.item.target_node_id)}
    for number, placed in enumerate(shape.nodes):
        if placed.item.id not in named and not predecessors[number] and not shape.successors[number]:
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
            findings.unreachable,
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


def _check_order(draft: Draft, findings: Findings) -> None:
    if any(edge.at for edge in draft.edges):
        return
    ordered = [placed for placed in draft.nodes if placed.item.order_index is not None]
    if ordered and len(ordered) < len(draft.nodes):
        without = [placed.item.id for placed in draft.nodes if placed.item.order_index is None]
        findings.warning(
            "ORDER_INCOMPLETE",
            "$.nodes",
            "some nodes have an order_index and some have none, so it is not followed: all nodes run in parallel",
            "give every node an order_index, or write edges",
            without,
        )
    elif len({placed.item.order_index for placed in ordered}) < len(ordered):
        findings.warning(
            "ORDER_AMBIGUOUS",
            "$.nodes",
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
