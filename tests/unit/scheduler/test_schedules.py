"""Which schedules are in force since when, and what the calendar makes of the time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowUpdated
from hypothesis import given as given_any
from hypothesis import strategies as st

from infra.schedules import between, schedule_of
from services.scheduler.schedules import Calendar, Done, Entry, Plan, Workflow, evolve, firing_stream
from services.scheduler.settings import CATCH_UP_MAX, FIRINGS_PER_TURN_MAX, MISSED_COUNT_MAX

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def saved(
    version: int,
    before: Workflow | None,
    at: datetime | None = None,
    *,
    enabled: bool = True,
    status: str = "active",
    **config: Any,
) -> Workflow:
    trigger = {"id": "t", "type": "schedule", "enabled": enabled, "config": {"every_ms": 60_000, **config}}
    document = msgspec.Raw(json.dumps({"status": status, "triggers": [trigger]}).encode())
    kind = WorkflowCreated if version == 1 else WorkflowUpdated
    after = evolve(
        before, kind(workflow_id="w", workflow_version=version, definition=document), at or START + version * MINUTE
    )
    assert after is not None
    return after


def entry(done: Done | None = None, at: datetime = START, **config: Any) -> Entry:
    workflow = saved(1, None, **config)
    plan = msgspec.structs.replace(workflow.plans["t"], in_force_at=START)
    return Entry(plan, schedule_of(plan.trigger.config, *plan.key), done, at)


def resumed(seen_at: datetime, **config: Any) -> Entry:
    """Saved in minute 1, paused in minute 2, resumed at 8 minutes 30; the calendar takes it in at `seen_at`."""
    paused = saved(2, saved(1, None, catch_up="all", **config), enabled=False, catch_up="all", **config)
    plan = msgspec.structs.replace(
        saved(3, paused, catch_up="all", **config).plans["t"], in_force_at=START + 8.5 * MINUTE
    )
    return Entry(plan, schedule_of(plan.trigger.config, *plan.key), Done(START + 1 * MINUTE), seen_at)


def fires(given: Entry, now: datetime) -> list[datetime]:
    """What fires of it at a look, turn after turn until nothing is left."""
    given.see(now)
    fired: list[datetime] = []
    while due := given.due(now):
        fired += [fact.scheduled_at for _, fact in due]
        given.logged(stream_id for stream_id, _ in due)
    return fired


def in_force(workflow: Workflow) -> list[tuple[int, datetime]]:
    plans: list[Plan] = list(workflow.plans.values())
    return [(plan.trigger_version, plan.in_force_at) for plan in plans]


def test_a_schedule_is_in_force_since_its_times_or_its_being_enabled_changed():
    first = saved(1, None)
    assert in_force(first) == [(1, START + MINUTE)]
    same = saved(2, first)
    assert in_force(same) == [(1, START + MINUTE)]
    assert in_force(saved(3, same, every_ms=90_000)) == [(3, START + 3 * MINUTE)]
    paused = saved(3, same, enabled=False)
    assert in_force(paused) == []
    assert in_force(saved(4, paused)) == [(4, START + 4 * MINUTE)]
    draft = saved(3, same, status="draft")
    assert in_force(draft) == []
    assert in_force(saved(4, draft)) == [(1, START + 4 * MINUTE)]
    archived = evolve(same, WorkflowArchived(workflow_id="w"), START)
    assert archived is not None
    assert archived.plans == {}


def test_a_pause_seen_together_with_its_end_is_a_pause():
    first = saved(1, None)
    resumed = saved(3, saved(2, first, enabled=False))
    assert in_force(resumed) == [(3, START + 3 * MINUTE)]
    assert not resumed.plans["t"].has_times_of(first.plans["t"])


@pytest.mark.parametrize(
    "seen_at",
    [START, START + 2 * MINUTE, START + 8.5 * MINUTE, START + 8.75 * MINUTE, START + 11 * MINUTE],
    ids=["as if before the pause", "as if in the pause", "at once", "before the next", "late"],
)
def test_nothing_of_a_pause_is_caught_up_whenever_its_end_is_seen(seen_at: datetime):
    given = resumed(seen_at)
    late = START + 11 * MINUTE
    assert fires(given, late) == [START + 9 * MINUTE, START + 10 * MINUTE, START + 11 * MINUTE]
    assert given.given_up() is None


def test_a_pause_that_is_not_caught_up_is_not_told_as_missed():
    given = resumed(START, every_ms=1_000)
    given.see(START + 8.5 * MINUTE + timedelta(hours=1))
    told = given.given_up()
    assert told is not None
    assert told.first_at == START + 8.5 * MINUTE + timedelta(seconds=1)
    assert told.count + len(given.pending) == 3600


def test_by_a_clock_behind_the_one_that_saved_it_fires_in_time_and_catches_up_nothing_of_the_pause():
    behind = resumed(START + 3.5 * MINUTE)
    assert fires(behind, START + 4 * MINUTE) == [START + 4 * MINUTE]
    assert fires(behind, START + 8.75 * MINUTE) == [], "the clock was put right"
    assert fires(behind, START + 9 * MINUTE) == [START + 9 * MINUTE]


@given_any(
    toggles=st.lists(st.integers(1, 399), max_size=12, unique=True).map(sorted),
    looks=st.lists(st.integers(0, 399), max_size=12).map(sorted),
    every_s=st.sampled_from([1, 7, 60]),
)
def test_whenever_saves_are_seen_no_time_of_a_pause_fires_and_what_is_in_force_at_the_end_fires_whole(
    toggles: list[int], looks: list[int], every_s: int
):
    """Saves pause and resume in turn, at half past these seconds; the scheduler looks at these, and once more at the end."""

    def at(second: int) -> datetime:
        return START + timedelta(milliseconds=second * 1000 + 500)

    end = 400
    saves = [(second, number % 2 == 0) for number, second in enumerate([0, *toggles])]
    unseen = list(enumerate(saves, 1))
    workflow: Workflow | None = None
    held: Entry | None = None
    fired: list[datetime] = []
    for look in [*looks, end]:
        while unseen and unseen[0][1][0] <= look:
            version, (second, enabled) = unseen.pop(0)
            workflow = saved(version, workflow, at(second), enabled=enabled, every_ms=every_s * 1000, catch_up="all")
        assert workflow is not None
        plan = workflow.plans.get("t")
        if plan is None:
            held = None
            continue
        if held is None or not held.plan.has_times_of(plan):
            held = Entry(plan, schedule_of(plan.trigger.config, *plan.key), None, at(look))
        fired += fires(held, at(look))
    spans = zip([second for second, _ in saves], [*toggles, end], strict=True)
    in_force = [(at(begin), at(until)) for (begin, until), (_, enabled) in zip(spans, saves, strict=True) if enabled]
    assert len(fired) == len(set(fired))
    assert all(any(begin < one <= until for begin, until in in_force) for one in fired)
    if held is not None:
        begin = in_force[-1][0]
        wanted = [one.scheduled_at for one in between(held.schedule, begin, at(end), end)]
        assert [one for one in fired if one > begin] == wanted


def test_nothing_is_due_before_its_time_and_jitter_delays_it():
    given = entry(jitter_ms=50_000)
    assert given.next_at() == START + MINUTE
    given.see(START + MINUTE)
    [firing] = given.pending.values()
    assert given.due(firing.due_at - timedelta(microseconds=1)) == []
    [(_, fact)] = given.due(firing.due_at)
    assert (fact.scheduled_at, fact.due_at) == (START + MINUTE, firing.due_at)


@pytest.mark.parametrize("catch_up", ["all", "latest", "none"])
def test_what_jitter_held_back_while_the_machine_slept_follows_catch_up(catch_up: str):
    given = entry(jitter_ms=600_000, catch_up=catch_up, end_at=(START + 6 * MINUTE).isoformat())
    before: list[datetime] = []
    while (rings_at := given.next_at()) is not None and rings_at <= START + 6 * MINUTE:
        before += fires(given, rings_at)
    held = sorted(firing.scheduled_at for firing in given.pending.values())
    assert len(held) > 2
    assert given.given_up() is None
    fired = fires(given, START + 60 * MINUTE)
    assert fired == {"all": held, "latest": held[-1:], "none": []}[catch_up]
    told = given.given_up()
    assert (0 if told is None else told.count) == len(held) - len(fired)
    assert fires(given, START + 61 * MINUTE) == []
    assert len({*before, *fired}) == len(before) + len(fired)


@pytest.mark.parametrize("catch_up", ["all", "latest", "none"])
@pytest.mark.parametrize("away_s", [0.5, 240, 3600], ids=["a moment", "some minutes", "an hour"])
def test_what_jitter_holds_back_outlives_the_process_though_later_times_were_missed(catch_up: str, away_s: float):
    config: dict[str, Any] = {"jitter_ms": 600_000, "catch_up": catch_up, "end_at": (START + 20 * MINUTE).isoformat()}
    woke_at = START + 20.5 * MINUTE
    given = entry(**config)
    fired = fires(given, woke_at)
    told = given.given_up()
    held = sorted(firing.scheduled_at for firing in given.pending.values())
    assert held
    assert (told is None) == (catch_up == "all")
    if told is not None:
        assert told.last_at > held[0], "else nothing is held back behind it"
    done = Done(max(fired, default=None), told and told.last_at, told and woke_at)
    back_at = woke_at + timedelta(seconds=away_s)
    again = entry(done, back_at, **config)
    again.see(back_at)
    again.forget([firing_stream(again.plan.key, one) for one in fired])
    afterwards = fires(again, back_at) + fires(again, START + 60 * MINUTE)
    given_up = again.given_up()
    counted = (told.count if told else 0) + (given_up.count if given_up else 0)
    assert len({*fired, *afterwards}) == len(fired) + len(afterwards) == 20 - counted


def test_of_what_was_held_back_and_what_came_up_asleep_the_latest_fires():
    given = entry(jitter_ms=50_000)
    given.see(START + MINUTE)
    [held] = given.pending.values()
    assert held.due_at > START + MINUTE
    fired = fires(given, START + 10.99 * MINUTE)
    told = given.given_up()
    assert told is not None
    assert (told.first_at, told.count) == (START + MINUTE, 9)
    assert fired == [START + 10 * MINUTE]


def test_a_firing_that_takes_long_to_log_is_not_given_up():
    given = entry(catch_up="none", jitter_ms=50_000)
    given.see(START + MINUTE)
    [firing] = given.pending.values()
    given.see(firing.due_at)
    given.see(firing.due_at + 20 * timedelta(seconds=1))
    assert [fact.scheduled_at for _, fact in given.due(firing.due_at)] == [START + MINUTE]


def test_what_is_logged_is_not_due_again():
    given = entry()
    given.see(START + MINUTE)
    given.logged(stream_id for stream_id, _ in given.due(START + MINUTE))
    given.see(START + MINUTE)
    assert given.due(START + MINUTE) == []
    assert given.next_at() == START + 2 * MINUTE


def test_all_that_was_missed_fires_up_to_the_cap_and_the_rest_is_counted():
    given, away = entry(catch_up="all"), 3 * CATCH_UP_MAX
    given.see(START + away * MINUTE + 30 * timedelta(seconds=1))
    assert len(given.pending) == CATCH_UP_MAX
    assert len(given.due(START + (away + 1) * MINUTE)) == FIRINGS_PER_TURN_MAX
    told = given.given_up()
    assert told is not None
    assert (told.first_at, told.last_at, told.count, told.has_more) == (
        START + MINUTE, START + 2 * CATCH_UP_MAX * MINUTE, 2 * CATCH_UP_MAX, False,
    )  # fmt: skip


def test_years_away_are_not_counted_to_the_end():
    given = entry(catch_up="latest")
    given.see(START + timedelta(days=1_000))
    told = given.given_up()
    assert told is not None
    assert told.has_more
    assert told.count > MISSED_COUNT_MAX


def test_what_was_dealt_with_is_not_seen_again():
    given = entry(Done(START + 2 * MINUTE, START + 4 * MINUTE), START + 10 * MINUTE, catch_up="all")
    given.see(START + 6 * MINUTE)
    assert [fact.scheduled_at for _, fact in given.due(START + 6 * MINUTE)] == [START + 5 * MINUTE, START + 6 * MINUTE]


def test_the_calendar_forgets_what_was_taken_out():
    calendar = Calendar()
    calendar.put_in(entry())
    assert calendar.next_at() == START + MINUTE
    calendar.take_out("w")
    assert calendar.next_at() is None
    assert calendar.take_due(START + MINUTE) == []
