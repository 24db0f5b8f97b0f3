"""What each event does to the read models. Pure: no clock, no I/O; the same events, the same rows, in any batches."""

from typing import assert_never

from flowforge.events import (
    AbsenceCounted,
    AnyEvent,
    ApprovalDecided,
    BackfillRequested,
    CallbackReceived,
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
    QueueLeft,
    RecoveryTaken,
    ReportIgnored,
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
    SlotAwaited,
    SlotFreed,
    SlotRefused,
    SlotTaken,
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

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.causes import decided, quarantined, received, rejected
from services.projections.fold.nodes import fold_node
from services.projections.fold.runs import fold_run, triggered
from services.projections.fold.slots import asked_for_slot, fold_slot
from services.projections.fold.workflows import archived, defined
from services.projections.state import ReadModels

RUN_ENDED = frozenset({"completed", "failed", "cancelled", "partial"})
WITHOUT_ROWS = frozenset({"ReportIgnored", "JobEnded", "TimerSet", "TimerFired", "RunCancelRequested", "RunQueued"})
"""Events that change no row of their run."""


def fold(models: ReadModels, stored: StoredEvent, event: AnyEvent) -> None:  # noqa: C901, PLR0912  one case per event
    """Apply one event. The run or workflow that it belongs to is in `models`, unless this event creates it."""
    match event:
        case NodeQueued() | NodeStarted() | NodeCompleted() | NodeProgressed() | NodeFailed() | NodeRetried():
            fold_node(models, stored, event)
        case NodeSkipped() | NodeCancelled():
            fold_node(models, stored, event)
        case WorkflowTriggered():
            triggered(models, stored, event)
        case RunStarted() | RunCompleted() | RunFailed() | RunCancelled() | RunFailing():
            fold_run(models, stored, event)
        case SlotTaken() | SlotAwaited():
            asked_for_slot(models, stored, event)
        case RunAdmitted() | RunDisplaced() | SlotFreed() | QueueLeft():
            fold_slot(models, stored, event)
        case ReportIgnored() | JobEnded() | TimerSet() | TimerFired() | ScheduleFired() | ScheduleMissed():
            pass
        case RunQueued() | SlotRefused():
            pass
        case TriggerFired() | AbsenceCounted() | TriggerTimerSet() | TriggerTimerFired() | ChainGrew():
            pass
        case WebhookReceived() | EventReceived():
            received(models, stored, event)
        case WebhooksRejected():
            rejected(models, stored, event)
        case TriggerDecided():
            decided(models, stored, event)
        case RunRequested():
            audit(models, stored, "execute", event.workflow_id)
        case BackfillRequested():
            audit(models, stored, "backfill", f"{event.workflow_id}/{event.trigger_id}")
        case RunCancelRequested():
            audit(models, stored, "cancel", str(stored.stream_id))
        case WorkflowCreated() | WorkflowUpdated():
            defined(models, stored, event)
        case WorkflowArchived():
            archived(models, stored, event)
        case MessageQuarantined():
            quarantined(models, stored, event)
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
