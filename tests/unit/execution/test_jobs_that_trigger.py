"""A job of one of the six types that workflows are triggered by is told when it ended for good."""

from typing import Any

import pytest
from flowforge.events import Event, JobEnded
from flowforge.job_types import TRIGGER_TYPES
from given import RUN, Scenario, edge, job, kinds

TRAIN: dict[str, Any] = {"job_type": "TRAIN"}
RETRIED: dict[str, Any] = {"retry_policy": {"max_attempts": 2, "delay_ms": 100}}


def ended(events: list[Event]) -> list[JobEnded]:
    return [event for event in events if isinstance(event, JobEnded)]


def started(*nodes: dict[str, Any], **definition: Any) -> Scenario:
    run = Scenario({"nodes": list(nodes), "experiment_id": "churn", **definition})
    run.start()
    return run


@pytest.mark.parametrize("job_type", TRIGGER_TYPES)
def test_a_job_that_completed_is_told_in_the_same_step(job_type: str):
    run = started(job("a", job_type=job_type, name="Nightly training"))
    events = run.completes("a", {"model": "m1"})
    assert kinds(events) == ["NodeStarted", "NodeCompleted", "JobEnded", "RunCompleted"]
    [told] = ended(events)
    assert (told.node_id, told.job_name, told.instance) == ("a", "Nightly training", "")
    assert (told.job_id, told.job_type, told.status) == (run.run.job_id(run.unit("a")), job_type, "COMPLETE")
    assert (told.workflow_id, told.experiment_id, bytes(told.output)) == ("wf", "churn", b'{"model":"m1"}')


def test_the_same_report_again_tells_nothing():
    run = started(job("a", **TRAIN), job("b"))
    assert len(ended(run.completes("a"))) == 1
    assert run.completes("a") == []
    assert ended(run.completes("a", delivery=2)) == []


@pytest.mark.parametrize("job_type", ["train", "TRAINING", "work"])
def test_jobs_of_other_types_are_not_told(job_type: str):
    assert ended(started(job("a", job_type=job_type)).completes("a")) == []


def test_an_attempt_that_is_followed_by_another_is_no_end():
    run = started(job("a", **TRAIN, **RETRIED))
    assert ended(run.fails("a")) == []
    run.timer("retry")
    [told] = ended(run.completes("a", attempt=2))
    assert told.status == "COMPLETE"


def test_a_job_that_failed_for_good_is_told_once_without_an_output():
    run = started(job("a", **TRAIN, **RETRIED))
    run.fails("a")
    run.timer("retry")
    [told] = ended(run.fails("a", attempt=2))
    assert (told.status, bytes(told.output)) == ("FAILED", b"null")


def test_an_allowed_failure_of_a_node_is_a_failed_job():
    [told] = ended(started(job("a", **TRAIN, allow_failure=True)).fails("a"))
    assert told.status == "FAILED"


def test_each_instance_of_a_map_is_a_job_and_the_map_is_none():
    run = started(job("a", **TRAIN, for_each=[1, 2]))
    [first] = ended(run.completes("a", "one", instance="0"))
    [second] = ended(run.completes("a", "two", instance="1"))
    assert [told.instance for told in (first, second)] == ["0", "1"]
    assert first.job_id != second.job_id
    assert run.statuses() == {"a": "completed"}


def test_a_cancelled_job_is_not_told():
    run = started(job("a", **TRAIN))
    assert ended(run.cancel()) == []
    assert ended(run.fails("a", "CANCELLED")) == []


def test_a_job_that_fail_fast_stopped_is_not_told():
    run = started(job("a", **TRAIN), job("b", job_type="EVAL"))
    assert [told.node_id for told in ended(run.fails("a"))] == ["a"]


def test_a_job_that_was_never_handed_out_is_not_told():
    run = Scenario({"nodes": [job("a", **TRAIN, payload={"x": "${input.missing}"})]}, input_data={})
    events = run.start()
    assert "NodeFailed" in kinds(events)
    assert ended(events) == []


def test_a_workflow_without_an_experiment_tells_none():
    run = started(job("a", **TRAIN), job("b"), edges=[edge("a", "b")], experiment_id=None)
    events = run.completes("a")
    assert kinds(events) == ["NodeStarted", "NodeCompleted", "JobEnded", "NodeQueued"]
    assert ended(events)[0].experiment_id is None
    assert run.run.id == RUN
