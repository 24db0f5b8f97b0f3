"""What is measured: a whole FlowForge of its own, one worker, and a publisher with an external system's login."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import httpx
import nats
import psutil
from flowforge.identity import new_uuid
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.embedded.cluster import Cluster
from infra.embedded.home import Home

HERE = Path(__file__).parent
RUN_WAIT_S = 120.0


class Bench:
    """Publishes events that fire triggers, and hears what becomes of them."""

    def __init__(self, cluster: Cluster, client: Client, http: httpx.AsyncClient) -> None:
        self.cluster = cluster
        self.http = http
        self._client = client
        self._jetstream = client.jetstream(publish_async_max_pending=8000)
        self._count = 0
        self._goal = 0
        self._reached = asyncio.Event()
        self._at: dict[str, float] = {}

    async def listen(self) -> None:
        await self._client.subscribe("flowforge.runs.*.*.RunCompleted", cb=self._ended)

    async def _ended(self, _message: Msg) -> None:
        self._count += 1
        if self._count >= self._goal:
            self._reached.set()

    def expect(self, runs: int) -> None:
        """Count from here to so many endings."""
        self._count, self._goal = 0, runs
        self._reached.clear()

    async def reached(self, wait_s: float = RUN_WAIT_S) -> None:
        async with asyncio.timeout(wait_s):
            await self._reached.wait()

    async def save(self, definition: dict[str, Any]) -> None:
        answer = await self.http.post("/api/workflows", json=definition)
        answer.raise_for_status()

    async def fire(self, event_type: str) -> None:
        """One event, acknowledged by the inbox."""
        await self._jetstream.publish("flowforge.inbox.bench", event(event_type))

    async def fire_many(self, event_type: str, count: int) -> None:
        for _ in range(count):
            await self._jetstream.publish_async("flowforge.inbox.bench", event(event_type))
        await self._jetstream.publish_async_completed()

    async def seconds_of_one(self, event_type: str, wait_s: float = RUN_WAIT_S) -> float:
        """From the publish to hearing `RunCompleted`."""
        self.expect(1)
        start = time.perf_counter()
        await self.fire(event_type)
        await self.reached(wait_s)
        return time.perf_counter() - start

    async def milliseconds_to_start(self, event_type: str, count: int) -> list[float]:
        """From the publish to hearing `RunStarted`, run after run."""
        started = asyncio.Event()

        async def began(_message: Msg) -> None:
            started.set()

        subscription = await self._client.subscribe("flowforge.runs.*.*.RunStarted", cb=began)
        times: list[float] = []
        for _ in range(count):
            started.clear()
            self.expect(1)
            start = time.perf_counter()
            await self.fire(event_type)
            async with asyncio.timeout(RUN_WAIT_S):
                await started.wait()
            times.append((time.perf_counter() - start) * 1000)
            await self.reached()
        await subscription.unsubscribe()
        return times

    async def projected(self) -> None:
        """Wait until the read models have all that is logged now."""
        position = await self.head()
        answer = await self.http.get("/api/workflows", params={"after": position, "limit": 1}, timeout=60)
        while answer.status_code == 503:
            answer = await self.http.get("/api/workflows", params={"after": position, "limit": 1}, timeout=60)
        answer.raise_for_status()

    async def head(self) -> int:
        """The last position of the log."""

        connection = await asyncpg.connect(self.cluster.endpoints.database)
        try:
            return int(await connection.fetchval("select position from eventlog.head"))
        finally:
            await connection.close()


def event(event_type: str) -> bytes:
    """A CloudEvent as any system would write it."""
    return json.dumps(
        {"specversion": "1.0", "id": new_uuid().hex, "source": "/bench", "type": event_type, "data": {"k": 1}}
    ).encode()


def workflow(name: str, nodes: Sequence[str], edges: Sequence[tuple[str, str]], **settings: Any) -> dict[str, Any]:
    """A workflow of `job` nodes, fired by events of type `name`."""
    return {
        "id": name,
        "name": name,
        "nodes": [{"id": node, "type": "job", "job_type": "step"} for node in nodes],
        "edges": [{"source_node_id": a, "target_node_id": b} for a, b in edges],
        "triggers": [{"id": "on-event", "type": "event", "config": {"event_type": name}}],
        "settings": settings,
    }


def chain(name: str, length: int) -> dict[str, Any]:
    nodes = [f"n{i}" for i in range(length)]
    return workflow(name, nodes, list(itertools.pairwise(nodes)))


def wide(name: str, width: int) -> dict[str, Any]:
    nodes = [f"n{i}" for i in range(width)]
    return workflow(name, [*nodes, "join"], [(node, "join") for node in nodes], max_parallel_jobs=width)


@asynccontextmanager
async def running(home: Path, env: Mapping[str, str] | None = None) -> AsyncGenerator[Bench]:
    """The system up, its worker at work, and a publisher connected. `env`: what they get besides."""
    async with Cluster(home, env=env) as cluster:
        endpoints = cluster.endpoints
        environment = {
            **os.environ,
            "FLOWFORGE_NATS_URL": endpoints.worker_nats,
            "FLOWFORGE_HOME": str(home),
            **(env or {}),
        }
        worker = subprocess.Popen([sys.executable, str(HERE / "worker.py")], env=environment)
        client = await nats.connect(endpoints.nats)
        headers = {"Authorization": f"Bearer {cluster.admin_key}"}
        try:
            async with httpx.AsyncClient(base_url=endpoints.http, headers=headers, timeout=30) as http:
                bench = Bench(cluster, client, http)
                await bench.listen()
                yield bench
        finally:
            await client.close()
            worker.terminate()
            worker.wait()


def service_environment(cluster: Cluster) -> dict[str, str]:
    """What a service's process of this system would find in its environment."""
    credentials = Home(cluster.home.folder).credentials()
    parts = urlsplit(cluster.endpoints.database)
    host = parts.netloc.rpartition("@")[2]
    login = f"flowforge_service:{quote(credentials.postgres['service'])}"
    return {
        **os.environ,
        "FLOWFORGE_HOME": str(cluster.home.folder),
        "FLOWFORGE_DATABASE_URL": urlunsplit(parts._replace(netloc=f"{login}@{host}")),
        "FLOWFORGE_NATS_URL": cluster.endpoints.worker_nats,
    }


def python_memory_bytes(cluster: Cluster) -> int:
    """Proportional set size of all Python processes of the system, `up` included."""
    up = psutil.Process(cluster.supervisor_pid)
    return sum(p.memory_full_info().pss for p in (up, *up.children(recursive=True)) if "python" in p.name())


def cpu_seconds(cluster: Cluster) -> float:
    """Processor time used so far by the whole system, servers included."""
    up = psutil.Process(cluster.supervisor_pid)
    total = 0.0
    for process in (up, *up.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total
