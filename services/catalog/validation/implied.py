"""Edges that nobody wrote: those to the paths of a condition and the branches of a parallel."""

from typing import Any, Protocol

from flowforge.definition import ConditionNode, Node, ParallelNode


class _Placed(Protocol):
    @property
    def item(self) -> Node: ...

    def path(self, field: str) -> str: ...


def named_places(source: _Placed) -> dict[str, str]:
    """The nodes to which edges are implied, each with the place in the document that names it first."""
    places: dict[str, str] = {}
    if isinstance(source.item, ConditionNode):
        for field in ("true_path", "false_path"):
            for place, name in named_paths(source, field):
                places.setdefault(name, place)
    elif isinstance(source.item, ParallelNode):
        for at, branch in enumerate(source.item.branches):
            places.setdefault(branch.target_node_id, f"{source.path('branches')}[{at}].target_node_id")
    return places


def named_paths(condition: _Placed, field: str) -> list[tuple[str, str]]:
    """The nodes that a path of a condition names, each with its place in the document."""
    value: Any = getattr(condition.item, field)
    path = condition.path(field)
    if value is None:
        return []
    return [(path, value)] if isinstance(value, str) else [(f"{path}[{at}]", name) for at, name in enumerate(value)]
