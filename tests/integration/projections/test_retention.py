"""A pass of retention archives what is old, removes what nothing refers to, and says so in the log."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from flowforge.events import RetentionApplied, encode
from flowforge.identity import derived_uuid
from histories import START, Clock, append_chain_runs, created
from test_archived_runs import caught_up

from infra.archive import ArchivedEventLog
from infra.archive.blobs import sweep_blobs
from infra.archive.moving import RETENTION_STREAM, ArchivingBusy, moving
from infra.eventlog import Append, NewEvent, StreamAppend
from services.projections.loop import Loop
from services.projections.retention import Retention
from services.projections.settings import RetentionSettings

LONG_AGO = "1 year"


@pytest.fixture
async def log(service_dsn: str, tmp_path: Path) -> AsyncIterator[ArchivedEventLog]:
    async with await ArchivedEventLog.open(service_dsn, tmp_path) as opened:
        yield opened


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def service(service_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(service_dsn)
    yield connection
    await connection.close()


async def grow_old(database: Any) -> None:
    """All blobs are old, and what was noted of them was noted long ago."""
    await database.execute(
        f"update eventlog.blobs set created_at = now() - interval '{LONG_AGO}', "
        f"unreferred_since = unreferred_since - interval '{LONG_AGO}'"
    )


async def refer(log: ArchivedEventLog, name: str) -> None:
    data = b'{"node_id":"a","output":{"$blob":"%s","size":9}}' % name.encode()
    stream = StreamAppend("run", derived_uuid(START, name), 0, [NewEvent("NodeCompleted", data)])
    await log.append([Append([stream], START)])


async def test_a_pass_archives_old_runs_and_says_so(
    live: Loop, log: ArchivedEventLog, service_dsn: str, tmp_path: Path
):
    await log.append([created()])
    runs = await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    keeping = RetentionSettings(runs_days=max(1, (datetime.now(UTC) - START).days - 1), decisions_days=1)
    retention = Retention(log, service_dsn, tmp_path, keeping)
    applied = await retention.apply()
    assert applied.runs_archived_count == 3
    assert set(await log.archived(runs)) == set(runs)
    last = (await log.read((await log.head()).position - 1))[0]
    assert msgspec.json.decode(last.data, type=RetentionApplied) == applied
    assert last.actor == "retention"
    again = await retention.apply()
    assert (again.runs_archived_count, again.runs_ended_before is not None) == (0, True)


async def test_without_settings_nothing_of_runs_is_touched(
    live: Loop, log: ArchivedEventLog, service_dsn: str, tmp_path: Path
):
    await log.append([created()])
    runs = await append_chain_runs(log, Clock(), range(3))
    await caught_up(live, log)
    applied = await Retention(log, service_dsn, tmp_path, RetentionSettings()).apply()
    assert applied == RetentionApplied()
    assert await log.archived(runs) == {}


async def test_a_clock_that_was_ahead_once_does_not_stop_the_passes(
    log: ArchivedEventLog, service_dsn: str, tmp_path: Path
):
    ahead = datetime.now(UTC) + timedelta(days=10_000)
    said = NewEvent("RetentionApplied", encode(RetentionApplied()))
    await log.append([Append([StreamAppend("retention", RETENTION_STREAM, 0, [said])], ahead)])
    keeping = RetentionSettings(look_interval_s=0.01)
    running = asyncio.create_task(Retention(log, service_dsn, tmp_path, keeping).run())
    async with asyncio.timeout(10):
        while len(await log.read_stream(RETENTION_STREAM)) < 2:
            await asyncio.sleep(0.01)
    running.cancel()
    assert (await log.read_stream(RETENTION_STREAM))[1].recorded_at < ahead


async def test_a_second_process_leaves_a_pass_to_the_one_that_is_at_it(
    log: ArchivedEventLog, service_dsn: str, tmp_path: Path
):
    async with moving(service_dsn):
        with pytest.raises(ArchivingBusy):
            await Retention(log, service_dsn, tmp_path, RetentionSettings()).apply()
    assert await log.read_stream(RETENTION_STREAM) == []


# --- blobs ------------------------------------------------------------------------------------------------------------


async def test_a_blob_goes_once_nothing_has_referred_to_it_for_the_time_of_grace(
    log: ArchivedEventLog, database: Any, service: Any
):
    referred, forgotten = await log.put_blob(b'"referred"'), await log.put_blob(b'"forgotten"')
    await refer(log, referred)
    assert await sweep_blobs(service, 3600) == (0, 0)  # too young to be looked at
    await grow_old(database)
    assert await sweep_blobs(service, 3600) == (0, 0)  # noted
    assert await sweep_blobs(service, 3600) == (0, 0)  # not yet for long
    await grow_old(database)
    assert await sweep_blobs(service, 3600) == (1, len(b'"forgotten"'))
    assert await log.get_blob(referred) == b'"referred"'
    assert await log.get_blob(forgotten) is None


@pytest.mark.parametrize("deed", ["put", "get", "refer"])
async def test_a_blob_that_was_forgotten_and_is_wanted_again_stays(
    log: ArchivedEventLog, database: Any, service: Any, deed: str
):
    name = await log.put_blob(b'"again"')
    await grow_old(database)
    await sweep_blobs(service, 3600)
    await grow_old(database)
    if deed == "put":
        assert await log.put_blob(b'"again"') == name
    elif deed == "get":
        assert await log.get_blob(name) == b'"again"'
    else:
        await refer(log, name)
    assert await sweep_blobs(service, 3600) == (0, 0)
    assert await log.get_blob(name) == b'"again"'


async def test_a_writer_that_meets_the_sweep_writes_its_blob_anew(
    log: ArchivedEventLog, database: Any, postgres_dsn: str
):
    name = await log.put_blob(b'"raced"')
    sweeper = await asyncpg.connect(postgres_dsn)
    removal = sweeper.transaction()
    await removal.start()
    await sweeper.execute("delete from eventlog.blobs")
    writing = asyncio.create_task(log.put_blob(b'"raced"'))
    async with asyncio.timeout(5):
        while not await database.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)
    await removal.commit()
    assert await writing == name
    assert await log.get_blob(name) == b'"raced"'
    await sweeper.close()
