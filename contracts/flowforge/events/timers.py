"""Timers, schedules and backfills, written by scheduler."""

from datetime import datetime
from uuid import UUID

import msgspec

from flowforge.events.event import Event, Instance
from flowforge.events.runs import TimerPurpose

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
