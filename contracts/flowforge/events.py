"""Every fact that the log can hold, one struct each; the struct's name is the event's type.

Events are what happened, in the past tense, and never change; `AnyEvent` lists them all.
Payload fields hold raw JSON, so that a fold which does not look at them does not pay for them.
"""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec

from flowforge.errors import RunError
from flowforge.raw import ABSENT, NULL

Instance = str
"""Which instance of a node inside a map: "" for the node itself, "3" for item 3 of its `for_each`."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything in the log."""


# --- workflows: stream type `workflow`, written by catalog --------------------------------------------------------


class WorkflowCreated(Event, kw_only=True, frozen=True):
    """Version 1 of a workflow; `definition` is the whole document."""

    workflow_id: str
    workflow_version: int
    definition: msgspec.Raw


class WorkflowUpdated(Event, kw_only=True, frozen=True):
    """A further version; `rolled_back_to` names the version it repeats, where it repeats one."""

    workflow_id: str
    workflow_version: int
    definition: msgspec.Raw
    rolled_back_to: int | None = None


class WorkflowArchived(Event, kw_only=True, frozen=True):
    """The workflow starts no more runs; its runs and history stay. A later update with another status revives it."""

    workflow_id: str


# --- causes and decisions: stream type `cause`, written by triggers -----------------------------------------------


class EventReceived(Event, kw_only=True, frozen=True):
    """An event of an external system, as received (the CloudEvent's attributes; `extensions` the rest)."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw = NULL
    extensions: dict[str, msgspec.Raw] = {}


class WebhookReceived(EventReceived, kw_only=True, frozen=True):
    """A delivery with a good signature, for one trigger and no other. `id` is its sender's name for it; `data` the body."""

    workflow_id: str
    trigger_id: str


class WebhooksRejected(Event, kw_only=True, frozen=True):
    """So many requests to a webhook trigger were turned away, by reason; nothing else is kept of them."""

    workflow_id: str
    trigger_id: str
    reasons: dict[str, int]


class RunRequested(Event, kw_only=True, frozen=True):
    """A person or program asked for a run (`execute`), or fired the trigger `trigger_id` by hand."""

    workflow_id: str
    command_id: str
    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    version: int | None = None
    labels: dict[str, str] = {}
    priority: int = 0
    timeout_ms: int | None = None
    trigger_id: str | None = None
    override_running: bool = False


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a trigger was evaluated for: the logged event, and the names its sender gave it."""

    event_id: UUID
    type: str
    id: str
    source: str
    stream_id: UUID


class TriggerRef(msgspec.Struct, frozen=True):
    """Which trigger started a run."""

    type: str
    id: str


Decision = Literal["fired", "not_matched", "held", "suppressed", "expired", "failed"]


class TriggerDecided(Event, kw_only=True, frozen=True):
    """The recorded answer of one trigger to one cause, when it is not the cause of a run (that is `WorkflowTriggered`).

    It stands in the cause's stream, or in the trigger's own where the trigger remembers: one that holds causes, or limits
    its firings. `fired` with `run_id` is the answer to a cause that was held and that the run consumed with its own.
    Of a held cause: `due_at`, when it is looked at again; `key` and `slot`, the correlation and the upstream it is kept
    under; `shape_version`, the workflow version since which the trigger works as it does.
    """

    trigger_id: str
    trigger_version: int
    workflow_id: str
    cause: Cause
    decision: Decision
    reason: str = ""
    detail: str = ""
    consumed: list[UUID] = []
    run_id: UUID | None = None
    due_at: datetime | None = None
    key: str = ""
    slot: str = ""
    shape_version: int = 0


# --- triggers that remember: stream type `trigger`, written by triggers; their decisions stand there as well -------


class TriggerFired(Event, kw_only=True, frozen=True):
    """The trigger started a run for `cause_event_id`; the answer itself is `WorkflowTriggered`.

    `is_counted`: the trigger has a `limit`, for which the firing counts.
    """

    trigger_id: str
    workflow_id: str
    run_id: UUID
    cause_event_id: UUID
    is_counted: bool = False
    shape_version: int = 0


class AbsenceCounted(Event, kw_only=True, frozen=True):
    """An absence is counted from `since`, and fires at `due_at` without a match. Once it fired there is no `due_at`, and
    while the trigger is not in force there is neither. `overdue_count`: so many times it was absent for that long before
    the match came, and the timer that fires for it has yet to be heard."""

    trigger_id: str
    workflow_id: str
    since: datetime | None = None
    due_at: datetime | None = None
    overdue_count: int = 0
    shape_version: int = 0


class TriggerTimerSet(Event, kw_only=True, frozen=True):
    """Something that the trigger holds is to be looked at again at `due_at`."""

    trigger_id: str
    workflow_id: str
    timer_id: UUID
    due_at: datetime


# --- chains of causes: stream type `chain`, one for a first cause, written by triggers ------------------------------


class ChainGrew(Event, kw_only=True, frozen=True):
    """A run started because another one ended; the stream's version counts those that one first cause led to."""

    run_id: UUID
    workflow_id: str


class Chain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What led to a run that another run led to: the first cause of all, how many runs that one started itself, and the
    workflows in between."""

    first_event_id: UUID
    started: int = 1
    workflow_ids: list[str] = []


# --- slots: stream type `slot`, one per (workflow or pool, key), written by triggers --------------------------------


class SlotWait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a run may not start yet: the slots under `key` are taken. `place` is its place in the queue, from 1, and
    `holders` the first of those that held a slot when it came. It starts once `RunAdmitted` says so; at `due_at` it has
    waited too long.
    """

    slot_id: UUID
    limit: int
    place: int
    holders: list[UUID]
    key: str = ""
    pool: str | None = None
    due_at: datetime | None = None


class SlotTaken(Event, kw_only=True, frozen=True):
    """The run holds a slot from its start on. `is_beyond_limit`: somebody overrode the limit."""

    run_id: UUID
    workflow_id: str
    limit: int
    key: str = ""
    pool: str | None = None
    is_beyond_limit: bool = False


class SlotAwaited(Event, kw_only=True, frozen=True):
    """The run waits for a slot, behind those of its `priority`. The rest names the decision that waits with it."""

    run_id: UUID
    workflow_id: str
    limit: int
    key: str = ""
    pool: str | None = None
    priority: int = 0
    trigger_id: str
    trigger_version: int
    cause: Cause
    consumed: list[UUID] = []


class RunAdmitted(Event, kw_only=True, frozen=True):
    """The run waited and holds a slot now: execution starts it."""

    run_id: UUID
    workflow_id: str


class RunDisplaced(Event, kw_only=True, frozen=True):
    """The run has to make room for `by_run_id` (`on_conflict: cancel_running`): execution cancels it. One that waited
    leaves the queue with this; one that holds a slot holds it until it has ended."""

    run_id: UUID
    workflow_id: str
    by_run_id: UUID


class SlotFreed(Event, kw_only=True, frozen=True):
    """The run ended, and holds its slot no more."""

    run_id: UUID
    workflow_id: str


class QueueLeft(Event, kw_only=True, frozen=True):
    """The run ended while it waited."""

    run_id: UUID
    workflow_id: str


class SlotRefused(Event, kw_only=True, frozen=True):
    """A trigger's run did not start since all slots were taken (`suppressed`, `overlap`). What was decided on holds as long
    as nobody else wrote to this stream."""

    workflow_id: str
    trigger_id: str
    cause_event_id: UUID


# --- runs: stream type `run`; version 1 by triggers, the rest by execution ----------------------------------------


class WorkflowTriggered(Event, kw_only=True, frozen=True):
    """A trigger fired: the first event of a run, and the recorded decision `fired`. `depth` counts causes before it.

    `earlier` are the causes that it consumed besides its own, which came last.
    With `waits` the run is there and may not start: the decision is `held`, and another one follows in the slot's stream.
    """

    run_id: UUID
    workflow_id: str
    workflow_version: int
    trigger: TriggerRef
    trigger_version: int
    cause: Cause
    consumed: list[UUID] = []
    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    labels: dict[str, str] = {}
    priority: int = 0
    depth: int = 1
    timeout_ms: int | None = None
    parent_run_id: UUID | None = None
    chain: Chain | None = None
    earlier: list[Cause] = []
    waits: SlotWait | None = None


class RunQueued(Event, kw_only=True, frozen=True):
    """Execution took note of a run that waits for a slot, as triggers decided."""

    reason: Literal["concurrency"] = "concurrency"
    waits: SlotWait


class RunStarted(Event, kw_only=True, frozen=True):
    """Execution took the run up."""

    total_nodes: int


class NodeQueued(Event, kw_only=True, frozen=True):
    """A job was handed to the queue. Its input is `input`, or else the output of node `input_from` ("" = the run's)."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    job_id: UUID | None = None
    job_type: str = ""
    queue: str = ""
    input: msgspec.Raw = ABSENT
    input_from: str | None = None
    payload: msgspec.Raw = NULL
    deadline_ms: int | None = None


class NodeStarted(Event, kw_only=True, frozen=True):
    """A worker began the attempt (or execution itself, for nodes without a job). `at` is when, by the worker's clock."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    worker: str = ""
    delivery: int = 1
    at: datetime | None = None
    input: msgspec.Raw = ABSENT
    input_from: str | None = None
    instances_count: int | None = None


class NodeProgressed(Event, kw_only=True, frozen=True):
    """A running job told how far it is, 0 to 1, with an optional message."""

    node_id: str
    instance: Instance = ""
    progress: float
    message: str = ""


class NodeCompleted(Event, kw_only=True, frozen=True):
    """The node (or one instance of it) ended well. `variables` are the run variables it set."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    output: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}


class NodeFailed(Event, kw_only=True, frozen=True):
    """The node (or one instance) failed for good: no attempts are left, or the error forbids another."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    error: RunError


class NodeRetried(Event, kw_only=True, frozen=True):
    """An attempt failed and another follows at `due_at`; `attempt` is the number of the one to come."""

    node_id: str
    instance: Instance = ""
    attempt: int
    error: RunError
    due_at: datetime


class NodeSkipped(Event, kw_only=True, frozen=True):
    """The node will not run: `branch_not_taken`, `upstream_failed`, `upstream_skipped`, `run_if_not_met`, `run_failed`."""

    node_id: str
    reason: str


class NodeCancelled(Event, kw_only=True, frozen=True):
    """A running or waiting node (or instance) was stopped. `job_id` is told to its worker."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    job_id: UUID | None = None
    reason: str = ""


class ReportIgnored(Event, kw_only=True, frozen=True):
    """A worker's report came too late to count: another delivery, attempt or ending came first. Nothing changed."""

    node_id: str
    instance: Instance = ""
    job_id: UUID
    report: str
    attempt: int
    delivery: int
    reason: str


TimerPurpose = Literal["retry", "node_timeout", "run_timeout", "queue_timeout"]


class TimerSet(Event, kw_only=True, frozen=True):
    """Something is due at `due_at`; the scheduler fires it."""

    timer_id: UUID
    due_at: datetime
    purpose: TimerPurpose
    node_id: str = ""
    instance: Instance = ""
    attempt: int = 0


class RunCancelRequested(Event, kw_only=True, frozen=True):
    """Somebody asked to end the run; running jobs are told, cleanup nodes still run."""

    reason: str = ""
    command_id: str = ""


class RunFailing(Event, kw_only=True, frozen=True):
    """The first failure that counts under fail_fast (or the run's timeout): nothing new starts but what exists for failure."""

    error: RunError


class JobEnded(Event, kw_only=True, frozen=True):
    """A job of one of the six types that workflows can be triggered by (interface.md 2.2) ended for good.

    `job_name` is the node's name, "" where it has none.
    """

    node_id: str
    instance: Instance = ""
    job_name: str = ""
    job_id: UUID
    job_type: str
    workflow_id: str
    experiment_id: str | None = None
    status: Literal["COMPLETE", "FAILED"]
    output: msgspec.Raw = NULL


class RunCompleted(Event, kw_only=True, frozen=True):
    """The run ended well."""

    output: msgspec.Raw = NULL


class RunFailed(Event, kw_only=True, frozen=True):
    """The run ended, and it failed."""

    error: RunError


class RunCancelled(Event, kw_only=True, frozen=True):
    """The run ended because somebody asked for it."""

    reason: str = ""


# --- timers: stream type `timer`, written by scheduler ------------------------------------------------------------


class TimerFired(Event, kw_only=True, frozen=True):
    """A timer of a run came due."""

    timer_id: UUID
    run_id: UUID
    workflow_id: str
    due_at: datetime
    purpose: TimerPurpose
    node_id: str = ""
    instance: Instance = ""
    attempt: int = 0


class TriggerTimerFired(Event, kw_only=True, frozen=True):
    """A timer of a trigger came due; `trigger_stream_id` is the trigger's own stream."""

    timer_id: UUID
    trigger_stream_id: UUID
    workflow_id: str
    trigger_id: str
    due_at: datetime


# --- schedules: stream type `schedule`, version 1 by scheduler, what was decided of it by triggers ----------------


class ScheduleFired(Event, kw_only=True, frozen=True):
    """A schedule came due. Its stream's id derives from the nominal time `scheduled_at`: each exists once.

    `previous_at` and `next_at` are the schedule's neighbouring nominal times; `due_at` is when it was due with its jitter.
    With `backfill_id` it was made up for; one that a backfill repeats has a stream of its own.
    """

    workflow_id: str
    trigger_id: str
    trigger_version: int
    scheduled_at: datetime
    previous_at: datetime | None = None
    next_at: datetime | None = None
    due_at: datetime
    backfill_id: UUID | None = None


class ScheduleMissed(Event, kw_only=True, frozen=True):
    """Firings that came due while nothing ran, and are not caught up: `count` of them, from `first_at` to `last_at`.

    `has_more`: there were so many that they were not counted to the end."""

    workflow_id: str
    trigger_id: str
    trigger_version: int
    first_at: datetime
    last_at: datetime
    count: int
    has_more: bool = False


# --- backfills: stream type `backfill`, one of each schedule, written by scheduler ---------------------------------


class BackfillRequested(Event, kw_only=True, frozen=True):
    """Somebody asked for the past firings of a schedule in [since, until): a `ScheduleFired` follows for each of `times`.

    The schedule is meant as it was then: `config`, of `trigger_version`. `repeated` are those of `times` that had fired
    before, or were about to.
    """

    backfill_id: UUID
    command_id: str
    workflow_id: str
    trigger_id: str
    trigger_version: int
    config: msgspec.Raw
    since: datetime
    until: datetime
    repeat: bool = False
    times: list[datetime] = []
    repeated: list[datetime] = []


# --- quarantine: stream type `quarantine`, written by whoever met the message -------------------------------------


class MessageQuarantined(Event, kw_only=True, frozen=True):
    """A message that cannot be handled, kept with its cause. `body` is base64 where it is no UTF-8 text."""

    service: str
    subject: str
    reason: str
    body: str
    body_encoding: Literal["text", "base64"] = "text"
    deliveries: int = 1


WorkflowEvent = WorkflowCreated | WorkflowUpdated | WorkflowArchived
CauseEvent = EventReceived | WebhookReceived | WebhooksRejected | RunRequested | TriggerDecided
TriggerEvent = TriggerDecided | TriggerFired | AbsenceCounted | TriggerTimerSet
ChainEvent = ChainGrew
SlotEvent = SlotTaken | SlotAwaited | RunAdmitted | RunDisplaced | SlotFreed | QueueLeft | SlotRefused
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
)
TimerEvent = TimerFired | TriggerTimerFired
ScheduleEvent = ScheduleFired | ScheduleMissed
BackfillEvent = BackfillRequested
QuarantineEvent = MessageQuarantined
AnyEvent = (
    WorkflowEvent
    | CauseEvent
    | TriggerEvent
    | ChainEvent
    | SlotEvent
    | RunEvent
    | TimerEvent
    | ScheduleEvent
    | BackfillEvent
    | QuarantineEvent
)

EVENT_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(AnyEvent)}
RUN_ENDINGS = frozenset({"RunCompleted", "RunFailed", "RunCancelled"})
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
