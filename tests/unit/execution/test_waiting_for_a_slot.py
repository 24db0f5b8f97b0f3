"""A run that triggers let wait: it begins once it is admitted, and not before."""

from datetime import timedelta
from typing import Any

from flowforge.events import (
    Event,
    RunCancelRequested,
    RunDisplaced,
    RunFailed,
    RunQueued,
    SlotWait,
    TimerSet,
)
from given import NOW, RUN, Scenario, job, kinds

from services.execution import decide

WAITS = SlotWait(slot_id=RUN, limit=1, place=1, holders=[RUN], due_at=NOW + timedelta(minutes=1))


def waiting(**settings: Any) -> Scenario:
    scenario = Scenario({"nodes": [job("a")], "settings": settings}, waits=WAITS)
    assert kinds(scenario.start()) == ["RunQueued", "TimerSet"]
    return scenario


def admitted(scenario: Scenario) -> list[Event]:
    return scenario.when(decide.admitted)


def displaced(scenario: Scenario) -> list[Event]:
    fact = RunDisplaced(run_id=RUN, workflow_id="wf", by_run_id=WAITS.slot_id)
    return scenario.when(lambda step: decide.displaced(step, fact))


def test_a_run_that_waits_is_pending_and_says_why():
    scenario = waiting()
    queued, timer = scenario.history[-2][0], scenario.history[-1][0]
    assert isinstance(queued, RunQueued)
    assert (queued.reason, queued.waits) == ("concurrency", WAITS)
    assert isinstance(timer, TimerSet)
    assert (timer.purpose, timer.due_at) == ("queue_timeout", WAITS.due_at)
    assert scenario.run.status == "pending"


def test_it_begins_once_it_is_admitted_and_its_own_timeout_counts_from_then():
    scenario = waiting(timeout_ms=60_000)
    scenario.now += timedelta(hours=1)
    events = admitted(scenario)
    assert kinds(events) == ["RunStarted", "TimerSet", "NodeQueued"]
    assert isinstance(events[1], TimerSet)
    assert events[1].due_at == scenario.now + timedelta(minutes=1)
    assert admitted(scenario) == [], "admitted again, nothing follows"


def test_it_may_be_admitted_before_execution_has_heard_of_it():
    scenario = Scenario({"nodes": [job("a")]}, waits=WAITS)
    assert kinds(admitted(scenario)) == ["RunStarted", "NodeQueued"]
    assert scenario.start() == []


def test_a_run_that_waits_too_long_fails_with_words_about_the_queue():
    scenario = waiting()
    events = scenario.timer("queue_timeout")
    assert kinds(events) == ["RunFailing", "NodeSkipped", "RunFailed"]
    failed = events[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error.code == "EXECUTION_TIMEOUT"
    assert "queue" in failed.error.message
    assert str(RUN) in failed.error.message
    assert admitted(scenario) == [], "what is admitted too late has ended"


def test_the_timer_of_the_queue_says_nothing_to_a_run_that_has_begun():
    scenario = waiting()
    admitted(scenario)
    assert scenario.timer("queue_timeout") == []


def test_a_run_can_be_cancelled_while_it_waits():
    scenario = waiting()
    assert kinds(scenario.cancel()) == ["RunCancelRequested", "NodeSkipped", "RunCancelled"]
    assert admitted(scenario) == []
    assert scenario.timer("queue_timeout") == []


def test_a_displaced_run_is_cancelled_with_the_name_of_the_one_that_takes_its_place():
    scenario = waiting()
    admitted(scenario)
    scenario.started("a")
    events = displaced(scenario)
    assert kinds(events) == ["RunCancelRequested", "NodeCancelled", "RunCancelled"]
    assert isinstance(events[0], RunCancelRequested)
    assert str(WAITS.slot_id) in events[0].reason


def test_a_displaced_run_that_waited_never_begins():
    scenario = waiting()
    assert kinds(displaced(scenario)) == ["RunCancelRequested", "NodeSkipped", "RunCancelled"]


def test_cleanup_of_a_displaced_run_still_runs():
    definition = {
        "nodes": [job("a"), job("tidy", run_if="all_done")],
        "edges": [{"source_node_id": "a", "target_node_id": "tidy"}],
    }
    scenario = Scenario(definition)
    scenario.start()
    scenario.started("a")
    assert kinds(displaced(scenario)) == ["RunCancelRequested", "NodeCancelled", "NodeQueued"]
    assert kinds(scenario.completes("tidy")) == ["NodeStarted", "NodeCompleted", "RunCancelled"]
