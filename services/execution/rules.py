"""When a node runs: interface.md 1.3, word for word. Pure.

An incoming edge, once its source has ended, is *inactive*, *satisfied* or *unsatisfied*; `run_if` looks at the active ones.
"""

from collections.abc import Sequence
from typing import Literal

from services.execution.plan import Merge, PlanEdge
from services.execution.state import NodeState

NOT_TAKEN = frozenset({"branch_not_taken", "not_selected"})
EdgeState = Literal["inactive", "satisfied", "unsatisfied"]
BranchState = Literal["pending", "not_taken", "completed", "failed"]
MergeState = Literal["pending", "not_taken", "met", "failed"]
RUN = ""
"""The verdict that a node runs; any other verdict is the reason why it is skipped."""


def edge_state(edge: PlanEdge, source: NodeState, is_condition_true: bool) -> EdgeState:
    """The state of an edge whose source has ended."""
    if source.status == "skipped":
        return "inactive" if source.skip_reason in NOT_TAKEN else "unsatisfied"
    if not is_condition_true:
        return "inactive"
    return "satisfied" if _matches(edge, source) else "unsatisfied"


def _matches(edge: PlanEdge, source: NodeState) -> bool:
    if edge.dependency == "on_success":
        return source.status == "completed" or (source.status == "failed" and source.plan.node.allow_failure)
    if edge.dependency == "on_failure":
        return source.status == "failed"
    return source.status in ("completed", "failed", "cancelled")


def verdict(run_if: str, edges: Sequence[tuple[EdgeState, NodeState]]) -> str:
    """`RUN`, or the reason to skip, for a node all of whose incoming edges are decided."""
    active = [(state, source) for state, source in edges if state != "inactive"]
    if edges and not active:
        return "branch_not_taken"
    sources = [source for _, source in active]
    match run_if:
        case "all_success":
            if all(state == "satisfied" for state, _ in active):
                return RUN
            return "upstream_failed" if any(map(_went_wrong, sources)) else "upstream_skipped"
        case "all_done":
            return RUN
        case "none_failed":
            return "run_if_not_met" if any(map(_went_wrong, sources)) else RUN
        case "at_least_one_success":
            return RUN if not active or any(source.status == "completed" for source in sources) else "run_if_not_met"
        case "at_least_one_failed":
            return RUN if any(source.status == "failed" for source in sources) else "run_if_not_met"
        case "all_failed":
            return RUN if sources and all(source.status == "failed" for source in sources) else "run_if_not_met"
        case _:
            raise ValueError(f"unknown run_if {run_if}")


def merge_state(merge: Merge, branches: Sequence[BranchState]) -> MergeState:
    """Whether a merge's mode is met, or can no longer be met (interface.md 1.1); branches not taken are left out.

    With `all`, every branch that is taken has to come.
    """
    came, pending = branches.count("completed"), branches.count("pending")
    taken = len(branches) - branches.count("not_taken")
    if not taken:
        return "not_taken"
    if merge.mode == "all":
        return "failed" if "failed" in branches else "pending" if pending else "met"
    if came >= merge.required_count:
        return "met"
    return "pending" if came + pending >= merge.required_count else "failed"


def branch_state(edges: Sequence[EdgeState | None]) -> BranchState:
    """The state of a branch by those of its edges into the merge; None is an edge whose source has not ended."""
    if "unsatisfied" in edges:
        return "failed"
    if None in edges:
        return "pending"
    return "completed" if "satisfied" in edges else "not_taken"


def _went_wrong(source: NodeState) -> bool:
    return source.status in ("failed", "cancelled") or (
        source.status == "skipped" and source.skip_reason == "upstream_failed"
    )
