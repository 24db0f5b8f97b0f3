"""What a run costs in the log, with its indexes, for as long as it is kept there."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
from flowforge.events import (
    Cause,
    Event,
    EventReceived,
    NodeCompleted,
    NodeQueued,
    NodeStarted,
    RunCompleted,
    RunStarted,
    TriggerRef,
    WorkflowTriggered,
    encode,
)
from flowforge.identity import derived_uuid, event_id, identity_key, new_uuid

from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend

RUNS_COUNT = 300
BYTES_PER_RUN_MAX = 4096
SIZE = """
    select sum(pg_total_relation_size(oid))::bigint from pg_class
    where relnamespace = 'eventlog'::regnamespace and relkind = 'r'
"""


def new(*events: Event) -> list[NewEvent]:
    return [NewEvent(type(event).__name__, encode(event)) for event in events]


def job(run_id: UUID, node_id: str) -> UUID:
    return derived_uuid(datetime.now(UTC), run_id, node_id)


async def log_a_run(log: PostgresEventLog) -> None:
    """Three nodes in a chain, started by an event from outside; each step is a commit of its own, as where nothing else
    goes on: the dearest way."""
    at, correlation = datetime.now(UTC), new_uuid()
    output = msgspec.Raw(b'{"n":1}')
    cause = EventReceived(id=new_uuid().hex, source="/bench", type="chain-3", data=msgspec.Raw(b'{"k": 1}'))
    cause_stream = derived_uuid(at, "cause", cause.id)
    caused_by = event_id(cause_stream, 1, at)
    run_id = derived_uuid(at, "run", cause.id)
    first = WorkflowTriggered(
        run_id=run_id,
        workflow_id="chain-3",
        workflow_version=1,
        trigger=TriggerRef("event", "on-event"),
        trigger_version=1,
        cause=Cause(event_id=caused_by, type=cause.type, id=cause.id, source=cause.source, stream_id=cause_stream),
        consumed=[caused_by],
        input_data=msgspec.Raw(b'{"k": 1}'),
    )
    await log.append(
        [
            Append(
                [StreamAppend("cause", cause_stream, 0, new(cause), identity_key("cause", cause.id))],
                at, correlation, caused_by,
            ),
            Append([StreamAppend("run", run_id, 0, new(first))], at, correlation, caused_by),
        ]
    )  # fmt: skip
    queued = [
        NodeQueued(node_id=node, job_id=job(run_id, node), job_type="step", queue="default", input_from=before)
        for node, before in (("n0", ""), ("n1", "n0"), ("n2", "n1"))
    ]
    ended = [
        (NodeStarted(node_id=node.node_id, worker="vm-31295", at=datetime.now(UTC)),
         NodeCompleted(node_id=node.node_id, output=output))
        for node in queued
    ]  # fmt: skip
    version = 1
    for step in (
        new(RunStarted(total_nodes=3), queued[0]),
        new(*ended[0], queued[1]),
        new(*ended[1], queued[2]),
        new(*ended[2], RunCompleted(output=output)),
    ):
        await log.append(
            [Append([StreamAppend("run", run_id, version, step)], datetime.now(UTC), correlation, new_uuid())]
        )
        version += len(step)


async def size_of_the_log(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(SIZE) or 0)
    finally:
        await connection.close()


async def test_a_run_of_three_nodes_takes_less_than_4_kb_of_the_log(postgres_log: PostgresEventLog, reader_dsn: str):
    before = await size_of_the_log(reader_dsn)
    for _ in range(RUNS_COUNT):
        await log_a_run(postgres_log)
    assert (await postgres_log.head()).position == 13 * RUNS_COUNT
    assert (await size_of_the_log(reader_dsn) - before) / RUNS_COUNT < BYTES_PER_RUN_MAX
