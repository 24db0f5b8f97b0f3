"""The calendar kept up with the log: which schedules are in force, and up to where each has been dealt with."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import (
    ScheduleFired,
    ScheduleMissed,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowEvent,
    WorkflowUpdated,
    decode,
)
from flowforge.identity import named_stream

from infra.eventlog import EventLog, StoredEvent
from infra.schedules import ScheduleFault, schedule_of
from services.scheduler.clock import Clock
from services.scheduler.schedules import Calendar, Done, Entry, Plan, ScheduleKey, Workflow, evolve
from services.scheduler.settings import DEFINITIONS_PAGE_COUNT, REBUILD_PAGE_COUNT
from services.scheduler.store import TimerStore

WORKFLOW_TYPES = frozenset({WorkflowCreated.__name__, WorkflowUpdated.__name__, WorkflowArchived.__name__})
FIRED, MISSED = ScheduleFired.__name__, ScheduleMissed.__name__
CURSOR = "schedules:scheduler"
"""The table of schedules has what the log says up to there."""
_log = logging.getLogger(__name__)


class Schedules:
    """The calendar, and what it takes to build it anew. `position`: definitions up to there are in."""

    def __init__(self, log: EventLog, store: TimerStore) -> None:
        self.calendar = Calendar()
        self.position = 0
        self.is_stale = True
        self._log = log
        self._store = store
        self._is_open = False
        self._read_position = 0
        self._workflows: dict[str, Workflow] = {}
        self._changed: set[str] = set()
        """Read, and not put in force yet: the log may stop answering in the middle."""
        self._done: dict[ScheduleKey, Done] = {}
        self._dirty: set[ScheduleKey] = set()
        self._done_position = 0

    async def refresh(self, clock: Clock) -> None:
        """Catch up with the log where that is needed. May raise `Unavailable`."""
        if not self._is_open:
            await self._open()
        if self.is_stale:
            await self._catch_up(clock)

    def workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow, if any of its triggers is a schedule."""
        return self._workflows.get(workflow_id)

    async def look(self) -> None:
        """Notice a change that nobody told. May raise `Unavailable`."""
        if (await self._log.head()).definitions_position > self.position:
            self.is_stale = True

    async def _open(self) -> None:
        """Up to where each was dealt with: from the table, and from the log what the table has not."""
        self._done = await self._store.schedules()
        position = await self._log.get_cursor(CURSOR) if self._done else 0
        while True:
            page = await self._log.read(position, REBUILD_PAGE_COUNT, types={FIRED, MISSED})
            self.dealt_with(page)
            if len(page) < REBUILD_PAGE_COUNT:
                break
            position = page[-1].position
        self._is_open = True

    async def _catch_up(self, clock: Clock) -> None:
        head = await self._log.head()
        while True:
            page = await self._log.read(
                self._read_position, DEFINITIONS_PAGE_COUNT, types=WORKFLOW_TYPES, named_only=True
            )
            for stored in page:
                self._changed.add(self._apply(stored))
                self._read_position = stored.position
            if len(page) < DEFINITIONS_PAGE_COUNT:
                break
        now = clock.now()  # after the reading: a time from before it may lie before a save that was read
        for workflow_id in self._changed:
            self._put_in_force(workflow_id, now)
        self._changed.clear()
        self.position = max(head.position, self._read_position)
        self.is_stale = False

    def _apply(self, stored: StoredEvent) -> str:
        event = cast("WorkflowEvent", decode(stored.type, stored.data))
        try:
            after = evolve(self._workflows.get(event.workflow_id), event, stored.recorded_at)
        except msgspec.DecodeError as problem:
            _log.error("workflow %s cannot be read, its schedules stop: %s", event.workflow_id, problem)
            after = None
        if after is None or not after.triggers:
            self._workflows.pop(event.workflow_id, None)
        else:
            self._workflows[event.workflow_id] = after
        return event.workflow_id

    def _put_in_force(self, workflow_id: str, now: datetime) -> None:
        workflow = self._workflows.get(workflow_id)
        plans = {} if workflow is None else workflow.plans
        self.calendar.take_out(workflow_id, plans)
        for plan in plans.values():
            known = self.calendar.entries.get(plan.key)
            if known is not None and known.plan.has_times_of(plan):
                known.plan = plan
            else:
                self._begin(plan, now)

    def _begin(self, plan: Plan, now: datetime) -> None:
        try:
            schedule = schedule_of(plan.trigger.config, *plan.key)
        except ScheduleFault as fault:
            _log.error("the schedule %s of %s cannot be read: %s", plan.trigger.id, plan.workflow_id, fault)
            self.calendar.take_out(plan.workflow_id, set(self._workflows[plan.workflow_id].plans) - {plan.trigger.id})
            return
        self.calendar.put_in(Entry(plan, schedule, self._done.get(plan.key), now))

    async def check(self, keys: Collection[ScheduleKey]) -> None:
        """Hold what is pending against the log, where it may have been dealt with before. May raise `Unavailable`."""
        unchecked = [
            entry for key in keys if (entry := self.calendar.entries.get(key)) is not None and not entry.is_checked
        ]
        wanted: set[UUID] = set[UUID]().union(*(entry.seen_streams() for entry in unchecked))
        streams = await self._log.read_streams(wanted) if wanted else {}
        known = {stream_id for stream_id, events in streams.items() if events}
        self.dealt_with([stored for events in streams.values() for stored in events])
        for entry in unchecked:
            entry.forget(known & entry.seen_streams())

    def dealt_with(self, events: Sequence[StoredEvent]) -> None:
        """These are in the log now."""
        for stored in events:
            fact = decode(stored.type, stored.data)
            assert isinstance(fact, ScheduleFired | ScheduleMissed)
            if isinstance(fact, ScheduleFired) and fact.backfill_id is not None:
                continue  # out of order: it says nothing of the times before it
            key = (fact.workflow_id, fact.trigger_id)
            done = self._done.get(key, Done())
            if isinstance(fact, ScheduleFired):
                fired_at = fact.scheduled_at if done.fired_at is None else max(done.fired_at, fact.scheduled_at)
                done = Done(fired_at, done.missed_until, done.missed_at)
            else:
                until = fact.last_at if done.missed_until is None else max(done.missed_until, fact.last_at)
                at = stored.recorded_at if done.missed_at is None else max(done.missed_at, stored.recorded_at)
                done = Done(done.fired_at, until, at)
            self._done[key] = done
            self._dirty.add(key)
            self._done_position = max(self._done_position, stored.position)

    async def keep(self) -> None:
        """Write to the table what was dealt with. May raise `Unavailable`."""
        if not self._dirty:
            return
        dirty, position = set(self._dirty), self._done_position
        await self._store.keep_schedules({key: self._done[key] for key in dirty})
        await self._log.set_cursor(CURSOR, position)
        self._dirty -= {key for key in dirty if self._done_position == position}


class _Named(msgspec.Struct):
    id: str
    type: str


class _Triggers(msgspec.Struct):
    triggers: list[_Named] = []


_triggers = msgspec.json.Decoder(_Triggers)


async def workflow_in_log(log: EventLog, workflow_id: str) -> dict[str, str] | None:
    """The newest triggers of any workflow, each with its type; None where there is no such workflow.

    May raise `Unavailable`.
    """
    triggers: dict[str, str] | None = None
    for stored in await log.read_stream(named_stream("workflow", workflow_id)):
        event = decode(stored.type, stored.data)
        if isinstance(event, WorkflowCreated | WorkflowUpdated):
            triggers = {one.id: one.type for one in _triggers.decode(event.definition).triggers}
    return triggers
