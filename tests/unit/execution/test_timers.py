"""Timers: each is set once, fires once, and concerns what it was set for and nothing that came after."""

from typing import Any

from flowforge.commands import RetryRun

from services.execution.decide import operations
from tests.unit.execution.given import RUN, Scenario, job, kinds

BODY = {"nodes": [job("x", timeout_ms=60_000), {"id": "d", "type": "delay", "duration_ms": 1000}], "edges": []}
LOOP = {"id": "l", "type": "loop", "loop_type": "count", "count": 1, "body": BODY}


def begun(definition: dict[str, Any]) -> Scenario:
    run = Scenario(definition)
    run.start()
    return run


def retry(run: Scenario, name: str = "again") -> None:
    run.operation(RetryRun(command_id=name, run_id=str(RUN)), operations.retry)


def test_a_run_that_is_retried_has_timers_of_its_own():
    """The scheduler fires an id once: a timer under an old one would never come."""
    run = begun({"nodes": [job("a")], "settings": {"timeout_ms": 1000}})
    run.timer("run_timeout")
    retry(run)
    first, second = run.timers("run_timeout")
    assert first.timer_id != second.timer_id
    assert kinds(run.fires(second))[-1] == "RunFailed"


def test_a_loop_that_begins_anew_has_timers_of_its_own():
    run = begun({"nodes": [LOOP]})
    run.fails("x", instance="0")
    retry(run)
    first, second = run.timers("wait")
    assert (first.node_id, first.instance, first.attempt) == (second.node_id, second.instance, second.attempt)
    assert first.timer_id != second.timer_id


def test_a_timeout_of_an_earlier_round_does_not_end_the_attempt_of_a_later_one():
    run = begun({"nodes": [LOOP]})
    run.fails("x", instance="0")
    run.pass_ms(30_000)
    retry(run)
    first, second = run.timers("node_timeout")
    assert run.fires(first) == []
    assert run.unit("x", "0").status == "queued"
    assert "NodeFailed" in kinds(run.fires(second))


def test_a_delay_of_an_earlier_round_does_not_end_that_of_a_later_one():
    run = begun({"nodes": [LOOP]})
    run.fails("x", instance="0")
    run.pass_ms(500)
    retry(run)
    first, second = run.timers("wait")
    assert run.fires(first) == []
    assert kinds(run.fires(second)) == ["NodeCompleted"]


def test_of_two_retries_that_are_due_one_that_ends_the_run_takes_the_other_with_it():
    policy = {"max_attempts": 2, "delay_ms": 1000}
    wants = {"v": "${nodes.b.status == 'waiting' ? input.missing : 1}"}
    run = begun({"nodes": [job("a", retry_policy=policy, payload=wants), job("b", retry_policy=policy)]})
    run.fails("a")
    run.fails("b")
    events = run.timer("retry")
    assert "NodeQueued" not in kinds(events)
    assert run.statuses() == {"a": "failed", "b": "cancelled"}
    assert run.run.status == "failed"
