"""Whatever is appended, the log in Postgres answers as the plain one in memory does, and its chain is whole."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.eventlog import Append, MemoryEventLog, NewEvent, PostgresEventLog, StreamAppend
from infra.eventlog.verify import verify

STREAMS_COUNT = 6
AT = datetime(2026, 11, 21, tzinfo=UTC)


class StreamPlan(msgspec.Struct):
    stream: int
    events_count: int
    wrong_by: int
    identity: int | None


class GroupPlan(msgspec.Struct):
    streams: list[StreamPlan]
    definitions_behind: int | None
    changes_definitions: bool


stream_plans = st.builds(
    StreamPlan,
    stream=st.integers(0, STREAMS_COUNT - 1),
    events_count=st.integers(1, 3),
    wrong_by=st.sampled_from([0, 0, 0, 0, 1, -1]),
    identity=st.none() | st.integers(0, 5),
)
group_plans = st.builds(
    GroupPlan,
    streams=st.lists(stream_plans, min_size=1, max_size=3),
    definitions_behind=st.none() | st.integers(0, 2),
    changes_definitions=st.booleans(),
)
call_plans = st.lists(st.lists(group_plans, min_size=1, max_size=6), min_size=1, max_size=4)


class Example:
    """Streams and identities of one example: both logs keep what examples before it left."""

    def __init__(self, log: MemoryEventLog) -> None:
        self.log = log
        self.streams = [uuid4() if number % 2 else UUID(int=uuid4().int >> 48) for number in range(STREAMS_COUNT)]
        self.identities = [uuid4().bytes for _ in range(6)]

    async def call(self, plans: list[GroupPlan]) -> list[Append]:
        """The plans as a call in which no group names a stream or an identity twice."""
        grown: Counter[int] = Counter()
        return [
            await self.group(plan, {stream.stream: stream for stream in plan.streams}.values(), grown) for plan in plans
        ]

    async def group(self, plan: GroupPlan, streams: Iterable[StreamPlan], grown: Counter[int]) -> Append:
        """`grown`: by how many events each stream will have grown if all groups before this one fit."""
        named: set[int] = set()
        appends: list[StreamAppend] = []
        for stream in streams:
            identity = stream.identity if stream.identity not in named else None
            version = len(await self.log.read_stream(self.streams[stream.stream])) + grown[stream.stream]
            grown[stream.stream] += stream.events_count
            appends.append(
                StreamAppend(
                    "thing",
                    self.streams[stream.stream],
                    max(0, version + stream.wrong_by),
                    [NewEvent("Happened", b'{"n": %d}' % number) for number in range(stream.events_count)],
                    None if identity is None else self.identities[identity],
                )
            )
            named |= set() if identity is None else {identity}
        definitions_position = (await self.log.head()).definitions_position
        return Append(
            appends,
            AT,
            definitions_position=None
            if plan.definitions_behind is None
            else max(0, definitions_position - plan.definitions_behind),
            changes_definitions=plan.changes_definitions,
        )


@pytest.fixture
def memory_log() -> MemoryEventLog:
    return MemoryEventLog()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=call_plans)
async def test_postgres_answers_as_memory_does(
    memory_log: MemoryEventLog, postgres_log: PostgresEventLog, reader_dsn: str, calls: list[list[GroupPlan]]
):
    example = Example(memory_log)
    start = (await memory_log.head()).position
    for plans in calls:
        call = await example.call(plans)
        assert await postgres_log.append(call) == await memory_log.append(call)
    assert await postgres_log.read(start) == await memory_log.read(start)
    assert await postgres_log.read(start, named_only=True) == await memory_log.read(start, named_only=True)
    heads = [await log.head() for log in (postgres_log, memory_log)]
    assert heads[0].position == heads[1].position
    assert heads[0].definitions_position == heads[1].definitions_position
    assert (await verify(reader_dsn)).problems == []
