"""Hears of every process that ends below us: children of ours, and orphans that the kernel gave us."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator

from infra.embedded.process import adopt_orphans, children_of, send

SWEEP_INTERVAL_S = 0.01
SWEEP_TIMEOUT_S = 2.0
"""What waits for a disk cannot be killed, and is not waited for."""


class Reaper:
    """The parent of everything below; nothing else in this process may wait for a child."""

    def __init__(self) -> None:
        self._awaited: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}

    @contextlib.contextmanager
    def reaping(self) -> Generator[None]:
        """While this lasts, whatever ends is noticed at once, without polling."""
        adopt_orphans()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)

    def watch(self, process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
        """The return code of a process just started, once it has ended (negative: the signal)."""
        exited = asyncio.get_running_loop().create_future()
        self._awaited[process.pid] = (process, exited)
        return exited

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process, exited = self._awaited.pop(pid, (None, None))
            if process is not None and exited is not None:
                process.returncode = os.waitstatus_to_exitcode(status)
                if not exited.done():
                    exited.set_result(process.returncode)

    def orphans(self) -> list[int]:
        """Living processes that became ours when their own parent died."""
        return [pid for pid in children_of(os.getpid()) if pid not in self._awaited]

    async def end_orphans(self) -> None:
        """Kill what a dead child left behind, and what that left behind, until nothing is left."""
        await _end(self.orphans)

    async def end_all(self) -> None:
        """Kill everything below us."""
        await _end(lambda: children_of(os.getpid()))


async def _end(found: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + SWEEP_TIMEOUT_S
    while (pids := found()) and time.monotonic() < deadline:
        for pid in pids:
            send(pid, signal.SIGKILL)
        await asyncio.sleep(SWEEP_INTERVAL_S)
