"""The deliverers of all subscriptions, alive while this process owns the service."""

import asyncio
import logging
import time
from collections.abc import Mapping

from infra.eventlog import Unavailable
from services.subscriptions.delivering import Deliverer, Tools
from services.subscriptions.loaded import Loaded
from services.subscriptions.settings import RETRY_WAIT_S, SWEPT_EVERY_S
from services.subscriptions.views import Seen

_log = logging.getLogger(__name__)


class Engine:
    """Started with what there is; told of every change."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._deliverers: dict[str, Deliverer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._swept_at_s = time.monotonic()
        self._gone: set[str] = set()
        """Deleted, their rows perhaps not yet."""
        self._forgetting = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        return self._reading is not None

    def start(self, subscriptions: Mapping[str, Loaded]) -> None:
        """Begin to deliver."""
        self._read()
        for name, loaded in subscriptions.items():
            self.changed(name, loaded)

    def stop(self) -> None:
        """Another process may deliver from now on."""
        for task in (*self._tasks.values(), *([self._reading] if self._reading else [])):
            task.cancel()
        self._deliverers.clear()
        self._tasks.clear()
        self._reading = None

    def changed(self, name: str, loaded: Loaded) -> None:
        """It was made, changed or deleted."""
        if not self.is_running:
            return
        deliverer = self._deliverers.get(name)
        if loaded.state.subscription is None:
            self._end(name)
        elif deliverer is not None:
            deliverer.changed(loaded)
        else:
            self._begin(name, loaded)

    def renewed(self, subscriptions: Mapping[str, Loaded]) -> None:
        """All were read anew: what was logged unheard has changed some."""
        for name, loaded in subscriptions.items():
            deliverer = self._deliverers.get(name)
            if deliverer is None if loaded.state.subscription is None else self._knows(deliverer, loaded):
                continue
            self.changed(name, loaded)

    def seen(self, name: str) -> Seen:
        """What is known of it in memory only."""
        deliverer = self._deliverers.get(name)
        return Seen() if deliverer is None else Seen(deliverer.position, deliverer.filter_fault)

    async def tick(self) -> None:
        """Begin anew what a bug has ended, forget what was deleted; now and then, what was delivered long ago. May raise
        `Unavailable`."""
        if self._reading is not None and self._reading.done():
            self._read()
        for name, deliverer in list(self._deliverers.items()):
            if self._tasks[name].done():
                self._begin(name, deliverer.loaded)
        for name in list(self._gone):  # one that is deleted meanwhile is the next tick's
            await self._forget(name)
        if time.monotonic() > self._swept_at_s + SWEPT_EVERY_S:
            self._swept_at_s = time.monotonic()
            await self._tools.store.sweep(list(self._deliverers))

    def _read(self) -> None:
        self._reading = asyncio.create_task(self._tools.recent.run())
        self._reading.add_done_callback(self._look_at)

    def _begin(self, name: str, loaded: Loaded) -> None:
        self._deliverers[name] = Deliverer(loaded, self._tools)
        self._tasks[name] = asyncio.create_task(self._deliver(name, self._deliverers[name]))
        self._tasks[name].add_done_callback(self._look_at)

    async def _deliver(self, name: str, deliverer: Deliverer) -> None:
        """What is left of one that was deleted under this id goes first."""
        while name in self._gone:
            try:
                await self._forget(name)
            except Unavailable as fault:
                _log.warning("subscription %s waits: %s", name, fault)
                await asyncio.sleep(RETRY_WAIT_S)
        await deliverer.run()

    async def _forget(self, name: str) -> None:
        async with self._forgetting:
            if name in self._gone:
                await self._tools.store.forget(name)
                self._gone.discard(name)

    def _knows(self, deliverer: Deliverer | None, loaded: Loaded) -> bool:
        return deliverer is not None and deliverer.loaded.position == loaded.position

    def _end(self, name: str) -> None:
        self._deliverers.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
        self._gone.add(name)

    def _look_at(self, task: asyncio.Task[None]) -> None:
        """What ended by a bug is told of; the next tick begins it anew, a deliverer from the tables."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.critical("deliveries of a subscription end: %s", fault, exc_info=fault)
