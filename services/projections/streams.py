"""Live events for many listeners: one reader of the log per process, and a short queue for each listener.

A listener that is slower than the log is not buffered: its queue is dropped and it is caught up from the log, page by
page, at its own pace. Nothing is ever skipped or told twice: every listener goes strictly by position.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from uuid import UUID

import msgspec
from flowforge.identity import named_stream

from infra.eventlog import EventLog, StoredEvent, Unavailable
from services.projections.settings import ReadSettings

_log = logging.getLogger(__name__)
PlaceRuns = Callable[[Sequence[UUID]], Awaitable[dict[UUID, str]]]


class LoggedEvent(msgspec.Struct):
    """An event as it is read over HTTP."""

    position: int
    event_id: UUID
    type: str
    stream: str
    version: int
    recorded_at: object
    data: msgspec.Raw
    correlation_id: UUID | None
    causation_id: UUID | None
    actor: str | None


def logged_event(stored: StoredEvent) -> LoggedEvent:
    """The public form of a logged event; `stream` is `<type>/<id>`."""
    return LoggedEvent(
        position=stored.position,
        event_id=stored.event_id,
        type=stored.type,
        stream=f"{stored.stream_type}/{stored.stream_id}",
        version=stored.version,
        recorded_at=stored.recorded_at,
        data=msgspec.Raw(stored.data),
        correlation_id=stored.correlation_id,
        causation_id=stored.causation_id,
        actor=stored.actor,
    )


class _Named(msgspec.Struct):
    workflow_id: str | None = None


_named = msgspec.json.Decoder(_Named)


class Places:
    """Which workflow an event belongs to. Remembers the workflows of the runs seen last."""

    def __init__(self, log: EventLog, place_runs: PlaceRuns, runs_max: int) -> None:
        self._event_log = log
        self._place_runs = place_runs
        self._runs_max = runs_max
        self._runs: OrderedDict[UUID, str] = OrderedDict()

    async def of_workflow(self, events: Iterable[StoredEvent], workflow_id: str) -> list[StoredEvent]:
        """Those of the workflow itself, of its runs, and of decisions and timers that name it."""
        listed = list(events)
        await self.learn(listed)
        return [event for event in listed if self.is_of(event, workflow_id)]

    async def learn(self, events: Sequence[StoredEvent]) -> None:
        """Find the workflows of the runs in these events."""
        unknown: dict[UUID, None] = {}
        for event in events:
            if event.stream_type != "run" or event.stream_id in self._runs:
                continue
            if event.type == "WorkflowTriggered":
                self._remember(event.stream_id, _named.decode(event.data).workflow_id or "")
                unknown.pop(event.stream_id, None)
            else:
                unknown[event.stream_id] = None
        if unknown:
            for run_id, workflow_id in (await self._place_runs(list(unknown))).items():
                self._remember(run_id, workflow_id)
                unknown.pop(run_id, None)
        for run_id in unknown:  # not projected yet: its first event says it
            for first in await self._event_log.read_stream(run_id, 0, 1):
                self._remember(run_id, _named.decode(first.data).workflow_id or "")

    def is_of(self, event: StoredEvent, workflow_id: str) -> bool:
        """After `learn`."""
        if event.stream_type == "run":
            return self._runs.get(event.stream_id) == workflow_id
        if event.stream_type == "workflow":
            return event.stream_id == named_stream("workflow", workflow_id)
        return _named.decode(event.data).workflow_id == workflow_id

    def _remember(self, run_id: UUID, workflow_id: str) -> None:
        self._runs[run_id] = workflow_id
        if len(self._runs) > self._runs_max:
            self._runs.popitem(last=False)


class Listener:
    """One who follows: a run, a workflow, or everything."""

    def __init__(self, run_id: UUID | None, workflow_id: str | None, backlog_max: int) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.is_behind = False
        self._backlog_max = backlog_max
        self._queue: deque[StoredEvent] = deque()
        self._arrived = asyncio.Event()

    def offer(self, event: StoredEvent) -> None:
        """Called by the tailer, in order of position."""
        if self.is_behind:
            return
        if len(self._queue) >= self._backlog_max:
            self._queue.clear()
            self.is_behind = True
        else:
            self._queue.append(event)
        self._arrived.set()

    def start_afresh(self) -> None:
        """From here on the queue is complete again; what came before must be read from the log."""
        self._queue.clear()
        self.is_behind = False

    async def next(self, timeout_s: float) -> StoredEvent | None:
        """The next event; None after `timeout_s` without one, or when the listener has fallen behind."""
        while not self._queue:
            if self.is_behind:
                return None
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._queue.popleft()


class Tailer:
    """Reads the log once for all listeners; reads nothing while nobody listens."""

    def __init__(self, log: EventLog, places: Places, settings: ReadSettings) -> None:
        self._event_log = log
        self._places = places
        self._settings = settings
        self._position = 0
        self._by_run: dict[UUID, list[Listener]] = {}
        self._wide: list[Listener] = []
        self._nudged = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def listeners_count(self) -> int:
        return len(self._wide) + sum(map(len, self._by_run.values()))

    def nudge(self) -> None:
        """The log grew."""
        self._nudged.set()

    async def add(self, listener: Listener) -> None:
        """From now on it is offered every event that is logged after this call."""
        async with self._lock:
            if not self.listeners_count:
                self._position = (await self._event_log.head()).position
            if listener.run_id is None:
                self._wide.append(listener)
            else:
                self._by_run.setdefault(listener.run_id, []).append(listener)

    def remove(self, listener: Listener) -> None:
        """It is offered nothing more."""
        if listener.run_id is None:
            self._wide.remove(listener)
            return
        listeners = self._by_run[listener.run_id]
        listeners.remove(listener)
        if not listeners:
            del self._by_run[listener.run_id]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._settings.stream_poll_s):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            try:
                await self._catch_up()
            except Unavailable as fault:
                _log.warning("live streams stand still: %s", fault)

    async def _catch_up(self) -> None:
        while True:
            async with self._lock:
                if not self.listeners_count:
                    return
                events = await self._event_log.read(self._position, self._settings.stream_page_count)
                if any(listener.workflow_id is not None for listener in self._wide):
                    await self._places.learn(events)
                for event in events:
                    self._offer(event)
                    self._position = event.position
            if len(events) < self._settings.stream_page_count:
                return

    def _offer(self, event: StoredEvent) -> None:
        for listener in self._by_run.get(event.stream_id, ()):
            listener.offer(event)
        for listener in self._wide:
            if listener.workflow_id is None or self._places.is_of(event, listener.workflow_id):
                listener.offer(event)


class Streams:
    """What a listener hears, from any position on. None stands for silence: time to say that we are still there."""

    def __init__(self, log: EventLog, tailer: Tailer, places: Places, settings: ReadSettings) -> None:
        self._event_log = log
        self._tailer = tailer
        self._places = places
        self._settings = settings

    async def of_run(self, run_id: UUID, after_position: int) -> AsyncIterator[StoredEvent | None]:
        """All events of a run above that position, then live ones; without end."""
        listener = Listener(run_id, None, self._settings.listener_backlog_max)
        version = 0

        async def page() -> list[StoredEvent]:
            nonlocal version
            events = await self._event_log.read_stream(run_id, version, self._settings.stream_page_count)
            version = events[-1].version if events else version
            return events

        async for event in self._follow(listener, after_position, lambda _: page()):
            if event is not None:
                version = max(version, event.version)
            yield event

    async def of_all(self, workflow_id: str | None, after_position: int) -> AsyncIterator[StoredEvent | None]:
        """All events above that position, or those that concern one workflow, then live ones; without end."""
        listener = Listener(None, workflow_id, self._settings.listener_backlog_max)

        async def page(position: int) -> list[StoredEvent]:
            return await self._event_log.read(position, self._settings.stream_page_count)

        async for event in self._follow(listener, after_position, page):
            yield event

    async def _follow(
        self, listener: Listener, position: int, page: Callable[[int], Awaitable[list[StoredEvent]]]
    ) -> AsyncIterator[StoredEvent | None]:
        await self._tailer.add(listener)
        told = position
        try:
            while True:
                listener.start_afresh()
                read = told
                while events := await page(read):
                    read = events[-1].position
                    for event in await self._wanted(listener, events):
                        if event.position > told:
                            told = event.position
                            yield event
                while True:
                    event = await listener.next(self._settings.stream_keep_alive_s)
                    if event is None:
                        if listener.is_behind:
                            break
                        yield None
                    elif event.position > told:
                        told = event.position
                        yield event
        finally:
            self._tailer.remove(listener)

    async def _wanted(self, listener: Listener, events: list[StoredEvent]) -> list[StoredEvent]:
        if listener.workflow_id is None:
            return events
        return await self._places.of_workflow(events, listener.workflow_id)
