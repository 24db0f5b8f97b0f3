"""Catalog killed or failing at each step of a save: the caller is answered, and the save is logged and said once."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import httpx
import nats
import pytest
from flowforge.subjects import Subjects

from tests.killing import points

HELLO = {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}]}
POINTS = points(
    "after_append", "turn_taken", "before_append", "after_publish", "before_acknowledge", "after_acknowledge"
)
Start = Callable[..., AbstractAsyncContextManager[Any]]


async def events(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["type"] for row in await connection.fetch("select type from eventlog.events order by position")]
    finally:
        await connection.close()


async def said(nats_url: str, namespace: str, count: int) -> list[str]:
    """The types of what was said of workflows, once there are as many."""
    connection = await nats.connect(nats_url)
    try:
        jetstream, stream = connection.jetstream(), Subjects(namespace).workflows_stream
        async with asyncio.timeout(10):
            while True:
                info = await jetstream.stream_info(stream, subjects_filter=">")
                if info.state.messages >= count:
                    return sorted(subject.rpartition(".")[2] for subject in info.state.subjects or {})
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


@pytest.mark.faults
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_each_step(
    http: httpx.AsyncClient, start: Start, postgres_dsn: str, nats_url: str, namespace: str, point: str
) -> None:
    async with start("catalog", FLOWFORGE_FAILPOINTS=f"catalog.{point}=die") as dying:
        asking = asyncio.create_task(http.post("/api/workflows", json=HELLO))
        await asyncio.to_thread(dying.wait, 10)
    async with start("catalog"):
        answer = await asking
        assert (answer.status_code, answer.json()["version"], answer.json()["position"]) == (201, 1, 1)
        again = await http.put("/api/workflows/hello", json={**HELLO, "name": "Two"})
        assert again.json()["version"] == 2
        assert await said(nats_url, namespace, 2) == ["WorkflowCreated", "WorkflowUpdated"]
    assert await events(postgres_dsn) == ["WorkflowCreated", "WorkflowUpdated"]


@pytest.mark.parametrize("point", POINTS)
async def test_failing_at_each_step(
    http: httpx.AsyncClient, start: Start, postgres_dsn: str, nats_url: str, namespace: str, point: str
) -> None:
    async with start("catalog", FLOWFORGE_FAILPOINTS=f"catalog.{point}=error"):
        answer = await http.post("/api/workflows", json=HELLO)
        assert (answer.status_code, answer.json()["version"], answer.json()["position"]) == (201, 1, 1)
        assert await said(nats_url, namespace, 1) == ["WorkflowCreated"]
    assert await events(postgres_dsn) == ["WorkflowCreated"]


async def test_two_catalogs_take_turns(http: httpx.AsyncClient, start: Start, postgres_dsn: str) -> None:
    async with start("catalog") as first:
        await http.post("/api/workflows", json=HELLO)
        first.kill()
        async with start("catalog"):
            answer = await http.put("/api/workflows/hello", json={**HELLO, "name": "Two"})
            assert answer.json()["version"] == 2
    assert await events(postgres_dsn) == ["WorkflowCreated", "WorkflowUpdated"]


async def test_secrets_that_were_replaced_or_deleted_are_swept_by_the_next_catalog(
    http: httpx.AsyncClient, start: Start, postgres_dsn: str
) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    async with start("catalog") as first:
        for name, value in (("token", "old"), ("token", "new"), ("other", "gone")):
            assert (await http.put(f"/api/secrets/{name}", json={"value": value})).is_success
        await http.delete("/api/secrets/other")
        await connection.execute("update secrets.sealed set created_at = now() - interval '2 minutes'")
        first.kill()
        async with start("catalog"), asyncio.timeout(20):
            while await connection.fetchval("select count(*) from secrets.sealed") != 1:
                await asyncio.sleep(0.05)
    await connection.close()
