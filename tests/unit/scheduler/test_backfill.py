"""Which nominal times of the past a backfill fires, how often, in what order, and how fast."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from flowforge.commands import BackfillSchedule
from flowforge.events import BackfillRequested, WorkflowCreated, decode, encode
from flowforge.refusals import Refusal
from hypothesis import given
from hypothesis import strategies as st

from infra.schedules import schedule_of
from services.scheduler.backfill import Backfill, Book, Planned, Span, answer, plan, requested, span_of
from services.scheduler.schedules import Entry, Workflow, evolve, firing_stream
from services.scheduler.settings import (
    BACKFILL_COUNTED_MAX,
    BACKFILL_FIRINGS_MAX,
    BACKFILL_LISTED_MAX,
    BACKFILL_PAUSE,
    BACKFILL_PORTION_COUNT,
    BACKFILL_TIMES_MAX,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOW = START + 365 * 1440 * MINUTE + 10 * timedelta(seconds=1)
KEY = ("w", "t")


def workflow(*, enabled: bool = True, status: str = "active", **config: Any) -> Workflow:
    trigger = {"id": "t", "type": "schedule", "enabled": enabled, "config": {"every_ms": 60_000, **config}}
    document = msgspec.Raw(json.dumps({"status": status, "triggers": [trigger]}).encode())
    after = evolve(None, WorkflowCreated(workflow_id="w", workflow_version=1, definition=document), START)
    assert after is not None
    return after


def ask(since: datetime = START, until: datetime | None = START + 5 * MINUTE, **more: Any) -> BackfillSchedule:
    return BackfillSchedule(command_id="c", workflow_id="w", trigger_id="t", since=since, until=until, **more)


def span(command: BackfillSchedule, **config: Any) -> Span:
    found = span_of(workflow(**config), command, NOW)
    assert isinstance(found, Span)
    return found


def refusal(command: BackfillSchedule, **config: Any) -> Refusal:
    found = span_of(workflow(**config), command, NOW)
    assert isinstance(found, Refusal)
    return found


def planned(
    command: BackfillSchedule, *logged: datetime, coming: frozenset[UUID] = frozenset(), **config: Any
) -> Planned:
    found = plan(command, span(command, **config), {firing_stream(KEY, at) for at in logged}, coming, None)
    assert isinstance(found, Planned)
    return found


def begun(fact: BackfillRequested) -> Backfill:
    return Backfill(fact, 7, uuid4(), "ada", is_checked=True)


def at(*minutes: float) -> list[datetime]:
    return [START + minute * MINUTE for minute in minutes]


def test_the_times_from_since_on_and_before_until_are_meant():
    assert planned(ask()).times == at(0, 1, 2, 3, 4)
    assert planned(ask(*at(0.5, 2.5))).times == at(1, 2)
    assert planned(ask(*at(2, 2.1))).times == at(2)


def test_a_time_without_an_offset_is_utc():
    assert planned(ask(datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 2))).times == at(0, 1)  # noqa: DTZ001


def test_nothing_fires_early_whatever_until_says():
    latest = NOW.replace(second=0)
    for until in (None, NOW, NOW + 5 * MINUTE):
        assert planned(ask(NOW - 2 * MINUTE, until)).times == [latest - MINUTE, latest]


def test_what_has_fired_or_is_about_to_is_left_out_and_marked():
    command = ask()
    given = planned(command, *at(1), coming=frozenset([firing_stream(KEY, START + 3 * MINUTE)]))
    assert given.states == ["missing", "fired", "missing", "pending", "missing"]
    assert given.times == at(0, 2, 4)
    assert given.repeated == []
    told = given.preview()
    assert (told["count"], told["fired"], told["pending"], told["dry_run"]) == (3, 1, 1, True)
    assert [(item["state"], item["fires"]) for item in told["items"]][:2] == [("missing", True), ("fired", False)]


def test_what_the_clock_is_about_to_fire_is_left_to_it():
    config: dict[str, Any] = {"jitter_ms": 50_000}
    there = workflow(**config)
    entry = Entry(there.plans["t"], schedule_of(there.plans["t"].trigger.config, *KEY), None, START)
    entry.see(START + MINUTE)
    assert len(entry.pending) == 1
    found = plan(ask(), span(ask(), **config), set(), set(), entry)
    assert isinstance(found, Planned)
    assert found.states == ["missing", "pending", "pending", "pending", "pending"]


def test_repeated_times_fire_again_under_an_identity_of_their_own():
    again = requested(ask(repeat=True), planned(ask(repeat=True), *at(1, 3)), NOW)
    assert again.times == at(0, 1, 2, 3, 4)
    assert again.repeated == at(1, 3)
    streams = list(begun(again).left)
    own = [firing_stream(KEY, one) for one in again.times]
    assert [stream == clock for stream, clock in zip(streams, own, strict=True)] == [True, False, True, False, True]
    other = requested(
        msgspec.structs.replace(ask(repeat=True), command_id="d"), planned(ask(repeat=True), *at(1, 3)), NOW
    )
    assert set(streams) & set(begun(other).left) == {own[0], own[2], own[4]}


def test_a_firing_is_the_one_that_the_clock_would_have_made_and_names_its_backfill():
    fact = requested(ask(), planned(ask()), NOW)
    (stream_id, fired), *_ = begun(fact).portion()
    assert stream_id == firing_stream(KEY, START)
    assert (fired.scheduled_at, fired.previous_at, fired.next_at) == (START, START - MINUTE, START + MINUTE)
    assert (fired.backfill_id, fired.trigger_version) == (fact.backfill_id, 1)


@pytest.mark.parametrize("end_at", [None, (START + 5 * MINUTE).isoformat()])
def test_what_was_granted_fires_though_data_of_time_zones_have_it_at_another_time_since(end_at: str | None):
    fact = requested(ask(), planned(ask(), end_at=end_at), NOW)
    moved = msgspec.structs.replace(fact, times=at(0.5, 1.5, 5.5))
    fired = [one for _, one in begun(moved).portion()]
    assert [(one.scheduled_at, one.due_at) for one in fired] == [(one, one) for one in moved.times]
    assert (fired[0].previous_at, fired[0].next_at) == (START, START + MINUTE)


def test_what_is_logged_stays_what_was_decided():
    fact = requested(ask(repeat=True), planned(ask(repeat=True), *at(1)), NOW)
    read = decode("BackfillRequested", encode(fact))
    assert read == fact
    assert isinstance(read, BackfillRequested)
    assert answer(read, 3) == answer(fact, 3)
    assert answer(fact, 3)["schedule"]["every_ms"] == 60_000
    assert requested(ask(), planned(ask()), NOW).backfill_id == requested(ask(), planned(ask()), NOW).backfill_id


@pytest.mark.parametrize(
    ("config", "status", "says"),
    [
        ({"enabled": False}, 409, "disabled; enable it"),
        ({"status": "draft"}, 409, "'w' is draft"),
        ({"status": "archived"}, 409, "'w' is archived"),
        ({"cron": "0 0 31 2 *", "every_ms": None}, 409, "mend and save it, then backfill"),
    ],
)
def test_what_starts_no_runs_is_not_backfilled(config: dict[str, Any], status: int, says: str):
    found = refusal(ask(), **config)
    assert (found.status, says in found.detail) == (status, True)


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        (START, START, "since must be before until"),
        (START + MINUTE, START, "since must be before until"),
        (NOW + MINUTE, None, "since must be before until"),
        (datetime(1969, 1, 1, tzinfo=UTC), START, "1969-01-01 is too long ago"),
    ],
)
def test_a_span_that_is_none_is_refused_with_its_place(since: datetime, until: datetime | None, says: str):
    found = refusal(ask(since, until))
    assert (found.status, found.errors[0]["path"]) == (422, "$.since")
    assert says in found.detail


def test_too_many_are_refused_with_their_number():
    many = ask(START, START + (BACKFILL_TIMES_MAX + 1) * MINUTE)
    assert (
        f"{BACKFILL_TIMES_MAX + 1:,} nominal times, one backfill takes {BACKFILL_TIMES_MAX:,}" in refusal(many).detail
    )
    assert f"more than {BACKFILL_COUNTED_MAX:,} nominal times" in refusal(ask(START, None), every_ms=1_000).detail
    runs = ask(START, START + (BACKFILL_FIRINGS_MAX + 1) * MINUTE)
    found = plan(runs, span(runs), set(), set(), None)
    assert isinstance(found, Refusal)
    assert f"{BACKFILL_FIRINGS_MAX + 1:,} runs, one backfill takes {BACKFILL_FIRINGS_MAX:,}" in found.detail
    assert len(planned(runs, START).times) == BACKFILL_FIRINGS_MAX, "those that have fired do not count"


def test_a_preview_lists_the_earliest_and_counts_all():
    command = ask(START, START + (BACKFILL_LISTED_MAX + 200) * MINUTE)
    told = planned(command, *at(*range(300))).preview()
    assert (len(told["items"]), told["has_more"], told["count"]) == (
        BACKFILL_LISTED_MAX,
        True,
        BACKFILL_LISTED_MAX - 100,
    )


def test_it_follows_the_wall_clock_as_the_schedule_does():
    command = ask(datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
    times = planned(command, cron="30 2 * * *", every_ms=None, timezone="Europe/Berlin").times
    assert [f"{time:%d %H:%M}" for time in times] == ["28 01:30", "29 01:00", "30 00:30"]


def test_backfills_take_turns_a_portion_each_and_pause_between():
    book, count = Book(), 2 * BACKFILL_PORTION_COUNT
    commands = [
        msgspec.structs.replace(ask(START, START + count * MINUTE), command_id=name, repeat=True) for name in "ab"
    ]
    everything = at(*range(count))
    first, second = (begun(requested(command, planned(command, *everything), NOW)) for command in commands)
    book.take_in(first, NOW)
    book.take_in(second, NOW)
    now, order = NOW, list[str]()
    while (due_at := book.next_at) is not None:
        assert due_at in {now, now + BACKFILL_PAUSE}
        now = due_at
        taken = book.take_due(now)
        assert taken is not None
        assert book.take_due(now) is None, "one is under way"
        backfill = book.under_way[taken]
        portion = backfill.portion()
        assert len(portion) == BACKFILL_PORTION_COUNT
        backfill.forget([stream_id for stream_id, _ in portion])
        order.append(backfill.fact.command_id)
        book.placed(taken, now)
    assert order == ["a", "b", "a", "b"]
    assert book.coming(KEY) == set()


def test_a_clock_put_back_makes_no_pause_longer():
    book = Book()
    book.take_in(begun(requested(ask(), planned(ask()), NOW)), NOW)
    book.clock_went_back(NOW - 60 * MINUTE)
    assert book.next_at == NOW - 60 * MINUTE + BACKFILL_PAUSE


def test_a_backfill_of_nothing_is_none_under_way():
    book = Book()
    book.take_in(begun(requested(ask(), planned(ask(), *at(0, 1, 2, 3, 4)), NOW)), NOW)
    assert book.next_at is None


@given(
    asked=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=6),
    steps=st.lists(st.integers(0, 3), max_size=12),
    clock=st.sets(st.integers(0, 80), max_size=20),
)
def test_however_spans_overlap_and_whatever_fired_before_each_time_fires_once_in_order(
    asked: list[tuple[int, int]], steps: list[int], clock: set[int]
):
    """Backfills come one after another, portions fire between them; what the clock fired is left as it is."""
    logged = {firing_stream(KEY, START + minute * MINUTE) for minute in clock}
    book, fired = Book(), dict[str, list[datetime]]()
    for number, (begin, length) in enumerate(asked):
        command = msgspec.structs.replace(
            ask(START + begin * MINUTE, START + (begin + length) * MINUTE), command_id=str(number)
        )
        found = plan(command, span(command), logged, book.coming(KEY), None)
        assert isinstance(found, Planned)
        book.take_in(begun(requested(command, found, NOW)), NOW)
        turns = steps[number] if number < len(steps) else 0
        while book.under_way and (turns > 0 or number == len(asked) - 1):
            turns -= 1
            taken = book.take_due(NOW + 60 * MINUTE)
            assert taken is not None
            backfill = book.under_way[taken]
            portion = backfill.portion()
            for stream_id, fact in portion:
                assert stream_id not in logged
                logged.add(stream_id)
                fired.setdefault(backfill.fact.command_id, []).append(fact.scheduled_at)
            backfill.forget([stream_id for stream_id, _ in portion])
            book.placed(taken, NOW)
    wanted = {minute for begin, length in asked for minute in range(begin, begin + length)} - clock
    assert sorted(time for times in fired.values() for time in times) == at(*sorted(wanted))
    assert all(times == sorted(times) for times in fired.values())
