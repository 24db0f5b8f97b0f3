"""Causes, the decisions of triggers on them, what triggers remember, and chains of causes; all written by triggers."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.events.event import Event
from flowforge.raw import NULL

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


class ForkedFrom(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The moment of another run at which a run begins: after the event of `version` in its stream, at `position`.

    What had completed there is taken over, but for the nodes of `node_outputs`, which are given these outputs, those of
    `rerun`, and all that lies below either. With `shadow_version` it is a shadow run: what else its nodes would do outside
    is not done; what came of it in the other run, up to that version of its stream, is taken from there.
    """

    run_id: UUID
    version: int
    position: int
    node_outputs: dict[str, msgspec.Raw] = {}
    rerun: list[str] = []
    shadow_version: int | None = None


class RunRequested(Event, kw_only=True, frozen=True):
    """A person or program asked for a run (`execute`, `fork`), or fired the trigger `trigger_id` by hand."""

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
    from_node: str | None = None
    breakpoints: list[str] = []
    fork: ForkedFrom | None = None


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
