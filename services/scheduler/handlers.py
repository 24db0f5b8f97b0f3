"""Message in, decide, append: what the scheduler does in each step of the shell's turn, and what it puts there itself.

Time enters as a message: when the alarm rings, one message per timer that is due goes into the shell's intake, and one
to load the next window where that has come. So everything happens in turns, one after another.
"""

import logging
from collections.abc import Collection, Hashable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge.envelope import CloudEvent
from flowforge.events import TimerFired, TimerSet, TriggerTimerSet, encode
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Shell, Work, envelope
from infra.bus.message import Decode
from infra.eventlog import (
    Answer,
    Append,
    Conflict,
    DefinitionsChanged,
    EventLog,
    NewEvent,
    StoredEvent,
    StreamAppend,
    Unavailable,
)
from infra.failpoints import failpoint
from services.scheduler import backfilling
from services.scheduler.backfilling import Asked, Backfills, Portion
from services.scheduler.clock import Alarm, Clock
from services.scheduler.decide import decide
from services.scheduler.definitions import FIRED as SCHEDULE_FIRED
from services.scheduler.definitions import MISSED as SCHEDULE_MISSED
from services.scheduler.definitions import WORKFLOW_TYPES, Schedules
from services.scheduler.rebuilding import (
    FIRED,
    SET,
    TRIGGER_FIRED,
    TRIGGER_SET,
    fired_among,
    timers_still_due,
    workflows_of,
)
from services.scheduler.schedules import ScheduleKey, missed_stream
from services.scheduler.settings import CLOCK_WENT_BACK_S
from services.scheduler.state import BEFORE_ALL, Timer, Timetable, timer_of, window_ends_at
from services.scheduler.store import TimerStore

_DUE, _LOOK = "TimerDue", "LookAhead"
_SCHEDULE_DUE, _DEFINED = "ScheduleDue", "Defined"
_BACKFILL_DUE = "BackfillDue"
_log = logging.getLogger(__name__)
_timers_set = {SET: msgspec.json.Decoder(TimerSet), TRIGGER_SET: msgspec.json.Decoder(TriggerTimerSet)}
_timer_fired = msgspec.json.Decoder(TimerFired)


class _Place(msgspec.Struct):
    workflow_id: str


_place = msgspec.json.Decoder(_Place)


class Scheduler:
    """The service as the shell runs it."""

    name = "scheduler"
    says = frozenset({FIRED, TRIGGER_FIRED, SCHEDULE_FIRED, SCHEDULE_MISSED})
    hears = frozenset({SET, TRIGGER_SET})

    def __init__(self, log: EventLog, store: TimerStore, namespace: str, clock: Clock) -> None:
        self.inbound: dict[str, Decode] = {}
        self.timetable = Timetable()
        self.schedules = Schedules(log, store)
        self.backfills = Backfills(log, self.schedules)
        self._subjects = Subjects(namespace)
        self._log = log
        self._store = store
        self._clock = clock
        self._shell: Shell | None = None
        self._alarm: Alarm | None = None
        self._rings_at: datetime | None = None
        self._rung_at: dict[ScheduleKey, datetime] = {}
        """Schedules that have something to do, since when: what is due then is not missed, however long the turns are."""
        self._latest: datetime | None = None
        """The latest time that the clock has shown."""
        self._fired: set[UUID] = set()
        """Logged, and still in the table."""

    def attached(self, shell: Shell) -> None:
        """Where messages of its own go."""
        self._shell = shell

    # --- time -----------------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        """The alarm: what is due goes into the next turn."""
        self._alarm = self._rings_at = None
        now = self._clock.now()
        for timer in self.timetable.take_due(now):
            self._put(_DUE, str(timer.timer_id))
        for key in self.schedules.calendar.take_due(now):
            self._rung_at[key] = now
            self._put(_SCHEDULE_DUE, "/".join(key))
        backfill_id = self.backfills.book.take_due(now)
        if backfill_id is not None:
            self._put(_BACKFILL_DUE, str(backfill_id))
        look_at = self.timetable.look_at
        if look_at is not None and look_at <= now:
            self._look()
        self._arm()

    def _look(self) -> None:
        self.timetable.look_at = None
        self._put(_LOOK, _LOOK)

    def _arm(self) -> None:
        """Have the alarm ring when there is something to do, and not before."""
        instant = self._next_at()
        if instant == self._rings_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._rings_at = instant
        self._alarm = None if instant is None else self._clock.call_at(instant, self._ring)

    def _next_at(self) -> datetime | None:
        instants = (self.timetable.next_at(), self.schedules.calendar.next_at(), self.backfills.book.next_at)
        return min((instant for instant in instants if instant is not None), default=None)

    def _put(self, event_type: str, name: str) -> None:
        assert self._shell is not None
        event = CloudEvent(id=name, source=f"/{self._subjects.namespace}/scheduler", type=event_type)
        self._shell.intake.put(Message(f"{self._subjects.namespace}.scheduler.{event_type}", b"", event, "log", ""))

    # --- the turn -------------------------------------------------------------------------------------------------

    def key(self, message: Message) -> Hashable:
        """The timer, the schedule or the backfill. Raises ValueError for what is none."""
        if message.event.type in WORKFLOW_TYPES:
            return _DEFINED
        if message.origin == "command":
            return backfilling.key_of(message)
        match message.event.type:
            case "ScheduleDue":
                workflow_id, _, trigger_id = message.event.id.partition("/")
                return workflow_id, trigger_id
            case "BackfillDue":
                return Portion(UUID(message.event.id))
            case "TimerSet" | "TriggerTimerSet":
                return _fact(message).timer_id
            case "TimerDue":
                return UUID(message.event.id)
            case "LookAhead" | "Defined":
                return message.event.type
            case other:
                raise ValueError(f"the scheduler does not know {other}")

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Keep the timers that were set; load the next window where it is time."""
        if _LOOK in keys:
            await self._open_window()
        timers = await self._timers_set([message for message in messages if message.event.type in self.hears])
        if timers:
            await self._store.insert(timers)
            failpoint("scheduler.after_timers_kept")
            self.timetable.add(timers)
        if _DEFINED in keys:
            self.schedules.is_stale = True
        commands = [message for message in messages if message.origin == "command"]
        if commands:
            await self.schedules.look()  # a refusal is not appended, so nothing else tells that it was made on old ones
        await self.schedules.refresh(self._clock)
        await self._see([key for key in keys if isinstance(key, tuple)])
        await self.backfills.refresh(self._clock.now())
        await self.backfills.prepare(commands, self._clock.now())
        await self.backfills.check([key for key in keys if isinstance(key, Portion)])
        self._arm()

    async def _see(self, keys: Collection[ScheduleKey]) -> None:
        """Look at the nominal times that have come."""
        if not keys:
            return
        for key in keys:
            entry = self.schedules.calendar.entries.get(key)
            if entry is not None:
                entry.see(self._rung_at.get(key) or self._clock.now())
        await self.schedules.check(keys)

    async def _open_window(self) -> None:
        if self.timetable.horizon == BEFORE_ALL and await self._store.is_empty():
            timers = await timers_still_due(self._log)
            if timers:
                _log.info("the table of timers was empty, %d are still due by the log", len(timers))
                await self._store.insert(timers)
        now = self._clock.now()
        self.timetable.open(await self._store.nearest(self.timetable.horizon, window_ends_at(now)), now)

    async def _timers_set(self, messages: Sequence[Message]) -> list[Timer]:
        """The timers that are news; those of messages from the log may have fired long ago."""
        facts = {(fact := _fact(message)).timer_id: (fact, message) for message in messages}
        known = {timer_id for timer_id in facts if timer_id in self.timetable or timer_id in self._fired}
        from_log = {timer_id for timer_id, (_, message) in facts.items() if message.origin == "log"} - known
        if from_log:
            known |= await fired_among(self._log, from_log)
        news = {timer_id: pair for timer_id, pair in facts.items() if timer_id not in known}
        runs = {
            _stream_id(message)
            for timer_id, (fact, message) in news.items()
            if timer_id in from_log and isinstance(fact, TimerSet)
        }
        workflow_ids = await workflows_of(self._log, runs)
        return [_timer(fact, message, workflow_ids) for fact, message in news.values()]

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """A timer that is due fires."""
        if isinstance(key, tuple):
            return self._decide_schedule(cast("ScheduleKey", key))
        if isinstance(key, Asked):
            return self.backfills.decide_asked(key, messages, self._clock.now())
        if isinstance(key, Portion):
            return self.backfills.decide_portion(key, self._clock.now())
        if not isinstance(key, UUID):
            return Work()
        timer, now = self.timetable.get(key), self._clock.now()
        facts = decide(timer, now)
        if timer is None or not facts:
            if timer is not None and any(message.event.type == _DUE for message in messages):
                self.timetable.put_back(timer)
                self._arm()
            return Work()
        events = [NewEvent(type(fact).__name__, encode(fact)) for fact in facts]
        return Work(
            Append(
                [StreamAppend("timer", timer.timer_id, 0, events)],
                now,
                correlation_id=timer.correlation_id,
                causation_id=timer.causation_id,
            )
        )

    def _decide_schedule(self, key: ScheduleKey) -> Work:
        """What of a schedule is due fires; what was missed and is not caught up is recorded."""
        entry, now = self.schedules.calendar.entries.get(key), self._clock.now()
        if entry is None:
            self._rung_at.pop(key, None)
            return Work()
        streams = [
            StreamAppend("schedule", stream_id, 0, [NewEvent(SCHEDULE_FIRED, encode(fact))])
            for stream_id, fact in entry.due(now)
        ]
        given_up = entry.given_up()
        if given_up is not None:
            stream_id = missed_stream(key, given_up.last_at)
            streams.append(StreamAppend("schedule", stream_id, 0, [NewEvent(SCHEDULE_MISSED, encode(given_up))]))
        if not streams:
            self._settled(key)
            return Work()
        return Work(Append(streams, now, definitions_position=self.schedules.position))

    def _settled(self, key: ScheduleKey) -> None:
        """Dealt with for now; it rings again when there is more to do."""
        self._rung_at.pop(key, None)
        entry = self.schedules.calendar.entries.get(key)
        if entry is not None:
            self.schedules.calendar.place(entry)
        self._arm()

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Say that it fired."""
        if isinstance(key, tuple):
            schedule_key = cast("ScheduleKey", key)
            self.schedules.dealt_with(events)
            entry = self.schedules.calendar.entries.get(schedule_key)
            if entry is not None:
                entry.logged(event.stream_id for event in events)
            self._settled(schedule_key)
            return [self._say(event) for event in events]
        if isinstance(key, Asked):
            self.backfills.logged_asked(key, work, events[0], self._clock.now())
            self._arm()
            return []
        if isinstance(key, Portion):
            self.schedules.dealt_with(events)
            self.backfills.logged_portion(key, events, self._clock.now())
            self._arm()
            return [self._say(event) for event in events]
        self._has_fired(key)
        return [self._say(event) for event in events]

    def refused(self, key: Hashable, answer: Answer) -> None:
        """A conflict means that it has fired before."""
        if isinstance(key, Asked | Portion):
            self.backfills.refused(key)
        if isinstance(answer, DefinitionsChanged):
            self.schedules.is_stale = True
        elif isinstance(key, tuple):
            entry = self.schedules.calendar.entries.get(cast("ScheduleKey", key))
            if entry is not None:
                entry.is_checked = False
        elif isinstance(answer, Conflict) and isinstance(key, UUID):
            self._has_fired(key)

    def _has_fired(self, key: Hashable) -> None:
        assert isinstance(key, UUID)
        self.timetable.remove(key)
        self._fired.add(key)

    def _say(self, stored: StoredEvent) -> Outgoing:
        body = envelope(stored, self._subjects.namespace)
        if stored.type == FIRED:
            subject = self._subjects.timer(_timer_fired.decode(stored.data).run_id)
        elif stored.type == TRIGGER_FIRED:
            subject = self._subjects.trigger_timer(_place.decode(stored.data).workflow_id)
        else:
            subject = self._subjects.schedule(_place.decode(stored.data).workflow_id)
        return Outgoing(subject, body, str(stored.event_id))

    # --- the shell's other occasions --------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The firings, once more."""
        return [self._say(event) for event in events]

    def forget_all(self) -> None:
        """Start afresh from the table; the first thing that a turn does is to load the nearest timers."""
        self.timetable = Timetable()
        self._fired.clear()
        self.schedules = Schedules(self._log, self._store)
        self.backfills = Backfills(self._log, self.schedules)
        self._rung_at.clear()
        self._arm()
        self._look()

    async def nats_was_away(self) -> None:
        """What was set meanwhile is caught up from the log; so is what was saved."""
        self._put(_DEFINED, _DEFINED)

    async def tick(self) -> None:
        """Clear the table of what has fired; ring, if the clock has jumped ahead of the alarm."""
        await self._look_at_schedules()
        next_at = self._next_at()
        if next_at is not None and next_at <= self._clock.now():
            if self._alarm is not None:
                self._alarm.cancel()
            self._ring()
        if not self._fired:
            return
        fired = set(self._fired)
        try:
            await self._store.delete(fired)
            failpoint("scheduler.after_timers_deleted")
        except Unavailable as fault:
            _log.warning("rows of timers that have fired are not deleted yet: %s", fault)
            return
        self._fired -= fired

    async def _look_at_schedules(self) -> None:
        """A clock that was put back, a change that nobody told, what the table does not have yet."""
        now = self._clock.now()
        if self._latest is not None and (self._latest - now).total_seconds() > CLOCK_WENT_BACK_S:
            self.schedules.calendar.clock_went_back(now)
            self.backfills.book.clock_went_back(now)
            self._arm()
            self._latest = None
        self._latest = now if self._latest is None else max(self._latest, now)
        try:
            await self.schedules.look()
            if self.schedules.is_stale:
                self._put(_DEFINED, _DEFINED)
            await self.schedules.keep()
            await self.backfills.keep()
        except Unavailable as fault:
            _log.warning("schedules cannot be looked after now: %s", fault)


def _fact(message: Message) -> TimerSet | TriggerTimerSet:
    """Raises ValueError."""
    try:
        return _timers_set[message.event.type].decode(message.event.data)
    except msgspec.DecodeError as problem:
        raise ValueError(f"no {message.event.type}: {problem}") from problem


def _stream_id(message: Message) -> UUID:
    """The stream of the run or trigger that the event is in."""
    return UUID(message.event.source.rpartition("/")[2])


def _timer(fact: TimerSet | TriggerTimerSet, message: Message, workflow_ids: dict[UUID, str]) -> Timer:
    stream_id, event = _stream_id(message), message.event
    of_run = workflow_ids.get(stream_id, "") if message.origin == "log" else message.tokens[-3]
    return timer_of(
        fact,
        stream_id,
        of_run,
        event.position or 0,
        None if event.correlationid is None else UUID(event.correlationid),
        UUID(event.id),
    )
