"""The live loop: one owner, restarts, and the logs it refuses to build on."""

import asyncio
import random
from collections.abc import Callable

import asyncpg
import pytest
from flowforge.envelope import ATTRIBUTE_LENGTH_MAX
from flowforge.events import EventReceived, UserAdded, UserChanged, UserRemoved, WorkflowUpdated
from flowforge.identity import derived_uuid, named_stream
from flowforge.people import PEOPLE
from histories import START, Clock, append_chain_run, append_chain_runs, created, definition, new, raw

from infra.eventlog import Append, EventLog, NewEvent, PostgresEventLog, StreamAppend
from services.projections import store
from services.projections.audited import audited_subject
from services.projections.loop import Loop
from services.projections.projector import LogChanged, Projector
from services.projections.rebuild import rebuild, verify
from services.projections.settings import LoopSettings


async def caught_up(loop: Loop, log: EventLog) -> None:
    async with asyncio.timeout(20):
        while loop.position < (await log.head()).position:
            await asyncio.sleep(0.005)


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_second_loop_waits_and_takes_over(new_loop: Callable[[], Loop], log: PostgresEventLog):
    first, second = new_loop(), new_loop()
    await log.append([created()])
    one = asyncio.create_task(first.run())
    await caught_up(first, log)
    two = asyncio.create_task(second.run())
    await append_chain_run(log, Clock(), 1)
    await caught_up(first, log)
    assert not second.is_ready.is_set()
    await ended(one)
    await append_chain_runs(log, Clock(), range(2, 20))
    await caught_up(second, log)
    await ended(two)


async def test_an_owner_whose_connection_is_cut_goes_on_where_it_was(
    live: Loop, log: PostgresEventLog, postgres_dsn: str, service_dsn: str
):
    await log.append([created()])
    clock = Clock()
    owner = await asyncpg.connect(postgres_dsn)
    for number in range(5):
        await append_chain_runs(log, clock, range(number * 10, number * 10 + 10))
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowforge-projections'"
        )
    await owner.close()
    await caught_up(live, log)
    assert (await verify(log, service_dsn)).is_equal


async def test_a_checkpoint_moved_by_another_makes_the_loop_load_anew(
    live: Loop, log: PostgresEventLog, service_dsn: str
):
    await log.append([created()])
    clock = Clock()
    await append_chain_runs(log, clock, range(5))
    await caught_up(live, log)
    other = await store.connect(service_dsn, store.LIVE_SCHEMA)
    await other.execute("truncate " + ", ".join(table.name for table in store.TABLES))
    await other.execute("update checkpoint set position = 0")
    await other.close()
    await append_chain_runs(log, clock, range(5, 10))
    async with asyncio.timeout(20):
        while not (await verify(log, service_dsn)).is_equal:
            await asyncio.sleep(0.01)


async def test_another_log_stops_it_loudly(new_loop: Callable[[], Loop], log: PostgresEventLog, postgres_dsn: str):
    loop = new_loop()
    await log.append([created()])
    running = asyncio.create_task(loop.run())
    await caught_up(loop, log)
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute("update eventlog.head set incarnation = gen_random_uuid()")
    await owner.close()
    with pytest.raises(LogChanged, match="rebuild"):
        await asyncio.wait_for(running, 10)


async def test_an_unknown_event_stops_it_loudly_and_nothing_is_written(
    new_loop: Callable[[], Loop], log: PostgresEventLog, service_dsn: str
):
    loop = new_loop()
    await log.append([created()])
    running = asyncio.create_task(loop.run())
    await caught_up(loop, log)
    clock = Clock()
    run_id = await append_chain_run(log, clock, 1)
    await caught_up(loop, log)
    strange = StreamAppend("run", run_id, 12, [NewEvent("RunTeleported", b"{}")])
    await log.append([Append([strange], recorded_at=clock())])
    with pytest.raises(LookupError, match="RunTeleported"):
        await asyncio.wait_for(running, 10)
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    assert (await store.read_checkpoint(connection)).position == (await log.head()).position - 1
    await connection.close()


async def test_tables_of_another_shape_are_built_anew(
    new_loop: Callable[[], Loop], log: PostgresEventLog, service_dsn: str
):
    await log.append([created()])
    await append_chain_runs(log, Clock(), range(5))
    loop = new_loop()
    running = asyncio.create_task(loop.run())
    await caught_up(loop, log)
    await ended(running)
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    await connection.execute("update checkpoint set tables_version = 0; alter table runs drop column depth")
    await connection.close()
    loop = new_loop()
    running = asyncio.create_task(loop.run())
    await caught_up(loop, log)
    assert (await verify(log, service_dsn)).is_equal
    await ended(running)


async def test_what_was_wrong_before_a_rebuild_is_not_written_again_by_a_loop_that_knew_it(
    live: Loop, log: PostgresEventLog, service_dsn: str
):
    await log.append([created()])
    clock = Clock()
    await append_chain_runs(log, clock, range(5))
    await caught_up(live, log)
    connection = await asyncpg.connect(service_dsn)
    await connection.execute("update projections.node_statistics set completed_count = 70")
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowforge-projections'"
    )
    await append_chain_runs(log, clock, range(5, 10))  # what is wrong is in memory now
    await caught_up(live, log)
    assert not (await verify(log, service_dsn)).is_equal
    await rebuild(log, service_dsn)
    assert (await verify(log, service_dsn)).is_equal
    await append_chain_runs(log, clock, range(10, 15))
    await caught_up(live, log)
    verified = await verify(log, service_dsn)
    assert verified.is_equal, verified.difference
    await connection.close()


async def test_an_event_with_the_longest_names_there_may_be_is_projected_and_its_sender_found(
    live: Loop, log: PostgresEventLog, service_dsn: str
):
    rarely = random.Random(1)
    source, name = ("".join(chr(rarely.randrange(0x4E00, 0x9F00)) for _ in range(ATTRIBUTE_LENGTH_MAX)) for _ in "ab")
    event = EventReceived(id=name, source=source, type=source[::-1], data=raw({}))
    stream = StreamAppend("cause", derived_uuid(START, "cause", source, name), 0, new(event))
    await log.append([Append([stream], recorded_at=START, actor="ada")])
    await caught_up(live, log)
    connection = await asyncpg.connect(service_dsn)
    found = "select count(*) from projections.audit where subject = $1"
    assert await connection.fetchval(found, audited_subject(f"{source} {name}")) == 1
    await connection.close()


async def test_who_was_added_before_a_restart_is_changed_after_it(
    live: Loop, log: PostgresEventLog, service_dsn: str, postgres_dsn: str
):
    owner = await asyncpg.connect(postgres_dsn)
    changes = UserAdded(name="ada", role="viewer"), UserChanged(name="ada", role="editor"), UserRemoved(name="ada")
    for version, event in enumerate(changes):
        stream = StreamAppend(PEOPLE, named_stream(PEOPLE, PEOPLE), version, new(event))
        await log.append([Append([stream], recorded_at=START)])
        await caught_up(live, log)
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowforge-projections'"
        )
    await owner.close()
    assert (await verify(log, service_dsn)).is_equal


async def test_of_what_people_save_only_so_much_stays_in_memory(log: PostgresEventLog, service_dsn: str):
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    await store.create_tables(connection, store.LIVE_SCHEMA, (await log.head()).incarnation)
    projector = Projector(log, connection, cached_runs_max=3)
    await projector.start()
    names = [f"w{number}" for number in range(5)]
    for version in (1, 2):
        for name in names:
            given = created(name)
            if version > 1:
                event = WorkflowUpdated(workflow_id=name, workflow_version=2, definition=raw(definition(name)))
                given = Append([StreamAppend("workflow", named_stream("workflow", name), 1, new(event))], START)
            await log.append([given])
            await projector.advance(1)
            assert projector.saved_count <= 3
    for building in (3, 20_000):
        verified = await verify(log, service_dsn, settings=LoopSettings(cached_runs_max=building, rebuild_batch_size=2))
        assert verified.is_equal, verified.difference
    await connection.close()
