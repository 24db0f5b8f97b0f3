"""The log in partitions by month: made ahead, entered by whoever appends, and read as one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from flowforge.identity import derived_uuid, named_stream

from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend, statements
from infra.eventlog.migrate import migrate
from infra.eventlog.verify import verify

LONG_AGO = datetime(2021, 5, 6, tzinfo=UTC)
MONTHS_MADE = 4


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


def months_from_now() -> list[datetime]:
    now = datetime.now(UTC).replace(day=15)
    return [
        now.replace(year=now.year + (now.month - 1 + n) // 12, month=(now.month - 1 + n) % 12 + 1)
        for n in range(MONTHS_MADE)
    ]


async def log_one(log: PostgresEventLog, stream_id: UUID, version: int = 0) -> None:
    at = datetime.now(UTC)
    await log.append([Append([StreamAppend("run", stream_id, version, [NewEvent("Happened", b"{}")])], at)])


async def partition_of(owner: asyncpg.Connection, stream_id: UUID) -> str:
    found = await owner.fetchval(
        "select tableoid::regclass::text from eventlog.entries where stream_id = $1 limit 1", stream_id
    )
    return str(found)


async def test_each_month_has_its_partition_before_it_comes(owner: asyncpg.Connection, postgres_log: PostgresEventLog):
    for month in months_from_now():
        stream_id = derived_uuid(month, "run")
        await log_one(postgres_log, stream_id)
        assert await partition_of(owner, stream_id) == f"eventlog.events_{month:%Y_%m}"
    for stream_id, where in ((derived_uuid(LONG_AGO, "old"), "timed"), (named_stream("workflow", "w"), "named")):
        await log_one(postgres_log, stream_id)
        assert await partition_of(owner, stream_id) == f"eventlog.events_{where}"


async def test_events_are_read_in_order_across_partitions_and_verified(postgres_log: PostgresEventLog, reader_dsn: str):
    streams = [derived_uuid(month, "run") for month in (LONG_AGO, *months_from_now())]
    for version in range(3):
        for stream_id in reversed(streams):
            await log_one(postgres_log, stream_id, version)
    events = await postgres_log.read(0)
    assert [event.position for event in events] == [*range(1, 3 * len(streams) + 1)]
    assert [event.stream_id for event in events] == [*reversed(streams)] * 3
    assert [event.version for event in await postgres_log.read_stream(streams[2])] == [1, 2, 3]
    assert (await verify(reader_dsn)).problems == []


async def test_reading_a_stream_touches_one_partition(owner: asyncpg.Connection):
    month = months_from_now()[1]
    plan = await owner.fetch(f"explain {statements.READ_STREAM}", derived_uuid(month, "run"), 0)
    touched = {name for (line,) in plan for name in line.split() if name.startswith("events_") and "pkey" not in name}
    assert touched == {f"events_{month:%Y_%m}"}


async def test_a_log_from_before_keeps_its_months_where_they_are(
    owner: asyncpg.Connection, postgres_log: PostgresEventLog, postgres_dsn: str, reader_dsn: str
):
    this, following, *_ = months_from_now()
    for month in months_from_now():
        await owner.execute(f"drop table eventlog.events_{month:%Y_%m}")
    stream_id = derived_uuid(this, "run")
    await log_one(postgres_log, stream_id)
    await migrate(postgres_dsn)
    await log_one(postgres_log, stream_id, 1)
    await log_one(postgres_log, derived_uuid(following, "run"))
    assert await partition_of(owner, stream_id) == "eventlog.events_timed"
    assert await partition_of(owner, derived_uuid(following, "run")) == f"eventlog.events_{following:%Y_%m}"
    assert [event.version for event in await postgres_log.read_stream(stream_id)] == [1, 2]
    assert (await verify(reader_dsn)).problems == []


async def test_a_service_may_have_them_made_and_nothing_else(
    owner: asyncpg.Connection, service_dsn: str, postgres_log: PostgresEventLog
):
    last = months_from_now()[-1]
    await owner.execute(f"drop table eventlog.events_{last:%Y_%m}")
    service = await asyncpg.connect(service_dsn)
    try:
        assert [await service.fetchval("select eventlog.make_partitions()") for _ in range(2)] == [1, 0]
        for deed in ("delete from", "truncate", "drop table"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(f"{deed} eventlog.events_{last:%Y_%m}")
    finally:
        await service.close()
    await log_one(postgres_log, derived_uuid(last, "run"))
    for deed in ("delete from eventlog.{}", "truncate eventlog.{}", "update eventlog.{} set version = 1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(deed.format(f"events_{last:%Y_%m}"))


async def test_a_long_reader_keeps_no_start_and_nobody_who_appends_waiting(
    owner: asyncpg.Connection, postgres_log: PostgresEventLog, postgres_dsn: str
):
    last = months_from_now()[-1]
    await owner.execute(f"drop table eventlog.events_{last:%Y_%m}")
    reader = await asyncpg.connect(postgres_dsn)
    async with reader.transaction():
        await reader.fetch("select count(*) from eventlog.events")
        async with asyncio.timeout(3):
            _, _ = await asyncio.gather(migrate(postgres_dsn), log_one(postgres_log, derived_uuid(last, "run")))
        assert await owner.fetchval("select to_regclass($1)", f"eventlog.events_{last:%Y_%m}") is None
    await reader.close()
