"""A trigger over the recorded history: what it would have answered, beside what did fire. Reads, and changes nothing.

A trigger whose answer to one event depends on no other is asked event by event, and explained only where it is shown. One
that remembers is simulated, from the beginning of the window on.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.commands import RehearseTrigger
from flowforge.definition import DependencyTrigger, EventTrigger, ScheduleTrigger, WebhookTrigger
from flowforge.events import RUN_ENDINGS, Cause, EventReceived, RunRequested, ScheduleFired, WorkflowTriggered, decode
from flowforge.identity import derived_uuid

from infra.eventlog import EventLog, StoredEvent
from infra.schedules import ScheduleFault, between, schedule_of
from services.triggers.cause import AnyCause, ReceivedCause
from services.triggers.dry import Rehearsal
from services.triggers.index import upstream_names
from services.triggers.recalling import Recalled, whole
from services.triggers.scheduled import scheduled_cause
from services.triggers.settings import (
    CLOCK_DISORDER_S,
    FIRINGS_REMEMBERED_MAX,
    REHEARSAL_ANSWER_BYTES_MAX,
    REHEARSAL_PAGE_COUNT,
    REHEARSAL_STEP_COUNT,
    RUNS_REMEMBERED_MAX,
    SCHEDULE_REHEARSED,
    SCHEDULE_REHEARSED_COUNT_MAX,
)
from services.triggers.simulation import NAMESPACE, Simulation, Told
from services.triggers.state import remembers

Progress = Callable[[int, int, int], Awaitable[None]]
"""Told how many events were evaluated, and how far of how far the log was read."""
_TRIGGERED = WorkflowTriggered.__name__
_OF_RUNS = frozenset({_TRIGGERED, *RUN_ENDINGS}), frozenset({"run"})
_FIRST = datetime.min.replace(tzinfo=UTC) + 2 * SCHEDULE_REHEARSED
_LAST = datetime.max.replace(tzinfo=UTC) - 2 * SCHEDULE_REHEARSED


class _Kind(msgspec.Struct, gc=False):
    type: str
    source: str


class _Named(msgspec.Struct, gc=False):
    id: str


class _CausedBy(msgspec.Struct, gc=False):
    type: str
    id: str
    source: str


class _Firing(msgspec.Struct, gc=False):
    workflow_id: str
    trigger: _Named
    cause: _CausedBy


_kind = msgspec.json.Decoder(_Kind)
_firing = msgspec.json.Decoder(_Firing)


async def nobody_asks(evaluated: int, position: int, last: int) -> None:
    """Progress that nobody wants to see."""


async def rehearse(
    log: EventLog, rehearsal: Rehearsal, command: RehearseTrigger, now: datetime, progress: Progress = nobody_asks
) -> dict[str, Any]:
    """`{evaluated, would_fire, did_fire, items, next_position}` of the window; items newest first.

    `evaluated`: the causes that concern the trigger. `did_fire`: how often the trigger of that id in `workflow_id` started
    a run in that time, by hand aside. May raise `Unavailable`.
    """
    command = msgspec.structs.replace(command, since=_reckoned(command.since), until=_reckoned(command.until))
    history = _History(log, rehearsal, command, now)
    head = (await log.head()).position
    slack = timedelta(seconds=CLOCK_DISORDER_S)
    since = history.since
    position = 0 if since is None else await position_before(log, since - slack, head)
    last = head if command.until is None else await position_before(log, command.until + slack, head)
    types, stream_types = frozenset({rehearsal.fact_type, _TRIGGERED}), frozenset({"cause", "run"})
    if isinstance(rehearsal.trigger, DependencyTrigger):
        types, stream_types = _OF_RUNS
    while position < last and rehearsal.rule is not None:
        page = await log.read(position, REHEARSAL_PAGE_COUNT, types=types, stream_types=stream_types, archived=True)
        for number, stored in enumerate(page):
            if stored.position <= last:
                await history.take(stored)
            await _turns_go_first(number)
        if len(page) < REHEARSAL_PAGE_COUNT:
            break
        position = page[-1].position
        await progress(history.evaluated, position, last)
    return await history.told()


async def _turns_go_first(number: int) -> None:
    if number % REHEARSAL_STEP_COUNT == 0:
        await asyncio.sleep(0)


def _reckoned(instant: datetime | None) -> datetime | None:
    """So far from the ends of the calendar that one can reckon with it; nothing was recorded beyond."""
    return instant if instant is None else min(max(instant, _FIRST), _LAST)


async def position_before(log: EventLog, instant: datetime, head: int) -> int:
    """The last position before which everything was recorded earlier than `instant`, found by halving."""
    low, high = 0, head
    while low < high:
        middle = (low + high) // 2
        found = await log.read(middle, 1)
        if found and found[0].recorded_at < instant:
            low = found[0].position
        else:
            high = middle
    return low


async def recalled(log: EventLog, stored: StoredEvent) -> ReceivedCause:
    """A logged external event as a cause again, its data whole. May raise `Unavailable`."""
    fact = cast("EventReceived", decode(stored.type, stored.data))
    return ReceivedCause.recalled(fact, stored.stream_id, stored.recorded_at, await whole(log, fact.data))


class _History:
    """The counts so far, and the newest decisions of the page that is asked for."""

    def __init__(self, log: EventLog, rehearsal: Rehearsal, command: RehearseTrigger, now: datetime) -> None:
        self.evaluated = 0
        self.since = command.since
        self._log = log
        self._rehearsal = rehearsal
        self._command = command
        self._until = command.until or now
        self._would_fire = self._did_fire = self._numbers = 0
        self._shown: deque[StoredEvent] = deque(maxlen=command.limit + 1)
        self._answers: deque[tuple[int, Told]] = deque(maxlen=command.limit + 1)
        self._fired: OrderedDict[tuple[str, str], UUID] = OrderedDict()
        self._runs: OrderedDict[UUID, WorkflowTriggered | None] = OrderedDict()
        self._recalled = Recalled(log, NAMESPACE)
        self._simulation: Simulation | None = None
        self._has_begun = False
        trigger = rehearsal.trigger
        self._upstreams = upstream_names(trigger) if isinstance(trigger, DependencyTrigger) else set[str]()
        is_alone = isinstance(trigger, EventTrigger | WebhookTrigger) and not remembers(trigger)
        if rehearsal.rule is not None and not is_alone:
            self._simulation = Simulation(rehearsal.rule)
        if isinstance(trigger, ScheduleTrigger):
            self.since = self.since or self._until - SCHEDULE_REHEARSED

    async def take(self, stored: StoredEvent) -> None:
        until = self._command.until
        if (self.since is not None and stored.recorded_at < self.since) or (
            until is not None and stored.recorded_at >= until
        ):
            return
        if stored.type == _TRIGGERED:
            self._triggered(stored)
            return
        cause = await self._ended(stored) if stored.type in RUN_ENDINGS else await self._received(stored)
        if cause is None:
            return
        self.evaluated += 1
        if self._simulation is not None:
            self._begin(stored.recorded_at)
            self._keep(self._simulation.take(cause, stored.recorded_at))
            return
        self._would_fire += self._rehearsal.would_fire(cast("ReceivedCause", cause))
        if self._command.before is None or stored.position < self._command.before:
            self._shown.append(stored)

    async def _received(self, stored: StoredEvent) -> AnyCause | None:
        kind = _kind.decode(stored.data)
        is_concerned = self._rehearsal.concerns(kind.type, kind.source)
        return await recalled(self._log, stored) if is_concerned else None

    async def _ended(self, stored: StoredEvent) -> AnyCause | None:
        if stored.stream_id not in self._runs:  # it began before the window, or long ago
            self._remember(await self._recalled.run(stored.stream_id))
        run = self._runs[stored.stream_id]
        if run is None:
            return None
        return await self._recalled.ending(run, stored.type, stored.data, stored.event_id, stored.recorded_at)

    def _remember(self, run: WorkflowTriggered) -> None:
        is_upstream = run.workflow_id in self._upstreams and not run.is_shadow
        self._runs[run.run_id] = run if is_upstream else None
        if len(self._runs) > RUNS_REMEMBERED_MAX:
            self._runs.popitem(last=False)

    def _triggered(self, stored: StoredEvent) -> None:
        firing = _firing.decode(stored.data)
        if self._upstreams:
            if firing.workflow_id in self._upstreams:
                self._remember(cast("WorkflowTriggered", decode(stored.type, stored.data)))
            else:
                self._runs[stored.stream_id] = None
        named = (firing.workflow_id, firing.trigger.id)
        if (
            named != (self._command.workflow_id, self._rehearsal.trigger.id)
            or firing.cause.type == RunRequested.__name__
        ):
            return
        self._did_fire += 1
        self._fired[firing.cause.source, firing.cause.id] = stored.stream_id
        if len(self._fired) > FIRINGS_REMEMBERED_MAX:
            self._fired.popitem(last=False)

    # --- simulated --------------------------------------------------------------------------------------------------

    def _begin(self, at: datetime) -> None:
        if not self._has_begun and self._simulation is not None:
            self._has_begun = True
            self._keep(self._simulation.begin(self.since or at))

    def _keep(self, answers: list[Told]) -> None:
        for told in answers:
            self._numbers += 1
            self._would_fire += told.decision == "fired" and told.consumed[-1:] == [told.cause.event_id]
            if self._command.before is None or self._numbers < self._command.before:
                self._answers.append((self._numbers, told))

    async def _come_due(self) -> None:
        """The times of a schedule, and what was held at the end of the history."""
        assert self._simulation is not None
        trigger, key = self._rehearsal.trigger, self._simulation.rule.key
        if isinstance(trigger, ScheduleTrigger) and self.since is not None:
            try:
                schedule = schedule_of(trigger.config, *key)
            except ScheduleFault:
                return
            for firing in between(schedule, self.since, self._until, SCHEDULE_REHEARSED_COUNT_MAX):
                fact = ScheduleFired(
                    workflow_id=key[0],
                    trigger_id=key[1],
                    trigger_version=0,
                    scheduled_at=firing.scheduled_at,
                    previous_at=firing.previous_at,
                    next_at=firing.next_at,
                    due_at=firing.due_at,
                )
                stream_id = derived_uuid(firing.scheduled_at, "schedule", *key)
                cause = scheduled_cause(fact, stream_id, stream_id, self._rehearsal.namespace)
                self.evaluated += 1
                self._keep(self._simulation.take(cause, max(firing.due_at, firing.scheduled_at)))
                await _turns_go_first(self.evaluated)
        elif self.since is not None:
            self._begin(self.since)
        for number, told in enumerate(self._simulation.pass_until(self._until)):
            self._keep([told])
            await _turns_go_first(number)

    # --- told -------------------------------------------------------------------------------------------------------

    async def told(self) -> dict[str, Any]:
        if self._simulation is not None:
            await self._come_due()
            newest = [(number, _item(told, number)) for number, told in reversed(self._answers)]
        else:
            newest = [(stored.position, self._explained(await recalled(self._log, stored), stored.position))
                      for stored in reversed(self._shown)]  # fmt: skip
        items: list[dict[str, Any]] = []
        size = 0
        for _, item in newest[: self._command.limit]:
            named = item["cause"]
            run_id = self._fired.get((named["source"], named["id"]))
            item |= {"did_fire": run_id is not None, "run_id": run_id}
            size += len(msgspec.json.encode(item))
            if items and size > REHEARSAL_ANSWER_BYTES_MAX:
                break
            items.append(item)
        return {
            "evaluated": self.evaluated,
            "would_fire": self._would_fire,
            "did_fire": self._did_fire,
            "items": items,
            "next_position": newest[len(items) - 1][0] if len(items) < len(newest) else None,
        }

    def _explained(self, cause: ReceivedCause, position: int) -> dict[str, Any]:
        answer = self._rehearsal.answer(cause)
        answer.pop("input", None)
        return {"cause": _named(cause.cause), **answer, "at": cause.recorded_at, "position": position}


def _item(told: Told, number: int) -> dict[str, Any]:
    return {
        "cause": _named(told.cause),
        "decision": told.decision,
        "reason": told.reason or None,
        "detail": told.detail or None,
        "consumed": told.consumed,
        "at": told.at,
        "position": number,
    }


def _named(cause: Cause) -> dict[str, Any]:
    return {"event_id": cause.event_id, "type": cause.type, "id": cause.id, "source": cause.source}
