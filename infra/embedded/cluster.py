"""A whole FlowForge as a child process, for tests, the demo and the benchmark.

`async with Cluster(home) as cluster` starts `up` on free ports, waits until it is ready, and stops it in the end;
in between processes can be found and killed by name.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from infra.embedded import logs
from infra.embedded.home import Endpoints, Home, Processes
from infra.embedded.process import send, spawn
from infra.embedded.services import Service
from infra.embedded.supervisor import START_TIMEOUT_S, STOP_TIMEOUT_S

LOOK_INTERVAL_S = 0.02
READY_TIMEOUT_S = 30.0


class ClusterError(RuntimeError):
    """The system did not start, or did not do in time what was waited for."""


class Cluster:
    """One `up` of its own, below `home`, on free ports."""

    def __init__(
        self,
        home: Path,
        *,
        services: Sequence[Service] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`services` replaces FlowForge's own; `env` goes to `up` and from there to every service."""
        self.home = Home(home)
        self._services = services
        self._environment = {**os.environ, "FLOWFORGE_HTTP_PORT": "0", "FLOWFORGE_NATS_PORT": "0", **(env or {})}
        self._environment["FLOWFORGE_HOME"] = str(self.home.folder)
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start and wait until everything is ready. Raises ClusterError with what `up` said."""
        self.home.folder.mkdir(parents=True, exist_ok=True)
        self._process = spawn(
            [sys.executable, "-m", "infra.embedded.supervisor", *self._services_option()],
            env=self._environment,
            log=self.log,
            death_signal=signal.SIGTERM,
        )
        try:
            await self._until(lambda: self._state().is_up, START_TIMEOUT_S, "everything is up")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> int:
        """Stop as Ctrl-C does; the exit status. What does not stop in time is killed, and that is an error."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(process.wait, STOP_TIMEOUT_S + 2)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
            raise ClusterError(f"not stopped within {STOP_TIMEOUT_S} s:\n{self.said()}") from None

    async def kill_supervisor(self) -> None:
        """kill -9 of `up` itself."""
        assert self._process is not None
        process, self._process = self._process, None
        process.kill()
        await asyncio.to_thread(process.wait)

    @property
    def log(self) -> Path:
        """What `up` said, of all starts."""
        return self.home.folder / "up.log"

    def said(self) -> str:
        return logs.tail(self.log)

    @property
    def endpoints(self) -> Endpoints:
        return msgspec.json.decode(self.home.endpoints_file.read_bytes(), type=Endpoints)

    @property
    def admin_key(self) -> str:
        return self.home.admin_key_file.read_text().strip()

    @property
    def supervisor_pid(self) -> int:
        return self._state().supervisor

    def names(self) -> list[str]:
        """The processes kept alive, servers among them."""
        return list(self._state().processes)

    def pid(self, name: str) -> int:
        """The process id of `name` now. Raises ClusterError while it is down."""
        state = self._state().processes.get(name)
        if state is None or state.pid is None:
            raise ClusterError(f"{name} is not running")
        return state.pid

    def starts(self, name: str) -> int:
        """How often `name` was started by this `up`."""
        return self._state().processes[name].starts

    def kill(self, name: str, which: signal.Signals = signal.SIGKILL) -> int:
        """Signal `name`, as a fault does; its process id."""
        pid = self.pid(name)
        send(pid, which)
        return pid

    async def wait_ready(
        self, name: str | None = None, *, after: int | None = None, timeout_s: float = READY_TIMEOUT_S
    ) -> None:
        """Wait until `name` (None: everything) is ready; with `after`, as another process than that one."""

        def is_ready() -> bool:
            states = self._state().processes
            chosen = [states[name]] if name is not None and name in states else list(states.values())
            return bool(chosen) and all(state.is_ready and state.pid != after for state in chosen)

        await self._until(is_ready, timeout_s, f"{name or 'everything'} is ready")

    async def restart(self, name: str) -> None:
        """Kill `name` and wait until another process has taken its place."""
        await self.wait_ready(name, after=self.kill(name))

    def _services_option(self) -> list[str]:
        if self._services is None:
            return []
        file = self.home.folder / "services.json"
        file.write_bytes(msgspec.json.encode(self._services))
        return ["--services", str(file)]

    def _state(self) -> Processes:
        """What the running `up` wrote last; nothing of an earlier one counts."""
        pid = self._process.pid if self._process is not None else 0
        try:
            state = msgspec.json.decode(self.home.processes_file.read_bytes(), type=Processes)
        except (FileNotFoundError, msgspec.DecodeError):
            return Processes(pid, False, {})
        return state if state.supervisor == pid else Processes(pid, False, {})

    async def _until(self, is_so: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not is_so():
            if self._process is None or self._process.poll() is not None:
                raise ClusterError(f"`up` ended before {what}:\n{self.said()}")
            if asyncio.get_running_loop().time() > deadline:
                raise ClusterError(f"not within {timeout_s} s: {what}\n{self.said()}\n{self._state()}")
            await asyncio.sleep(LOOK_INTERVAL_S)
