"""Slots of `concurrency`: stream type `slot`, one per (workflow or pool, key), written by triggers."""

from datetime import datetime
from uuid import UUID

import msgspec

from flowforge.events.event import Event
from flowforge.events.triggering import Cause


class SlotPlace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which slots a run asks for, now and whenever it is retried."""

    slot_id: UUID
    key: str = ""
    pool: str | None = None


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
    """The run holds a slot from its start on. `is_beyond_limit`: somebody overrode the limit.

    `asked_version`: the version, in the run's stream, of the event that asked: 1 when it was triggered, more when it is
    retried. An ending below it frees nothing.
    """

    run_id: UUID
    workflow_id: str
    limit: int
    key: str = ""
    pool: str | None = None
    is_beyond_limit: bool = False
    asked_version: int = 1


class SlotAwaited(Event, kw_only=True, frozen=True):
    """The run waits for a slot, behind those of its `priority`. The rest names the decision that waits with it; with a
    retry (`asked_version` over 1) none does."""

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
    asked_version: int = 1


class RunAdmitted(Event, kw_only=True, frozen=True):
    """The run holds a slot now: one that waited is started by execution, and one that is retried goes on.

    It answers the event at `asked_version` of the run's stream, and no later one.
    """

    run_id: UUID
    workflow_id: str
    asked_version: int = 1


class RetryRefused(Event, kw_only=True, frozen=True):
    """A run that ended and was to go on gets no slot: it is as it was before it was asked for at `asked_version` of its
    stream."""

    run_id: UUID
    workflow_id: str
    asked_version: int
    code: str
    message: str


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
