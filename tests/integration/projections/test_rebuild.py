"""A rebuild gives what the live loop gave, byte for byte, whatever happened and in whatever batches it was heard."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalDecided,
    ApprovalWait,
    BreakerWait,
    CallbackReceived,
    ChildWait,
    Event,
    IterationEnded,
    IterationStarted,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    PoolWait,
    RecoveryTaken,
    ReportIgnored,
    RunCancelled,
    RunCancelRequested,
    RunChanged,
    RunCompleted,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
    RunPaused,
    RunResumed,
    RunRetried,
    RunRetryRefused,
    RunRetryRequested,
    RunSlaMissed,
    RunStarted,
    TimerSet,
    TimerWait,
    WorkerAwaited,
)
from histories import START, Clock, append_chain_runs, created, new, raw, received, triggered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.eventlog import Append, PostgresEventLog, StreamAppend
from services.projections import store
from services.projections.loop import Loop
from services.projections.projector import Projector
from services.projections.rebuild import Busy, Progress, rebuild, verify
from services.projections.settings import LoopSettings

NODES = ("a", "b", "c")
ERROR = RunError(code="NODE_EXECUTION_FAILED", message="no \x00 luck", affected_nodes=["a"])
RUN = UUID("019ca945-2b5d-764f-be2e-79b6b73f502e")
texts = st.text(max_size=5)
values = st.one_of(st.none(), st.integers(-5, 5), texts, st.lists(st.booleans(), max_size=2)).map(raw)
nodes = st.sampled_from(NODES)
instances = st.sampled_from(["", "0", "1", "10", "1.0", "1.1"])
attempts = st.integers(1, 3)
some_nodes = st.lists(nodes, max_size=3, unique=True)
waits = st.one_of(
    st.builds(TimerWait, due_at=st.just(START)),
    st.builds(ApprovalWait, approval_id=st.uuids().map(str), message=texts, approvers=st.lists(texts, max_size=2)),
    st.builds(ChildWait, child_run_id=st.just(RUN), workflow_id=st.just("w"), due_at=st.none() | st.just(START)),
    st.builds(PoolWait, pool=st.just("p"), limit=st.just(1)),
    st.builds(BreakerWait, breaker=texts, due_at=st.just(START)),
)
operations = st.one_of(
    st.builds(NodeWaiting, node_id=nodes, instance=instances, attempt=attempts, wait=waits),
    st.builds(WorkerAwaited, node_id=nodes, instance=instances, job_type=texts, queue=texts, since=st.just(START)),
    st.builds(IterationStarted, node_id=nodes, instance=instances, index=st.integers(0, 3)),
    st.builds(
        IterationEnded,
        node_id=nodes,
        instance=instances,
        index=st.integers(0, 3),
        status=st.sampled_from(["completed", "failed"]),
    ),
    st.builds(
        ApprovalDecided,
        node_id=nodes,
        instance=instances,
        approval_id=texts,
        decision=st.sampled_from(["approve", "reject"]),
        comment=texts,
        command_id=texts,
    ),
    st.builds(CallbackReceived, node_id=nodes, instance=instances),
    st.builds(TimerSet, timer_id=st.just(RUN), due_at=st.just(START), purpose=st.just("wait"), node_id=nodes),
    st.builds(
        NodeDecidedByHand,
        node_id=nodes,
        instance=instances,
        action=st.sampled_from(["complete", "fail", "skip"]),
        comment=texts,
    ),
    st.builds(RunPaused, before=some_nodes, command_id=texts),
    st.builds(RunResumed, steps=st.none() | st.just(1)),
    st.builds(RunRetryRequested, cleared=some_nodes, command_id=texts),
    st.builds(RunRetryRefused, status=st.just("failed"), code=texts, message=texts),
    st.builds(RunRetried, cleared=some_nodes, resumed=some_nodes),
    st.builds(
        RunChanged,
        priority=st.none() | st.integers(),
        labels=st.none() | st.dictionaries(texts, texts, max_size=2),
        breakpoints=st.none() | some_nodes,
    ),
    st.builds(RunSlaMissed, sla_ms=st.just(1)),
    st.builds(RecoveryTaken, action=st.just("continue"), node_id=nodes, detail=texts),
    st.builds(RunPartiallyCompleted, output=values, error=st.just(ERROR)),
)
events = st.one_of(
    st.builds(RunStarted, total_nodes=st.just(3)),
    st.builds(
        NodeQueued,
        node_id=nodes,
        instance=instances,
        attempt=attempts,
        job_id=st.just(RUN),
        job_type=st.just("work"),
        input=values,
    ),
    st.builds(NodeQueued, node_id=nodes, instance=instances, input_from=st.sampled_from(["", *NODES])),
    st.builds(
        NodeStarted, node_id=nodes, instance=instances, worker=texts, instances_count=st.none() | st.integers(0, 3)
    ),
    st.builds(
        NodeStarted, node_id=nodes, at=st.timedeltas(timedelta(0), timedelta(seconds=1)).map(lambda by: START + by)
    ),
    st.builds(NodeProgressed, node_id=nodes, instance=instances, progress=st.floats(0, 1), message=texts),
    st.builds(
        NodeCompleted,
        node_id=nodes,
        instance=instances,
        output=values,
        variables=st.dictionaries(st.sampled_from(["x", "region"]), values, max_size=2),
    ),
    st.builds(NodeFailed, node_id=nodes, instance=instances, error=st.just(ERROR)),
    st.builds(
        NodeRetried, node_id=nodes, instance=instances, attempt=attempts, error=st.just(ERROR), due_at=st.just(START)
    ),
    st.builds(NodeSkipped, node_id=nodes, reason=st.sampled_from(["upstream_failed", "run_failed"])),
    st.builds(NodeCancelled, node_id=nodes, instance=instances),
    st.builds(
        ReportIgnored,
        node_id=nodes,
        job_id=st.just(RUN),
        report=texts,
        attempt=attempts,
        delivery=attempts,
        reason=texts,
    ),
    st.builds(TimerSet, timer_id=st.just(RUN), due_at=st.just(START), purpose=st.just("retry")),
    st.builds(RunCancelRequested, reason=texts),
    st.builds(RunFailing, error=st.just(ERROR)),
    st.builds(RunCompleted, output=values),
    st.builds(RunFailed, error=st.just(ERROR)),
    st.builds(RunCancelled, reason=texts),
    operations,
    operations,
)
histories = st.lists(st.lists(events, max_size=12), min_size=1, max_size=4)


async def append_histories(log: PostgresEventLog, runs: list[list[Event]], clock: Clock, number: int) -> list[UUID]:
    """The runs side by side, an event of each in turn; their ids."""
    firsts: list[UUID] = []
    for index in range(len(runs)):
        group, cause = received(number * 100 + index, clock())
        await log.append([group])
        first = triggered(cause, clock(), labels={"n\x00": "ü"}, variables={"x": raw(1)}, priority=2**40)
        await log.append([Append([StreamAppend("run", first.run_id, 0, new(first))], recorded_at=clock(), actor="é")])
        firsts.append(first.run_id)
    for version in range(max(map(len, runs))):
        at = clock()
        groups = [
            Append([StreamAppend("run", run_id, version + 1, new(run[version]))], recorded_at=at)
            for run_id, run in zip(firsts, runs, strict=True)
            if version < len(run)
        ]
        await log.append(groups)
    return firsts


async def test_any_history_heard_in_any_batches_gives_the_rows_of_a_rebuild(service_dsn: str, log: PostgresEventLog):
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    await store.create_tables(connection, store.LIVE_SCHEMA, (await log.head()).incarnation)
    await log.append([created()])
    clock = Clock()
    number = 0

    async def check(runs: list[list[Event]], sizes: list[int], restarts: bool) -> None:
        nonlocal number
        number += 1
        await append_histories(log, runs, clock, number)
        projector = Projector(log, connection, cached_runs_max=sizes[0])
        await projector.start()
        while await projector.advance(sizes[number % len(sizes)]):
            if restarts:
                await projector.start()
        building = LoopSettings(rebuild_batch_size=sizes[-1] * number, cached_runs_max=sizes[0] + number % 3)
        verified = await verify(log, service_dsn, settings=building)
        assert verified.is_equal, verified.difference

    loop = asyncio.get_running_loop()

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(histories, st.lists(st.integers(1, 9), min_size=1, max_size=3), st.booleans())
    def property_(runs: list[list[Event]], sizes: list[int], restarts: bool) -> None:
        asyncio.run_coroutine_threadsafe(check(runs, sizes, restarts), loop).result(60)

    await asyncio.to_thread(property_)
    await connection.close()


async def test_a_rebuild_takes_the_place_of_the_live_tables_while_the_loop_runs(
    live: Loop, log: PostgresEventLog, service_dsn: str
):
    await log.append([created()])
    clock = Clock()
    await append_chain_runs(log, clock, range(50))
    told: list[Progress] = []
    done = asyncio.Event()

    async def keep_appending() -> None:
        number = 50
        while not done.is_set():
            await append_chain_runs(log, clock, range(number, number + 3))
            number += 3

    appending = asyncio.create_task(keep_appending())
    connection = await asyncpg.connect(service_dsn)
    for _ in range(3):
        before = await connection.fetchval("select position from projections.checkpoint")
        rebuilt = await rebuild(log, service_dsn, told.append)
        after = await connection.fetchval("select position from projections.checkpoint")
        assert before <= rebuilt.position <= after
    done.set()
    await appending
    head = (await log.head()).position
    async with asyncio.timeout(20):
        while await connection.fetchval("select position from projections.checkpoint") < head:
            await asyncio.sleep(0.01)
    assert (await verify(log, service_dsn)).is_equal
    assert told
    assert told[-1].eta_s == 0
    left = await connection.fetchval("select count(*) from pg_tables where schemaname = 'projections_next'")
    assert left == 0
    await connection.close()


@pytest.mark.parametrize(
    ("change", "table", "column"),
    [
        ("update projections.runs set priority = 7 where run_id = $1", "runs", "priority"),
        ("delete from projections.node_runs where run_id = $1 and node_id = 'b'", "node_runs", ""),
        (
            "update projections.node_runs set output = '{\"by\": \"b\"}' where run_id = $1 and node_id = 'b'",
            "node_runs",
            "output",
        ),
        ("update projections.run_hours set completed = 9 where $1::uuid is not null", "run_hours", "completed"),
        ("delete from projections.node_statistics where $1::uuid is not null", "node_statistics", ""),
        ("update projections.decisions set reason = 'x' where run_id = $1", "decisions", "reason"),
    ],
)
async def test_verify_names_the_first_difference(
    live: Loop, log: PostgresEventLog, service_dsn: str, change: str, table: str, column: str
):
    await log.append([created()])
    runs = await append_chain_runs(log, Clock(), range(10))
    connection = await asyncpg.connect(service_dsn)
    head = (await log.head()).position
    async with asyncio.timeout(20):
        while await connection.fetchval("select position from projections.checkpoint") < head:
            await asyncio.sleep(0.01)
    assert (await verify(log, service_dsn)).is_equal
    await connection.execute(change, runs[4])
    difference = (await verify(log, service_dsn)).difference
    assert difference is not None
    assert (difference.table, difference.column) == (table, column)
    assert (await rebuild(log, service_dsn)).position == head
    assert (await verify(log, service_dsn)).is_equal
    await connection.close()


async def test_who_may_only_read_may_still_read_after_a_rebuild(
    live: Loop, log: PostgresEventLog, service_dsn: str, reader_dsn: str
):
    await log.append([created()])
    await rebuild(log, service_dsn)
    reader = await asyncpg.connect(reader_dsn)
    for name in store.TABLE_NAMES:
        await reader.fetch(f"select * from projections.{name}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("delete from projections.runs")
    await reader.close()


async def test_two_rebuilds_at_once_are_refused(live: Loop, log: PostgresEventLog, service_dsn: str):
    await log.append([created()])
    holder = await store.connect(service_dsn, store.NEXT_SCHEMA)
    await holder.execute("select pg_advisory_lock(hashtext('flowforge.build.projections_next'))")
    with pytest.raises(Busy):
        await rebuild(log, service_dsn)
    await holder.close()
    assert (await rebuild(log, service_dsn)).position == 1
