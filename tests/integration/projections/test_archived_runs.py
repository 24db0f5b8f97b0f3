"""Archived runs stay in the lists and can be read as before; read models equal the log, archived or restored."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from flowforge.events import Event, RetentionApplied, RunCancelled, RunRetried, RunRetryRequested
from histories import START, Clock, append_chain_run, append_chain_runs, created, new
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from listening import listening
from serving import served
from test_rebuild import append_histories, histories

from infra.archive import ArchivedEventLog
from infra.archive.moving import RETENTION_STREAM, moving, restore
from infra.eventlog import Append, Appended, EventLog, StreamAppend
from infra.failpoints import KILLED_EXIT_STATUS
from infra.settings import Settings
from services.projections import store
from services.projections.api import create_app
from services.projections.archiving import archive_older
from services.projections.loop import Loop
from services.projections.projector import Projector
from services.projections.rebuild import rebuild, verify
from services.projections.settings import LoopSettings, ReadSettings

LATER = START + timedelta(days=1)


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.archive_folder


@pytest.fixture
def settings(service_dsn: str, tmp_path: Path) -> Settings:
    return Settings(database_url=service_dsn, home=tmp_path)


@pytest.fixture
async def log(service_dsn: str, folder: Path) -> AsyncIterator[ArchivedEventLog]:
    async with await ArchivedEventLog.open(service_dsn, folder) as opened:
        yield opened


async def caught_up(live: Loop, log: EventLog) -> None:
    async with asyncio.timeout(10):
        while live.position < (await log.head()).position:
            await asyncio.sleep(0.01)


async def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_read_models_equal_the_log_through_archive_and_restore_live_and_rebuilt(
    live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path
):
    clock = Clock()
    await log.append([created()])
    runs = await append_chain_runs(log, clock, range(8))
    runs.append(await append_chain_run(log, clock, 9, fails=True))
    await caught_up(live, log)
    before = await rows(service_dsn, "select * from projections.node_runs order by run_id, node_id")
    done = await archive_older(service_dsn, folder, LATER, actor="ada")
    assert (done.runs_count, done.files) == (9, ["runs-000001.jsonl.gz"])
    await caught_up(live, log)
    assert await rows(service_dsn, "select * from projections.node_runs") == []
    assert len(await rows(service_dsn, "select 1 from projections.runs where archive = 'runs-000001.jsonl.gz'")) == 9
    assert (await verify(log, service_dsn)).difference is None

    async with moving(service_dsn) as connection:
        await restore(connection, folder / done.files[0])
    await caught_up(live, log)
    assert await rows(service_dsn, "select * from projections.node_runs order by run_id, node_id") == before
    assert (await verify(log, service_dsn)).difference is None
    await rebuild(log, service_dsn)
    assert await rows(service_dsn, "select * from projections.node_runs order by run_id, node_id") == before

    retry = [RunRetryRequested(cleared=["b", "c"]), RunRetried(cleared=["b", "c"])]
    version = len(await log.read_stream(runs[-1]))
    answer = await log.append([Append([StreamAppend("run", runs[-1], version, new(*retry))], clock())])
    assert isinstance(answer[0], Appended)
    await caught_up(live, log)
    again = await archive_older(service_dsn, folder, LATER)
    assert again.runs_count == 8
    await caught_up(live, log)
    assert (await verify(log, service_dsn)).difference is None


async def test_an_archived_run_is_listed_and_read_as_before(
    client: httpx.AsyncClient, live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path
):
    await log.append([created()])
    run_id, *_ = await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    paths = [
        f"/api/runs/{run_id}{rest}" for rest in ("", "/nodes/b", "/events", "/metrics", "/timeline", "/jobs", "/logs")
    ]
    at = f"/api/runs/{run_id}/state?at={(await log.read_stream(run_id))[5].position}"
    before = {path: (await client.get(path)).json() for path in (*paths, at)}
    await archive_older(service_dsn, folder, LATER)
    await caught_up(live, log)
    for path, answer in before.items():
        found = (await client.get(path)).json()
        if path == paths[0]:
            assert found["archive"] == "runs-000001.jsonl.gz"
            found["archive"] = None
        assert found == answer, path
    listed = (await client.get("/api/runs")).json()["items"]
    assert [run["status"] for run in listed] == ["completed"] * 3
    assert {run["archive"] for run in listed} == {"runs-000001.jsonl.gz"}


async def test_a_read_of_a_missing_archive_says_which_and_lists_go_on(
    client: httpx.AsyncClient, live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path
):
    await log.append([created()])
    run_id, *_ = await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    await archive_older(service_dsn, folder, LATER)
    await caught_up(live, log)
    (folder / "runs-000001.jsonl.gz").unlink()
    answer = await client.get(f"/api/runs/{run_id}/events")
    assert answer.status_code == 503
    assert "archive runs-000001.jsonl.gz cannot be read: it is not there" in answer.json()["detail"]
    assert len((await client.get("/api/runs")).json()["items"]) == 3


async def test_a_stream_resumed_within_archived_events_goes_on_there(
    client: httpx.AsyncClient, live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path
):
    await log.append([created()])
    run_id, *_ = await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    before = await log.read(0)
    of_run = [event.position for event in before if event.stream_id == run_id]
    await archive_older(service_dsn, folder, LATER)
    head = (await log.head()).position
    for after in (0, of_run[4]):
        async with listening(client, f"/api/runs/{run_id}/stream", after or None) as stream:
            assert [message.position for message in await stream.rest()] == [each for each in of_run if each > after]
    over = await client.get(f"/api/runs/{run_id}/stream", headers={"Last-Event-ID": str(of_run[-1])})
    assert over.status_code == 204
    async with listening(client, "/api/stream", of_run[4]) as stream:
        heard = await stream.take(head - of_run[4])
    assert [message.position for message in heard] == list(range(of_run[4] + 1, head + 1))
    async with listening(client, "/api/stream?workflow_id=chain", of_run[4]) as stream:
        told = [event.position for event in before if event.position > of_run[4]]
        assert [message.position for message in await stream.take(len(told))] == told


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_a_stream_resumed_within_an_archive_that_cannot_be_read_is_refused_not_skipped(
    client: httpx.AsyncClient, live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path, is_damaged: bool
):
    await log.append([created()])
    run_id, *_ = await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    await archive_older(service_dsn, folder, LATER)
    file = folder / "runs-000001.jsonl.gz"
    content = bytearray(file.read_bytes())
    file.unlink()
    if is_damaged:
        content[len(content) // 3] ^= 0xFF
        file.write_bytes(content)
    for path in (f"/api/runs/{run_id}/stream", "/api/stream", "/api/stream?workflow_id=chain&types=RunFailed"):
        refused = await client.get(path, headers={"Last-Event-ID": "2"})
        assert (refused.status_code, refused.json()["code"]) == (410, "ARCHIVE_UNREADABLE"), path
        assert "archive runs-000001.jsonl.gz" in refused.json()["detail"]
        assert "from a backup; or begin anew without Last-Event-ID" in refused.json()["detail"]
    async with client.stream("GET", "/api/stream") as answer:  # from now on
        assert answer.status_code == 200


async def test_a_stream_that_meets_an_unreadable_archive_on_its_way_ends_where_the_next_answer_says_why(
    live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path, settings: Settings, keys: dict[str, str]
):
    await log.append([created()])
    await append_chain_runs(log, Clock(), range(1, 4))
    await caught_up(live, log)
    await archive_older(service_dsn, folder, LATER)
    first = (await log.head()).position
    await append_chain_runs(log, Clock(), range(4, 7))
    await caught_up(live, log)
    await archive_older(service_dsn, folder, LATER)
    (folder / "runs-000002.jsonl.gz").unlink()
    async with served(create_app(settings, ReadSettings(stream_page_count=10, stream_poll_s=0.02))) as client:
        client.headers["authorization"] = f"Bearer {keys['viewer']}"
        path = "/api/stream?types=RunFailed"
        async with listening(client, path, 1) as stream:
            assert await stream.rest() == []
        assert 1 < int(stream.last_id) < first + 2
        refused = await client.get(path, headers={"Last-Event-ID": stream.last_id})
        assert refused.status_code == 410
        assert "runs-000002.jsonl.gz" in refused.json()["detail"]


async def test_a_family_is_archived_whole_or_not_at_all(
    live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path
):
    clock = Clock()
    await log.append([created()])
    parent = await append_chain_run(log, clock, 1)
    child = await append_chain_run(log, clock, 2, parent_run_id=parent, parent_node_id="b")
    grandchild = await append_chain_run(log, clock, 3, parent_run_id=child, parent_node_id="b")
    alone = await append_chain_run(log, clock, 4)
    version = len(await log.read_stream(grandchild))
    retry = [RunRetryRequested(cleared=["c"]), RunRetried(cleared=["c"])]
    await log.append([Append([StreamAppend("run", grandchild, version, new(*retry))], clock())])
    await caught_up(live, log)
    dry = await archive_older(service_dsn, folder, LATER, dry_run=True)
    assert (dry.runs_count, dry.files, folder.exists()) == (1, [], False)
    await archive_older(service_dsn, folder, LATER)
    assert set(await log.archived([parent, child, grandchild, alone])) == {alone}


async def test_only_what_ended_before_is_archived(live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path):
    await log.append([created()])
    await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    assert (await archive_older(service_dsn, folder, START)).runs_count == 0


async def test_what_is_no_longer_listed_is_gone_live_and_rebuilt(live: Loop, log: ArchivedEventLog, service_dsn: str):
    clock = Clock()
    await log.append([created()])
    await append_chain_runs(log, clock, range(4))
    await caught_up(live, log)
    [(middle,)] = await rows(service_dsn, "select max(position) from projections.received_events")
    applied = RetentionApplied(decisions_before_position=int(str(middle)))
    await log.append([Append([StreamAppend("retention", RETENTION_STREAM, 0, new(applied))], clock())])
    await caught_up(live, log)
    assert await rows(service_dsn, "select position from projections.received_events") == [(middle,)]
    assert (await verify(log, service_dsn)).difference is None


@pytest.mark.parametrize("point", ["archive.after_file", "archive.after_commit"])
async def test_a_kill_while_archiving_loses_nothing_and_the_next_pass_goes_on(
    live: Loop, log: ArchivedEventLog, service_dsn: str, folder: Path, point: str
):
    await log.append([created()])
    runs = await append_chain_runs(log, Clock(), range(3))
    before = await log.read(0, 1000)
    await caught_up(live, log)
    environment = {**os.environ, "FLOWFORGE_DATABASE_URL": service_dsn, "FLOWFORGE_HOME": str(folder.parent)}
    for armed, expected in ((f"{point}=die", KILLED_EXIT_STATUS), ("", 0)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.projections", "archive", "--older-than", "0", "--json",
            env={**environment, "FLOWFORGE_FAILPOINTS": armed},
        )  # fmt: skip
        assert await process.wait() == expected
        assert (await log.read(0, 1000))[: len(before)] == before
        await caught_up(live, log)
    assert set(await log.archived(runs)) == set(runs)
    assert [path.name for path in folder.iterdir()] == ["runs-000001.jsonl.gz"]
    assert (await verify(log, service_dsn)).is_equal


async def test_any_history_archived_restored_and_retried_gives_the_rows_of_a_rebuild_in_any_batches(
    service_dsn: str, log: ArchivedEventLog, folder: Path
):
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    await store.create_tables(connection, store.LIVE_SCHEMA, (await log.head()).incarnation)
    await log.append([created()])
    clock = Clock()
    number = 0

    async def follow(size: int) -> None:
        projector = Projector(log, connection, cached_runs_max=3)
        await projector.start()
        while await projector.advance(size):
            pass

    async def retry(run_id: UUID, events: list[Event]) -> None:
        cleared = ["a", "c"]
        again: list[Event] = [RunRetryRequested(cleared=cleared), RunRetried(cleared=cleared, resumed=["b"]), *events]
        version = len(await log.read_stream(run_id))
        stream = StreamAppend("run", run_id, version, new(*again, RunCancelled(reason="")))
        assert isinstance((await log.append([Append([stream], clock())]))[0], Appended)

    async def archived_and_back(size: int) -> None:
        done = await archive_older(service_dsn, folder, LATER)
        await follow(size)
        async with moving(service_dsn) as mover:
            for file in done.files:
                await restore(mover, folder / file)

    async def check(runs: list[list[Event]], sizes: list[int]) -> None:
        nonlocal number
        number += 1
        run_ids = await append_histories(log, [[*run, RunCancelled(reason="")] for run in runs], clock, number)
        await follow(sizes[0])
        await archived_and_back(sizes[1])
        for run_id, events in zip(run_ids[1:], runs, strict=False):
            await retry(run_id, events)
        await follow(sizes[2])
        if number % 2:
            await archived_and_back(sizes[1])
            await follow(sizes[0])
        for size, cached_runs_max in zip(sizes, (1, 3, 20_000), strict=True):
            settings = LoopSettings(rebuild_batch_size=size, cached_runs_max=cached_runs_max)
            verified = await verify(log, service_dsn, settings=settings)
            assert verified.is_equal, (verified.difference, settings)

    loop = asyncio.get_running_loop()

    @hypothesis_settings(
        max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(histories, st.lists(st.integers(2, 50), min_size=3, max_size=3))
    def property_(runs: list[list[Event]], sizes: list[int]) -> None:
        asyncio.run_coroutine_threadsafe(check(runs, sizes), loop).result(60)

    await asyncio.to_thread(property_)
    await connection.close()
