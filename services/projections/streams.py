"""Live events for many listeners: one reader of the log per process, and a short queue for each listener.

What is read in one go is one batch, written as text once, whoever listens to it. Under load the reader pauses between two
batches, so that no listener gets more than some twenty a second; a lone event waits for nobody.

A listener that is slower than the log is not buffered: its queue is dropped and it is caught up from the log, page by
page, at its own pace. Nothing is ever skipped or told twice: every listener goes strictly by position.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from infra.eventlog import EventLog, StoredEvent, Unavailable
from services.projections.batches import Batch
from services.projections.places import Places, is_of
from services.projections.settings import ReadSettings

_log = logging.getLogger(__name__)


class Listener:
    """One who follows: a run, a workflow, or everything."""

    def __init__(self, run_id: UUID | None, workflow_id: str | None, settings: ReadSettings) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.is_behind = False
        self._settings = settings
        self._queue: deque[Batch] = deque()
        self._events_count = 0
        self._bytes_count = 0
        self._arrived = asyncio.Event()

    @property
    def is_wide(self) -> bool:
        """Whether it follows more than a run."""
        return self.run_id is None

    @property
    def has_more(self) -> bool:
        """Whether something waits for it."""
        return bool(self._queue)

    def offer(self, batch: Batch) -> None:
        """Called by the tailer, in order of position."""
        if self.is_behind:
            return
        self._events_count += len(batch.events)
        self._bytes_count += batch.size_bytes
        if (
            self._events_count > self._settings.listener_backlog_max
            or self._bytes_count > self._settings.listener_backlog_bytes_max
        ):
            self.start_afresh()
            self.is_behind = True
        else:
            self._queue.append(batch)
        self._arrived.set()

    def start_afresh(self) -> None:
        """From here on the queue is complete again; what came before must be read from the log."""
        self._queue.clear()
        self._events_count = self._bytes_count = 0
        self.is_behind = False

    async def next(self, timeout_s: float) -> Batch | None:
        """The next batch; None after `timeout_s` without one, or when the listener has fallen behind."""
        while not self._queue:
            if self.is_behind:
                return None
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        batch = self._queue.popleft()
        self._events_count -= len(batch.events)
        self._bytes_count -= batch.size_bytes
        return batch


class _Pages:
    """How many events are read at once: as many as may be, fewer where they are large."""

    def __init__(self, settings: ReadSettings) -> None:
        self.count = self._count_max = settings.stream_page_count
        self._bytes_max = settings.stream_page_bytes_max
        self.is_last = False
        """Whether the page that was cut last went to the end: what comes later is offered, at the pace of all."""

    def cut(self, events: list[StoredEvent]) -> list[StoredEvent]:
        """The first of them, as many as may be kept at once, and at least one; the others are read again."""
        size, self.is_last = 0, len(events) < self.count
        for place, event in enumerate(events):
            size += len(event.data)
            if size > self._bytes_max and place:
                self.count, self.is_last = place, False
                return events[:place]
        self.count = min(self._count_max, self.count * 2)
        return events


class TooManyListeners(Exception):
    """As many listen as may."""


class Tailer:
    """Reads the log once for all listeners; reads nothing while nobody listens."""

    def __init__(self, log: EventLog, places: Places, settings: ReadSettings) -> None:
        self._event_log = log
        self._places = places
        self._settings = settings
        self._pages = _Pages(settings)
        self._position = 0
        self._by_run: dict[UUID, list[Listener]] = {}
        self._wide: dict[str | None, list[Listener]] = {}
        self._count = 0
        self._nudged = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def listeners_count(self) -> int:
        return self._count

    @property
    def position(self) -> int:
        """All up to there has been offered to whom it concerns."""
        return self._position

    @property
    def pause_s(self) -> float:
        """Between two batches; longer where many listen, since each batch is sent to every one of them."""
        return max(self._settings.stream_pause_s, self._settings.stream_pause_per_listener_s * self._count)

    def nudge(self) -> None:
        """The log grew."""
        self._nudged.set()

    async def add(self, listener: Listener) -> None:
        """From now on it is offered every event that is logged after this call. Raises TooManyListeners."""
        async with self._lock:
            if self._count >= self._settings.listeners_max:
                raise TooManyListeners
            if not self._count:
                self._position = (await self._event_log.head()).position
            self._group(listener).append(listener)
            self._count += 1

    def remove(self, listener: Listener) -> None:
        """It is offered nothing more."""
        listeners = self._group(listener)
        listeners.remove(listener)
        self._count -= 1
        if listeners:
            return
        if listener.run_id is None:
            del self._wide[listener.workflow_id]
        else:
            del self._by_run[listener.run_id]

    def _group(self, listener: Listener) -> list[Listener]:
        if listener.run_id is None:
            return self._wide.setdefault(listener.workflow_id, [])
        return self._by_run.setdefault(listener.run_id, [])

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._settings.stream_poll_s):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            began_s = time.monotonic()
            try:
                has_told = await self._catch_up()
            except Unavailable as fault:
                _log.warning("live streams stand still: %s", fault)
                has_told = False
            except Exception:  # noqa: BLE001  all streams would stand still unseen: it is told, and tried again
                _log.exception("live streams stand still for a while")
                await asyncio.sleep(self._settings.stream_poll_s)
                has_told = False
            if has_told:
                await asyncio.sleep(max(0.0, began_s + self.pause_s - time.monotonic()))

    async def _catch_up(self) -> bool:
        """Whether there was anything to tell."""
        has_told = False
        while True:
            async with self._lock:
                if not self._count:
                    return False
                count = self._pages.count
                found = await self._event_log.read(self._position, count)
                events = self._pages.cut(found)
                places: dict[UUID, str] = {}
                if any(workflow_id is not None for workflow_id in self._wide):
                    places = await self._places.of_runs(events)
                if events:
                    has_told = True
                    self._offer(events, places)
                    self._position = events[-1].position
            if len(events) == len(found) < count:
                return has_told

    def _offer(self, events: Sequence[StoredEvent], places: Mapping[UUID, str]) -> None:
        """To each group of listeners what concerns it, in one batch."""
        of_runs = [event for event in events if event.stream_id in self._by_run] if self._by_run else []
        if not self._wide and not of_runs:
            return
        page = Batch(events if self._wide else of_runs)
        for workflow_id, listeners in self._wide.items():
            _tell(listeners, page if workflow_id is None else _of_workflow(page, workflow_id, places))
        for run_id in {event.stream_id for event in of_runs}:
            _tell(self._by_run[run_id], _of_run(page, run_id))


def _of_workflow(page: Batch, workflow_id: str, places: Mapping[UUID, str]) -> Batch:
    return page.where(lambda event: is_of(event, workflow_id, places))


def _of_run(page: Batch, run_id: UUID) -> Batch:
    return page.where(lambda event: event.stream_id == run_id)


def _tell(listeners: Sequence[Listener], batch: Batch) -> None:
    if batch.events:
        for listener in listeners:
            listener.offer(batch)


Told = Batch | int
"""Events, at least one; or, where there is nothing to tell, up to which position that is so."""


class Streams:
    """What a listener hears, from any position on; in a silence, now and then up to where there was nothing for it."""

    def __init__(self, log: EventLog, tailer: Tailer, places: Places, settings: ReadSettings) -> None:
        self._event_log = log
        self._tailer = tailer
        self._places = places
        self._settings = settings

    @property
    def is_full(self) -> bool:
        """Whether as many listen as may."""
        return self._tailer.listeners_count >= self._settings.listeners_max

    async def version_at(self, run_id: UUID, position: int) -> int:
        """The version of the run's event at that position; 0 where that is no event of the run, or is not known."""
        event = await self._event_log.read_position(position) if position else None
        return event.version if event is not None and event.stream_id == run_id else 0

    async def of_run(self, run_id: UUID, after_position: int, after_version: int = 0) -> AsyncIterator[Told]:
        """All events of a run above that position, then live ones; without end. What is not above `after_version` is not
        looked at. Raises TooManyListeners."""
        listener = Listener(run_id, None, self._settings)
        version = after_version

        async def page(_: int, pages: _Pages) -> list[StoredEvent]:
            nonlocal version
            events = pages.cut(await self._event_log.read_stream(run_id, version, pages.count))
            version = events[-1].version if events else version
            return events

        async for batch in self._follow(listener, after_position, page):
            if isinstance(batch, Batch):
                version = max(version, batch.events[-1].version)
            yield batch

    async def of_all(self, workflow_id: str | None, after_position: int) -> AsyncIterator[Told]:
        """All events above that position, or those that concern one workflow, then live ones; without end. Raises
        TooManyListeners."""
        listener = Listener(None, workflow_id, self._settings)

        async def page(position: int, pages: _Pages) -> list[StoredEvent]:
            return pages.cut(await self._event_log.read(position, pages.count))

        async for batch in self._follow(listener, after_position, page):
            yield batch

    async def _follow(
        self, listener: Listener, position: int, page: Callable[[int, _Pages], Awaitable[list[StoredEvent]]]
    ) -> AsyncIterator[Told]:
        await self._tailer.add(listener)
        told = position
        try:
            while True:
                listener.start_afresh()
                read, pages = told, _Pages(self._settings)
                while events := await page(read, pages):
                    read = events[-1].position
                    wanted = [event for event in await self._wanted(listener, events) if event.position > told]
                    del events  # a listener that reads nothing holds little
                    if wanted:
                        told = wanted[-1].position
                        batch = Batch(wanted)
                        del wanted
                        yield batch
                    else:
                        told = max(told, read)
                        yield told
                    if pages.is_last:
                        break
                while True:
                    batch = await listener.next(self._settings.stream_keep_alive_s)
                    if batch is None:
                        if listener.is_behind:
                            break
                        if listener.is_wide and not listener.has_more:
                            told = max(told, self._tailer.position)
                        yield told
                    elif (new := batch.after(told)).events:
                        told = new.events[-1].position
                        yield new
        finally:
            self._tailer.remove(listener)

    async def _wanted(self, listener: Listener, events: list[StoredEvent]) -> list[StoredEvent]:
        if listener.workflow_id is None:
            return events
        return await self._places.of_workflow(events, listener.workflow_id)
