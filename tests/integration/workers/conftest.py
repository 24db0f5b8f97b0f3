"""A worker's surroundings: execution played by the test on a real nats-server."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flowforge import Worker, jobs, serving

from tests.integration.workers.executing import Execution
from tests.integration.workers.own_server import Nats

MakeWorker = Callable[..., Worker]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
async def execution(nats_url: str, namespace: str) -> AsyncIterator[Execution]:
    async with Execution.on(nats_url, namespace) as playing:
        yield playing


@pytest.fixture
def make_worker(nats_url: str, namespace: str) -> MakeWorker:
    """A worker of this test's namespace, with a short grace."""

    def make(**options: Any) -> Worker:
        given: dict[str, Any] = {"nats_url": nats_url, "namespace": namespace, "stop_grace_s": 5.0, **options}
        return Worker(**given)

    return make


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> float:
    """Leases of a second, with heartbeats to match, so that tests of lost workers end soon."""
    monkeypatch.setattr(jobs, "JOB_LEASE_S", 1)
    monkeypatch.setattr(serving, "JOB_HEARTBEAT_S", 0.3)
    monkeypatch.setattr(serving, "TICK_S", 0.1)
    return 1.0


@pytest.fixture
def start(nats_url: str, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m services.workers` and answers once it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(**environment: str) -> subprocess.Popen[bytes]:
        hear, tell = os.pipe()
        own = {
            "FLOWFORGE_NATS_URL": nats_url, "FLOWFORGE_NAMESPACE": namespace, "FLOWFORGE_HOME": str(tmp_path / "home"),
            "FLOWFORGE_READY_FD": str(tell), "FLOWFORGE_SUPERVISED": "the-home", "SECRET_OF_THE_SERVICE": "no",
            "TMPDIR": str(tmp_path),
        }  # fmt: skip
        command = [sys.executable, "-m", "services.workers"]
        process = subprocess.Popen(command, env={**os.environ, **own, **environment}, pass_fds=[tell])
        started.append(process)
        os.close(tell)
        assert os.read(hear, 1) == b"1"
        os.close(hear)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
async def builtin(execution: Execution, start: Start) -> subprocess.Popen[bytes]:
    return await asyncio.to_thread(start)


@pytest.fixture
def builtin_execution(execution: Execution, builtin: subprocess.Popen[bytes]) -> Execution:
    """Execution, with the built-in worker at work."""
    return execution


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[Nats]:
    nats = Nats(tmp_path)
    yield nats
    nats.kill()
