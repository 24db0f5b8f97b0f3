"""Nodes that wait for events, and the tail of the log that is read for them.

While nodes wait, the events received since they began to are read from the log in order; one of the type and source that
a node waits for is put into the intake as `EventCame`, and the run has the last word. Where the reading stands is kept,
but for events that were offered and that their runs have not answered yet, so that a restart goes on from there: an event
may be offered twice, none is missed. Nothing is read while nobody waits.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.envelope import SPEC_VERSION
from flowforge.events import BreakerWait, EventReceived, EventWait, NodeWaiting, PoolWait, RunEvent

from infra.eventlog import EventLog, StoredEvent, Unavailable
from services.execution.settings import WAITS_KEPT_EVERY_S, WAITS_PAGE_COUNT
from services.execution.state import Run

_CURSOR = "waits:execution"
_ENDINGS = (facts.NodeCompleted, facts.NodeFailed, facts.NodeCancelled, facts.NodeSkipped, facts.NodeRetried)
_log = logging.getLogger(__name__)
Place = tuple[UUID, str, str]
"""Run, node, instance."""


Offer = tuple[int, UUID, str, str]
"""The position of an event, and the run, node and instance that it was offered to."""


class EventCame(msgspec.Struct):
    """To one run: an event of the type and source that one of its nodes waits for, logged at `position`."""

    run_id: UUID
    node_id: str
    instance: str
    position: int
    event: dict[str, Any]

    @property
    def offer(self) -> "Offer":
        """What was offered to whom."""
        return self.position, self.run_id, self.node_id, self.instance


class Waits:
    """Who waits for which events, and how far the log was read for them."""

    def __init__(
        self,
        log: EventLog,
        put: Callable[[EventCame, str], None],
        holds: Callable[[UUID], None] = lambda _: None,
        is_owner: Callable[[], bool] = lambda: True,
    ) -> None:
        self._log = log
        self._put = put
        self._is_owner = is_owner
        """Whether this process turns. One that does so no more keeps nothing: what it knows is not what its successor does."""
        self._holds = holds
        """Told of open runs in which something waits for a place, or before a circuit breaker."""
        self._looking = asyncio.Lock()
        self._nudged: asyncio.Task[None] | None = None
        self.forget()

    def forget(self) -> None:
        """Start afresh: another owner may have been here."""
        self._waits: dict[Place, tuple[EventWait, int]] = {}
        self._exact: dict[str, dict[Place, None]] = {}
        self._patterns: dict[Place, None] = {}
        self._position = 0
        self._unanswered: set[Offer] = set()
        self._kept = 0
        self._kept_at = 0.0
        self._is_known = False

    def note(self, run: Run, events: Sequence[RunEvent], position: int) -> None:
        """What was logged of a run up to `position`: nodes that began to wait, or do so no more."""
        for event in events:
            if isinstance(event, NodeWaiting):
                if isinstance(event.wait, EventWait):
                    self._add((run.id, event.node_id, event.instance), event.wait, position)
            elif self._waits and isinstance(event, _ENDINGS):
                self._remove((run.id, event.node_id, event.instance))

    def answered(self, offers: Sequence[Offer], run: Run | None = None) -> None:
        """What the run had to say to these is in the log, if there was anything. A node that waits for no event (any more)
        is offered no other."""
        self._unanswered.difference_update(offers)
        if run is None:
            return
        for _, run_id, node_id, instance in offers:
            unit = run.find(node_id, instance)
            if unit is None or not isinstance(unit.wait, EventWait):
                self._remove((run_id, node_id, instance))

    async def nudged(self, _message: object = None) -> None:
        """The log grew. Costs nothing while nobody waits."""
        if self._waits and self._is_known and (self._nudged is None or self._nudged.done()):
            self._nudged = asyncio.create_task(self.look(()))

    async def look(self, open_runs: Collection[UUID]) -> None:
        """Offer the events that were received since the last look to those who wait for them. `open_runs` matter once."""
        async with self._looking:
            try:
                if not self._is_known:
                    await self._know(open_runs)
                await self._read_on()
                await self._keep()
            except Unavailable as fault:
                _log.warning("cannot look for events that nodes wait for: %s", fault)

    async def _read_on(self) -> None:
        while self._waits and self._is_owner():
            page = await self._log.read(self._position, WAITS_PAGE_COUNT, types={EventReceived.__name__})
            for stored in page:
                await self._offer(stored)
                self._position = stored.position
            if len(page) < WAITS_PAGE_COUNT:
                return

    async def _know(self, open_runs: Collection[UUID]) -> None:
        """Once per process: all waits of open runs; those that are over meanwhile do no harm."""
        runs, position = set(open_runs), await self._log.get_cursor("open:execution")
        while page := await self._log.read(position, WAITS_PAGE_COUNT, types={NodeWaiting.__name__}):
            for stored in page:
                event = cast("NodeWaiting", facts.decode(stored.type, stored.data))
                if stored.stream_id not in runs:
                    continue
                if isinstance(event.wait, EventWait):
                    self._add((stored.stream_id, event.node_id, event.instance), event.wait, stored.position)
                elif isinstance(event.wait, PoolWait | BreakerWait):
                    self._holds(stored.stream_id)
            position = page[-1].position
        if self._waits:
            first = min(since for _, since in self._waits.values())
            self._position = max(first, await self._log.get_cursor(_CURSOR))
        self._is_known = True

    def _add(self, place: Place, wait: EventWait, position: int) -> None:
        # what was read beyond it meanwhile is read again: others are offered it twice, and nothing is missed
        self._position = min(self._position, position) if self._waits else position
        self._remove(place)  # of an attempt before, which may have waited for another type
        self._waits[place] = (wait, position)
        if "*" in wait.event_type:
            self._patterns[place] = None
        else:
            self._exact.setdefault(wait.event_type, {})[place] = None

    def _remove(self, place: Place) -> None:
        found = self._waits.pop(place, None)
        if found is None:
            return
        self._patterns.pop(place, None)
        others = self._exact.get(found[0].event_type, {})
        others.pop(place, None)
        if not others:
            self._exact.pop(found[0].event_type, None)

    async def _offer(self, stored: StoredEvent) -> None:
        received = cast("EventReceived", facts.decode(stored.type, stored.data))
        wanted = [
            place
            for place in (*self._exact.get(received.type, ()), *self._patterns)
            if self._concerns(place, received, stored.position)
        ]
        if not wanted:
            return
        event = {"specversion": SPEC_VERSION, **cast("dict[str, Any]", msgspec.json.decode(stored.data))}
        data: object = event.get("data")
        name = cast("dict[str, object]", data).get("$blob") if isinstance(data, dict) else None
        if isinstance(name, str) and (kept := await self._log.get_blob(name)) is not None:
            event["data"] = msgspec.json.decode(kept)
        for run_id, node_id, instance in wanted:
            came = EventCame(run_id, node_id, instance, stored.position, event)
            self._unanswered.add(came.offer)
            self._put(came, str(stored.event_id))

    def _concerns(self, place: Place, received: EventReceived, position: int) -> bool:
        wait, since = self._waits[place]
        return (
            position > since
            and _pattern(wait.event_type).fullmatch(received.type) is not None
            and _pattern(wait.source).fullmatch(received.source) is not None
        )

    async def _keep(self) -> None:
        now_s = time.monotonic()
        if now_s < self._kept_at + WAITS_KEPT_EVERY_S or not self._is_owner():
            return
        position = min((offer[0] - 1 for offer in self._unanswered), default=self._position)
        if position > self._kept:
            await self._log.set_cursor(_CURSOR, position)
            self._kept, self._kept_at = position, now_s


@lru_cache(maxsize=4_096)
def _pattern(text: str) -> re.Pattern[str]:
    """Exact, or with `*` for any characters."""
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
