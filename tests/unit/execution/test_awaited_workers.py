"""Jobs that nobody takes: told once of each attempt, once it has been queued for long enough."""

from typing import Any

from flowforge.events import WorkerAwaited

from services.execution import decide
from tests.unit.execution.given import Scenario, job


def looked_at(run: Scenario, queue: str = "default", job_type: str = "work") -> list[Any]:
    return run.when(lambda step: decide.worker_awaited(step, queue, job_type))


def started(*nodes: Any) -> Scenario:
    run = Scenario({"nodes": list(nodes or [job("j")])})
    run.start()
    return run


def test_it_is_told_what_is_missing_and_since_when():
    run = started()
    queued_at = run.now
    run.pass_ms(2_500)
    assert looked_at(run) == [WorkerAwaited(node_id="j", job_type="work", queue="default", since=queued_at)]


def test_a_job_that_was_just_queued_is_not_told():
    run = started()
    run.pass_ms(1_000)
    assert looked_at(run) == []


def test_jobs_of_other_types_and_those_that_were_taken_are_not_told():
    run = started(job("j"), job("other", job_type="else"), job("aside", queue="slow"))
    run.started("j")
    run.pass_ms(10_000)
    assert looked_at(run) == []
    assert [event.node_id for event in looked_at(run, job_type="else")] == ["other"]
    assert [event.node_id for event in looked_at(run, queue="slow")] == ["aside"]


def test_another_attempt_is_told_anew():
    run = started(job("j", retry_policy={"max_attempts": 2, "delay_ms": 0}))
    run.pass_ms(3_000)
    assert len(looked_at(run)) == 1
    run.fails("j")
    run.pass_ms(3_000)
    assert [event.attempt for event in looked_at(run)] == [2]
