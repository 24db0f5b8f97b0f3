"""What a decision may need of long ago: causes that triggers hold, and how far a chain of causes has grown.

Most of it is in memory still. What is not is asked for with `Wanted`, and is there after the next `load`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

import msgspec
from flowforge.events import (
    RUN_ENDINGS,
    Cause,
    EventReceived,
    RunCompleted,
    RunPartiallyCompleted,
    ScheduleFired,
    TriggerTimerFired,
    WorkflowTriggered,
    decode,
)
from flowforge.identity import part_uuid

from infra.eventlog import EventLog, StoredEvent
from services.triggers.cause import AnyCause, ReceivedCause, absence_cause
from services.triggers.endings import EndedCause, Ending, ending_cause
from services.triggers.scheduled import scheduled_cause
from services.triggers.settings import (
    CAUSES_RECALLED_BYTES_MAX,
    CHAINS_CACHED_COUNT_MAX,
    PAYLOAD_INLINE_BYTES_MAX,
    READS_AT_ONCE_MAX,
)
from services.triggers.verdict import Wanted

_T = TypeVar("_T")


class _Blob(msgspec.Struct, gc=False):
    name: str = msgspec.field(name="$blob")


_blob = msgspec.json.Decoder(_Blob)


def loaded(there: Mapping[UUID, _T], name: UUID) -> _T:
    """Raises Wanted where somebody else's `load` was in between."""
    if name not in there:
        raise Wanted(f"what belongs to {name} is not in memory")
    return there[name]


def chain_stream(first_event_id: UUID) -> UUID:
    """The stream that counts the runs that a first cause has led to through others."""
    return part_uuid(first_event_id, "chain")


class Recalled:
    """Causes by their event, the newest kept; and the chains that they belong to."""

    def __init__(self, log: EventLog, namespace: str) -> None:
        self._log = log
        self._namespace = namespace
        self._causes: OrderedDict[UUID, AnyCause] = OrderedDict()
        self._bytes = 0
        self._wanted: dict[UUID, Cause] = {}
        self._chains: OrderedDict[UUID, int] = OrderedDict()
        """As logged."""
        self._growing: dict[UUID, int] = {}
        """With what was decided and is not logged yet."""
        self._is_in_doubt = False
        self._is_asking = False
        self._wanted_chains: set[UUID] = set()
        self._at_once = asyncio.Semaphore(READS_AT_ONCE_MAX)

    # --- in memory --------------------------------------------------------------------------------------------------

    def keep(self, cause: AnyCause) -> None:
        """It may be asked for again."""
        event_id = cause.cause.event_id
        if event_id in self._causes:
            return
        self._causes[event_id] = cause
        self._bytes += _size(cause)

    def cause(self, cause: Cause) -> AnyCause:
        """The whole of it. Raises Wanted."""
        found = self._causes.get(cause.event_id)
        if found is None:
            self._wanted[cause.event_id] = cause
            self._is_asking = True
            raise Wanted(f"the cause {cause.event_id} is not in memory")
        return found

    def count(self, first_event_id: UUID) -> int:
        """How many runs that cause has led to through others. Raises Wanted."""
        found = self._growing.get(first_event_id, self._chains.get(first_event_id))
        if found is None:
            self._wanted_chains.add(first_event_id)
            self._is_asking = True
            raise Wanted(f"the chain of {first_event_id} is not in memory")
        return found

    def grow(self, first_event_id: UUID) -> None:
        """One more is decided."""
        self._growing[first_event_id] = self.count(first_event_id) + 1

    def grew(self, first_event_id: UUID, count: int) -> None:
        """So many are logged now."""
        if first_event_id in self._chains:
            self._chains[first_event_id] = count
        if self._growing.get(first_event_id) == count:
            del self._growing[first_event_id]

    def begin(self) -> None:
        """Where a decision was not logged, what was counted on top of it is forgotten."""
        if self._is_in_doubt:
            self._growing.clear()
            self._is_in_doubt = False

    def not_logged(self) -> None:
        """Something that was decided is not in the log."""
        self._is_in_doubt = True

    def doubt(self, first_event_id: UUID) -> None:
        """Somebody else counted too."""
        self._chains.pop(first_event_id, None)

    # --- from the log -----------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Have what was asked for. May raise `Unavailable`."""
        wanted, self._wanted = list(self._wanted.values()), {}
        if not self._is_asking:  # what was asked for stays until nothing more is
            self._make_room()
        self._is_asking = False
        if wanted:
            for cause in await asyncio.gather(*map(self._read, wanted)):
                self.keep(cause)
        if self._wanted_chains:
            streams = {chain_stream(first): first for first in self._wanted_chains}
            self._wanted_chains = set()
            for stream_id, events in (await self._log.read_streams(list(streams))).items():
                self._chains[streams[stream_id]] = len(events)

    def _make_room(self) -> None:
        while self._bytes > CAUSES_RECALLED_BYTES_MAX and len(self._causes) > 1:
            self._bytes -= _size(self._causes.popitem(last=False)[1])
        while len(self._chains) > CHAINS_CACHED_COUNT_MAX:
            self._chains.popitem(last=False)

    async def _read(self, cause: Cause) -> AnyCause:
        async with self._at_once:
            events = await self._log.read_stream(cause.stream_id)
            stored = next(event for event in events if event.event_id == cause.event_id)
        if stored.type in RUN_ENDINGS:
            run = cast("WorkflowTriggered", decode(events[0].type, events[0].data))
            return await self.ending(run, stored.type, stored.data, stored.event_id, stored.recorded_at)
        return await recalled(self._log, stored, self._namespace)

    async def run(self, run_id: UUID) -> WorkflowTriggered:
        """What a run was started as. May raise `Unavailable`."""
        return (await self.begun(run_id))[0]

    async def begun(self, run_id: UUID) -> tuple[WorkflowTriggered, StoredEvent]:
        """The same, with the event itself. May raise `Unavailable`."""
        async with self._at_once:
            [first] = await self._log.read_stream(run_id, limit=1)
        return cast("WorkflowTriggered", decode(first.type, first.data)), first

    def expect_chain(self, cause: AnyCause) -> None:
        """How far its chain has grown will be asked for."""
        if cause.chain is not None and cause.chain.first_event_id not in self._chains:
            self._wanted_chains.add(cause.chain.first_event_id)

    async def ending(
        self, run: WorkflowTriggered, kind: str, data: bytes | msgspec.Raw, event_id: UUID, recorded_at: datetime
    ) -> EndedCause:
        """The end of a run, its output whole; its chain is in memory. May raise `Unavailable`."""
        ending = cast("Ending", decode(kind, data))
        if isinstance(ending, RunCompleted | RunPartiallyCompleted):
            ending = msgspec.structs.replace(ending, output=await whole(self._log, ending.output))
        cause = EndedCause(run, ending, ending_cause(ending, event_id, run.run_id, self._namespace), recorded_at)
        self.expect_chain(cause)
        return cause


async def recalled(log: EventLog, stored: StoredEvent, namespace: str) -> AnyCause:
    """A logged event as a cause again, its data whole. May raise `Unavailable`."""
    match decode(stored.type, stored.data):
        case EventReceived() as fact:
            data = await whole(log, fact.data)
            return ReceivedCause.recalled(fact, stored.stream_id, stored.recorded_at, data)
        case ScheduleFired() as fact:
            return scheduled_cause(fact, stored.event_id, stored.stream_id, namespace)
        case TriggerTimerFired() as fact:
            return absence_cause(fact, stored.event_id, namespace)
        case _:
            raise ValueError(f"{stored.type} is no cause")


async def whole(log: EventLog, data: msgspec.Raw) -> msgspec.Raw:
    """The payload itself, where it is kept beside the log. May raise `Unavailable`."""
    if not bytes(data).startswith(b'{"$blob":') or len(bytes(data)) > PAYLOAD_INLINE_BYTES_MAX:
        return data
    try:
        kept = await log.get_blob(_blob.decode(data).name)
    except msgspec.DecodeError:
        return data
    return data if kept is None else msgspec.Raw(kept)


def _size(cause: AnyCause) -> int:
    return len(cast("bytes", cause.data)) + 1_000
