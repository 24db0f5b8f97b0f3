"""What each event does to the read models. Pure: no clock, no I/O; the same events, the same rows, in any batches."""

from typing import assert_never

from flowforge.events import (
    AbsenceCounted,
    AnyEvent,
    ApprovalDecided,
    ApprovalWait,
    BackfillEvent,
    BackfillRequested,
    BreakerClosed,
    BreakerEvent,
    BreakerHalfOpened,
    BreakerOpened,
    CallbackReceived,
    CauseEvent,
    ChainEvent,
    ChainGrew,
    ChildCancelRequested,
    ChildEvent,
    ChildRunEnded,
    ChildRunRefused,
    ChildRunRequested,
    DeadLetterRetried,
    DeliveryAbandoned,
    ErasureEvent,
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
    PayloadErased,
    PeopleEvent,
    PromptDeleted,
    PromptEvent,
    PromptSaved,
    QuarantineEvent,
    QueueLeft,
    RecoveryTaken,
    ReportIgnored,
    RetentionApplied,
    RetentionEvent,
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
    RunRetryRefused,
    RunRetryRequested,
    RunsArchived,
    RunSlaMissed,
    RunsRestored,
    RunStarted,
    ScheduleEvent,
    ScheduleFired,
    ScheduleMissed,
    SecretDeleted,
    SecretEvent,
    SecretSet,
    SlotAwaited,
    SlotEvent,
    SlotFreed,
    SlotRefused,
    SlotTaken,
    SubscriptionDeleted,
    SubscriptionEvent,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    SubscriptionSaved,
    TemplateDeleted,
    TemplateEvent,
    TemplateSaved,
    TimerEvent,
    TimerFired,
    TimerSet,
    TriggerDecided,
    TriggerEvent,
    TriggerFired,
    TriggerTimerFired,
    TriggerTimerSet,
    UserAdded,
    UserChanged,
    UserKeyCreated,
    UserKeyRevoked,
    UserLoginLinkMade,
    UserRemoved,
    WebhookReceived,
    WebhooksRejected,
    WorkerAwaited,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowEvent,
    WorkflowTriggered,
    WorkflowUpdated,
)

from infra.eventlog import StoredEvent
from services.projections.fold import operations
from services.projections.fold.asked import audit
from services.projections.fold.breakers import breaker_changed
from services.projections.fold.causes import decided, quarantined, received, rejected, requested, retried
from services.projections.fold.nodes import fold_node, iteration
from services.projections.fold.people import fold_people
from services.projections.fold.prompts import fold_prompt
from services.projections.fold.retention import fold_retention
from services.projections.fold.runs import RUN_ENDED, fold_run, triggered
from services.projections.fold.secrets import secret_changed
from services.projections.fold.slots import asked_for_slot, fold_slot
from services.projections.fold.subscriptions import subscription_asked
from services.projections.fold.templates import fold_template
from services.projections.fold.workflows import archived, defined
from services.projections.state import ReadModels

__all__ = ["RUN_ENDED", "WITHOUT_ROWS", "fold"]

WITHOUT_ROWS = frozenset(
    {
        "ReportIgnored",
        "JobEnded",
        "TimerFired",
        "RunQueued",
        "EventMatched",
        "ChildRunRequested",
        "ChildCancelRequested",
        "ChildRunEnded",
    }
)
"""Events that change no row of their run. A `TimerSet` does where it is of a wait."""


_OtherEvent = (
    WorkflowEvent
    | CauseEvent
    | TriggerEvent
    | ChainEvent
    | SlotEvent
    | ChildEvent
    | TimerEvent
    | ScheduleEvent
    | BackfillEvent
    | QuarantineEvent
    | SecretEvent
    | PromptEvent
    | PeopleEvent
    | TemplateEvent
    | BreakerEvent
    | RetentionEvent
    | SubscriptionEvent
    | ErasureEvent
)


def fold(models: ReadModels, stored: StoredEvent, event: AnyEvent) -> None:  # noqa: C901, PLR0912  one case per event
    """Apply one event. The run or workflow that it belongs to is in `models`, unless this event creates it."""
    match event:
        case NodeQueued() | NodeStarted() | NodeProgressed() | WorkerAwaited():
            fold_node(models, stored, event)
        case NodeWaiting():
            fold_node(models, stored, event)
            if isinstance(event.wait, ApprovalWait):
                operations.ask_for_approval(models, stored, event, event.wait)
        case NodeCompleted() | NodeFailed() | NodeSkipped() | NodeCancelled() | NodeRetried():
            fold_node(models, stored, event)
            operations.close_approval(models, stored, event)
        case IterationStarted() | IterationEnded():
            iteration(models, stored, event)
        case WorkflowTriggered():
            triggered(models, stored, event)
        case RunStarted() | RunCompleted() | RunFailed() | RunCancelled() | RunFailing() | RunPartiallyCompleted():
            fold_run(models, stored, event)
        case RunSlaMissed() | RecoveryTaken():
            fold_run(models, stored, event)
        case RunCancelRequested() | RunPaused() | RunResumed() | RunRetryRequested() | RunRetried() | RunChanged():
            operations.operate(models, stored, event)
        case RunRetryRefused():
            operations.operate(models, stored, event)
        case NodeDecidedByHand():
            operations.by_hand(models, stored, event)
        case ApprovalDecided():
            operations.approval_decided(models, stored, event)
        case CallbackReceived():
            operations.called_back(models, stored, event)
        case TimerSet():
            if event.purpose == "wait":
                operations.timer_set(models, stored, event)
        case ReportIgnored() | JobEnded() | RunQueued() | EventMatched():
            pass
        case ChildRunRequested() | ChildCancelRequested() | ChildRunEnded():
            pass
        case _:
            _fold_other(models, stored, event)


def _fold_other(models: ReadModels, stored: StoredEvent, event: _OtherEvent) -> None:  # noqa: C901, PLR0912  likewise
    """Events that are not in the stream of a run."""
    match event:
        case SlotTaken() | SlotAwaited():
            asked_for_slot(models, stored, event)
        case RunAdmitted() | RunDisplaced() | SlotFreed() | QueueLeft():
            fold_slot(models, stored, event)
        case SlotRefused() | RetryRefused() | TimerFired() | ScheduleFired() | ScheduleMissed() | ChildRunRefused():
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
            requested(models, stored, event)
        case BackfillRequested():
            subject = f"{event.workflow_id}/{event.trigger_id}"
            audit(models, stored, "backfill", "trigger", subject, event.workflow_id)
        case WorkflowCreated() | WorkflowUpdated():
            defined(models, stored, event)
        case WorkflowArchived():
            archived(models, stored, event)
        case MessageQuarantined():
            quarantined(models, stored, event)
        case SecretSet() | SecretDeleted():
            secret_changed(models, stored, event)
        case TemplateSaved() | TemplateDeleted():
            fold_template(models, stored, event)
        case PromptSaved() | PromptDeleted():
            fold_prompt(models, stored, event)
        case UserAdded() | UserChanged() | UserRemoved() | UserKeyCreated() | UserKeyRevoked() | UserLoginLinkMade():
            fold_people(models, stored, event)
        case BreakerOpened() | BreakerHalfOpened() | BreakerClosed():
            breaker_changed(models, stored, event)
        case DeadLetterRetried():
            retried(models, stored, event)
        case RunsArchived() | RunsRestored() | RetentionApplied():
            fold_retention(models, stored, event)
        case SubscriptionSaved() | SubscriptionPaused() | SubscriptionResumed():
            subscription_asked(models, stored, event)
        case SubscriptionReplayed() | SubscriptionDeleted() | DeliveryAbandoned():
            subscription_asked(models, stored, event)
        case PayloadErased():
            audit(models, stored, "erase", "payload", str(event.erasure_id))
        case _:
            assert_never(event)
