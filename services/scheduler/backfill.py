"""Backfills: the nominal times of a span of the past, which of them are to fire, and those under way (pure).

A time fires under the identity that it has as a firing of the clock, so it does so once however often it is asked for.
Only one that is repeated on purpose has an identity of its own: that of the time and the backfill.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal
from uuid import UUID

import msgspec
from flowforge.commands import BackfillSchedule
from flowforge.definition import ScheduleConfig, ScheduleTrigger
from flowforge.events import BackfillRequested, ScheduleFired
from flowforge.identity import derived_uuid, named_stream
from flowforge.refusals import Refusal, invalid, invalid_state

from infra.schedules import Firing, Schedule, ScheduleFault, between, next_after, schedule_of
from services.scheduler.schedules import Entry, ScheduleKey, Workflow, firing_stream
from services.scheduler.settings import (
    BACKFILL_COUNTED_MAX,
    BACKFILL_FIRINGS_MAX,
    BACKFILL_LISTED_MAX,
    BACKFILL_PAUSE,
    BACKFILL_PORTION_COUNT,
    BACKFILL_TIMES_MAX,
)

State = Literal["missing", "fired", "pending"]
"""Of a nominal time: it has not fired, it has, or it is about to (by the clock, or by another backfill)."""
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_config = msgspec.json.Decoder(ScheduleConfig)
_encode = msgspec.json.encode


class Span(msgspec.Struct, frozen=True):
    """The nominal times in [since, until) of a schedule as it is now. `streams`: the identity of each, in order."""

    key: ScheduleKey
    trigger_version: int
    config: ScheduleConfig
    since: datetime
    until: datetime
    firings: list[Firing]
    streams: list[UUID]


class Planned(msgspec.Struct, frozen=True):
    """What would become of each time of a span: its state, and whether it fires."""

    span: Span
    repeat: bool
    states: list[State]

    @property
    def times(self) -> list[datetime]:
        """Those that fire, in order."""
        return [time.scheduled_at for time, state in self._pairs() if self._fires(state)]

    @property
    def repeated(self) -> list[datetime]:
        """Those of them that have fired before, or are about to."""
        return [time.scheduled_at for time, state in self._pairs() if self.repeat and state != "missing"]

    def _pairs(self) -> list[tuple[Firing, State]]:
        return list(zip(self.span.firings, self.states, strict=True))

    def _fires(self, state: State) -> bool:
        return self.repeat or state == "missing"

    def preview(self) -> dict[str, Any]:
        """The answer to a dry run: the earliest times are listed, all are counted."""
        pairs = self._pairs()
        items = [
            {
                "scheduled_at": firing.scheduled_at,
                "previous_at": firing.previous_at,
                "next_at": firing.next_at,
                "state": state,
                "fires": self._fires(state),
            }
            for firing, state in pairs[:BACKFILL_LISTED_MAX]
        ]
        return {
            "dry_run": True,
            **_named(self.span.key, self.span.trigger_version, self.span.config),
            "since": self.span.since,
            "until": self.span.until,
            "repeat": self.repeat,
            "count": len(self.times),
            "fired": self.states.count("fired"),
            "pending": self.states.count("pending"),
            "items": items,
            "has_more": len(pairs) > len(items),
        }


def span_of(workflow: Workflow, command: BackfillSchedule, now: datetime) -> Span | Refusal:
    """The times that are asked for. An `until` in the future means now: nothing fires early."""
    trigger, version = workflow.triggers[command.trigger_id]
    if (refusal := _refused(workflow, trigger, command)) is not None:
        return refusal
    since, until = _utc(command.since), now if command.until is None else min(_utc(command.until), now)
    if since < _EARLIEST:
        return _invalid("since", f"{since:%Y-%m-%d} is too long ago: nothing before {_EARLIEST:%Y-%m-%d} is backfilled")
    if since >= until:
        return _invalid("since", f"nothing lies between {_text(since)} and {_text(until)}: since must be before until")
    try:
        schedule = schedule_of(trigger.config, command.workflow_id, trigger.id)
    except ScheduleFault as fault:  # it was saved by other code than this
        return invalid_state(
            f"the schedule '{trigger.id}' of '{command.workflow_id}' cannot be read: {fault}; mend and save it, then backfill"
        )
    firings = list(between(schedule, since, until, BACKFILL_COUNTED_MAX + 1))
    if len(firings) > BACKFILL_TIMES_MAX:
        return _too_many(len(firings), "nominal times", BACKFILL_TIMES_MAX)
    key = (command.workflow_id, trigger.id)
    streams = [firing_stream(key, firing.scheduled_at) for firing in firings]
    return Span(key, version, trigger.config, since, until, firings, streams)


def _refused(workflow: Workflow, trigger: ScheduleTrigger, command: BackfillSchedule) -> Refusal | None:
    if workflow.status != "active":
        step = "save it as active, then backfill"
        return invalid_state(f"'{command.workflow_id}' is {workflow.status}: no trigger starts it; {step}")
    if not trigger.enabled:
        return invalid_state(
            f"the trigger '{trigger.id}' of '{command.workflow_id}' is disabled; enable it, then backfill"
        )
    return None


def plan(
    command: BackfillSchedule, span: Span, logged: Collection[UUID], coming: Collection[UUID], entry: Entry | None
) -> Planned | Refusal:
    """What becomes of each time. `logged` are the identities in the log, `coming` those of backfills under way."""
    states: list[State] = [
        "fired"
        if stream_id in logged
        else "pending"
        if stream_id in coming
        or (entry is not None and (stream_id in entry.pending or firing.scheduled_at > entry.seen_until))
        else "missing"
        for stream_id, firing in zip(span.streams, span.firings, strict=True)
    ]
    planned = Planned(span, command.repeat, states)
    if len(planned.times) > BACKFILL_FIRINGS_MAX:
        return _too_many(len(planned.times), "runs", BACKFILL_FIRINGS_MAX)
    return planned


def requested(command: BackfillSchedule, planned: Planned, now: datetime) -> BackfillRequested:
    """The fact that the firings follow from."""
    span = planned.span
    workflow_id, trigger_id = span.key
    return BackfillRequested(
        backfill_id=derived_uuid(now, "backfill", command.command_id),
        command_id=command.command_id,
        workflow_id=workflow_id,
        trigger_id=trigger_id,
        trigger_version=span.trigger_version,
        config=msgspec.Raw(_encode(span.config)),
        since=span.since,
        until=span.until,
        repeat=planned.repeat,
        times=planned.times,
        repeated=planned.repeated,
    )


def answer(fact: BackfillRequested, position: int) -> dict[str, Any]:
    """The answer to a backfill that is in the log; the same however often it is asked for."""
    return {
        "backfill_id": fact.backfill_id,
        "position": position,
        "dry_run": False,
        **_named((fact.workflow_id, fact.trigger_id), fact.trigger_version, _config.decode(fact.config)),
        "since": fact.since,
        "until": fact.until,
        "repeat": fact.repeat,
        "count": len(fact.times),
        "label": f"backfill={fact.backfill_id}",
    }


def _named(key: ScheduleKey, version: int, config: ScheduleConfig) -> dict[str, Any]:
    workflow_id, trigger_id = key
    return {
        "workflow_id": workflow_id,
        "trigger_id": trigger_id,
        "trigger_version": version,
        "schedule": msgspec.to_builtins(config),
        "note": f"the schedule as it is now, of version {version}, whatever it was then",
    }


def backfill_stream(key: ScheduleKey) -> UUID:
    """Where the backfills of a schedule are logged."""
    return named_stream("backfill", "/".join(key))


def _repeat_stream(key: ScheduleKey, scheduled_at: datetime, backfill_id: UUID) -> UUID:
    return derived_uuid(scheduled_at, "schedule", *key, backfill_id)


class Backfill:
    """One that is under way. `left`: identities and times that are still to fire, in order.

    `is_checked`: they were held against the log. Raises ScheduleFault for a schedule that cannot be read (any more).
    """

    __slots__ = ("actor", "event_id", "fact", "is_checked", "left", "position", "schedule")

    def __init__(
        self, fact: BackfillRequested, position: int, event_id: UUID, actor: str | None, *, is_checked: bool
    ) -> None:
        self.fact = fact
        self.position = position
        self.event_id = event_id
        self.actor = actor
        self.is_checked = is_checked
        self.schedule: Schedule = schedule_of(_config.decode(fact.config), *self.key)
        repeated = set(fact.repeated)
        self.left = {
            _repeat_stream(self.key, at, fact.backfill_id) if at in repeated else firing_stream(self.key, at): at
            for at in fact.times
        }

    @property
    def key(self) -> ScheduleKey:
        return (self.fact.workflow_id, self.fact.trigger_id)

    def forget(self, known: Collection[UUID]) -> None:
        """Those are in the log."""
        for stream_id in known:
            self.left.pop(stream_id, None)

    def portion(self) -> list[tuple[UUID, ScheduleFired]]:
        """The next firings."""
        return [(stream_id, self._fact(at)) for stream_id, at in islice(self.left.items(), BACKFILL_PORTION_COUNT)]

    def _fact(self, at: datetime) -> ScheduleFired:
        firing = next_after(self.schedule, at - _TICK)
        if firing is None or firing.scheduled_at != at:
            firing = _granted(at, firing)
        return ScheduleFired(
            workflow_id=self.fact.workflow_id,
            trigger_id=self.fact.trigger_id,
            trigger_version=self.fact.trigger_version,
            scheduled_at=at,
            previous_at=firing.previous_at,
            next_at=firing.next_at,
            due_at=firing.due_at,
            backfill_id=self.fact.backfill_id,
        )


def _granted(at: datetime, following: Firing | None) -> Firing:
    """A time that the schedule had by the data of time zones when it was asked for: it was granted, and fires."""
    previous_at, next_at = (None, None) if following is None else (following.previous_at, following.scheduled_at)
    return Firing(scheduled_at=at, previous_at=previous_at, next_at=next_at, due_at=at)


class Book:
    """The backfills under way: they take turns, a portion each, with a pause between. `next_at`: when one is due."""

    def __init__(self) -> None:
        self.next_at: datetime | None = None
        self.under_way: dict[UUID, Backfill] = {}

    def take_in(self, backfill: Backfill, now: datetime) -> None:
        """It begins at once, or waits for its turn."""
        if not backfill.left:
            return
        if not self.under_way:
            self.next_at = now
        self.under_way[backfill.fact.backfill_id] = backfill

    def take_due(self, now: datetime) -> UUID | None:
        """The one whose turn it is; none is due until it was `placed`."""
        if self.next_at is None or now < self.next_at:
            return None
        self.next_at = None
        return next(iter(self.under_way))

    def placed(self, backfill_id: UUID, now: datetime) -> None:
        """Its portion is dealt with: it ends, or goes to the end of the queue."""
        backfill = self.under_way.pop(backfill_id, None)
        if backfill is not None and backfill.left:
            self.under_way[backfill_id] = backfill
        self.next_at = now + BACKFILL_PAUSE if self.under_way else None

    def coming(self, key: ScheduleKey) -> set[UUID]:
        """Identities that backfills of this schedule are about to fire."""
        return {stream_id for backfill in self.under_way.values() if backfill.key == key for stream_id in backfill.left}

    def clock_went_back(self, now: datetime) -> None:
        """A pause is no longer than it was meant to be."""
        if self.next_at is not None:
            self.next_at = min(self.next_at, now + BACKFILL_PAUSE)


def _too_many(count: int, what: str, count_max: int) -> Refusal:
    more = "more than " if count > BACKFILL_COUNTED_MAX else ""
    count = min(count, BACKFILL_COUNTED_MAX)
    return _invalid("since", f"{more}{count:,} {what}, one backfill takes {count_max:,}: backfill shorter spans")


def _invalid(field: str, message: str, errors: Sequence[dict[str, Any]] = ()) -> Refusal:
    return invalid("Backfill not possible", message, [{"path": f"$.{field}", "message": message}, *errors])


def _utc(given: datetime) -> datetime:
    """A time without an offset is UTC."""
    return (given if given.tzinfo is not None else given.replace(tzinfo=UTC)).astimezone(UTC)


def _text(at: datetime) -> str:
    return str(msgspec.to_builtins(at))
