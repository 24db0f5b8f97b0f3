"""Schedules that are in force, and the calendar of their next firings (pure).

A nominal time is *seen* once the calendar has looked at it: it then waits for its `due_at`, or was missed. Everything
that is seen stays here until it is logged, so a turn that fails loses nothing.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import msgspec
from flowforge.definition import ScheduleTrigger, Trigger, WorkflowStatus
from flowforge.events import (
    ScheduleFired,
    ScheduleMissed,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowEvent,
    WorkflowUpdated,
)
from flowforge.identity import derived_uuid

from infra.schedules import Firing, Schedule, between, missed, next_after
from services.scheduler.settings import (
    CATCH_UP_MAX,
    FIRINGS_PER_TURN_MAX,
    HELD_BACK_COUNT_MAX,
    MISSED_AFTER_MS,
    MISSED_COUNT_MAX,
)

ScheduleKey = tuple[str, str]
"""Workflow id, trigger id."""
_TICK = timedelta(microseconds=1)
_MISSED_AFTER = timedelta(milliseconds=MISSED_AFTER_MS)


class Plan(msgspec.Struct, frozen=True):
    """A schedule in force: since when, and since which version its trigger is as it is."""

    workflow_id: str
    trigger: ScheduleTrigger
    trigger_version: int
    in_force_at: datetime

    @property
    def key(self) -> ScheduleKey:
        return (self.workflow_id, self.trigger.id)

    def has_times_of(self, other: "Plan") -> bool:
        return self.in_force_at == other.in_force_at and self.trigger.config == other.trigger.config


class Workflow(msgspec.Struct, frozen=True):
    """What of a workflow matters here. `triggers`: all schedules, with the version that gave them their shape."""

    status: WorkflowStatus
    triggers: dict[str, tuple[ScheduleTrigger, int]]
    plans: dict[str, Plan]


class Definition(msgspec.Struct, frozen=True):
    """The parts of a definition that matter here."""

    status: WorkflowStatus = "active"
    triggers: list[Trigger] = []


class Done(msgspec.Struct, frozen=True):
    """Up to where a schedule has been dealt with: its last nominal time that fired, its last one recorded as missed, and
    when that was recorded."""

    fired_at: datetime | None = None
    missed_until: datetime | None = None
    missed_at: datetime | None = None


_definition = msgspec.json.Decoder(Definition)


def evolve(workflow: Workflow | None, event: WorkflowEvent, recorded_at: datetime) -> Workflow | None:
    """The workflow after one more event. Raises msgspec.DecodeError for a definition that cannot be read."""
    match event:
        case WorkflowCreated() | WorkflowUpdated():
            definition = _definition.decode(event.definition)
            before = {} if workflow is None else workflow.triggers
            triggers: dict[str, tuple[ScheduleTrigger, int]] = {}
            for trigger in definition.triggers:
                if isinstance(trigger, ScheduleTrigger):
                    known = before.get(trigger.id)
                    is_same = known is not None and known[0] == trigger
                    triggers[trigger.id] = known if is_same and known else (trigger, event.workflow_version)
            status = definition.status
        case WorkflowArchived():
            if workflow is None:
                return None
            status, triggers = "archived", workflow.triggers
        case _:
            assert_never(event)
    plans = {} if workflow is None else workflow.plans
    return Workflow(status, triggers, _plans(event.workflow_id, status, triggers, plans, recorded_at))


def _plans(
    workflow_id: str,
    status: WorkflowStatus,
    triggers: Mapping[str, tuple[ScheduleTrigger, int]],
    before: Mapping[str, Plan],
    recorded_at: datetime,
) -> dict[str, Plan]:
    """One whose times are the same stays in force; another begins now, so that enabling it makes no burst."""
    plans: dict[str, Plan] = {}
    for name, (trigger, version) in triggers.items():
        if status != "active" or not trigger.enabled:
            continue
        known = before.get(name)
        is_same = known is not None and known.trigger.config == trigger.config
        plans[name] = Plan(workflow_id, trigger, version, known.in_force_at if is_same and known else recorded_at)
    return plans


def firing_stream(key: ScheduleKey, scheduled_at: datetime) -> UUID:
    """The one stream of a nominal time, whoever computes it."""
    return derived_uuid(scheduled_at, "schedule", *key)


def missed_stream(key: ScheduleKey, last_at: datetime) -> UUID:
    return derived_uuid(last_at, "missed", *key)


class Entry:
    """One schedule in the calendar, from `now` on. `is_checked`: what is pending was held against the log.

    `now` is read after the plan was: one read before would lie before what put the plan in force.
    """

    __slots__ = ("expired", "is_checked", "pending", "plan", "rings_at", "schedule", "seen_until", "unlisted_until")

    def __init__(self, plan: Plan, schedule: Schedule, done: Done | None, now: datetime) -> None:
        self.plan = plan
        self.schedule = schedule
        since = plan.in_force_at
        if done is not None and done.fired_at is not None:  # with jitter, an earlier one may have been due later
            since = max(since, done.fired_at - timedelta(milliseconds=schedule.jitter_ms))
        self.pending: dict[UUID, Firing] = {}
        if done is not None and done.missed_until is not None:
            self.pending = self._held_back(since, done.missed_until, done.missed_at)
            since = max(since, done.missed_until)
        self.seen_until = min(since, now)
        self.is_checked = False
        self.expired: list[datetime] = []
        self.unlisted_until: datetime | None = None
        self.rings_at: datetime | None = None

    def _held_back(self, since: datetime, missed_until: datetime, missed_at: datetime | None) -> dict[UUID, Firing]:
        """What its jitter still held back when later nominal times were recorded as missed: that was not among them."""
        if missed_at is None or not self.schedule.jitter_ms:
            return {}
        came_up_at = missed_at - _MISSED_AFTER
        since = max(since, came_up_at - timedelta(milliseconds=self.schedule.jitter_ms))
        times = between(self.schedule, since + _TICK, missed_until, HELD_BACK_COUNT_MAX)
        return {firing_stream(self.plan.key, one.scheduled_at): one for one in times if one.due_at > came_up_at}

    def see(self, now: datetime) -> None:
        """Look at the nominal times up to now: which are to fire, which were missed.

        What came up before the schedule was in force was not missed: it is a pause, and nothing of it is caught up. Only
        by a clock that is behind the one that recorded the save is there anything to see before, and that in time.
        """
        if now <= self.seen_until:
            return
        config, key = self.plan.trigger.config, self.plan.key
        since = max(self.seen_until, min(self.plan.in_force_at, now - _MISSED_AFTER))
        found = missed(self.schedule, since, now, config.catch_up, CATCH_UP_MAX, grace_ms=MISSED_AFTER_MS)
        held = self._held_too_long(now, has_newer=any(firing.due_at <= now - _MISSED_AFTER for firing in found.fire))
        self.pending |= {firing_stream(key, firing.scheduled_at): firing for firing in found.fire}
        if found.unlisted_until is not None and not self.expired:
            first = next_after(self.schedule, since)
            assert first is not None
            self.expired.append(held[0] if held else first.scheduled_at)
            self.unlisted_until = found.unlisted_until
        else:
            self.expired += held
        self.expired += [firing.scheduled_at for firing in found.expired]
        self.seen_until = now

    def _held_too_long(self, now: datetime, *, has_newer: bool) -> list[datetime]:
        """Nominal times that their jitter held back when they were seen, and that were missed since: a machine that
        slept. They follow `catch_up` as well; those given up are taken out of what is pending.
        """
        late = sorted(
            (firing.scheduled_at, stream_id)
            for stream_id, firing in self.pending.items()
            if self.seen_until < firing.due_at <= now - _MISSED_AFTER
        )
        match self.plan.trigger.config.catch_up:
            case "all":
                given_up = late[:-CATCH_UP_MAX]
            case "latest":
                given_up = late if has_newer else late[:-1]
            case "none":
                given_up = late
        for _, stream_id in given_up:
            del self.pending[stream_id]
        return [scheduled_at for scheduled_at, _ in given_up]

    def seen_streams(self) -> set[UUID]:
        """Streams that exist in the log if what was seen has been dealt with before."""
        streams = {*self.pending, *(firing_stream(self.plan.key, at) for at in self.expired)}
        told = self._missed_stream()
        return streams if told is None else {*streams, told}

    def forget(self, known: Collection[UUID]) -> None:
        """Those are in the log already."""
        self.logged(known)
        self.expired = [at for at in self.expired if firing_stream(self.plan.key, at) not in known]
        self.is_checked = True

    def logged(self, stream_ids: Iterable[UUID]) -> None:
        """Those are in the log now, or were already."""
        for stream_id in stream_ids:
            if self.pending.pop(stream_id, None) is None and stream_id == self._missed_stream():
                self.expired, self.unlisted_until = [], None

    def _missed_stream(self) -> UUID | None:
        return missed_stream(self.plan.key, max(self.expired)) if self.expired else None

    def due(self, now: datetime) -> list[tuple[UUID, ScheduleFired]]:
        """The firings that are due, earliest first, so many as one turn takes."""
        due = sorted((firing.due_at, stream_id) for stream_id, firing in self.pending.items() if firing.due_at <= now)
        return [(stream_id, self._fact(self.pending[stream_id])) for _, stream_id in due[:FIRINGS_PER_TURN_MAX]]

    def _fact(self, firing: Firing) -> ScheduleFired:
        return ScheduleFired(
            workflow_id=self.plan.workflow_id,
            trigger_id=self.plan.trigger.id,
            trigger_version=self.plan.trigger_version,
            scheduled_at=firing.scheduled_at,
            previous_at=firing.previous_at,
            next_at=firing.next_at,
            due_at=firing.due_at,
        )

    def given_up(self) -> ScheduleMissed | None:
        """The firings that are not caught up, as one fact."""
        if not self.expired:
            return None
        first_at, last_at, count, has_more = self.expired[0], max(self.expired), len(self.expired), False
        if self.unlisted_until is not None:
            until = self.unlisted_until + _TICK
            unlisted = sum(1 for _ in between(self.schedule, first_at + _TICK, until, MISSED_COUNT_MAX))
            count, has_more = count + unlisted, unlisted == MISSED_COUNT_MAX
        return ScheduleMissed(
            workflow_id=self.plan.workflow_id,
            trigger_id=self.plan.trigger.id,
            trigger_version=self.plan.trigger_version,
            first_at=first_at,
            last_at=last_at,
            count=count,
            has_more=has_more,
        )

    def next_at(self) -> datetime | None:
        """When there is something to see or to fire."""
        if self.expired:
            return self.seen_until
        coming = next_after(self.schedule, self.seen_until)
        instants = [firing.due_at for firing in self.pending.values()]
        return min([*instants, coming.scheduled_at] if coming is not None else instants, default=None)


class Calendar:
    """All schedules in force, by when each has something to do."""

    def __init__(self) -> None:
        self.entries: dict[ScheduleKey, Entry] = {}
        self._of: dict[str, set[str]] = {}
        self._heap: list[tuple[datetime, ScheduleKey]] = []

    def take_out(self, workflow_id: str, names: Iterable[str] = ()) -> None:
        """Forget the schedules of a workflow, but for those named."""
        known = self._of.pop(workflow_id, set())
        kept = known.intersection(names)
        for name in known - kept:
            del self.entries[workflow_id, name]
        if kept:
            self._of[workflow_id] = kept

    def put_in(self, entry: Entry) -> None:
        """In force from now on; what was known of a trigger with that name is void."""
        workflow_id, name = entry.plan.key
        self.entries[entry.plan.key] = entry
        self._of.setdefault(workflow_id, set()).add(name)
        self.place(entry)

    def place(self, entry: Entry) -> None:
        """It has been dealt with for now: have it ring again when there is something to do."""
        entry.rings_at = entry.next_at()
        if entry.rings_at is not None:
            heapq.heappush(self._heap, (entry.rings_at, entry.plan.key))

    def take_due(self, now: datetime) -> list[ScheduleKey]:
        """Those that have something to do; each rings again once it is placed."""
        due: list[ScheduleKey] = []
        while self._heap and self._heap[0][0] <= now:
            instant, key = heapq.heappop(self._heap)
            if self._is_placed(instant, key):
                self.entries[key].rings_at = None
                due.append(key)
        return due

    def next_at(self) -> datetime | None:
        while self._heap and not self._is_placed(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _is_placed(self, instant: datetime, key: ScheduleKey) -> bool:
        entry = self.entries.get(key)
        return entry is not None and entry.rings_at == instant

    def clock_went_back(self, now: datetime) -> None:
        """What was seen ahead of now is to be seen again; the log knows what of it has fired."""
        for entry in self.entries.values():
            if entry.seen_until > now:
                entry.seen_until, entry.is_checked = now, False
                self.place(entry)
