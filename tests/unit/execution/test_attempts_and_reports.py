"""Retries, and reports that come late, twice, or from a worker that was replaced."""

from typing import Any

import pytest
from flowforge.events import NodeRetried, ReportIgnored
from flowforge.reports import JobCompleted
from given import Scenario, job, kinds

RETRIED = {
    "nodes": [job("a", retry_policy={"max_attempts": 3, "delay_ms": 100, "backoff_multiplier": 3, "max_delay_ms": 200})]
}


def test_a_failed_attempt_waits_and_is_handed_out_again():
    run = Scenario(RETRIED)
    run.start()
    assert kinds(run.fails("a")) == ["NodeStarted", "NodeRetried", "TimerSet"]
    assert run.statuses() == {"a": "waiting"}
    assert kinds(run.timer("retry")) == ["NodeQueued"]
    assert kinds(run.completes("a", attempt=2))[-1] == "RunCompleted"


def test_waits_grow_up_to_their_cap():
    run = Scenario(RETRIED)
    run.start()
    waits: list[float] = []
    for attempt in (1, 2):
        retried = next(event for event in run.fails("a", attempt=attempt) if isinstance(event, NodeRetried))
        waits.append((retried.due_at - run.now).total_seconds())
        run.timer("retry")
    assert waits == [0.1, 0.2]
    assert kinds(run.fails("a", attempt=3))[-1] == "RunFailed"


def test_jitter_takes_off_at_most_half_and_is_the_same_each_time():
    policy = {"max_attempts": 2, "delay_ms": 1000, "jitter": True}
    waits: set[float] = set()
    for _ in range(2):
        run = Scenario({"nodes": [job("a", retry_policy=policy)]})
        run.start()
        retried = next(event for event in run.fails("a") if isinstance(event, NodeRetried))
        waits.add((retried.due_at - run.now).total_seconds())
    assert len(waits) == 1
    assert 0.5 <= waits.pop() <= 1.0


@pytest.mark.parametrize(("code", "retried"), [("PROVIDER_ERROR", True), ("HTTP_ERROR", False)])
def test_only_the_named_errors_are_retried(code: str, retried: bool):
    run = Scenario({"nodes": [job("a", retry_policy={"max_attempts": 2, "retry_on_errors": ["PROVIDER_ERROR"]})]})
    run.start()
    assert ("NodeRetried" in kinds(run.fails("a", code))) is retried


def test_an_error_that_forbids_it_is_not_retried():
    run = Scenario(RETRIED)
    run.start()
    assert kinds(run.fails("a", retryable=False))[-1] == "RunFailed"


def test_a_late_report_of_an_earlier_attempt_is_told_and_ignored():
    run = Scenario(RETRIED)
    run.start()
    run.fails("a")
    run.timer("retry")
    (told,) = run.completes("a", "late", attempt=1)
    assert isinstance(told, ReportIgnored)
    assert run.statuses() == {"a": "queued"}


def test_a_zombie_report_changes_nothing():
    run = Scenario({"nodes": [job("a")]})
    run.start()
    run.started("a", delivery=1)
    run.started("a", delivery=2)
    (told,) = run.completes("a", "zombie", delivery=1)
    assert isinstance(told, ReportIgnored)
    assert "delivery 2" in told.reason
    assert run.unit("a").status == "running"
    assert kinds(run.completes("a", "mine", delivery=2)) == ["NodeCompleted", "RunCompleted"]
    assert run.output() == "mine"


def test_only_one_result_of_an_attempt_is_accepted():
    run = Scenario({"nodes": [job("a"), job("b")]})
    run.start()
    run.completes("a", "first")
    (told,) = run.completes("a", "second", delivery=2)
    assert isinstance(told, ReportIgnored)
    assert bytes(run.unit("a").output) == b'"first"'


def test_an_attempt_that_was_never_handed_out_is_told_and_ignored():
    run = Scenario({"nodes": [job("a")]})
    run.start()
    (told,) = run.completes("a", attempt=7)
    assert isinstance(told, ReportIgnored)


def test_a_report_of_a_job_that_is_not_the_runs_changes_nothing():
    run = Scenario({"nodes": [job("a")]})
    run.start()
    assert run.report("a", JobCompleted(attempt=1), instance="99") == []


def test_progress_is_kept_and_a_lost_start_is_made_up_for():
    run = Scenario({"nodes": [job("a")]})
    run.start()
    assert kinds(run.progresses("a", 0.5)) == ["NodeStarted", "NodeProgressed"]
    assert run.unit("a").progress == 0.5


HALF = "x" * 505_000


@pytest.mark.parametrize(
    ("node", "input_data", "fits"),
    [
        (job("a", payload={"half": HALF}), None, True),
        (job("a"), {"half": HALF}, True),
        (job("a", payload={"half": HALF}), {"half": HALF}, False),
        ({"id": "a", "type": "script", "language": "python", "source": f"# {HALF[:499_000]}"}, None, True),
        ({"id": "a", "type": "script", "language": "python", "source": f"# {HALF[:499_000]}"}, {"half": HALF}, False),
        ({"id": "a", "type": "sql", "connection": "c", "query": f"select '{HALF[:499_000]}'"}, None, True),
        ({"id": "a", "type": "sql", "connection": "c", "query": f"select '{HALF[:499_000]}'"}, {"half": HALF}, False),
        (
            {
                "id": "a",
                "type": "prompt_execution",
                "provider_model": "ollama:x",
                "prompt": "?",
                "response_schema": {"title": HALF},
            },
            None,
            True,
        ),
        (
            {
                "id": "a",
                "type": "prompt_execution",
                "provider_model": "ollama:x",
                "prompt": "?",
                "response_schema": {"title": HALF},
            },
            {"half": HALF},
            False,
        ),
    ],
)
def test_a_job_that_no_message_can_carry_fails_its_node_and_says_why(node: Any, input_data: Any, fits: bool):
    run = Scenario({"nodes": [node]}, input_data)
    run.start()
    assert run.statuses() == {"a": "queued" if fits else "failed"}
    if not fits:
        error = run.unit("a").error
        assert error is not None
        assert (error.code, error.affected_nodes) == ("PAYLOAD_TOO_LARGE", ["a"])
        assert "the limit is 1000000; hand large data over" in error.message
