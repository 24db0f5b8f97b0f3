"""Which schedules are in force since when, and what the calendar makes of the time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowUpdated

from infra.schedules import schedule_of
from services.scheduler.schedules import Calendar, Done, Entry, Plan, Workflow, evolve
from services.scheduler.settings import CATCH_UP_MAX, FIRINGS_PER_TURN_MAX, MISSED_COUNT_MAX

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def saved(
    version: int, before: Workflow | None, *, enabled: bool = True, status: str = "active", **config: Any
) -> Workflow:
    trigger = {"id": "t", "type": "schedule", "enabled": enabled, "config": {"every_ms": 60_000, **config}}
    document = msgspec.Raw(json.dumps({"status": status, "triggers": [trigger]}).encode())
    kind = WorkflowCreated if version == 1 else WorkflowUpdated
    after = evolve(
        before, kind(workflow_id="w", workflow_version=version, definition=document), START + version * MINUTE
    )
    assert after is not None
    return after


def entry(done: Done | None = None, at: datetime = START, **config: Any) -> Entry:
    workflow = saved(1, None, **config)
    plan = msgspec.structs.replace(workflow.plans["t"], in_force_at=START)
    return Entry(plan, schedule_of(plan.trigger.config, *plan.key), done, at)


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


def test_nothing_is_due_before_its_time_and_jitter_delays_it():
    given = entry(jitter_ms=50_000)
    assert given.next_at() == START + MINUTE
    given.see(START + MINUTE)
    [firing] = given.pending.values()
    assert given.due(firing.due_at - timedelta(microseconds=1)) == []
    [(_, fact)] = given.due(firing.due_at)
    assert (fact.scheduled_at, fact.due_at) == (START + MINUTE, firing.due_at)


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
