"""The timers that are still due, found in the log: for an empty table, and for messages that name no workflow."""

import asyncio
from collections.abc import Collection, Iterable
from typing import cast
from uuid import UUID

from flowforge.events import TimerFired, TimerSet, TriggerTimerFired, TriggerTimerSet, WorkflowTriggered, decode

from infra.eventlog import EventLog, StoredEvent
from services.scheduler.settings import READS_AT_ONCE_MAX, REBUILD_PAGE_COUNT
from services.scheduler.state import Timer, timer_of

SET, FIRED = TimerSet.__name__, TimerFired.__name__
TRIGGER_SET, TRIGGER_FIRED = TriggerTimerSet.__name__, TriggerTimerFired.__name__
_SETS, _TYPES = frozenset({SET, TRIGGER_SET}), frozenset({SET, TRIGGER_SET, FIRED, TRIGGER_FIRED})


async def timers_still_due(log: EventLog) -> list[Timer]:
    """Every timer that the log has set and not fired. May raise `Unavailable`."""
    open_timers: dict[UUID, StoredEvent] = {}
    position = 0
    while True:
        page = await log.read(position, REBUILD_PAGE_COUNT, types=_TYPES)
        for stored in page:
            if stored.type in _SETS:
                open_timers[_fact(stored).timer_id] = stored
            else:
                open_timers.pop(stored.stream_id, None)
        if len(page) < REBUILD_PAGE_COUNT:
            break
        position = page[-1].position
    runs = {stored.stream_id for stored in open_timers.values() if stored.type == SET}
    workflow_ids = await workflows_of(log, runs)
    return list(_timers(open_timers.values(), workflow_ids))


async def workflows_of(log: EventLog, run_ids: Collection[UUID]) -> dict[UUID, str]:
    """Which workflow each run is of, as its first event says. May raise `Unavailable`."""
    at_once = asyncio.Semaphore(READS_AT_ONCE_MAX)

    async def read(run_id: UUID) -> tuple[UUID, str]:
        async with at_once:
            [first] = await log.read_stream(run_id, limit=1)
        return run_id, cast("WorkflowTriggered", decode(first.type, first.data)).workflow_id

    return dict(await asyncio.gather(*map(read, run_ids)))


async def fired_among(log: EventLog, timer_ids: Collection[UUID]) -> set[UUID]:
    """Those that have fired. May raise `Unavailable`."""
    streams = await log.read_streams(timer_ids)
    return {timer_id for timer_id, events in streams.items() if events}


def _timers(events: Iterable[StoredEvent], workflow_ids: dict[UUID, str]) -> Iterable[Timer]:
    for stored in events:
        yield timer_of(
            _fact(stored), stored.stream_id, workflow_ids.get(stored.stream_id, ""), stored.position,
            stored.correlation_id, stored.event_id,
        )  # fmt: skip


def _fact(stored: StoredEvent) -> TimerSet | TriggerTimerSet:
    return cast("TimerSet | TriggerTimerSet", decode(stored.type, stored.data))
