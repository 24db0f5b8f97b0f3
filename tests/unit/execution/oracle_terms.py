"""Words of the oracle, and the graphs that it looks at; from interface.md 1.1 to 1.3 alone."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from flowforge.definition import Edge, LoopNode, MergeNode, Node, ParallelNode

NEVER = float("inf")
BEFORE = -1.0
FOR_FAILURE = ("all_done", "at_least_one_failed", "all_failed")


class Place(NamedTuple):
    """A node, or an instance of it. `rounds`: which attempts of the loops and maps around it this is in."""

    node_id: str
    path: str = ""
    rounds: tuple[int, ...] = ()

    def inner(self, node_id: str, part: int, attempt: int) -> "Place":
        """A place inside of this loop or map."""
        path = f"{self.path}.{part}" if self.path else str(part)
        return Place(node_id, path, (*self.rounds, attempt))


class Order(Protocol):
    """When nodes began and ended: ranks, NEVER for what did not. `settled`: when all was done that follows from a rank."""

    def began(self, place: Place) -> float: ...
    def ended(self, place: Place) -> float: ...
    def first_attempt(self, place: Place) -> int: ...
    def settled(self, rank: float) -> float: ...


class Nature(Protocol):
    """What becomes of work: `ok`, `fails`, or `fatal` (trying again would not help); and what it gives."""

    def outcome(self, place: Place, attempt: int) -> str: ...
    def output(self, place: Place, attempt: int) -> Any: ...


class End(NamedTuple):
    """How something ended. `is_fatal`: its error rules another attempt out. `came`: of a merge, whose branches came."""

    status: str
    reason: str = ""
    output: Any = None
    at: float = NEVER
    is_fatal: bool = False
    came: frozenset[str] = frozenset()


class Moment(NamedTuple):
    """From `at` on these nodes do not go on: what runs is cancelled, what has not begun is skipped for this reason."""

    at: float
    reasons: dict[str, str]


class Shape:
    """A graph: its edges by node, and the branches of its merges."""

    def __init__(self, nodes: list[Node], edges: list[Edge]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.incoming = {node.id: [edge for edge in edges if edge.target_node_id == node.id] for node in nodes}
        self.outgoing = {node.id: [edge for edge in edges if edge.source_node_id == node.id] for node in nodes}
        self.leaves = [name for name in self.nodes if not self.outgoing[name]]
        self.in_order: list[str] = []
        while len(self.in_order) < len(nodes):
            known = set(self.in_order)
            self.in_order += [
                name
                for name in self.nodes
                if name not in known and all(edge.source_node_id in known for edge in self.incoming[name])
            ]
        self.branches: dict[str, list[frozenset[str]]] = {}
        for node in nodes:
            if isinstance(node, MergeNode):
                parallel = self.nodes[node.parallel_node_id]
                assert isinstance(parallel, ParallelNode)
                targets = [branch.target_node_id for branch in parallel.branches]
                self.branches[node.id] = [frozenset({t} | self.below([t], without=node.id)) for t in targets]

    def below(self, names: Iterable[str], without: str = "") -> set[str]:
        found, stack = set[str](), list(names)
        while stack:
            new = {edge.target_node_id for edge in self.outgoing[stack.pop()]} - found - {without}
            found |= new
            stack += new
        return found

    def members(self, merge: str) -> frozenset[str]:
        return frozenset[str]().union(*self.branches[merge])

    def mode(self, merge: str) -> tuple[str, int]:
        node = self.nodes[merge]
        assert isinstance(node, MergeNode)
        parallel = self.nodes[node.parallel_node_id]
        assert isinstance(parallel, ParallelNode)
        return node.mode or parallel.wait_for or "all", node.required_count or parallel.required_count or 1

    def is_contest(self, merge: str) -> bool:
        return self.mode(merge)[0] != "all"

    def contests(self, name: str) -> list[str]:
        """Merges with `any` or `count` that the node's branch competes for."""
        return [m for m in self.branches if self.is_contest(m) and name in self.members(m)]

    def exists_for_failure(self, name: str) -> bool:
        return self.nodes[name].run_if in FOR_FAILURE or any(
            edge.dependency in ("on_failure", "on_completion") for edge in self.incoming[name]
        )


def reason_to_skip(run_if: str, states: list[tuple[str, End]]) -> str:
    """The table of interface.md 1.3; "" for a node that runs."""
    active = [(state, source) for state, source in states if state != "inactive"]
    if states and not active:
        return "branch_not_taken"
    sources = [source for _, source in active]
    went_wrong = any(s.status in ("failed", "cancelled") or s.reason == "upstream_failed" for s in sources)
    if run_if == "all_success":
        is_met = all(state == "satisfied" for state, _ in active)
        return "" if is_met else "upstream_failed" if went_wrong else "upstream_skipped"
    is_met = {
        "all_done": True,
        "none_failed": not went_wrong,
        "at_least_one_success": any(s.status == "completed" for s in sources),
        "at_least_one_failed": any(s.status == "failed" for s in sources),
        "all_failed": all(s.status == "failed" for s in sources),
    }
    return "" if is_met[run_if] else "run_if_not_met"


def leaf_output(shape: Shape, ends: dict[str, End], named: list[str]) -> Any:
    names = named or shape.leaves
    given = {name: ends[name].output for name in names if ends[name].status == "completed"}
    return given if len(names) > 1 else given.get(names[0])


def iterations_wanted(node: LoopNode) -> int:
    if node.loop_type == "for_each":
        assert isinstance(node.array_source, list)
        return len(node.array_source)
    if node.loop_type == "count":
        assert isinstance(node.count, int)
        return node.count
    match = re.fullmatch(r"index < (\d+)", node.condition or "")
    assert match
    return int(match[1])
