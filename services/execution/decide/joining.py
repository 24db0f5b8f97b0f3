"""Merges: decided as soon as their mode is met or can no longer be met; what is left of other branches is cancelled."""

from collections.abc import Sequence

from flowforge.errors import ErrorCode
from flowforge.events import NodeSkipped, NodeStarted
from flowforge.raw import field
from flowforge.reports import ReportedError

from services.execution import inputs
from services.execution.decide.ending import cancel_unit, complete, fail_at_once, failure_counts, is_stopping
from services.execution.decide.faults import input_fault
from services.execution.decide.step import Step
from services.execution.plan import Merge
from services.execution.rules import BranchState, EdgeState, branch_state, merge_state
from services.execution.state import NodeState


def decide_merge(step: Step, node: NodeState, states: Sequence[tuple[EdgeState | None, NodeState]]) -> None:
    """Look at the branches; nothing follows while they may still go either way."""
    merge = node.plan.merge
    assert merge is not None
    branches: list[BranchState] = [
        branch_state([state for state, source in states if source.node_id in members]) for members in merge.branches
    ]
    was_stopping = is_stopping(step, node.frame)
    held = [each for each in _members(node, merge.members()) if each.status == "failed" and not each.failure_counts]
    match merge_state(merge, branches):
        case "pending":
            node.frame.frontier.pop(node.node_id, None)
        case "not_taken":
            step.emit(NodeSkipped(node_id=node.node_id, instance=node.instance, reason="branch_not_taken"))
        case "met":
            _join(step, node, merge, branches)
        case "failed":
            step.emit(NodeStarted(node_id=node.node_id, instance=node.instance, attempt=node.first_attempt))
            _drop(step, node, merge.members())
            fail_at_once(step, node, _unmet(node, merge, branches))
    for member in held:
        if member.failure_counts and member.error is not None:
            failure_counts(step, member, member.error, was_stopping=was_stopping)
            was_stopping = True


def _join(step: Step, node: NodeState, merge: Merge, branches: Sequence[BranchState]) -> None:
    try:
        text, source = inputs.node_input(step.run, node, step.now)
    except (inputs.TooLarge, inputs.PortFault, inputs.EvaluationFault) as fault:
        _drop(step, node, merge.members())
        fail_at_once(step, node, input_fault(fault))
        return
    came = [target for target, state in zip(merge.targets, branches, strict=True) if state == "completed"]
    step.emit(
        NodeStarted(
            node_id=node.node_id,
            instance=node.instance,
            attempt=node.first_attempt,
            input=field(text),
            input_from=source,
            branches=came,
        )
    )
    if merge.is_contest:  # what a branch that came shares with another is not lost
        _drop(step, node, merge.members() - merge.members(came))
    complete(step, node, step.run.input_of(node))


def _drop(step: Step, node: NodeState, members: frozenset[str]) -> None:
    """Cancel or skip what is left of these nodes, in the order of the definition."""
    for member in _members(node, members):
        if member.status == "idle":
            step.emit(NodeSkipped(node_id=member.node_id, instance=member.instance, reason="branch_lost"))
        elif not member.is_ended:
            cancel_unit(step, member, "branch_lost")


def _members(node: NodeState, members: frozenset[str]) -> list[NodeState]:
    return [each for each in node.frame.nodes.values() if each.node_id in members]


def _unmet(node: NodeState, merge: Merge, branches: Sequence[BranchState]) -> ReportedError:
    wanted = {"all": "all branches", "any": "one branch"}.get(merge.mode, f"{merge.required_count} branches")
    failed = [
        f"{member.node_id} ({member.error.code})"
        for member in _members(node, merge.members())
        if member.status == "failed" and member.error
    ]
    return ReportedError(
        code=ErrorCode.NODE_EXECUTION_FAILED,
        message=f"merge '{node.node_id}' waits for {wanted} and can no longer have them: {branches.count('completed')} of "
        f"{len(branches)} completed; failed: {', '.join(failed[:10]) or 'none'}",
        retryable=False,
    )
