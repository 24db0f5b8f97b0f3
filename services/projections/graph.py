"""The graph of one workflow version, as readers need it: which node waits for which, and how variables begin.

Pure, and the same for ever: a version never changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from flowforge.definition import Edge, LoopNode, Node, Workflow, parse_stored


class GraphNode(msgspec.Struct, frozen=True):
    """One node: what it waits for and what waits for it, in the order of the definition.

    `level` is the length of the longest way to it from a node that waits for nothing. `loop_id` is the loop in whose body
    it stands, `is_map` tells that it runs once per item.
    """

    node_id: str
    type: str
    name: str
    dependencies: list[str]
    dependents: list[str]
    level: int
    position: dict[str, Any] | None = None
    loop_id: str | None = None
    is_map: bool = False


class BodyGraph(msgspec.Struct, frozen=True):
    """What a loop repeats."""

    nodes: list[GraphNode]
    edges: list[Edge]


class Graph(msgspec.Struct, frozen=True):
    """The workflow's own nodes in the order of the definition; the bodies of its loops, those inside of others too."""

    nodes: dict[str, GraphNode]
    edges: list[Edge]
    variables: dict[str, Any]
    max_parallel_jobs: int
    bodies: dict[str, BodyGraph] = {}
    inside: dict[str, GraphNode] = {}
    """The nodes of all bodies."""

    def find(self, node_id: str) -> GraphNode | None:
        """A node, wherever it stands."""
        return self.nodes.get(node_id) or self.inside.get(node_id)

    def around(self, node_id: str) -> list[GraphNode]:
        """The loops that a node stands in, the outermost last."""
        loops: list[GraphNode] = []
        node = self.find(node_id)
        while node is not None and node.loop_id is not None:
            node = self.find(node.loop_id)
            assert node is not None, "a body stands in a loop"
            loops.append(node)
        return loops

    def depth(self, node_id: str) -> int:
        """How many numbers name an instance of the node: an iteration of each loop around it, of a map of loops its item.

        An item of a map has one more.
        """
        return sum(1 + loop.is_map for loop in self.around(node_id))


def graph_of(definition: bytes | str) -> Graph:
    """The graph of a stored definition. Raises ValueError for one that this version cannot read."""
    document = msgspec.json.decode(definition)
    workflow, faults = parse_stored(document)
    if workflow is None:
        raise ValueError(f"a stored definition cannot be read: {faults[0].path}: {faults[0].message}")
    edges = workflow.effective_edges()
    bodies = {
        loop.id: BodyGraph(_nodes(loop.body.nodes, loop.body.effective_edges(), loop.id), loop.body.effective_edges())
        for loop in _loops(workflow.nodes)
    }
    return Graph(
        nodes={node.node_id: node for node in _nodes(workflow.nodes, edges, None)},
        edges=edges,
        variables=_defaults(workflow),
        max_parallel_jobs=workflow.settings.max_parallel_jobs,
        bodies=bodies,
        inside={node.node_id: node for body in bodies.values() for node in body.nodes},
    )


def _loops(nodes: Sequence[Node]) -> Iterator[LoopNode]:
    for node in nodes:
        if isinstance(node, LoopNode):
            yield node
            yield from _loops(node.body.nodes)


def _nodes(nodes: Sequence[Node], edges: Sequence[Edge], loop_id: str | None) -> list[GraphNode]:
    dependencies: dict[str, dict[str, None]] = {node.id: {} for node in nodes}
    dependents: dict[str, dict[str, None]] = {node.id: {} for node in nodes}
    for edge in edges:
        dependencies[edge.target_node_id][edge.source_node_id] = None
        dependents[edge.source_node_id][edge.target_node_id] = None
    levels = _levels({node_id: list(before) for node_id, before in dependencies.items()})
    return [
        GraphNode(
            node_id=node.id,
            type=str(node.__struct_config__.tag),
            name=node.name,
            dependencies=list(dependencies[node.id]),
            dependents=list(dependents[node.id]),
            level=levels[node.id],
            position=msgspec.to_builtins(node.position),
            loop_id=loop_id,
            is_map=node.for_each is not None,
        )
        for node in nodes
    ]


def _defaults(workflow: Workflow) -> dict[str, Any]:
    return {variable.name: variable.default_value for variable in workflow.variables}


def _levels(dependencies: Mapping[str, list[str]]) -> dict[str, int]:
    """Without recursion: a chain may have ten thousand nodes."""
    waiting = {node: len(before) for node, before in dependencies.items()}
    after: dict[str, list[str]] = {node: [] for node in dependencies}
    for node, before in dependencies.items():
        for one in before:
            after[one].append(node)
    levels = dict.fromkeys(dependencies, 0)
    free = [node for node, count in waiting.items() if count == 0]
    while free:
        node = free.pop()
        for following in after[node]:
            levels[following] = max(levels[following], levels[node] + 1)
            waiting[following] -= 1
            if waiting[following] == 0:
                free.append(following)
    return levels
