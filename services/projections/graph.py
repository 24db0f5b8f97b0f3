"""The graph of one workflow version, as readers need it: which node waits for which, and how variables begin.

Pure, and the same for ever: a version never changes.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from flowforge.definition import Edge, Workflow, parse_stored


class GraphNode(msgspec.Struct, frozen=True):
    """One node: what it waits for and what waits for it, in the order of the definition.

    `level` is the length of the longest way to it from a node that waits for nothing.
    """

    node_id: str
    type: str
    name: str
    dependencies: list[str]
    dependents: list[str]
    level: int
    position: dict[str, Any] | None = None


class Graph(msgspec.Struct, frozen=True):
    """Nodes in the order of the definition."""

    nodes: dict[str, GraphNode]
    edges: list[Edge]
    variables: dict[str, Any]
    max_parallel_jobs: int


def graph_of(definition: bytes | str) -> Graph:
    """The graph of a stored definition. Raises ValueError for one that this version cannot read."""
    document = msgspec.json.decode(definition)
    workflow, faults = parse_stored(document)
    if workflow is None:
        raise ValueError(f"a stored definition cannot be read: {faults[0].path}: {faults[0].message}")
    edges = workflow.effective_edges()
    dependencies: dict[str, list[str]] = {node.id: [] for node in workflow.nodes}
    dependents: dict[str, list[str]] = {node.id: [] for node in workflow.nodes}
    for edge in edges:
        if edge.source_node_id not in dependencies[edge.target_node_id]:
            dependencies[edge.target_node_id].append(edge.source_node_id)
            dependents[edge.source_node_id].append(edge.target_node_id)
    levels = _levels(dependencies)
    return Graph(
        nodes={
            node.id: GraphNode(
                node_id=node.id,
                type=str(node.__struct_config__.tag),
                name=node.name,
                dependencies=dependencies[node.id],
                dependents=dependents[node.id],
                level=levels[node.id],
                position=msgspec.to_builtins(node.position),
            )
            for node in workflow.nodes
        },
        edges=edges,
        variables=_defaults(workflow),
        max_parallel_jobs=workflow.settings.max_parallel_jobs,
    )


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
