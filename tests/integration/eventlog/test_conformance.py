"""What every event log promises, whatever it is kept in."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flowforge.identity import derived_uuid, event_id, identity_key, named_stream, part_uuid

from infra.eventlog import (
    Answer,
    Append,
    Appended,
    Conflict,
    DefinitionsChanged,
    Duplicate,
    EventLog,
    NewEvent,
    Place,
    Snapshot,
    StreamAppend,
)

AT = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
A, B, C = (derived_uuid(AT, name) for name in "ABC")
DAILY, WEEKLY = named_stream("workflow", "daily"), named_stream("workflow", "weekly")
KEY = identity_key("cause", "shop", "order-1")


def events(*types: str) -> list[NewEvent]:
    return [NewEvent(event_type, b'{"of": "%s"}' % event_type.encode()) for event_type in types]


def to(stream_id: UUID, expected_version: int, *types: str, identity: bytes | None = None) -> StreamAppend:
    return StreamAppend("run", stream_id, expected_version, events(*types), identity)


def group(*streams: StreamAppend, definitions_position: int | None = None, changes_definitions: bool = False) -> Append:
    return Append(list(streams), AT, definitions_position=definitions_position, changes_definitions=changes_definitions)


async def append_one(log: EventLog, append: Append) -> Answer:
    (answer,) = await log.append([append])
    return answer


async def types_in(log: EventLog) -> list[str]:
    return [event.type for event in await log.read(0)]


async def test_events_come_back_as_they_went_in(log: EventLog):
    data = ' { "größe" : 1.50, "a":[1 ,2], "a":null, "nul": "\\u0000" }'.encode()
    logged = StreamAppend("run", A, 0, [NewEvent("Weighed", data, schema_version=3)])
    correlation_id, causation_id = uuid4(), uuid4()
    given = Append([logged], AT, correlation_id, causation_id, actor="ada|é", traceparent="00-ab|cd-01")
    assert await append_one(log, given) == Appended([1])
    (event,) = await log.read(0)
    assert event.event_id == event_id(A, 1, AT)
    assert (event.position, event.stream_type, event.stream_id, event.version) == (1, "run", A, 1)
    assert (event.type, event.schema_version, event.data) == ("Weighed", 3, data)
    assert (event.correlation_id, event.causation_id) == (correlation_id, causation_id)
    assert (event.actor, event.traceparent, event.recorded_at) == ("ada|é", "00-ab|cd-01", AT)


async def test_a_time_of_another_zone_is_the_same_instant(log: EventLog):
    there = AT.astimezone(tz=None)
    await log.append([Append([to(A, 0, "One")], there)])
    (event,) = await log.read(0)
    assert event.recorded_at == AT


async def test_positions_number_the_log_and_versions_number_the_stream(log: EventLog):
    answers = await log.append([group(to(A, 0, "A1", "A2"), to(B, 0, "B1")), group(to(C, 0, "C1"))])
    assert answers == [Appended([1, 3]), Appended([4])]
    assert await append_one(log, group(to(A, 2, "A3"))) == Appended([5])
    assert [(e.position, e.type, e.version) for e in await log.read(0)] == [
        (1, "A1", 1),
        (2, "A2", 2),
        (3, "B1", 1),
        (4, "C1", 1),
        (5, "A3", 3),
    ]


@pytest.mark.parametrize("events_count", [32, 33])
async def test_calls_of_few_and_of_many_events_are_logged_alike(log: EventLog, events_count: int):
    """Postgres takes another way for each."""
    rest = [f"B{number}" for number in range(events_count - 3)]
    others = Append(
        [to(B, 0, *rest), to(C, 0, "C1")], AT + timedelta(seconds=1), actor="ada", traceparent="00-ab-cd-01"
    )
    answers = await log.append([group(to(A, 0, "A1", "A2")), others])
    assert answers == [Appended([1]), Appended([3, events_count])]
    logged = await log.read(0)
    assert [(e.position, e.stream_id, e.type, e.version) for e in logged] == [
        (1, A, "A1", 1),
        (2, A, "A2", 2),
        *((position, B, kind, position - 2) for position, kind in enumerate(rest, 3)),
        (events_count, C, "C1", 1),
    ]
    assert [e.data for e in logged] == [b'{"of": "%s"}' % e.type.encode() for e in logged]
    assert {(e.recorded_at, e.actor, e.traceparent) for e in logged[2:]} == {
        (others.recorded_at, others.actor, others.traceparent)
    }


@pytest.mark.parametrize("events_count", [1, 3, 32, 33])
async def test_a_step_of_one_stream_is_logged_whole_whatever_its_size(log: EventLog, events_count: int):
    """Postgres has a way of its own for a few events of one stream."""
    kinds = [f"B{number}" for number in range(events_count)]
    correlation_id, causation_id = uuid4(), uuid4()
    step = Append([to(A, 1, *kinds)], AT, correlation_id, causation_id, actor="ada|é", traceparent="00-ab|cd-01")
    await log.append([group(to(C, 0, "C1"), to(A, 0, "A1"))])
    assert await append_one(log, step) == Appended([3])
    assert await append_one(log, group(to(A, 1 + events_count, "A2"))) == Appended([3 + events_count])
    logged = (await log.read(2))[:-1]
    assert [(e.position, e.stream_id, e.version, e.type) for e in logged] == [
        (3 + number, A, 2 + number, kind) for number, kind in enumerate(kinds)
    ]
    assert {(e.correlation_id, e.causation_id, e.actor, e.traceparent, e.recorded_at) for e in logged} == {
        (correlation_id, causation_id, "ada|é", "00-ab|cd-01", AT)
    }


async def test_the_last_event_of_some_types_is_told_without_its_payload(log: EventLog):
    await log.append([group(to(A, 0, "One", "Two", "One_"), to(B, 0, "Two")), group(to(A, 3, "Three"))])
    assert await log.read_last(A, {"One", "Two"}) == Place(2, "Two")
    assert await log.read_last(A, {"Three", "One"}) == Place(5, "Three")
    assert await log.read_last(A, {"Four"}) is None
    assert await log.read_last(C, {"One"}) is None


async def test_a_page_of_a_stream_has_what_follows_whatever_was_appended_at_once(log: EventLog):
    kinds = [f"A{number}" for number in range(20)]
    for place in range(0, 20, 5):
        await log.append([group(to(A, place, *kinds[place : place + 5]))])
    for after, limit in ((0, 3), (3, 4), (4, 9), (17, 9), (20, 1)):
        assert [event.type for event in await log.read_stream(A, after, limit)] == kinds[after : after + limit]


async def test_nothing_to_append_is_nothing_appended(log: EventLog):
    assert await log.append([]) == []
    assert (await log.head()).position == 0


@pytest.mark.parametrize("expected_version", [0, 1, 3, 7])
async def test_another_version_than_expected_is_a_conflict_that_tells_the_actual_one(
    log: EventLog, expected_version: int
):
    await log.append([group(to(A, 0, "A1", "A2"))])
    assert await append_one(log, group(to(A, expected_version, "Late"))) == Conflict(A, 2)
    assert await types_in(log) == ["A1", "A2"]


async def test_a_new_stream_expected_to_exist_is_a_conflict_at_zero(log: EventLog):
    assert await append_one(log, group(to(A, 4, "Early"))) == Conflict(A, 0)


async def test_a_group_is_appended_whole_or_not_at_all_and_spoils_no_other(log: EventLog):
    await log.append([group(to(B, 0, "B1"))])
    answers = await log.append(
        [group(to(A, 0, "A1"), to(B, 0, "Stale")), group(to(C, 0, "C1", "C2")), group(to(DAILY, 1, "Stale"))]
    )
    assert answers == [Conflict(B, 1), Appended([2]), Conflict(DAILY, 0)]
    assert await types_in(log) == ["B1", "C1", "C2"]
    assert await log.read_stream(A) == []


async def test_an_identity_is_logged_once_and_names_the_event_that_holds_it(log: EventLog):
    assert await append_one(log, group(to(B, 0, "B1"), to(A, 0, "A1", "A2", identity=KEY))) == Appended([1, 2])
    assert await append_one(log, group(to(C, 0, "Again", identity=KEY))) == Duplicate(2)
    assert await types_in(log) == ["B1", "A1", "A2"]


async def test_a_known_identity_says_more_than_a_conflict_and_a_conflict_more_than_old_definitions(log: EventLog):
    await log.append([group(to(DAILY, 0, "Created"), changes_definitions=True)])
    await log.append([group(to(A, 0, "A1", identity=KEY))])
    everything_wrong = group(to(A, 0, "Again", identity=KEY), definitions_position=0)
    assert await append_one(log, everything_wrong) == Duplicate(2)
    assert await append_one(log, group(to(A, 0, "Again"), definitions_position=0)) == Conflict(A, 1)
    assert await append_one(log, group(to(A, 1, "Again"), definitions_position=0)) == DefinitionsChanged(1)


async def test_of_two_groups_with_one_identity_in_a_call_the_first_wins(log: EventLog):
    answers = await log.append([group(to(A, 0, "A1", identity=KEY)), group(to(B, 0, "B1", identity=KEY))])
    assert answers == [Appended([1]), Duplicate(1)]
    assert await types_in(log) == ["A1"]


@pytest.mark.parametrize("old_first", [False, True])
async def test_of_two_known_identities_the_one_named_first_is_told_whether_old_or_of_the_same_call(
    log: EventLog, old_first: bool
):
    old, new = KEY, identity_key("cause", "shop", "order-2")
    await log.append([group(to(A, 0, "A1", identity=old))])
    named = (old, new) if old_first else (new, old)
    answers = await log.append(
        [
            group(to(B, 0, "B1", identity=new)),
            group(*(to(stream_id, 0, "Again", identity=key) for stream_id, key in zip((C, DAILY), named, strict=True))),
        ]
    )
    assert answers == [Appended([2]), Duplicate(1 if old_first else 2)]
    assert await types_in(log) == ["A1", "B1"]


async def test_of_many_identities_the_known_ones_are_told_with_their_positions(log: EventLog):
    other, unknown = identity_key("cause", "shop", "order-2"), identity_key("cause", "shop", "order-3")
    await log.append([group(to(A, 0, "A1", "A2", identity=KEY), to(B, 0, "B1", identity=other))])
    assert await log.find_identities([unknown, other, KEY]) == {KEY: 1, other: 3}
    assert await log.find_identities([]) == {}


async def test_a_refused_group_holds_no_identity(log: EventLog):
    answers = await log.append(
        [
            group(to(A, 5, "Stale", identity=KEY)),
            group(to(B, 0, "B0"), to(C, 0, "C1", "C2", identity=KEY)),
            group(to(DAILY, 0, "D1", identity=KEY)),
        ]
    )
    assert answers == [Conflict(A, 0), Appended([1, 2]), Duplicate(2)]


async def test_groups_of_one_call_may_follow_one_another_in_a_stream(log: EventLog):
    answers = await log.append([group(to(A, 0, "A1", "A2")), group(to(B, 0, "B1")), group(to(A, 2, "A3"))])
    assert answers == [Appended([1]), Appended([3]), Appended([4])]
    assert [(event.version, event.type) for event in await log.read_stream(A)] == [(1, "A1"), (2, "A2"), (3, "A3")]


async def test_what_follows_a_refused_group_in_its_stream_is_refused_as_well(log: EventLog):
    answers = await log.append(
        [
            group(to(A, 0, "A1"), to(B, 3, "Stale")),
            group(to(A, 1, "A2")),
            group(to(A, 0, "A1")),
            group(to(A, 0, "Late")),
            group(to(C, 0, "C1"), to(A, 1, "A2")),
        ]
    )
    assert answers == [Conflict(B, 0), Conflict(A, 0), Appended([1]), Conflict(A, 1), Appended([2, 3])]
    assert [event.type for event in await log.read_stream(A)] == ["A1", "A2"]


async def test_a_decision_made_against_older_definitions_is_refused(log: EventLog):
    assert await append_one(log, group(to(DAILY, 0, "Created"), changes_definitions=True)) == Appended([1])
    assert (await log.head()).definitions_position == 1
    assert await append_one(log, group(to(A, 0, "A1"), definitions_position=0)) == DefinitionsChanged(1)
    assert await append_one(log, group(to(A, 0, "A1"), definitions_position=1)) == Appended([2])
    assert (await log.head()).definitions_position == 1


async def test_a_definition_change_is_at_its_last_event_and_binds_later_groups_of_its_call(log: EventLog):
    answers = await log.append(
        [
            group(to(A, 0, "A1"), definitions_position=0),
            group(to(DAILY, 0, "Created", "TriggerAdded"), changes_definitions=True),
            group(to(B, 0, "B1"), definitions_position=0),
            group(to(C, 0, "C1")),
        ]
    )
    assert answers == [Appended([1]), Appended([2]), DefinitionsChanged(3), Appended([4])]
    assert (await log.head()).definitions_position == 3


async def test_a_refused_definition_change_changes_no_definitions(log: EventLog):
    answers = await log.append(
        [group(to(DAILY, 3, "Stale"), changes_definitions=True), group(to(A, 0, "A1"), definitions_position=0)]
    )
    assert answers == [Conflict(DAILY, 0), Appended([1])]
    assert (await log.head()).definitions_position == 0


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ([group()], "without streams"),
        ([group(to(A, 0))], "nothing to append"),
        ([group(to(A, 0, "A1"), to(A, 1, "A2"))], "named twice"),
        ([group(to(A, 0, "A1", identity=KEY), to(B, 0, "B1", identity=KEY))], "identity is named twice"),
        ([Append([to(A, 0, "A1")], AT.replace(tzinfo=None))], "time zone"),
        ([group(to(B, 0, "B1")), group(StreamAppend("run", A, 0, [NewEvent("Broken", b"{")]))], "JSON|json"),
        ([group(StreamAppend("run", A, 0, [NewEvent("Broken", b'"\xff"')]))], "UTF-8|UTF8|utf-8"),
    ],
)
async def test_what_no_log_could_take_is_refused_and_nothing_of_it_logged(log: EventLog, call: list[Append], why: str):
    with pytest.raises(ValueError, match=why):
        await log.append(call)
    assert (await log.head()).position == 0
    assert await append_one(log, group(to(A, 0, "A1"))) == Appended([1])


async def test_a_stream_is_read_in_order_after_a_version_up_to_a_limit(log: EventLog):
    await log.append([group(to(A, 0, "A1", "A2", "A3", "A4"), to(B, 0, "B1"))])
    assert [event.type for event in await log.read_stream(A)] == ["A1", "A2", "A3", "A4"]
    assert [event.type for event in await log.read_stream(A, 1, 2)] == ["A2", "A3"]
    assert await log.read_stream(A, 4) == []
    assert await log.read_stream(C) == []


async def test_whole_streams_are_read_together_and_unknown_ones_are_empty(log: EventLog):
    await log.append([group(to(A, 0, "A1", "A2"), to(DAILY, 0, "D1"), to(B, 0, "B1"))])
    streams = await log.read_streams([DAILY, A, C])
    assert {stream_id: [event.type for event in read] for stream_id, read in streams.items()} == {
        A: ["A1", "A2"],
        DAILY: ["D1"],
        C: [],
    }
    assert await log.read_streams([]) == {}


async def test_what_happened_to_the_streams_of_one_millisecond_is_read_by_type(log: EventLog):
    later = derived_uuid(AT + timedelta(milliseconds=1), "later")
    await log.append([group(to(A, 0, "Began", "Ended")), group(to(B, 0, "Began")), group(to(later, 0, "Began"))])
    part = part_uuid(B, "a part of it")
    read = [(event.stream_id, event.type) for event in await log.read_of_moment(part, {"Began"}, 10)]
    assert read == sorted([(A, "Began"), (B, "Began")])
    assert [event.type for event in await log.read_of_moment(A, {"Began", "Ended"}, 10)].count("Ended") == 1
    assert len(await log.read_of_moment(A, {"Began"}, 1)) == 1
    assert await log.read_of_moment(uuid4(), {"Began"}, 10) == []


async def test_the_log_is_read_by_position_across_streams_in_pages(log: EventLog):
    await log.append([group(to(A, 0, "1"), to(DAILY, 0, "2", "3"), to(B, 0, "4"), to(WEEKLY, 0, "5"))])
    assert [event.type for event in await log.read(0, 2)] == ["1", "2"]
    assert [event.type for event in await log.read(2, 2)] == ["3", "4"]
    assert [event.type for event in await log.read(4, 2)] == ["5"]
    assert await log.read(5) == []


async def test_reading_is_narrowed_by_type_by_stream_type_and_to_named_streams(log: EventLog):
    workflow = StreamAppend("workflow", DAILY, 0, events("Created", "Updated"))
    await log.append([group(to(A, 0, "Created", "Ended"), workflow)])

    async def positions(**narrowed: object) -> list[int]:
        return [event.position for event in await log.read(0, **narrowed)]  # pyright: ignore[reportArgumentType]

    assert await positions(types={"Created"}) == [1, 3]
    assert await positions(types=["Created", "Ended"], stream_types={"run"}) == [1, 2]
    assert await positions(named_only=True) == [3, 4]
    assert await positions(named_only=True, types=["Updated"]) == [4]
    assert await positions(types=[]) == []


async def test_an_event_is_found_by_its_position(log: EventLog):
    await log.append([group(to(A, 0, "A1", "A2"))])
    found = await log.read_position(2)
    assert found is not None
    assert found.type == "A2"
    assert [await log.read_position(position) for position in (0, 3, -1)] == [None] * 3


async def test_the_head_moves_with_the_log_and_its_incarnation_stays(log: EventLog):
    before = await log.head()
    await log.append([group(to(A, 0, "A1", "A2"))])
    after = await log.head()
    assert (before.position, after.position) == (0, 2)
    assert before.incarnation == after.incarnation
    assert before.hash != after.hash
    assert len(before.hash) == len(after.hash) == 32


async def test_a_refused_call_moves_nothing(log: EventLog):
    await log.append([group(to(A, 0, "A1"))])
    before = await log.head()
    await log.append([group(to(A, 0, "Stale"))])
    assert await log.head() == before


async def test_a_blob_is_kept_under_its_hash_once(log: EventLog):
    data = bytes(range(256)) * 4096
    name = await log.put_blob(data)
    assert name == await log.put_blob(data)
    assert len(name) == 64
    assert await log.get_blob(name) == data
    assert [await log.get_blob(unknown) for unknown in ("ab" * 32, "not a hash")] == [None, None]


async def test_cursors_are_kept_by_name_and_may_go_back(log: EventLog):
    assert await log.get_cursor("said.execution") == 0
    await log.set_cursor("said.execution", 7)
    await log.set_cursor("said.triggers", 9)
    await log.set_cursor("said.execution", 5)
    assert [await log.get_cursor(f"said.{service}") for service in ("execution", "triggers")] == [5, 9]


async def test_a_snapshot_takes_the_place_of_the_last_one_until_all_are_dropped(log: EventLog):
    assert await log.get_snapshot(A) is None
    await log.put_snapshot(Snapshot(A, 3, 1, b"old"))
    await log.put_snapshot(Snapshot(A, 9, 2, b"\x00new"))
    assert await log.get_snapshot(A) == Snapshot(A, 9, 2, b"\x00new")
    await log.drop_snapshots()
    assert await log.get_snapshot(A) is None


async def test_whoever_appends_concurrently_versions_and_positions_have_no_gaps_and_no_event_is_lost(log: EventLog):
    callers_count, appends_count = 12, 6

    async def caller(number: int) -> None:
        for turn in range(appends_count):
            stream_id = (A, B, DAILY)[(number + turn) % 3]
            answer: Answer | None = None
            while not isinstance(answer, Appended):
                version = len(await log.read_stream(stream_id))
                answer = await append_one(log, group(to(stream_id, version, f"{number}.{turn}", f"{number}.{turn}'")))

    await asyncio.gather(*(caller(number) for number in range(callers_count)))
    logged = await log.read(0)
    assert [event.position for event in logged] == list(range(1, callers_count * appends_count * 2 + 1))
    assert len({event.type for event in logged}) == len(logged)
    for events_of_stream in (await log.read_streams([A, B, DAILY])).values():
        assert [event.version for event in events_of_stream] == list(range(1, len(events_of_stream) + 1))


async def test_of_concurrent_callers_with_one_identity_exactly_one_logs_it(log: EventLog):
    streams = [derived_uuid(AT + timedelta(seconds=number), "contender") for number in range(20)]
    answers = await asyncio.gather(*(append_one(log, group(to(id_, 0, "Won", identity=KEY))) for id_ in streams))
    assert [answer for answer in answers if isinstance(answer, Appended)] == [Appended([1])]
    assert answers.count(Duplicate(1)) == len(streams) - 1


async def test_a_reader_that_follows_the_log_sees_every_position_in_order(log: EventLog):
    total = 200

    async def write() -> None:
        streams = [derived_uuid(AT, "followed", number) for number in range(total // 2)]
        await asyncio.gather(*(append_one(log, group(to(stream_id, 0, "1", "2"))) for stream_id in streams))

    writing = asyncio.create_task(write())
    seen: list[int] = []
    while len(seen) < total:
        seen += [event.position for event in await log.read(seen[-1] if seen else 0, 7)]
        await asyncio.sleep(0)
    await writing
    assert seen == list(range(1, total + 1))
