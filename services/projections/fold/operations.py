"""What people do to runs, and to nodes that wait for people. All of it is in the audit trail."""

from typing import assert_never

import msgspec
from flowforge.errors import ErrorCode
from flowforge.events import (
    ApprovalDecided,
    ApprovalWait,
    CallbackReceived,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeRetried,
    NodeSkipped,
    NodeWaiting,
    RunCancelRequested,
    RunChanged,
    RunPaused,
    RunResumed,
    RunRetried,
    RunRetryRefused,
    RunRetryRequested,
    TimerSet,
)

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.labels import relabelled
from services.projections.fold.nodes import changing, clear, resume_maps
from services.projections.fold.runs import count_ending, touch
from services.projections.fold.values import bounded, clean, kept, labels_of, listed, object_of
from services.projections.state import CHANGED, CLEAN, NEW, NULL, ApprovalRow, Json, ReadModels, RunRow

NodeEnding = NodeCompleted | NodeFailed | NodeSkipped | NodeCancelled | NodeRetried
RunOperation = (
    RunCancelRequested | RunPaused | RunResumed | RunRetryRequested | RunRetried | RunRetryRefused | RunChanged
)

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


# --- runs -------------------------------------------------------------------------------------------------------------


def operate(models: ReadModels, stored: StoredEvent, event: RunOperation) -> None:
    """Cancel, pause, resume, step, retry, change."""
    run = models.runs[stored.stream_id]
    row = run.row
    match event:
        case RunCancelRequested():
            _go_on(row)
        case RunPaused():
            row.status, row.paused_at, row.paused_before = "paused", stored.recorded_at, listed(event.before)
        case RunResumed():
            _go_on(row)
        case RunRetryRequested():
            count_ending(models, row, stored.position, by=-1)
            row.status = "pending"
            row.retries += 1
        case RunRetryRefused():
            row.status = event.status
            row.retries -= 1
            count_ending(models, row, stored.position)
        case RunRetried():
            row.status, row.completed_at, row.output_data, row.error = "running", None, NULL, NULL
            clear(models, run, event.cleared, stored.position)
            resume_maps(models, run, event.resumed, stored.position)
        case RunChanged():
            _change(models, row, event)
        case _:
            assert_never(event)
    touch(models, row, stored.position)
    if (action := _asked(event)) is not None:
        audit(models, stored, action, "run", str(stored.stream_id), row.workflow_id)


def _go_on(row: RunRow) -> None:
    if row.status == "paused":
        row.status, row.paused_at, row.paused_before = "running", None, None


def _change(models: ReadModels, row: RunRow, event: RunChanged) -> None:
    if event.priority is not None:
        row.priority = bounded(event.priority)
    if event.labels is not None:
        before, row.labels = row.labels, labels_of(event.labels)
        relabelled(models.changes, row.workflow_id, row.created_position, before, row.labels)
    if event.breakpoints is not None:
        row.breakpoints = listed(event.breakpoints)


def _asked(event: RunOperation) -> str | None:
    """What somebody asked for; a run also halts before a breakpoint, or goes on for a retry, by itself."""
    match event:
        case RunCancelRequested():
            return "cancel"
        case RunPaused():
            return "pause" if event.command_id else None
        case RunResumed():
            return "resume" if event.steps is None else "step"
        case RunRetryRequested():
            return "retry"
        case RunRetried() | RunRetryRefused():
            return None
        case RunChanged():
            return "change_run"
        case _:
            assert_never(event)


# --- nodes ------------------------------------------------------------------------------------------------------------


def by_hand(models: ReadModels, stored: StoredEvent, event: NodeDecidedByHand) -> None:
    """Somebody completed, failed or skipped a node; its ending follows."""
    row = changing(models, models.runs[stored.stream_id], event.node_id, event.instance)
    row.position = stored.position
    told = {"action": event.action, "by": stored.actor, "comment": event.comment, "at": stored.recorded_at}
    row.by_hand = object_of(told)
    audit(models, stored, f"{event.action}_node", "node", _place(stored, event), _workflow_id(models, stored))


def called_back(models: ReadModels, stored: StoredEvent, event: CallbackReceived) -> None:
    audit(models, stored, "callback", "node", _place(stored, event), _workflow_id(models, stored))


def _place(stored: StoredEvent, event: NodeDecidedByHand | CallbackReceived | ApprovalDecided) -> str:
    place = f"{stored.stream_id}/{event.node_id}"
    return f"{place}[{event.instance}]" if event.instance else place


def _workflow_id(models: ReadModels, stored: StoredEvent) -> str:
    return models.runs[stored.stream_id].row.workflow_id


# --- approvals --------------------------------------------------------------------------------------------------------


def ask_for_approval(models: ReadModels, stored: StoredEvent, event: NodeWaiting, wait: ApprovalWait) -> None:
    """A node asks people."""
    run = models.runs[stored.stream_id]
    close_approval(models, stored, event)
    row = run.approvals[event.node_id, event.instance] = ApprovalRow(
        requested_position=stored.position,
        id=wait.approval_id,
        run_id=run.row.run_id,
        workflow_id=run.row.workflow_id,
        node_id=event.node_id,
        instance=event.instance,
        attempt=event.attempt,
        message=kept(wait.message),
        approvers=listed([kept(name) for name in wait.approvers]) or Json("[]"),
        requested_at=stored.recorded_at,
        expires_at=wait.due_at,
        position=stored.position,
        change=NEW,
    )
    models.changes.approvals.append(row)


def approval_decided(models: ReadModels, stored: StoredEvent, event: ApprovalDecided) -> None:
    """By a person, or by nobody once the time was over."""
    row = models.runs[stored.stream_id].approvals.pop((event.node_id, event.instance), None)
    if row is None:
        return
    row.status = "approved" if event.decision == "approve" else "rejected"
    row.decision, row.comment, row.decided_at = event.decision, clean(event.comment) or None, stored.recorded_at
    if event.command_id:
        row.decided_by = clean(stored.actor)
        audit(models, stored, event.decision, "approval", _place(stored, event), row.workflow_id)
    _touch_approval(models, row, stored.position)


def close_approval(models: ReadModels, stored: StoredEvent, event: NodeEnding | NodeWaiting) -> None:
    """The node waits no more, and nobody has decided: what ended it is the node's to tell."""
    row = models.runs[stored.stream_id].approvals.pop((event.node_id, event.instance), None)
    if row is None:
        return
    is_late = isinstance(event, NodeFailed | NodeRetried) and event.error.code == ErrorCode.EXECUTION_TIMEOUT
    row.status, row.decided_at = "expired" if is_late else "cancelled", stored.recorded_at
    _touch_approval(models, row, stored.position)


def timer_set(models: ReadModels, stored: StoredEvent, event: TimerSet) -> None:
    """The time of an approval stands still while its run is paused, and ends so much later."""
    run = models.runs[stored.stream_id]
    approval = run.approvals.get((event.node_id, event.instance))
    if approval is None or approval.expires_at == event.due_at:
        return
    approval.expires_at = event.due_at
    _touch_approval(models, approval, stored.position)
    row = changing(models, run, event.node_id, event.instance)
    row.position = stored.position
    if row.waiting_for is not None:
        row.waiting_for = object_of(_fields.decode(row.waiting_for) | {"due_at": event.due_at})


def _touch_approval(models: ReadModels, row: ApprovalRow, position: int) -> None:
    row.position = position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.approvals.append(row)
