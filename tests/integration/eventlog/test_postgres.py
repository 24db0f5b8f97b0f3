"""What only the log in Postgres can promise: who may do what, what a lost connection means, who shares a commit."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from flowforge.identity import derived_uuid, named_stream

from infra.eventlog import (
    Append,
    Appended,
    Conflict,
    NewEvent,
    PostgresEventLog,
    StreamAppend,
    Unavailable,
    UnsuitableServer,
    call,
    postgres,
)
from infra.eventlog.verify import verify
from infra.failpoints import Failpoints

AT = datetime(2026, 11, 21, tzinfo=UTC)
A = derived_uuid(AT, "A")


def group(stream_id: UUID, expected_version: int = 0) -> Append:
    return Append([StreamAppend("run", stream_id, expected_version, [NewEvent("Happened", b"{}")], uuid4().bytes)], AT)


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def service(service_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(service_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def reader(reader_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(reader_dsn)
    yield connection
    await connection.close()


CHANGES = [
    "update eventlog.{table} set {column} = {column}",
    "delete from eventlog.{table}",
    "truncate eventlog.{table}",
]
KEPT = [
    ("entries", "types"),
    ("events_named", "types"),
    ("events_timed", "types"),
    ("archived_batches", "hash"),
    ("identities", "position"),
]


@pytest.mark.parametrize(("table", "column"), KEPT)
@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_logged_is_changed_by_nobody_not_even_its_owner(
    postgres_log: PostgresEventLog,
    owner: asyncpg.Connection,
    service: asyncpg.Connection,
    change: str,
    table: str,
    column: str,
):
    await postgres_log.append([group(A)])
    for login in (owner, service):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(change.format(table=table, column=column))
    assert await owner.fetchval("select count(*) from eventlog.events") == 1


@pytest.mark.parametrize("change", ["update eventlog.events set type = type", "delete from eventlog.events"])
async def test_events_cannot_be_changed_through_their_view(
    postgres_log: PostgresEventLog, owner: asyncpg.Connection, service: asyncpg.Connection, change: str
):
    await postgres_log.append([group(A)])
    for login in (owner, service):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(change)


@pytest.mark.parametrize(
    "by_hand",
    [
        "insert into eventlog.events (position) values (1)",
        "insert into eventlog.entries (position) values (1)",
        "insert into eventlog.archived_batches values (1, '')",
        "insert into eventlog.identities values ('', 1)",
        "update eventlog.head set position = 9",
        "update eventlog.blobs set data = ''",
        "delete from eventlog.blobs",
        "alter table eventlog.entries disable trigger append_only",
        "create table eventlog.more (a int)",
    ],
)
async def test_a_service_enters_the_log_by_append_only(service: asyncpg.Connection, by_hand: str):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(by_hand)


async def test_a_reader_reads_the_log_and_does_nothing_else(
    postgres_log: PostgresEventLog, reader: asyncpg.Connection, reader_dsn: str
):
    await postgres_log.append([group(A)])
    assert await reader.fetchval("select count(*) from eventlog.events") == 1
    for deed in ("delete from eventlog.events", "insert into eventlog.cursors values ('x', 1)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(deed)
    async with await PostgresEventLog.connect(reader_dsn) as log:
        assert len(await log.read(0)) == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await log.append([group(A, 1)])


async def test_callers_that_come_together_share_a_commit(postgres_log: PostgresEventLog, owner: asyncpg.Connection):
    answers = await asyncio.gather(*(postgres_log.append([group(derived_uuid(AT, number))]) for number in range(100)))
    assert sorted(answer.positions[0] for (answer,) in answers if isinstance(answer, Appended)) == [*range(1, 101)]
    assert await owner.fetchval("select count(*) <= 2 from eventlog.log_batches")


async def test_two_logs_of_two_processes_take_turns(service_dsn: str, postgres_log: PostgresEventLog):
    async with await PostgresEventLog.connect(service_dsn) as other_log:
        answers = await asyncio.gather(*(log.append([group(A)]) for log in (postgres_log, other_log)))
    assert sorted(answers, key=str) == [[Appended([1])], [Conflict(A, 1)]]


@pytest.mark.parametrize("stream_id", [derived_uuid(AT, "other"), named_stream("workflow", "daily")])
async def test_both_ways_into_the_log_leave_the_same_rows_and_the_same_chain(
    postgres_log: PostgresEventLog, owner: asyncpg.Connection, stream_id: UUID
):
    await postgres_log.append([group(stream_id)])
    happened = [NewEvent("Happened", b'{"n": %d}' % number, schema_version=number) for number in range(1, 4)]
    step = Append([StreamAppend("run", stream_id, 1, happened)], AT, uuid4(), uuid4(), "ada|é", "00-ab|cd-01")
    assert call.is_one([step])
    salts = bytes(range(3 * call.SALT_BYTES))
    left: list[list[object]] = []
    for statement, arguments in (
        (call.APPEND, call.arguments([step])),
        (call.APPEND_ONE, call.arguments_of_one(step)),
    ):
        transaction = owner.transaction()
        await transaction.start()
        await owner.fetchrow(statement, *arguments[:-1], salts)
        tables = ("eventlog.events order by position", "eventlog.head")
        rows: list[object] = [await owner.fetch(f"select * from {table}") for table in tables]
        batches = "select first_position, last_position, hash from eventlog.log_batches order by 1"
        left.append([*rows, await owner.fetch(batches)])
        await transaction.rollback()
    assert left[0] == left[1]


async def wait_until(connection: asyncpg.Connection, condition: str) -> None:
    async with asyncio.timeout(10):
        while True:
            if await connection.fetchval(condition):
                return
            await asyncio.sleep(0.01)


WAITS_FOR_HEAD = "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%eventlog.append%'"


async def test_a_commit_cut_off_in_the_middle_leaves_nothing_and_the_next_call_connects_again(
    postgres_log: PostgresEventLog, owner: asyncpg.Connection, postgres_dsn: str
):
    other_owner = await asyncpg.connect(postgres_dsn)
    async with owner.transaction():
        await owner.execute("select from eventlog.head for update")
        cut_off = asyncio.create_task(postgres_log.append([group(A)]))
        await wait_until(other_owner, f"select exists ({WAITS_FOR_HEAD})")
        await other_owner.fetch(f"select pg_terminate_backend(pid) from ({WAITS_FOR_HEAD}) as appending")
        with pytest.raises(Unavailable):
            await cut_off
    await other_owner.close()
    assert await postgres_log.append([group(A)]) == [Appended([1])]
    assert (await verify(postgres_dsn)).ok


async def test_readers_connect_again_after_their_connections_were_cut(
    postgres_log: PostgresEventLog, owner: asyncpg.Connection
):
    await postgres_log.append([group(A)])
    await asyncio.gather(*(postgres_log.head() for _ in range(10)))
    others = "from pg_stat_activity where pid <> pg_backend_pid() and usename = 'flowforge_service'"
    await owner.fetch(f"select pg_terminate_backend(pid) {others}")
    await wait_until(owner, f"select not exists (select {others})")
    calls = [postgres_log.read(0) for _ in range(10)]
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(answer, Unavailable | list)
    assert len(await postgres_log.read(0)) == 1


async def test_done_but_not_heard_of_is_unavailable_and_found_by_reading_back(
    postgres_log: PostgresEventLog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgres, "failpoint", Failpoints("eventlog.after_commit=error", None).passed)
    with pytest.raises(Unavailable, match="outcome"):
        await postgres_log.append([group(A)])
    assert len(await postgres_log.read_stream(A)) == 1
    assert await postgres_log.append([group(A)]) == [Conflict(A, 1)]


async def test_failed_before_the_commit_is_unavailable_and_nothing_is_logged(
    postgres_log: PostgresEventLog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgres, "failpoint", Failpoints("eventlog.before_commit=error", None).passed)
    with pytest.raises(Unavailable):
        await postgres_log.append([group(A)])
    assert await postgres_log.append([group(A)]) == [Appended([1])]


async def test_a_caller_who_gives_up_mid_commit_leaves_the_log_usable(postgres_log: PostgresEventLog):
    giving_up = asyncio.create_task(postgres_log.append([group(A)]))
    staying = asyncio.create_task(postgres_log.append([group(derived_uuid(AT, "B"))]))
    await asyncio.sleep(0)
    giving_up.cancel()
    assert isinstance((await staying)[0], Appended)
    assert isinstance((await postgres_log.append([group(derived_uuid(AT, "C"))]))[0], Appended)


async def test_a_server_that_is_not_there_is_unavailable(unused_tcp_port: int):
    with pytest.raises(Unavailable):
        await PostgresEventLog.connect(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/nothing")


async def test_a_database_that_was_never_migrated_is_told_apart(postgres_dsn: str, owner: asyncpg.Connection):
    name = f"empty_{uuid4().hex[:12]}"
    await owner.execute(f"create database {name} template template0 strategy file_copy")
    try:
        with pytest.raises(UnsuitableServer, match="migrate"):
            await PostgresEventLog.connect(postgres_dsn.rpartition("/")[0] + f"/{name}")
    finally:
        await owner.execute(f"drop database {name} with (force)")


async def test_a_plan_made_while_the_log_was_empty_serves_a_full_one_by_index(
    postgres_log: PostgresEventLog, owner: asyncpg.Connection
):
    """A scan of the whole table per append would still pass every other test, and stop the world a month later."""
    await postgres_log.append([group(A)])
    streams = [derived_uuid(AT, "many", number) for number in range(2000)]
    await postgres_log.append([group(stream_id) for stream_id in streams])
    await owner.execute("select pg_stat_reset()")
    for _ in range(10):
        await postgres_log.append([group(uuid4())])
    await postgres_log.read(0, 10)
    async with asyncio.timeout(30):
        while not await owner.fetchval("select sum(idx_scan) from pg_stat_user_tables where schemaname = 'eventlog'"):
            # a session tells its figures at the end of a statement, once a second; one that is idle after ten
            await postgres_log.append([group(uuid4())])
            await owner.execute("select pg_stat_clear_snapshot()")
            await asyncio.sleep(0.05)
    scans = await owner.fetch(
        "select relname, seq_scan from pg_stat_user_tables "
        "where schemaname = 'eventlog' and seq_scan > 0 and relname <> 'head'"
    )
    assert scans == []
