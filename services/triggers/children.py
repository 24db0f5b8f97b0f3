"""Runs that a node of another run asks for: the child that starts, or why it does not (pure)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec
from flowforge.errors import ErrorCode
from flowforge.events import (
    Cause,
    ChildCancelRequested,
    ChildRunRefused,
    ChildRunRequested,
    TriggerRef,
    WorkflowTriggered,
)
from flowforge.refusals import Refusal

from services.triggers.cause import EMPTY_INPUT, OwnCause, is_null, kept_small
from services.triggers.decide import FIRST_DEPTH, Decided, Deciding, findings_of, told
from services.triggers.endings import chain_after
from services.triggers.index import Checked
from services.triggers.verdict import NotFired

TRIGGER_TYPE = "workflow"
"""By which a child is started; the trigger's id is that of the parent's node."""
_CODES = {
    "depth_exceeded": ErrorCode.DEPTH_EXCEEDED,
    "overlap": ErrorCode.CONCURRENT_EXECUTION_CONFLICT,
}


class ChildCause(OwnCause):
    """A node's wish for a child. Its data is the child's input, whole; none is an empty object."""

    def __init__(self, cause: Cause, parent: WorkflowTriggered, input_data: msgspec.Raw, recorded_at: datetime) -> None:
        given = EMPTY_INPUT if is_null(input_data) else input_data
        super().__init__(cause, given, recorded_at, parent.depth, chain_after(parent), parent.labels)


class Child(msgspec.Struct, frozen=True):
    """What is known of a child that is asked for. `actor` started its parent; `kin` are the runs that wait for it, its
    parent first."""

    asked: ChildRunRequested
    parent: WorkflowTriggered
    cause: ChildCause
    actor: str | None = None
    kin: Collection[UUID] = ()


def decide_child(deciding: Deciding, found: tuple[Checked, str] | Refusal, child: Child) -> Decided:
    """The child's run, or that there will be none. Raises Wanted.

    It has its parent's labels and priority, and is one of those that the parent's first cause led to.
    """
    answer = _standing(found, child)
    if answer is None:
        assert not isinstance(found, Refusal)
        answer = _launched(deciding, found[0], child)
    if isinstance(answer, WorkflowTriggered):
        deciding.runs.append(answer)
        refused = None
    else:
        code, message = answer
        refused = _refused(child.asked, child.parent, code, message)
    decided = deciding.decided(child.cause, stream_id=child.asked.child_run_id)
    return msgspec.structs.replace(decided, refused=refused, actor=child.actor)


def decide_unwanted(cancelled: ChildCancelRequested, parent: WorkflowTriggered, cause: Cause) -> Decided:
    """A child that nobody waits for any more, and that is not there yet, will not start."""
    why = f": {cancelled.reason}" if cancelled.reason else ""
    refused = _refused(cancelled, parent, ErrorCode.CANCELLED, f"its parent waits for it no more{why}")
    return Decided(cancelled.child_run_id, cause, refused=refused)


def _standing(found: tuple[Checked, str] | Refusal, child: Child) -> tuple[str, str] | None:
    """Why nothing is started of that workflow and version, as code and message."""
    named = f"node '{child.asked.node_id}' cannot run '{child.asked.workflow_id}'"
    if isinstance(found, Refusal):
        mend = "save that workflow, or name another one in the node"
        return ErrorCode.MISSING_DEPENDENCY, f"{named}: {found.detail}; {mend}"
    checked, status = found
    version = checked.version
    if version.fault:
        return ErrorCode.INVALID_FLOW_STATE, f"{named}: its version {version.number} cannot be read: {version.fault}"
    if status == "archived":
        return (
            ErrorCode.INVALID_FLOW_STATE,
            f"{named}: it is archived and starts no runs; save it as active to revive it",
        )
    return None


def _launched(deciding: Deciding, checked: Checked, child: Child) -> WorkflowTriggered | tuple[str, str]:
    """The run, or a code and a message. Raises Wanted."""
    asked, cause = child.asked, child.cause
    named = f"node '{asked.node_id}' cannot run '{asked.workflow_id}'"
    answer: WorkflowTriggered | NotFired | None = deciding.cut([cause])
    if answer is None:
        if wrong := findings_of(checked, cause.data):
            return ErrorCode.INPUT_INVALID, f"{named}: {told(wrong)}; correct the node's input"
        run = _run(checked, child)
        answer = deciding.launch(checked.version, [cause], run, cause.data, child.kin)
    if isinstance(answer, WorkflowTriggered):
        return answer
    if answer.reason in _CODES:
        return _CODES[answer.reason], f"{named}: {answer.detail}"
    return ErrorCode.EXPRESSION_ERROR, f"{named}: {answer.reason}"


def _run(checked: Checked, child: Child) -> WorkflowTriggered:
    asked, parent, cause = child.asked, child.parent, child.cause
    return WorkflowTriggered(
        run_id=asked.child_run_id,
        workflow_id=asked.workflow_id,
        workflow_version=checked.version.number,
        trigger=TriggerRef(TRIGGER_TYPE, asked.node_id),
        trigger_version=parent.workflow_version,
        cause=cause.cause,
        consumed=[cause.cause.event_id],
        input_data=kept_small(cause.data),
        labels=parent.labels,
        priority=parent.priority,
        depth=parent.depth + FIRST_DEPTH,
        chain=cause.chain,
        parent_run_id=parent.run_id,
        parent_node_id=asked.node_id,
        parent_instance=asked.instance,
    )


def _refused(
    of: ChildRunRequested | ChildCancelRequested, parent: WorkflowTriggered, code: str, message: str
) -> ChildRunRefused:
    return ChildRunRefused(
        parent_run_id=parent.run_id,
        parent_workflow_id=parent.workflow_id,
        node_id=of.node_id,
        instance=of.instance,
        child_run_id=of.child_run_id,
        code=code,
        message=message,
    )
