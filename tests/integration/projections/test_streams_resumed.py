"""Live streams that break and go on: each event once, whatever the cut; and who must not go on is told so."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from histories import Clock, append_chain_run, append_chain_runs, created
from httpx import AsyncClient
from listening import listening
from serving import served

from infra.archive import ArchivedEventLog
from infra.eventlog import EventLog, StoredEvent
from infra.settings import Settings
from services.projections.api import create_app
from services.projections.loop import Loop
from services.projections.rebuild import rebuild
from services.projections.settings import ReadSettings

RUNS = 30
EVENTS = RUNS * 13


@asynccontextmanager
async def reading(settings: Settings, keys: dict[str, str], limits: ReadSettings) -> AsyncGenerator[AsyncClient]:
    async with served(create_app(settings, limits)) as client:
        client.headers["authorization"] = f"Bearer {keys['viewer']}"
        yield client


@pytest.mark.parametrize("seed", range(3))
async def test_cut_anywhere_and_served_by_another_process_each_event_is_heard_once(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog, seed: int
):
    chance = random.Random(seed)
    limits = ReadSettings(stream_poll_s=0.01, stream_page_count=chance.choice([7, 50]))
    await log.append([created()])
    first = told = (await log.head()).position
    telling = asyncio.create_task(append_chain_runs(log, Clock(), range(RUNS)))
    heard: list[int] = []
    while len(heard) < EVENTS:
        async with reading(settings, keys, limits) as client:  # another one each time
            for _ in range(chance.randint(1, 3)):
                count = min(chance.randint(0, EVENTS // 4), EVENTS - len(heard))
                async with listening(client, "/api/stream", told) as stream:
                    heard += [message.position for message in await stream.take(count)]
                told = heard[-1] if heard else told
    await telling
    assert heard == list(range(first + 1, first + EVENTS + 1))


async def test_a_position_of_another_log_is_refused_though_it_lies_within_this_one(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    for path in (f"/api/runs/{run_id}/stream", "/api/stream"):
        async with client.stream("GET", path) as answer:
            known = answer.headers["flowforge-incarnation"]
            assert answer.headers["flowforge-position"] == ("0" if "runs" in path else str((await log.head()).position))
        resumed = {"Last-Event-ID": "1", "FlowForge-Incarnation": known}
        async with client.stream("GET", path, headers=resumed) as answer:
            assert answer.status_code == 200
        other = {**resumed, "FlowForge-Incarnation": known[::-1]}
        refused = await client.get(path, headers=other)
        assert (refused.status_code, refused.json()["code"]) == (409, "LOG_CHANGED")
        assert "begin anew" in refused.json()["detail"]


async def test_one_listener_more_than_may_be_is_refused_and_comes_in_when_another_has_left(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog
):
    async with reading(settings, keys, ReadSettings(listeners_max=2, stream_poll_s=0.01)) as client:
        async with listening(client, "/api/stream"), listening(client, "/api/stream"):
            await _opened(client, 503)
            refused = await client.get("/api/stream")
            assert refused.json()["code"] == "TOO_MANY_STREAMS"
            assert "2 live streams are open" in refused.json()["detail"]
            assert refused.headers["retry-after"] == "5"
        await _opened(client, 200)


async def _opened(client: AsyncClient, status: int) -> None:
    """Until one more is answered so."""
    while True:
        async with client.stream("GET", "/api/stream") as answer:
            if answer.status_code == status:
                return
        await asyncio.sleep(0.01)


async def test_many_events_come_in_few_messages_of_the_network_and_a_lone_one_at_once(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog
):
    async with reading(settings, keys, ReadSettings(stream_pause_s=0.2, stream_poll_s=0.01)) as client:
        async with client.stream("GET", "/api/stream") as answer:
            chunks = answer.aiter_raw()
            assert await anext(chunks) == b": connected\n\n"
            clock, count, flushes = Clock(), 0, 0
            telling = asyncio.create_task(_append_slowly(log, clock))
            while count < 20 * 13:
                count += (await anext(chunks)).count(b"\nid: ")
                flushes += 1
            await telling
        assert flushes < 20


async def _append_slowly(log: EventLog, clock: Clock) -> None:
    for number in range(20):
        await append_chain_run(log, clock, number)


async def test_only_events_of_the_types_that_are_asked_for_are_told(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    async with listening(client, f"/api/runs/{run_id}/stream?types=RunStarted,NodeCompleted") as stream:
        heard = await stream.rest()
    assert [message.type for message in heard] == ["RunStarted", "NodeCompleted", "NodeCompleted", "NodeCompleted"]
    path, resumed = f"/api/runs/{run_id}/stream?types=RunStarted", {"Last-Event-ID": stream.last_id}
    assert (await client.get(path, headers=resumed)).status_code == 204  # an EventSource does not come again for ever
    refused = await client.get("/api/stream?types=RunStartd")
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "query.types")


async def test_who_hears_nothing_is_told_how_far_the_log_has_been_looked_at(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog
):
    async with reading(settings, keys, ReadSettings(stream_keep_alive_s=0.1, stream_poll_s=0.01)) as client:
        await log.append([created()])
        for number, path in enumerate(("/api/stream?types=RunFailed", "/api/stream?workflow_id=chain&types=RunFailed")):
            begun = (await log.head()).position
            async with listening(client, path, begun) as stream, asyncio.timeout(10):
                await append_chain_runs(log, Clock(), range(10 * number, 10 * number + 3))
                head = (await log.head()).position
                while stream.last_id != str(head):
                    await stream.id_moved()
                await append_chain_run(log, Clock(), 10 * number + 3, fails=True)
                [failed] = await stream.take(1)
                assert failed.type == "RunFailed"
                assert failed.position > head


async def test_to_connect_to_a_run_reads_no_more_of_it_than_a_page(
    live: Loop, client: AsyncClient, log: EventLog, monkeypatch: pytest.MonkeyPatch
):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    read: list[StoredEvent] = []
    read_stream = ArchivedEventLog.read_stream

    async def noted(
        self: ArchivedEventLog, stream_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[StoredEvent]:
        found = await read_stream(self, stream_id, after_version, limit)
        read.extend(found)
        return found

    monkeypatch.setattr(ArchivedEventLog, "read_stream", noted)
    events = [event.position for event in await log.read_stream(run_id)]
    async with listening(client, f"/api/runs/{run_id}/stream", events[-3]) as stream:
        assert [message.position for message in await stream.rest()] == events[-2:]
    over = await client.get(f"/api/runs/{run_id}/stream", headers={"Last-Event-ID": str(events[-1])})
    assert over.status_code == 204
    assert [event.position for event in read] == events[-2:]


async def test_a_listener_that_reads_nothing_is_kept_waiting_with_little(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog
):
    limits = ReadSettings(stream_poll_s=0.01, listener_backlog_max=50, stream_page_count=20, stream_pause_s=0.0)
    async with reading(settings, keys, limits) as client:
        head = (await log.head()).position
        async with listening(client, "/api/stream") as slow, listening(client, "/api/stream") as quick:
            await append_chain_runs(log, Clock(), range(100))
            assert len(await quick.take(1_300)) == 1_300
            heard = await slow.take(1_300)
        assert [message.position for message in heard] == list(range(head + 1, head + 1_301))


async def test_a_stream_goes_on_across_a_rebuild(live: Loop, client: AsyncClient, log: EventLog, service_dsn: str):
    await log.append([created()])
    clock, head = Clock(), (await log.head()).position
    async with listening(client, "/api/stream") as wide, listening(client, "/api/stream?workflow_id=chain") as narrow:
        telling = asyncio.create_task(append_chain_runs(log, clock, range(RUNS)))
        before = await wide.take(5)
        await rebuild(log, service_dsn)
        await telling
        last_run = await append_chain_run(log, clock, RUNS)
        heard = before + await wide.take(EVENTS + 13 - 5)
        assert [message.position for message in heard] == list(range(head + 1, head + EVENTS + 14))
        of_runs = [message.position for message in heard if message.data["stream"].startswith("run/")]
        assert [message.position for message in await narrow.take(len(of_runs))] == of_runs
    async with listening(client, f"/api/runs/{last_run}/stream", heard[-3].position) as stream:
        assert [message.position for message in await stream.rest()] == [each.position for each in heard[-2:]]
