"""Keeps one process alive: starts it, waits until it is ready, starts it again when it dies, stops it in the end."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable

from infra.embedded.home import ProcessState
from infra.embedded.process import send
from infra.embedded.reaper import Reaper

START_INTERVALS_S = (0.0, 0.25, 0.5, 1.0, 2.0)
"""How far apart two starts are at least, by how many early deaths preceded; the last one holds for ever."""
EARLY_DEATH_S = 10.0
"""A process that lived longer had started well: its next death counts from zero."""
PROBE_INTERVAL_S = 0.02
KILL_WAIT_S = 2.0
NOT_STARTED = 127
"""The return code of what could not even be started, as a shell has it."""

Launch = Callable[[int], subprocess.Popen[bytes]]
"""Starts the process; the number is a descriptor it may write one byte to when it is ready."""


def restart_delay_s(early_deaths: int, lived_s: float) -> float:
    """How long to wait before the next start: none after a first death, never more than 2 s between two starts."""
    interval_s = START_INTERVALS_S[min(early_deaths, len(START_INTERVALS_S) - 1)]
    return max(0.0, interval_s - lived_s)


class Keeper:
    """One process that has to be there."""

    def __init__(
        self,
        name: str,
        reaper: Reaper,
        launch: Launch,
        *,
        probe: Callable[[int], bool] | None = None,
        when_back: Callable[[], Awaitable[None]] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_grace_s: float = 4.0,
    ) -> None:
        """`probe` asks whether the process (by id) is ready; without it the process says so itself.

        `when_back` runs each time it is ready again after a death, before it counts as ready.
        """
        self.name = name
        self.ready = asyncio.Event()
        self.first_death = asyncio.Event()
        self.changed: Callable[[], None] = lambda: None
        self.died: Callable[[int], None] = lambda _status: None
        self.could_not_start: Callable[[OSError], None] = lambda _error: None
        self.came_back: Callable[[float], None] = lambda _after_s: None
        self._reaper, self._launch, self._probe = reaper, launch, probe
        self._when_back = when_back
        self._stop_signal, self._stop_grace_s = stop_signal, stop_grace_s
        self._stopping = asyncio.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._exited: asyncio.Future[int] | None = None
        self._starts = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> ProcessState:
        return ProcessState(self._process.pid if self._process else None, self._starts, self.ready.is_set())

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """Ask it to end, insist after the grace, and start it no more."""
        self._stopping.set()
        if self._exited is not None and self._process is not None and not self._exited.done():
            send(self._process.pid, self._stop_signal)
            await asyncio.wait([self._exited], timeout=self._stop_grace_s)
            await self._kill()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._kill()  # one that was started while we looked

    async def _kill(self) -> None:
        if self._exited is not None and self._process is not None and not self._exited.done():
            send(self._process.pid, signal.SIGKILL)
            await asyncio.wait([self._exited], timeout=KILL_WAIT_S)

    async def _keep(self) -> None:
        loop, early_deaths, died_at = asyncio.get_running_loop(), 0, None
        while not self._stopping.is_set():
            started_at = loop.time()
            status = await self._live(died_at)
            if self._stopping.is_set():
                return
            died_at, lived_s = loop.time(), loop.time() - started_at
            early_deaths = early_deaths if lived_s < EARLY_DEATH_S else 0
            self.first_death.set()
            self.died(status)
            await self._reaper.end_orphans()
            await asyncio.sleep(restart_delay_s(early_deaths, lived_s))
            early_deaths += 1

    async def _live(self, died_at: float | None) -> int:
        """From start to death; the return code."""
        reader, writer = os.pipe()
        try:
            self._process = self._launch(writer)
        except OSError as error:
            os.close(reader)
            self.could_not_start(error)
            return NOT_STARTED
        finally:
            os.close(writer)
        exited = self._exited = self._reaper.watch(self._process)
        self._starts += 1
        self.changed()
        becoming_ready = asyncio.create_task(self._become_ready(self._process.pid, reader, died_at))
        try:
            return await asyncio.shield(exited)
        finally:
            becoming_ready.cancel()
            await asyncio.wait([becoming_ready])
            if exited.done():
                self._process = None
            self.ready.clear()
            self.changed()

    async def _become_ready(self, pid: int, reader: int, died_at: float | None) -> None:
        try:
            if self._probe is None:
                await _one_byte(reader)
            else:
                while not self._probe(pid):  # noqa: ASYNC110  it is another process
                    await asyncio.sleep(PROBE_INTERVAL_S)
        finally:
            os.close(reader)
        if died_at is not None and self._when_back is not None:
            await self._when_back()
        self.ready.set()
        self.changed()
        if died_at is not None:
            self.came_back(asyncio.get_running_loop().time() - died_at)


async def _one_byte(reader: int) -> None:
    """Wait for a byte on `reader`; an end without one is waited for as well: the death tells the rest."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(reader, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(reader)
    if not os.read(reader, 1):
        await loop.create_future()
