"""A worker's surroundings: execution played by the test on a real nats-server."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from flowforge import Worker, jobs, serving

from tests.integration.workers.executing import Execution

MakeWorker = Callable[..., Worker]


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
