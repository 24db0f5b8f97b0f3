"""Whoever gets past privileges and triggers and changes the log is found out, and the place is named."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256

import asyncpg
import pytest
from flowforge.events.erasure import ERASURES_STREAM
from flowforge.identity import derived_uuid, identity_key, named_stream

from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend
from infra.eventlog.verify import Problem, verify

AT = datetime(2026, 11, 21, tzinfo=UTC)
BATCHES_COUNT = 5
BATCH_EVENTS = 4  # positions 1–4, 5–8, 9–12, 13–16, 17–20
STREAMS = [derived_uuid(AT, "A"), derived_uuid(AT, "B"), named_stream("workflow", "daily"), derived_uuid(AT, "D")]


@pytest.fixture
async def intruder(postgres_log: PostgresEventLog, postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser with the triggers off, in a log of five batches of four events, one for each of four streams."""
    for version in range(BATCHES_COUNT):
        await postgres_log.append([Append([to(stream, version) for stream in range(len(STREAMS))], AT, actor="ada")])
    connection = await asyncpg.connect(postgres_dsn, server_settings={"session_replication_role": "replica"})
    yield connection
    await connection.close()


def to(stream: int, expected_version: int) -> StreamAppend:
    identity = identity_key("cause", f"{stream}.{expected_version}")
    events = [NewEvent("Paid", b'{"amount":10%d}' % stream)]
    return StreamAppend("run", STREAMS[stream], expected_version, events, identity)


async def found(dsn: str) -> list[tuple[str, int, int]]:
    report = await verify(dsn)
    assert report.ok == (not report.problems)
    return [(problem.kind, problem.first_position, problem.last_position) for problem in report.problems]


async def test_an_untouched_log_is_whole_and_a_reader_can_tell(intruder: asyncpg.Connection, reader_dsn: str):
    report = await verify(reader_dsn)
    assert (report.events, report.batches, report.problems, report.ok) == (20, 5, [], True)


async def test_an_empty_log_is_whole(postgres_log: PostgresEventLog, reader_dsn: str):
    report = await verify(reader_dsn)
    assert (report.events, report.batches, report.ok) == (0, 0, True)


@pytest.mark.parametrize(
    "change",
    [
        """set data = '{"amount": 109}'""",
        "set data = replace(data, ':', ': ')",
        "set data = data || e'\\x1e' || data",
        "set data = ''",
        "set types = 'paid'",
        "set stream_type = 'ru'",
        "set actor = null",
        "set actor = ''",
        "set recorded_at = recorded_at + interval '1 microsecond'",
        "set correlation_id = gen_random_uuid()",
        "set causation_id = gen_random_uuid()",
        "set traceparent = 'x'",
        "set schema_versions = '{2}'",
        "set salts = substring(sha256(salts), 1, 16)",
        "set digests = array[sha256(data::bytea)]",
    ],
)
async def test_one_change_in_one_event_names_its_batch_and_no_other(
    intruder: asyncpg.Connection, reader_dsn: str, change: str
):
    assert await intruder.execute(f"update eventlog.entries {change} where position = 10") == "UPDATE 1"
    named = set(await found(reader_dsn))
    assert named & {("chain", 9, 12), ("missing_events", 9, 12)}
    assert named <= {("chain", 9, 12), ("missing_events", 9, 12), ("erasure", 10, 10)}


async def test_two_events_that_changed_places_are_found(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute("update eventlog.entries set position = -position where position in (5, 6)")
    await intruder.execute("update eventlog.entries set position = 11 + position where position in (-5, -6)")
    assert await found(reader_dsn) == [("chain", 5, 8)]


async def test_a_changed_event_with_its_batch_hash_made_to_fit_breaks_the_next_batch(
    intruder: asyncpg.Connection, reader_dsn: str
):
    await intruder.execute("update eventlog.entries set actor = 'eve' where position = 2")
    await intruder.execute(
        """
        update eventlog.entries set batch_hash = (
            select sha256(sha256('') || string_agg(eventlog.event_header(
                       position, stream_id, version, stream_type, type, schema_version, recorded_at, correlation_id,
                       causation_id, traceparent, actor, sha256(salt || convert_to(data::text, 'UTF8'))),
                   ''::bytea order by position))
            from eventlog.events where position <= 4)
        where position = 4
        """
    )
    assert await found(reader_dsn) == [("chain", 5, 8)]


async def test_a_missing_event_is_found_in_its_batch_and_its_stream(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute("delete from eventlog.entries where position = 6")
    kinds = await found(reader_dsn)
    assert ("missing_events", 5, 8) in kinds
    assert {kind for kind, *_ in kinds} == {"missing_events", "version_gap", "identity"}


async def test_a_missing_batch_is_found_in_what_it_would_be_one_with(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute("update eventlog.entries set batch_hash = null where position = 12")
    assert await found(reader_dsn) == [("chain", 9, 16)]


async def test_a_batch_slipped_in_is_found(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute("insert into eventlog.archived_batches values (10, sha256(''))")
    assert await found(reader_dsn) == [("chain", 9, 10), ("chain", 11, 12)]


async def test_a_tail_cut_off_is_found_by_the_head(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute("delete from eventlog.entries where position > 16")
    await intruder.execute("delete from eventlog.identities where position > 16")
    assert sorted(await found(reader_dsn)) == [("head", 16, 20), ("missing_batch", 17, 20)]


async def test_an_event_slipped_in_after_the_head_is_found(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute(
        """
        insert into eventlog.entries (position, stream_id, version, stream_type, types, data, salts, recorded_at)
        values (21, gen_random_uuid(), 1, 'run', 'Forged', '{}', decode(repeat('00', 16), 'hex'), now())
        """
    )
    assert await found(reader_dsn) == [("stray_events", 21, 21)]


async def erased(connection: asyncpg.Connection, *positions: int) -> None:
    left = b'{"amount":0}'
    told = {
        "erasure_id": str(STREAMS[0]),
        "positions": positions,
        "left": [sha256(left).hexdigest() for _ in positions],
    }
    await connection.execute(
        "select eventlog.erase($1, $2, $3, $4, $5, now(), 'ada')",
        positions, [left for _ in positions], ERASURES_STREAM, json.dumps(told).encode(), bytes(16),
    )  # fmt: skip


async def test_an_erased_payload_leaves_a_chain_that_verifies(
    intruder: asyncpg.Connection, postgres_log: PostgresEventLog, reader_dsn: str
):
    await erased(intruder, 2, 10)
    await erased(intruder, 10)
    assert await found(reader_dsn) == []
    event = await postgres_log.read_position(10)
    assert event is not None
    assert event.data == b'{"amount":0}'


async def test_a_payload_erased_by_hand_is_found(intruder: asyncpg.Connection, reader_dsn: str):
    digest = "digests = array[sha256(salts || convert_to(data, 'UTF8'))]"
    await intruder.execute(f"update eventlog.entries set {digest}, data = 'null' where position = 10")
    assert await found(reader_dsn) == [("erasure", 10, 10)]


async def test_what_is_left_of_an_erased_payload_cannot_be_changed_either(
    intruder: asyncpg.Connection, reader_dsn: str
):
    await erased(intruder, 10)
    await intruder.execute("""update eventlog.entries set data = '{"amount":9}' where position = 10""")
    assert await found(reader_dsn) == [("erasure", 10, 10)]


async def test_a_service_may_not_erase(intruder: asyncpg.Connection, service_dsn: str):
    service = await asyncpg.connect(service_dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await erased(service, 10)
    await service.execute("set eventlog.erasing = 'on'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("update eventlog.entries set data = 'null' where position = 10")
    await service.close()


async def test_of_one_entry_only_what_is_asked_for_is_erased(
    postgres_log: PostgresEventLog, postgres_dsn: str, reader_dsn: str
):
    paid = [NewEvent("Paid", b'{"amount":%d}' % n, schema_version=1 + n % 2) for n in range(5)]
    await postgres_log.append([Append([StreamAppend("run", STREAMS[0], 0, paid)], AT)])
    connection = await asyncpg.connect(postgres_dsn)
    await erased(connection, 2, 4)
    await erased(connection, 5, 2)
    rows = await connection.fetch("select data, salt is null, digest is null from eventlog.events order by position")
    await connection.close()
    assert await found(reader_dsn) == []
    left = [event.data for event in await postgres_log.read_stream(STREAMS[0])]
    assert left == [b'{"amount":0}', b'{"amount":0}', b'{"amount":2}', b'{"amount":0}', b'{"amount":0}']
    assert [tuple(row)[1:] for row in rows][:5] == [(False, True), (True, False), (False, True), *[(True, False)] * 2]
    assert [event.schema_version for event in await postgres_log.read_stream(STREAMS[0])] == [1, 2, 1, 2, 1]


async def test_many_events_at_once_are_several_entries_and_one_batch(
    postgres_log: PostgresEventLog, postgres_dsn: str, reader_dsn: str
):
    many = [NewEvent(f"Paid{n}", b'{"amount":%d}' % n, 1 + (n == 150)) for n in range(250)]
    await postgres_log.append([Append([to(1, 0), StreamAppend("run", STREAMS[0], 0, many), to(2, 0)], AT)])
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("select count(*) from eventlog.entries where stream_id = $1", STREAMS[0]) == 3
    await erased(connection, 152)
    await connection.close()
    events = await postgres_log.read_stream(STREAMS[0])
    assert [(event.position, event.version, event.type) for event in events] == [
        (2 + n, 1 + n, f"Paid{n}") for n in range(250)
    ]
    assert [n for n, event in enumerate(events) if event.schema_version == 2] == [150]
    assert [n for n, event in enumerate(events) if event.data != many[n].data] == [150]
    for after, limit in ((0, 1), (98, 5), (99, 101), (100, None), (249, 7), (250, 7)):
        expected = events[after : None if limit is None else after + limit]
        assert await postgres_log.read_stream(STREAMS[0], after, limit) == expected
        assert (
            await postgres_log.read(after + 1, limit or 149)
            == [*events, *await postgres_log.read(251)][after : after + (limit or 149)]
        )
    report = await verify(reader_dsn)
    assert (report.batches, report.problems) == (2, [])


async def test_a_problem_says_what_to_look_at(intruder: asyncpg.Connection, reader_dsn: str):
    await intruder.execute("update eventlog.entries set batch_hash = null where position = 20")
    problems = (await verify(reader_dsn)).problems
    assert Problem("missing_batch", 17, 20, "no batch covers the positions 17 to 20") in problems
