"""Outputs that may be used again (`cache_key`): where in the log each of them is, kept in a table, derived from the log.

What is logged is known at once and written down within a second; after a start the log is read on from where the table
stands, before the first question is answered.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import cast

import msgspec
from flowforge import events as facts
from flowforge.envelope import now
from flowforge.events import EarlierOutput, NodeCompleted, RunEvent

from infra.eventlog import EventLog, StoredEvent
from services.execution import inputs
from services.execution.around import Earlier
from services.execution.settings import OUTPUTS_FORGOTTEN_EVERY_S, OUTPUTS_KEPT_EVERY_S, OUTPUTS_PAGE_COUNT
from services.execution.store import Kept, OutputStore

_TYPES = frozenset({NodeCompleted.__name__})
_NAMED = b'"cache_key"'


class Outputs:
    """The newest output under each name, none older than `kept_ms`."""

    def __init__(self, log: EventLog, store: OutputStore, kept_ms: int | None) -> None:
        self._log = log
        self._store = store
        self._kept_for = None if kept_ms is None else timedelta(milliseconds=kept_ms)
        self._reading = asyncio.Lock()
        self._forgotten_at = time.monotonic()
        self.forget()

    def forget(self) -> None:
        """Start afresh: another owner may have been here."""
        self._fresh: dict[bytes, Kept] = {}
        self._is_read = False
        self._position = 0
        self._kept_position = 0
        self._kept_at = 0.0

    def note(self, events: Sequence[RunEvent], logged: Sequence[StoredEvent]) -> None:
        """What was logged of a run."""
        for event, stored in zip(events, logged, strict=True):
            if isinstance(event, NodeCompleted) and event.cache_key:
                self._add(bytes.fromhex(event.cache_key), stored)

    def reached(self, position: int) -> None:
        """What is logged up to there was noted, or is about to be."""
        self._position = max(self._position, position)

    async def find(self, names: Collection[str]) -> dict[str, Earlier | None]:
        """The output under each name, or None. May raise `Unavailable`."""
        await self._read_on()
        wanted = {bytes.fromhex(name): name for name in names}
        kept = await self._store.find(wanted) | {key: self._fresh[key] for key in wanted if key in self._fresh}
        return {name: await self._load(name, kept.get(key)) for key, name in wanted.items()}

    async def tick(self) -> None:
        """To be called each second: write down what is new."""
        now_s = time.monotonic()
        await self._read_on()
        await self._write()
        if self._kept_position < self._position and now_s > self._kept_at + OUTPUTS_KEPT_EVERY_S:
            position = self._position
            await self._write()
            await self._store.keep_read(position)
            self._kept_position, self._kept_at = position, now_s
        if self._kept_for is not None and now_s > self._forgotten_at + OUTPUTS_FORGOTTEN_EVERY_S:
            self._forgotten_at = now_s
            await self._store.forget_before(now() - self._kept_for)

    def _add(self, key: bytes, stored: StoredEvent) -> None:
        known = self._fresh.get(key)
        if known is None or known[0] < stored.position:
            self._fresh[key] = (stored.position, stored.recorded_at)

    async def _write(self) -> None:
        if self._fresh:
            written = dict(self._fresh)
            await self._store.keep(written)
            self._fresh = {key: kept for key, kept in self._fresh.items() if written.get(key) != kept}

    async def _read_on(self) -> None:
        """Once per process: what was logged and not written down."""
        if self._is_read:
            return
        async with self._reading:
            head, position = await self._log.head(), await self._store.read()
            while page := await self._log.read(position, OUTPUTS_PAGE_COUNT, types=_TYPES):
                for stored in page:
                    if _NAMED in stored.data and (name := _completed(stored).cache_key):
                        self._add(bytes.fromhex(name), stored)
                position = page[-1].position
            self._position = max(self._position, head.position)
            self._is_read = True

    async def _load(self, name: str, kept: Kept | None) -> Earlier | None:
        if kept is None or self._is_too_old(kept[1]):
            return None
        stored = await self._log.read_position(kept[0])
        if stored is None or stored.type not in _TYPES:
            return None
        event = _completed(stored)
        if event.cache_key != name:
            return None
        reference, value = inputs.blob_hash(event.output), None
        if reference is not None:
            data = await self._log.get_blob(reference)
            if data is None:
                return None
            value = msgspec.json.decode(data)
        whose = EarlierOutput(run_id=stored.stream_id, node_id=event.node_id, instance=event.instance)
        return Earlier(whose, event.output, reference, value)

    def _is_too_old(self, at: datetime) -> bool:
        return self._kept_for is not None and at < now() - self._kept_for


def _completed(stored: StoredEvent) -> NodeCompleted:
    return cast("NodeCompleted", facts.decode(stored.type, stored.data))
