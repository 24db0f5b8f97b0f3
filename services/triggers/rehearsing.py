"""A trigger over the recorded history: what it would have answered, beside what did fire. Reads, and changes nothing."""

import asyncio
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.commands import RehearseTrigger
from flowforge.events import EventReceived, RunRequested, WorkflowTriggered, decode

from infra.eventlog import EventLog, StoredEvent
from services.triggers.cause import ReceivedCause
from services.triggers.dry import Rehearsal
from services.triggers.recalling import whole
from services.triggers.settings import (
    CLOCK_DISORDER_S,
    FIRINGS_REMEMBERED_MAX,
    REHEARSAL_ANSWER_BYTES_MAX,
    REHEARSAL_PAGE_COUNT,
    REHEARSAL_STEP_COUNT,
)

_RECEIVED, _TRIGGERED = EventReceived.__name__, WorkflowTriggered.__name__
_TYPES, _STREAM_TYPES = frozenset({_RECEIVED, _TRIGGERED}), frozenset({"cause", "run"})


class _Kind(msgspec.Struct, gc=False):
    type: str
    source: str


class _Named(msgspec.Struct, gc=False):
    id: str


class _CausedBy(msgspec.Struct, gc=False):
    type: str
    event_id: UUID


class _Firing(msgspec.Struct, gc=False):
    workflow_id: str
    trigger: _Named
    cause: _CausedBy


_kind = msgspec.json.Decoder(_Kind)
_firing = msgspec.json.Decoder(_Firing)


async def rehearse(log: EventLog, rehearsal: Rehearsal, command: RehearseTrigger) -> dict[str, Any]:
    """`{evaluated, would_fire, did_fire, items, next_position}` of the window; items newest first.

    `evaluated`: the events whose type and source concern the trigger. `did_fire`: how often the trigger of that id in
    `workflow_id` was started by events. May raise `Unavailable`.
    """
    history = _History(rehearsal, command)
    head = (await log.head()).position
    slack = timedelta(seconds=CLOCK_DISORDER_S)
    position = 0 if command.since is None else await position_before(log, command.since - slack, head)
    last = head if command.until is None else await position_before(log, command.until + slack, head)
    while position < last and rehearsal.rule is not None:
        page = await log.read(position, REHEARSAL_PAGE_COUNT, types=_TYPES, stream_types=_STREAM_TYPES)
        for number, stored in enumerate(page):
            if stored.position <= last:
                await history.take(log, stored)
            if number % REHEARSAL_STEP_COUNT == 0:
                await asyncio.sleep(0)  # turns go first
        if len(page) < REHEARSAL_PAGE_COUNT:
            break
        position = page[-1].position
    return await history.told(log)


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

    def __init__(self, rehearsal: Rehearsal, command: RehearseTrigger) -> None:
        self._rehearsal = rehearsal
        self._command = command
        self._evaluated = self._would_fire = self._did_fire = 0
        self._shown: deque[StoredEvent] = deque(maxlen=command.limit + 1)
        self._fired: OrderedDict[UUID, UUID] = OrderedDict()

    async def take(self, log: EventLog, stored: StoredEvent) -> None:
        since, until = self._command.since, self._command.until
        if (since is not None and stored.recorded_at < since) or (until is not None and stored.recorded_at >= until):
            return
        if stored.type == _TRIGGERED:
            self._count_firing(stored)
            return
        kind = _kind.decode(stored.data)
        if not self._rehearsal.concerns(kind.type, kind.source):
            return
        self._evaluated += 1
        self._would_fire += self._rehearsal.would_fire(await recalled(log, stored))
        if self._command.before is None or stored.position < self._command.before:
            self._shown.append(stored)

    def _count_firing(self, stored: StoredEvent) -> None:
        firing = _firing.decode(stored.data)
        named = (firing.workflow_id, firing.trigger.id)
        if (
            named != (self._command.workflow_id, self._rehearsal.trigger.id)
            or firing.cause.type == RunRequested.__name__
        ):
            return
        self._did_fire += 1
        if self._command.before is not None and stored.position > self._command.before + FIRINGS_REMEMBERED_MAX:
            return
        self._fired[firing.cause.event_id] = stored.stream_id
        if len(self._fired) > FIRINGS_REMEMBERED_MAX:
            self._fired.popitem(last=False)

    async def told(self, log: EventLog) -> dict[str, Any]:
        newest = list(reversed(self._shown))
        items: list[dict[str, Any]] = []
        size = 0
        for stored in newest[: self._command.limit]:
            item = self._item(await recalled(log, stored), stored.position)
            size += len(msgspec.json.encode(item))
            if items and size > REHEARSAL_ANSWER_BYTES_MAX:
                break
            items.append(item)
        return {
            "evaluated": self._evaluated,
            "would_fire": self._would_fire,
            "did_fire": self._did_fire,
            "items": items,
            "next_position": items[-1]["position"] if len(items) < len(newest) else None,
        }

    def _item(self, cause: ReceivedCause, position: int) -> dict[str, Any]:
        answer = self._rehearsal.answer(cause)
        answer.pop("input", None)
        named = cause.cause
        return {
            "cause": {"event_id": named.event_id, "type": named.type, "id": named.id, "source": named.source},
            **answer,
            "at": cause.recorded_at,
            "did_fire": named.event_id in self._fired,
            "run_id": self._fired.get(named.event_id),
            "position": position,
        }
