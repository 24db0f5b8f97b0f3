"""kill -9 of every process, one after the other, while events come in: it is back, and nothing is lost or done twice."""

import asyncio
import contextlib
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from nats.js.client import JetStreamContext

from infra.embedded.cluster import Cluster
from tests.e2e.stranger import Stranger, bash, edge, fresh, transform, workflow

BACK_S_MAX = 3.0
"""Half of all processes at least: tests run beside this one, and take the machine for moments. What one takes on a quiet
machine, at most a second, is measured by `make bench`."""
BACK_WHATEVER_RUNS_BESIDE_S_MAX = 9.0
COMPLETED_S_MAX = 45
EVENTS = 40
pytestmark = [pytest.mark.timeout(100), pytest.mark.faults]


@pytest.fixture
async def system(server_home: Path) -> AsyncIterator[Cluster]:
    """One for this test alone, since its processes are killed."""
    async with Cluster(server_home / fresh("killed")) as cluster:
        yield cluster


async def publish(stream: JetStreamContext, kind: str, number: int) -> None:
    """Until it is acknowledged, as an external system does; the same event each time."""
    event = {"specversion": "1.0", "id": f"{kind}-{number}", "source": "/tests", "type": kind, "data": {"n": number}}
    while True:
        try:
            await stream.publish("flowforge.inbox.load", json.dumps(event).encode(), timeout=2)
        except Exception:  # noqa: BLE001 whatever nats-py says while its server is away
            await asyncio.sleep(0.02)
        else:
            return


async def test_every_process_killed_under_load_is_back_and_nothing_is_lost(system: Cluster):
    kind = fresh("load")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind}, "input": {"n": "${event.data.n}"}}
    definition = workflow(
        transform("a"), bash("b", "true"), transform("c"), edges=[edge("a", "b"), edge("b", "c")], triggers=[trigger]
    )
    with Stranger(system.home.folder) as stranger:
        stranger.save(definition)
        names = system.names()
        assert len(names) >= 8
        took_s: dict[str, float] = {}
        async with stranger.nats() as connection:
            stream = connection.jetstream()
            for name in names:
                before = system.pid(name)
                load = asyncio.gather(
                    *(publish(stream, f"{kind}", 1000 * names.index(name) + n) for n in range(EVENTS))
                )
                killed_at = time.monotonic()
                await system.restart(name)
                took_s[name] = time.monotonic() - killed_at
                assert system.pid(name) != before
                await load
        assert statistics.median(took_s.values()) < BACK_S_MAX, took_s
        assert max(took_s.values()) < BACK_WHATEVER_RUNS_BESIDE_S_MAX, took_s
        expected = sorted(1000 * index + n for index in range(len(names)) for n in range(EVENTS))
        await asyncio.to_thread(_until_all_completed, stranger, definition["id"], len(expected))
        runs = list(stranger.all("/api/runs", workflow_id=definition["id"], limit=1000))
        assert sorted(run["input_data"]["n"] for run in runs) == expected
        assert {run["status"] for run in runs} == {"completed"}
        verified = await asyncio.to_thread(stranger.cli, "verify")
        assert verified.status == 0, verified.out + verified.err


def _until_all_completed(stranger: Stranger, slug: str, count: int) -> None:
    deadline, found = time.monotonic() + COMPLETED_S_MAX, Counter[str]()
    while found != {"completed": count}:
        assert time.monotonic() < deadline, f"of {count} runs: {dict(found)}"
        with contextlib.suppress(AssertionError, httpx.HTTPError):
            found = Counter(run["status"] for run in stranger.all("/api/runs", workflow_id=slug, limit=1000))
        time.sleep(0.1)
