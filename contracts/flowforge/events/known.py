"""All events there are, by stream, and how they are written and read."""

from typing import get_args

import msgspec

from flowforge.events.breakers import (
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
)
from flowforge.events.erasure import (
    PayloadErased,
)
from flowforge.events.event import (
    Event,
)
from flowforge.events.nodes import (
    IterationEnded,
    IterationStarted,
    JobEnded,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    ReportIgnored,
    WorkerAwaited,
)
from flowforge.events.operations import (
    NodeDecidedByHand,
    RunChanged,
    RunPaused,
    RunResumed,
    RunRetried,
    RunRetryRefused,
    RunRetryRequested,
)
from flowforge.events.people import (
    UserAdded,
    UserChanged,
    UserKeyCreated,
    UserKeyRevoked,
    UserLoginLinkMade,
    UserRemoved,
)
from flowforge.events.prompts import (
    PromptDeleted,
    PromptSaved,
)
from flowforge.events.quarantine import (
    DeadLetterRetried,
    MessageQuarantined,
)
from flowforge.events.retention import (
    RetentionApplied,
    RunsArchived,
    RunsRestored,
)
from flowforge.events.runs import (
    RecoveryTaken,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
    RunQueued,
    RunSlaMissed,
    RunStarted,
    TimerSet,
    WorkflowTriggered,
)
from flowforge.events.secrets import (
    SecretDeleted,
    SecretSet,
)
from flowforge.events.slots import (
    QueueLeft,
    RetryRefused,
    RunAdmitted,
    RunDisplaced,
    SlotAwaited,
    SlotFreed,
    SlotRefused,
    SlotTaken,
)
from flowforge.events.subscriptions import (
    DeliveryAbandoned,
    SubscriptionDeleted,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    SubscriptionSaved,
)
from flowforge.events.templates import (
    TemplateDeleted,
    TemplateSaved,
)
from flowforge.events.timers import (
    BackfillRequested,
    ScheduleFired,
    ScheduleMissed,
    TimerFired,
    TriggerTimerFired,
)
from flowforge.events.triggering import (
    AbsenceCounted,
    ChainGrew,
    EventReceived,
    RunRequested,
    TriggerDecided,
    TriggerFired,
    TriggerTimerSet,
    WebhookReceived,
    WebhooksRejected,
)
from flowforge.events.waiting import (
    ApprovalDecided,
    CallbackReceived,
    ChildCancelRequested,
    ChildRunEnded,
    ChildRunRefused,
    ChildRunRequested,
    EventMatched,
    NodeWaiting,
)
from flowforge.events.workflows import (
    WorkflowArchived,
    WorkflowCreated,
    WorkflowUpdated,
)

WorkflowEvent = WorkflowCreated | WorkflowUpdated | WorkflowArchived
TemplateEvent = TemplateSaved | TemplateDeleted
CauseEvent = EventReceived | WebhookReceived | WebhooksRejected | RunRequested | TriggerDecided
TriggerEvent = TriggerDecided | TriggerFired | AbsenceCounted | TriggerTimerSet
ChainEvent = ChainGrew
SlotEvent = SlotTaken | SlotAwaited | RunAdmitted | RunDisplaced | SlotFreed | QueueLeft | SlotRefused | RetryRefused
RunEvent = (
    WorkflowTriggered
    | RunQueued
    | RunStarted
    | NodeQueued
    | NodeStarted
    | NodeProgressed
    | NodeCompleted
    | NodeFailed
    | NodeRetried
    | NodeSkipped
    | NodeCancelled
    | ReportIgnored
    | TimerSet
    | RunCancelRequested
    | RunFailing
    | JobEnded
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunPartiallyCompleted
    | NodeWaiting
    | WorkerAwaited
    | EventMatched
    | ApprovalDecided
    | CallbackReceived
    | IterationStarted
    | IterationEnded
    | ChildRunRequested
    | ChildCancelRequested
    | ChildRunEnded
    | RunPaused
    | RunResumed
    | RunRetryRequested
    | RunRetried
    | RunRetryRefused
    | NodeDecidedByHand
    | RunChanged
    | RunSlaMissed
    | RecoveryTaken
)
PromptEvent = PromptSaved | PromptDeleted
PeopleEvent = UserAdded | UserChanged | UserRemoved | UserKeyCreated | UserKeyRevoked | UserLoginLinkMade
ChildEvent = ChildRunRefused
BreakerEvent = BreakerOpened | BreakerHalfOpened | BreakerClosed
SecretEvent = SecretSet | SecretDeleted
TimerEvent = TimerFired | TriggerTimerFired
ScheduleEvent = ScheduleFired | ScheduleMissed
BackfillEvent = BackfillRequested
SubscriptionEvent = (
    SubscriptionSaved
    | SubscriptionPaused
    | SubscriptionResumed
    | SubscriptionReplayed
    | DeliveryAbandoned
    | SubscriptionDeleted
)
QuarantineEvent = MessageQuarantined | DeadLetterRetried
RetentionEvent = RunsArchived | RunsRestored | RetentionApplied
ErasureEvent = PayloadErased
AnyEvent = (
    WorkflowEvent
    | TemplateEvent
    | CauseEvent
    | TriggerEvent
    | ChainEvent
    | SlotEvent
    | RunEvent
    | PromptEvent
    | PeopleEvent
    | ChildEvent
    | BreakerEvent
    | SecretEvent
    | TimerEvent
    | ScheduleEvent
    | BackfillEvent
    | QuarantineEvent
    | RetentionEvent
    | SubscriptionEvent
    | ErasureEvent
)

EVENT_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(AnyEvent)}
RUN_ENDINGS = frozenset({"RunCompleted", "RunFailed", "RunCancelled", "RunPartiallyCompleted"})
_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}
_encoder = msgspec.json.Encoder()


class UnknownEvent(LookupError):
    """The log holds an event type that this code does not know: it is older than the log."""


def encode(event: Event) -> bytes:
    """The event's payload as JSON."""
    return _encoder.encode(event)


def decode(event_type: str, data: bytes | msgspec.Raw) -> AnyEvent:
    """The payload of a logged event. Raises `UnknownEvent` for a type this version does not know."""
    decoder = _decoders.get(event_type)
    if decoder is None:
        raise UnknownEvent(f"unknown event type {event_type}: this log was written by a newer version")
    return decoder.decode(data)  # type: ignore[return-value]
