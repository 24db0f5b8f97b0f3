"""The end of the log, read once for all subscriptions; who is further behind reads the log itself.

Only events of runs are kept, each with what filters may ask of its run.
"""

import asyncio
import logging
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from infra.eventlog import EventLog, StoredEvent, Unavailable
from services.subscriptions.filters import RunFacts
from services.subscriptions.settings import (
    PAGE_COUNT,
    POLL_S,
    RECENT_BYTES_MAX,
    RECENT_COUNT,
    RETRY_WAIT_S,
    RUNS_KNOWN_MAX,
)

_log = logging.getLogger(__name__)


class _First(msgspec.Struct):
    """Of a run's first event."""

    workflow_id: str = ""
    labels: dict[str, str] = {}


_first = msgspec.json.Decoder(_First)


class Told(msgspec.Struct, frozen=True):
    """An event of a run."""

    stored: StoredEvent
    run: RunFacts


class Page(msgspec.Struct, frozen=True):
    """Events of runs above the position that was asked for; up to `position` there is no other."""

    position: int
    events: Sequence[Told]


class Recent:
    """Reads nothing before the first subscription asks."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._runs: OrderedDict[UUID, RunFacts] = OrderedDict()
        self._positions: list[int] = []
        self._kept: list[Told] = []
        self._bytes = 0
        self._begin = self._end = -1
        self._nudged = asyncio.Event()
        self._grew = asyncio.Condition()

    @property
    def end(self) -> int:
        """Up to where the log has been read; -1 before the first time."""
        return self._end

    def nudge(self) -> None:
        """The log grew."""
        self._nudged.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._read_on()
            except Unavailable as fault:
                _log.warning("subscriptions do not see the log: %s", fault)
                await asyncio.sleep(RETRY_WAIT_S)
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()

    async def grown(self, position: int) -> None:
        """Until the log is known to go beyond the position."""
        async with self._grew:
            await self._grew.wait_for(lambda: self._end > position)

    async def after(self, position: int, types: Collection[str]) -> Page:
        """What follows a position, a page of it. `types`: what is looked for; more may come. May raise Unavailable.

        Who is behind looks at all of so many positions: to let the log look for types that are rare would take as long as
        the log is long, and longer than a statement may."""
        if 0 <= self._begin <= position:
            place = bisect_right(self._positions, position)
            events = self._kept[place : place + PAGE_COUNT]
            is_whole = place + PAGE_COUNT >= len(self._kept)
            return Page(max(position, self._end) if is_whole else events[-1].stored.position, events)
        stored = await self._log.read(position, PAGE_COUNT)
        wanted = [event for event in stored if event.stream_type == "run" and event.type in types]
        return Page(stored[-1].position if stored else position, await self._with_runs(wanted))

    async def _read_on(self) -> None:
        if self._end < 0:
            self._begin = self._end = (await self._log.head()).position
            await self._tell()
        while True:
            events = await self._log.read(self._end, PAGE_COUNT)
            if not events:
                return
            told = await self._with_runs([event for event in events if event.stream_type == "run"])
            self._kept += told
            self._positions += [each.stored.position for each in told]
            self._bytes += sum(len(each.stored.data) for each in told)
            self._end = events[-1].position
            self._forget()
            await self._tell()
            if len(events) < PAGE_COUNT:
                return

    def _forget(self) -> None:
        count = max(0, len(self._kept) - RECENT_COUNT)
        self._bytes -= sum(len(each.stored.data) for each in self._kept[:count])
        while self._bytes > RECENT_BYTES_MAX:
            self._bytes -= len(self._kept[count].stored.data)
            count += 1
        if count:
            self._begin = self._positions[count - 1]
            del self._kept[:count], self._positions[:count]

    async def _tell(self) -> None:
        async with self._grew:
            self._grew.notify_all()

    async def _with_runs(self, events: Sequence[StoredEvent]) -> list[Told]:
        runs: dict[UUID, RunFacts] = {}  # of its own: another reader forgets some while this one waits for the log
        for event in events:
            if event.stream_id not in runs:
                runs[event.stream_id] = self._runs.get(event.stream_id) or await self._facts(event)
        self._runs.update(runs)
        while len(self._runs) > RUNS_KNOWN_MAX:
            self._runs.popitem(last=False)
        return [Told(event, runs[event.stream_id]) for event in events]

    async def _facts(self, event: StoredEvent) -> RunFacts:
        first = event if event.version == 1 else (await self._log.read_stream(event.stream_id, 0, 1))[0]
        known = _first.decode(first.data)
        return RunFacts(str(event.stream_id), known.workflow_id, known.labels)
