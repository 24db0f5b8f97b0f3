"""What each event does to the read models. Pure: no clock, no I/O; the same events, the same rows, in any batches."""

from datetime import datetime
from typing import assert_never

import msgspec
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    AbsenceCounted,
    AnyEvent,
    ApprovalDecided,
    BackfillRequested,
    CallbackReceived,
    Cause,
    ChainGrew,
    ChildCancelRequested,
    ChildRunEnded,
    ChildRunRefused,
    ChildRunRequested,
    EventMatched,
    EventReceived,
    IterationEnded,
    IterationStarted,
    JobEnded,
    MessageQuarantined,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    PromptDeleted,
    PromptSaved,
    QueueLeft,
    RecoveryTaken,
    ReportIgnored,
    RetryRefused,
    RunAdmitted,
    RunCancelled,
    RunCancelRequested,
    RunChanged,
    RunCompleted,
    RunDisplaced,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
    RunPaused,
    RunQueued,
    RunRequested,
    RunResumed,
    RunRetried,
    RunRetryRequested,
    RunSlaMissed,
    RunStarted,
    ScheduleFired,
    ScheduleMissed,
    SecretDeleted,
    SecretSet,
    SlotAwaited,
    SlotFreed,
    SlotRefused,
    SlotTaken,
    TemplateDeleted,
    TemplateSaved,
    TimerFired,
    TimerSet,
    TriggerDecided,
    TriggerFired,
    TriggerTimerFired,
    TriggerTimerSet,
    WebhookReceived,
    WebhooksRejected,
    WorkerAwaited,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowTriggered,
    WorkflowUpdated,
)
from flowforge.raw import present

from infra.eventlog import StoredEvent
from services.projections.state import (
    CHANGED,
    CLEAN,
    NEW,
    AuditRow,
    DeadLetterRow,
    DecisionRow,
    Json,
    NodeRow,
    ReadModels,
    ReceivedRow,
    RejectionRow,
    RunRow,
    RunState,
    SecretChangeRow,
    SlotRow,
    VersionRow,
    WorkflowRow,
)
from services.projections.templates import fold_template

NODE_ENDINGS = frozenset({"completed", "failed", "skipped", "cancelled"})
RUN_ENDED = frozenset({"completed", "failed", "cancelled", "partial"})
WITHOUT_ROWS = frozenset({"ReportIgnored", "JobEnded", "TimerSet", "TimerFired", "RunCancelRequested", "RunQueued"})
"""Events that change no row of their run."""

PRIORITY_MAX = 2**31 - 1

_encode = msgspec.json.encode
_variables = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Head(msgspec.Struct):
    """What the list of workflows shows of a definition."""

    name: str
    experiment_id: str | None = None
    tags: list[str] = []
    status: str = "active"


_head = msgspec.json.Decoder(_Head)


def fold(models: ReadModels, stored: StoredEvent, event: AnyEvent) -> None:  # noqa: C901, PLR0912  one case per event
    """Apply one event. The run or workflow that it belongs to is in `models`, unless this event creates it."""
    match event:
        case NodeQueued() | NodeStarted() | NodeCompleted() | NodeProgressed() | NodeFailed() | NodeRetried():
            _fold_node(models, stored, event)
        case NodeSkipped() | NodeCancelled():
            _fold_node(models, stored, event)
        case WorkflowTriggered():
            _triggered(models, stored, event)
        case RunStarted() | RunCompleted() | RunFailed() | RunCancelled() | RunFailing():
            _fold_run(models, stored, event)
        case SlotTaken() | SlotAwaited():
            _asked_for_slot(models, stored, event)
        case RunAdmitted() | RunDisplaced() | SlotFreed() | QueueLeft():
            _fold_slot(models, stored, event)
        case ReportIgnored() | JobEnded() | TimerSet() | TimerFired() | ScheduleFired() | ScheduleMissed():
            pass
        case RunQueued() | SlotRefused() | RetryRefused():
            pass
        case TriggerFired() | AbsenceCounted() | TriggerTimerSet() | TriggerTimerFired() | ChainGrew():
            pass
        case WebhookReceived() | EventReceived():
            _received(models, stored, event)
        case WebhooksRejected():
            _rejected(models, stored, event)
        case TriggerDecided():
            _decided(models, stored, event)
        case RunRequested():
            _audit(models, stored, "execute", event.workflow_id)
        case BackfillRequested():
            _audit(models, stored, "backfill", f"{event.workflow_id}/{event.trigger_id}")
        case RunCancelRequested():
            _audit(models, stored, "cancel", str(stored.stream_id))
        case WorkflowCreated() | WorkflowUpdated():
            _defined(models, stored, event)
        case WorkflowArchived():
            _archived(models, stored, event)
        case TemplateSaved() | TemplateDeleted():
            fold_template(models, stored, event)
            action = "save_template" if isinstance(event, TemplateSaved) else "delete_template"
            _audit(models, stored, action, event.template_id)
        case MessageQuarantined():
            _quarantined(models, stored, event)
        case SecretSet() | SecretDeleted():
            _secret_changed(models, stored, event)
        case PromptSaved() | PromptDeleted():
            pass
        case (
            NodeWaiting()
            | WorkerAwaited()
            | EventMatched()
            | ApprovalDecided()
            | CallbackReceived()
            | IterationStarted()
            | IterationEnded()
            | ChildRunRequested()
            | ChildCancelRequested()
            | ChildRunEnded()
            | RunPaused()
            | RunResumed()
            | RunRetryRequested()
            | RunRetried()
            | NodeDecidedByHand()
            | RunChanged()
            | RunSlaMissed()
            | RecoveryTaken()
            | RunPartiallyCompleted()
            | ChildRunRefused()
        ):
            pass
        case _:
            assert_never(event)


# --- runs -------------------------------------------------------------------------------------------------------------


def _triggered(models: ReadModels, stored: StoredEvent, event: WorkflowTriggered) -> None:
    cause = event.cause
    cause_id, cause_type, cause_source = _names(cause)
    row = RunRow(
        run_id=stored.stream_id,
        workflow_id=event.workflow_id,
        workflow_version=event.workflow_version,
        trigger_type=event.trigger.type,
        trigger_id=event.trigger.id,
        cause_event_id=cause.event_id,
        cause_type=cause_type,
        cause_id=cause_id,
        cause_source=cause_source,
        parent_run_id=event.parent_run_id,
        actor=_clean(stored.actor),
        labels=_labels(event.labels),
        input_data=_text(event.input_data),
        priority=_bounded(event.priority),
        depth=event.depth,
        created_at=stored.recorded_at,
        created_position=stored.position,
        variables=_json(event.variables),
        position=stored.position,
        change=NEW,
    )
    models.runs[row.run_id] = RunState(row)
    models.changes.runs.append(row)
    if event.waits is not None:
        return  # its decision is on record by itself: held, and later another
    models.changes.decisions.append(
        DecisionRow(
            position=stored.position,
            workflow_id=event.workflow_id,
            trigger_id=event.trigger.id,
            trigger_version=event.trigger_version,
            cause_event_id=cause.event_id,
            cause_type=cause_type,
            cause_id=cause_id,
            cause_source=cause_source,
            decision="fired",
            reason=None,
            detail=None,
            consumed=event.consumed,
            run_id=row.run_id,
            decided_at=stored.recorded_at,
        )
    )


def _fold_run(
    models: ReadModels,
    stored: StoredEvent,
    event: RunStarted | RunCompleted | RunFailed | RunCancelled | RunFailing,
) -> None:
    row = models.runs[stored.stream_id].row
    match event:
        case RunStarted():
            row.status, row.started_at, row.total_nodes = "running", stored.recorded_at, event.total_nodes
        case RunCompleted():
            row.status, row.completed_at, row.output_data = "completed", stored.recorded_at, _text(event.output)
        case RunFailed():
            row.status, row.completed_at, row.error = "failed", stored.recorded_at, _error(event.error)
        case RunCancelled():
            cancelled = RunError(ErrorCode.CANCELLED, event.reason or "the run was cancelled", retryable=False)
            row.status, row.completed_at, row.error = "cancelled", stored.recorded_at, _error(cancelled)
        case RunFailing():
            row.error = _error(event.error)
        case _:
            assert_never(event)
    _touch(models, row, stored.position)


def _touch(models: ReadModels, row: RunRow, position: int) -> None:
    row.position = position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.runs.append(row)


# --- slots ------------------------------------------------------------------------------------------------------------

_SLOT_STATES = {"SlotTaken": "holds", "SlotAwaited": "waits", "RunAdmitted": "holds"}


def _asked_for_slot(models: ReadModels, stored: StoredEvent, event: SlotTaken | SlotAwaited) -> None:
    """A run that asks again has its row already."""
    before = models.slots.get(event.run_id)
    row = models.slots[event.run_id] = SlotRow(
        run_id=event.run_id,
        slot_id=stored.stream_id,
        workflow_id=event.workflow_id,
        pool=event.pool,
        key=_kept(event.key),
        slot_limit=event.limit,
        state=_SLOT_STATES[stored.type],
        priority=_bounded(event.priority) if isinstance(event, SlotAwaited) else 0,
        since_position=stored.position,
        position=stored.position,
        change=NEW if before is None or before.change == NEW else CHANGED,
    )
    if before is not None and before.change != CLEAN:
        models.changes.slots.remove(before)
    models.changes.slots.append(row)


def _fold_slot(
    models: ReadModels, stored: StoredEvent, event: RunAdmitted | RunDisplaced | SlotFreed | QueueLeft
) -> None:
    row = models.slots[event.run_id]
    if not isinstance(event, RunDisplaced) or row.state == "waits":  # who holds a slot holds it until it has ended
        row.state = _SLOT_STATES.get(stored.type, "gone")
        row.since_position = stored.position
    row.position = stored.position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.slots.append(row)


# --- nodes and their instances ----------------------------------------------------------------------------------------

_NodeEvent = (
    NodeQueued | NodeStarted | NodeCompleted | NodeProgressed | NodeFailed | NodeRetried | NodeSkipped | NodeCancelled
)


def _fold_node(models: ReadModels, stored: StoredEvent, event: _NodeEvent) -> None:
    run = models.runs[stored.stream_id]
    instance = "" if isinstance(event, NodeSkipped) else event.instance
    key = (event.node_id, instance)
    row = run.nodes.get(key)
    if row is None:
        row = run.nodes[key] = NodeRow(stored.stream_id, event.node_id, instance, change=NEW)
        models.changes.nodes.append(row)
    elif row.change == CLEAN:
        row.change = CHANGED
        models.changes.nodes.append(row)
    row.position = stored.position
    before = row.status
    _evolve_node(row, stored, event)
    if isinstance(event, NodeCompleted) and event.variables:
        run.row.variables = _json(_variables.decode(run.row.variables) | event.variables)
        _touch(models, run.row, stored.position)
    if not instance and before != row.status:
        _count(models, run.row, before, row.status, stored.position)


def _count(models: ReadModels, run: RunRow, before: str, after: str, position: int) -> None:
    ended = (after in NODE_ENDINGS) - (before in NODE_ENDINGS)
    completed = (after == "completed") - (before == "completed")
    if ended or completed:
        run.ended_nodes += ended
        run.completed_nodes += completed
        _touch(models, run, position)


def _evolve_node(row: NodeRow, stored: StoredEvent, event: _NodeEvent) -> None:
    match event:
        case NodeQueued():
            _queued(row, stored, event)
        case NodeStarted():
            _started(row, stored, event)
        case NodeCompleted():
            row.status, row.attempt, row.completed_at = "completed", event.attempt, stored.recorded_at
            row.output, row.error, row.progress = _text(event.output), Json("null"), 1.0
        case NodeProgressed():
            row.progress, row.progress_message = event.progress, _clean(event.message) or None
        case NodeFailed():
            row.status, row.attempt, row.completed_at = "failed", event.attempt, stored.recorded_at
            row.error = _error(event.error)
        case NodeRetried():
            row.status, row.retry_at, row.error = "waiting", event.due_at, _error(event.error)
        case NodeSkipped():
            row.status, row.skip_reason, row.completed_at = "skipped", event.reason, stored.recorded_at
        case NodeCancelled():
            row.status, row.completed_at = "cancelled", stored.recorded_at
        case _:
            assert_never(event)


def _queued(row: NodeRow, stored: StoredEvent, event: NodeQueued) -> None:
    row.status, row.attempt = "queued", event.attempt
    row.job_id, row.job_type, row.queue = event.job_id, _clean(event.job_type) or None, _clean(event.queue) or None
    row.queued_at, row.retry_at, row.worker, row.progress = stored.recorded_at, None, None, None
    _take_input(row, event)


def _started(row: NodeRow, stored: StoredEvent, event: NodeStarted) -> None:
    row.status, row.attempt, row.worker = "running", event.attempt, _clean(event.worker) or None
    if row.started_at is None:
        row.started_at = _began(event.at, row.queued_at, stored.recorded_at)
        row.started_position = stored.position
    if event.instances_count is not None:
        row.instances_count = event.instances_count
    _take_input(row, event)


def _take_input(row: NodeRow, event: NodeQueued | NodeStarted) -> None:
    if (given := present(event.input)) is not None:
        row.input, row.input_from = _text(given), None
    elif event.input_from is not None:
        row.input, row.input_from = None, event.input_from


def _began(by_worker: datetime | None, queued_at: datetime | None, recorded_at: datetime) -> datetime:
    """When the worker says it began, held between two instants of the log: a worker's clock proves nothing."""
    if by_worker is None or queued_at is None or by_worker.tzinfo is None:
        return recorded_at
    return min(max(by_worker, queued_at), recorded_at)


# --- causes, decisions, dead letters ----------------------------------------------------------------------------------


def _decided(models: ReadModels, stored: StoredEvent, event: TriggerDecided) -> None:
    cause_id, cause_type, cause_source = _names(event.cause)
    models.changes.decisions.append(
        DecisionRow(
            position=stored.position,
            workflow_id=event.workflow_id,
            trigger_id=event.trigger_id,
            trigger_version=event.trigger_version,
            cause_event_id=event.cause.event_id,
            cause_type=cause_type,
            cause_id=cause_id,
            cause_source=cause_source,
            decision=event.decision,
            reason=_clean(event.reason) or None,
            detail=_clean(event.detail) or None,
            consumed=event.consumed,
            run_id=event.run_id,
            decided_at=stored.recorded_at,
        )
    )


def _received(models: ReadModels, stored: StoredEvent, event: EventReceived) -> None:
    models.changes.received.append(
        ReceivedRow(
            position=stored.position,
            event_id=stored.event_id,
            id=_kept(event.id),
            source=_kept(event.source),
            type=_kept(event.type),
            subject=_clean(event.subject),
            time=None if event.time is None else event.time.isoformat().replace("+00:00", "Z"),
            datacontenttype=_clean(event.datacontenttype),
            data=_text(event.data),
            extensions=_json(event.extensions),
            received_at=stored.recorded_at,
        )
    )


def _rejected(models: ReadModels, stored: StoredEvent, event: WebhooksRejected) -> None:
    models.changes.rejections += [
        RejectionRow(stored.position, _kept(reason), event.workflow_id, event.trigger_id, count, stored.recorded_at)
        for reason, count in event.reasons.items()
    ]


def _quarantined(models: ReadModels, stored: StoredEvent, event: MessageQuarantined) -> None:
    models.changes.dead_letters.append(
        DeadLetterRow(
            position=stored.position,
            id=stored.event_id,
            service=event.service,
            subject=_kept(event.subject),
            reason=_kept(event.reason),
            body=_kept(event.body),
            body_encoding=event.body_encoding,
            deliveries=event.deliveries,
            quarantined_at=stored.recorded_at,
        )
    )


# --- workflows --------------------------------------------------------------------------------------------------------


def _defined(models: ReadModels, stored: StoredEvent, event: WorkflowCreated | WorkflowUpdated) -> None:
    definition = _text(event.definition)
    head = _head.decode(definition)
    row = models.workflows.get(event.workflow_id)
    if row is None:
        row = models.workflows[event.workflow_id] = WorkflowRow(
            id=event.workflow_id,
            created_at=stored.recorded_at,
            created_by=_clean(stored.actor),
            created_position=stored.position,
            version=0,
            status="",
            name="",
            experiment_id=None,
            tags=[],
            updated_at=stored.recorded_at,
            position=0,
            change=NEW,
        )
        models.changes.workflows.append(row)
    row.version, row.status, row.name = event.workflow_version, head.status, _kept(head.name)
    row.experiment_id, row.tags = _clean(head.experiment_id), [_kept(tag) for tag in head.tags]
    _touch_workflow(models, row, stored)
    models.changes.versions.append(
        VersionRow(
            workflow_id=event.workflow_id,
            version=event.workflow_version,
            definition=definition,
            rolled_back_to=event.rolled_back_to if isinstance(event, WorkflowUpdated) else None,
            created_at=stored.recorded_at,
            created_by=_clean(stored.actor),
            position=stored.position,
        )
    )
    action = "create_workflow" if isinstance(event, WorkflowCreated) else "update_workflow"
    _audit(models, stored, action, event.workflow_id)


def _archived(models: ReadModels, stored: StoredEvent, event: WorkflowArchived) -> None:
    row = models.workflows[event.workflow_id]
    row.status = "archived"
    _touch_workflow(models, row, stored)
    _audit(models, stored, "archive_workflow", event.workflow_id)


def _touch_workflow(models: ReadModels, row: WorkflowRow, stored: StoredEvent) -> None:
    row.updated_at, row.position = stored.recorded_at, stored.position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.workflows.append(row)


def _secret_changed(models: ReadModels, stored: StoredEvent, event: SecretSet | SecretDeleted) -> None:
    version = event.secret_version if isinstance(event, SecretSet) else None
    row = SecretChangeRow(stored.position, event.name, version, stored.recorded_at, _clean(stored.actor))
    models.changes.secret_changes.append(row)
    _audit(models, stored, "set_secret" if version else "delete_secret", event.name)


def _audit(models: ReadModels, stored: StoredEvent, action: str, subject: str) -> None:
    row = AuditRow(stored.position, _clean(stored.actor), action, subject, stored.recorded_at)
    models.changes.audits.append(row)


# --- values -----------------------------------------------------------------------------------------------------------


def _bounded(priority: int) -> int:
    return max(-PRIORITY_MAX, min(priority, PRIORITY_MAX))


def _text(raw: msgspec.Raw) -> Json:
    return Json(str(raw, "utf-8"))


def _json(value: object) -> Json:
    return Json(_encode(value).decode()) if value else Json("{}")


def _error(error: RunError) -> Json:
    """All fields of interface.md, section 9, whether they were logged or not."""
    full: dict[str, object] = {
        "code": error.code,
        "message": error.message,
        "affected_nodes": error.affected_nodes,
        "dependency_chain": error.dependency_chain,
        "suggested_resolution": error.suggested_resolution,
        "retryable": error.retryable,
    }
    if (details := present(error.details)) is not None:
        full["details"] = details
    return Json(_encode(full).decode())


def _names(cause: Cause) -> tuple[str, str, str]:
    return _kept(cause.id), _kept(cause.type), _kept(cause.source)


def _labels(labels: dict[str, str]) -> Json:
    return _json({_kept(name): _kept(value) for name, value in labels.items()})


def _kept(text: str) -> str:
    """Text as a column can hold it: Postgres has no character zero."""
    return text if "\x00" not in text else text.replace("\x00", "\ufffd")


def _clean(text: str | None) -> str | None:
    return None if text is None else _kept(text)
