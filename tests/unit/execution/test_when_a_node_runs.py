"""Interface.md 1.3, line by line."""

from typing import Any

import pytest
from given import Scenario, edge, job, kinds

DONE, FAILED = "completed", "failed"


def after(
    target: dict[str, Any], ends: dict[str, str], edges: list[dict[str, Any]] | None = None, **source: Any
) -> str:
    """The status of `target` once its sources ended as told, without fail_fast."""
    nodes = [job(name, **source) for name in ends]
    run = Scenario(
        {
            "nodes": [*nodes, {"type": "job", "job_type": "work", "id": "t", **target}],
            "edges": edges or [edge(name, "t") for name in ends],
            "settings": {"fail_fast": False, "max_parallel_jobs": 50},
        }
    )
    run.start()
    for name, how in ends.items():
        _ = run.completes(name, {"ok": True}) if how == DONE else run.fails(name)
    return run.statuses()["t"]


@pytest.mark.parametrize(
    ("run_if", "ends", "expected"),
    [
        ("all_success", {"a": DONE, "b": DONE}, "queued"),
        ("all_success", {"a": DONE, "b": FAILED}, "skipped:upstream_failed"),
        ("all_done", {"a": FAILED, "b": FAILED}, "queued"),
        ("none_failed", {"a": DONE, "b": DONE}, "queued"),
        ("none_failed", {"a": DONE, "b": FAILED}, "skipped:run_if_not_met"),
        ("at_least_one_success", {"a": DONE, "b": FAILED}, "queued"),
        ("at_least_one_success", {"a": FAILED, "b": FAILED}, "skipped:run_if_not_met"),
        ("at_least_one_failed", {"a": DONE, "b": FAILED}, "queued"),
        ("at_least_one_failed", {"a": DONE, "b": DONE}, "skipped:run_if_not_met"),
        ("all_failed", {"a": FAILED, "b": FAILED}, "queued"),
        ("all_failed", {"a": DONE, "b": FAILED}, "skipped:run_if_not_met"),
    ],
)
def test_the_run_if_table(run_if: str, ends: dict[str, str], expected: str):
    assert after({"run_if": run_if}, ends) == expected


@pytest.mark.parametrize(
    ("dependency", "end", "expected"),
    [
        ("on_success", DONE, "queued"),
        ("on_success", FAILED, "skipped:upstream_failed"),
        ("on_failure", FAILED, "queued"),
        ("on_failure", DONE, "skipped:upstream_skipped"),
        ("on_completion", DONE, "queued"),
        ("on_completion", FAILED, "queued"),
    ],
)
def test_dependencies(dependency: str, end: str, expected: str):
    assert after({}, {"a": end}, [edge("a", "t", dependency=dependency)]) == expected


def test_a_failure_that_is_allowed_satisfies_on_success():
    assert after({}, {"a": FAILED}, allow_failure=True) == "queued"


def test_a_false_condition_takes_the_edge_out():
    edges = [edge("a", "t", condition="nodes.a.output.ok == false"), edge("b", "t")]
    assert after({}, {"a": DONE, "b": DONE}, edges) == "queued"


def test_a_node_none_of_whose_branches_was_taken_is_skipped_as_such_and_so_is_what_follows():
    run = Scenario(
        {
            "nodes": [job("a"), job("no"), job("below"), job("join", run_if="none_failed")],
            "edges": [
                edge("a", "no", condition="false"),
                edge("no", "below"),
                edge("below", "join"),
                edge("a", "join"),
            ],
        }
    )
    run.start()
    run.completes("a", {})
    assert run.statuses() == {
        "a": "completed",
        "no": "skipped:branch_not_taken",
        "below": "skipped:branch_not_taken",
        "join": "queued",
    }


def test_a_condition_that_cannot_be_evaluated_fails_the_node_behind_it():
    run = Scenario({"nodes": [job("a"), job("t")], "edges": [edge("a", "t", condition="nodes.a.output.size > 3")]})
    run.start()
    run.completes("a", {})
    error = run.unit("t").error
    assert error is not None
    assert error.code == "EXPRESSION_ERROR"


def test_upstream_skipped_is_told_apart_from_upstream_failed():
    run = Scenario(
        {
            "nodes": [job("a"), job("only-on-failure"), job("t")],
            "edges": [edge("a", "only-on-failure", dependency="on_failure"), edge("only-on-failure", "t")],
        }
    )
    run.start()
    run.completes("a")
    assert run.statuses()["t"] == "skipped:upstream_skipped"
    assert run.run.status == "completed"


def test_fail_fast_cancels_what_runs_skips_what_waits_and_lets_cleanup_run():
    run = Scenario(
        {
            "nodes": [
                job("a"),
                job("b"),
                job("slow"),
                job("later"),
                job("alarm"),
                job("after-alarm"),
                job("tidy", run_if="all_done"),
            ],
            "edges": [
                edge("a", "b"),
                edge("slow", "later"),
                edge("b", "alarm", dependency="on_failure"),
                edge("a", "alarm", dependency="on_failure"),
                edge("alarm", "after-alarm"),
                edge("later", "tidy"),
            ],
        }
    )
    run.start()
    events = run.fails("a")
    assert "RunFailing" in kinds(events)
    assert run.statuses() == {
        "a": "failed",
        "b": "skipped:upstream_failed",
        "slow": "cancelled",
        "later": "skipped:run_failed",
        "alarm": "skipped:upstream_failed",
        "after-alarm": "skipped:upstream_failed",
        "tidy": "queued",
    }
    assert kinds(run.completes("tidy"))[-1] == "RunFailed"


def test_an_error_handler_runs_on_failure_and_the_run_is_failed():
    run = Scenario(
        {
            "nodes": [job("a"), job("alarm"), job("log")],
            "edges": [edge("a", "alarm", dependency="on_failure"), edge("alarm", "log")],
        }
    )
    run.start()
    run.fails("a")
    assert run.statuses()["alarm"] == "queued"
    run.completes("alarm")
    run.completes("log")
    assert run.run.status == "failed"


def test_a_cleanup_node_may_be_retried_while_the_run_fails():
    clean = job("clean", run_if="all_done", retry_policy={"max_attempts": 2, "delay_ms": 0})
    run = Scenario({"nodes": [job("a"), clean], "edges": [edge("a", "clean")]})
    run.start()
    run.fails("a")
    assert kinds(run.fails("clean")) == ["NodeStarted", "NodeRetried", "NodeQueued"]


def test_without_fail_fast_every_branch_that_can_go_on_does_and_the_run_then_fails():
    run = Scenario(
        {"nodes": [job("a"), job("b"), job("c")], "edges": [edge("b", "c")], "settings": {"fail_fast": False}}
    )
    run.start()
    run.fails("a")
    run.completes("b")
    assert run.statuses()["c"] == "queued"
    run.completes("c")
    assert run.run.status == "failed"


def test_an_allowed_failure_leaves_the_run_completed():
    run = Scenario({"nodes": [job("a", allow_failure=True), job("b")], "edges": [edge("a", "b")]})
    run.start()
    run.fails("a")
    run.completes("b", 1)
    assert run.run.status == "completed"
