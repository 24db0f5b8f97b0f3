"""When nodes run, how often and for how long; and how a run is ended."""

from pathlib import Path

import pytest

from tests.e2e.stranger import (
    Stranger,
    bash,
    edge,
    error_of,
    node_runs,
    problem,
    reasons,
    statuses,
    transform,
    workflow,
)

FAILS = "echo no luck >&2; exit 3"


# --- which nodes run --------------------------------------------------------------------------------------------------


# source of one node, run_if of the node below: (status, skip reason) of that node, without fail_fast
TABLE = [
    ("true", "all_success", "completed", None),
    ("false", "all_success", "skipped", "upstream_failed"),
    ("true", "all_done", "completed", None),
    ("false", "all_done", "completed", None),
    ("true", "none_failed", "completed", None),
    ("false", "none_failed", "skipped", "run_if_not_met"),
    ("true", "at_least_one_success", "completed", None),
    ("false", "at_least_one_success", "skipped", "run_if_not_met"),
    ("true", "at_least_one_failed", "skipped", "run_if_not_met"),
    ("false", "at_least_one_failed", "completed", None),
    ("true", "all_failed", "skipped", "run_if_not_met"),
    ("false", "all_failed", "completed", None),
]


@pytest.mark.parametrize("fail_fast", [True, False])
def test_every_row_of_the_run_if_table(stranger: Stranger, fail_fast: bool):
    for source in ("true", "false"):
        rows = [row for row in TABLE if row[0] == source]
        below = [transform(run_if, run_if=run_if) for _, run_if, _, _ in rows]
        definition = workflow(
            bash("a", source), *below, edges=[edge("a", run_if) for _, run_if, _, _ in rows],
            settings={"fail_fast": fail_fast},
        )  # fmt: skip
        run = stranger.run(definition)
        assert run["status"] == ("completed" if source == "true" else "failed")
        told = node_runs(run)
        for _, run_if, status, reason in rows:
            assert told[run_if]["status"] == status, (source, run_if, told[run_if])
            if fail_fast and source == "false" and reason == "run_if_not_met":
                assert told[run_if]["skip_reason"] in {"run_if_not_met", "upstream_failed"}
            else:
                assert told[run_if]["skip_reason"] == reason, (source, run_if)


@pytest.mark.parametrize(
    ("dependency", "source", "status"),
    [
        ("on_success", "true", "completed"), ("on_success", "false", "skipped"),
        ("on_failure", "true", "skipped"), ("on_failure", "false", "completed"),
        ("on_completion", "true", "completed"), ("on_completion", "false", "completed"),
    ],
)  # fmt: skip
def test_every_dependency_of_an_edge(stranger: Stranger, dependency: str, source: str, status: str):
    definition = workflow(bash("a", source), transform("b"), edges=[edge("a", "b", dependency=dependency)])
    run = stranger.run(definition)
    assert statuses(run)["b"] == status
    assert run["status"] == ("completed" if source == "true" else "failed")


def test_an_edge_whose_condition_is_false_is_not_taken(stranger: Stranger):
    definition = workflow(
        transform("a", expressions={"n": "${input.n}"}),
        transform("small"), transform("large"), transform("below"), transform("join"),
        edges=[
            edge("a", "small", condition="nodes.a.output.n < 10"), edge("a", "large", condition="nodes.a.output.n >= 10"),
            edge("large", "below"), edge("small", "join"), edge("below", "join"),
        ],
    )  # fmt: skip
    run = stranger.run(definition, input_data={"n": 3})
    assert run["status"] == "completed"
    assert statuses(run) == {
        "a": "completed", "small": "completed", "large": "skipped", "below": "skipped", "join": "completed",
    }  # fmt: skip
    assert reasons(run) == {"large": "branch_not_taken", "below": "branch_not_taken"}
    assert run["progress"]["percent"] == 100


def test_a_failure_that_is_allowed_satisfies_and_does_not_count(stranger: Stranger):
    definition = workflow(bash("a", FAILS, allow_failure=True), transform("b"), edges=[edge("a", "b")])
    run = stranger.run(definition)
    assert (run["status"], statuses(run)) == ("completed", {"a": "failed", "b": "completed"})


def test_fail_fast_cancels_what_runs_and_skips_what_has_not_started(stranger: Stranger):
    definition = workflow(
        bash("bad", "sleep 0.2; exit 1"), bash("slow", "sleep 30"), transform("below-bad"), transform("below-slow"),
        transform("cleanup", run_if="all_done"),
        edges=[edge("bad", "below-bad"), edge("slow", "below-slow"), edge("bad", "cleanup"), edge("slow", "cleanup")],
    )  # fmt: skip
    run = stranger.run(definition)
    assert run["status"] == "failed"
    assert statuses(run) == {
        "bad": "failed", "slow": "cancelled", "below-bad": "skipped", "below-slow": "skipped", "cleanup": "completed",
    }  # fmt: skip
    assert reasons(run)["below-bad"] == "upstream_failed"
    assert run["duration_ms"] < 10_000
    assert "bad" in run["error"]["affected_nodes"]


def test_without_fail_fast_every_branch_goes_on(stranger: Stranger):
    definition = workflow(
        bash("bad", "exit 1"), bash("good", "sleep 0.3"), transform("below-bad"), transform("below-good"),
        edges=[edge("bad", "below-bad"), edge("good", "below-good")], settings={"fail_fast": False},
    )  # fmt: skip
    run = stranger.run(definition)
    assert run["status"] == "failed"
    assert statuses(run) == {"bad": "failed", "good": "completed", "below-bad": "skipped", "below-good": "completed"}


# --- attempts and limits ----------------------------------------------------------------------------------------------


def test_a_retry_waits_and_the_attempts_are_told(stranger: Stranger, tmp_path: Path):
    marker = tmp_path / "attempts"
    script = f'n=$(cat {marker} 2>/dev/null || echo 0); echo $((n + 1)) > {marker}; [ "$n" -ge 2 ]'
    run = stranger.run(workflow(bash("a", script, retry_policy={"max_attempts": 3, "delay_ms": 100})))
    assert run["status"] == "completed"
    assert node_runs(run)["a"]["attempt"] == 3
    types = [event["type"] for event in stranger.history(run["run_id"])]
    assert types.count("NodeRetried") == 2
    assert types.count("NodeFailed") in {0, 2}
    assert run["duration_ms"] >= 200


def test_retries_end_and_only_named_errors_are_retried(stranger: Stranger):
    run = stranger.run(workflow(bash("a", FAILS, retry_policy={"max_attempts": 2, "delay_ms": 10})))
    assert (run["status"], node_runs(run)["a"]["attempt"]) == ("failed", 2)
    policy = {"max_attempts": 5, "delay_ms": 10, "retry_on_errors": ["JOB_TIMEOUT"]}
    run = stranger.run(workflow(bash("a", FAILS, retry_policy=policy)))
    assert (run["status"], node_runs(run)["a"]["attempt"]) == ("failed", 1)


def test_one_attempt_may_take_timeout_ms(stranger: Stranger):
    run = stranger.run(workflow(bash("a", "sleep 30", timeout_ms=300)))
    assert (run["status"], error_of(run, "a")["code"]) == ("failed", "JOB_TIMEOUT")
    assert 300 <= run["duration_ms"] < 5000


def test_a_whole_run_may_take_timeout_ms(stranger: Stranger):
    run = stranger.run(workflow(bash("a", "sleep 30"), settings={"timeout_ms": 400}))
    assert (run["status"], run["error"]["code"]) == ("failed", "EXECUTION_TIMEOUT")
    assert run["duration_ms"] < 5000
    given = workflow(bash("a", "sleep 30"))
    run = stranger.run(given, options={"timeout_ms": 400})
    assert (run["status"], run["error"]["code"]) == ("failed", "EXECUTION_TIMEOUT")


def test_no_more_nodes_at_once_than_max_parallel_jobs(stranger: Stranger):
    nodes = [bash(f"n{i}", "sleep 0.1") for i in range(6)]
    run = stranger.run(workflow(*nodes, settings={"max_parallel_jobs": 2}))
    under_way = highest = 0
    for event in stranger.history(run["run_id"]):
        under_way += {"NodeQueued": 1, "NodeCompleted": -1}.get(event["type"], 0)
        highest = max(highest, under_way)
    assert (run["status"], highest) == ("completed", 2)


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_ends_the_run_and_its_processes(stranger: Stranger, tmp_path: Path):
    marker = tmp_path / "alive"
    slug = stranger.save(workflow(bash("a", f"sleep 3; touch {marker}"), transform("b"), edges=[edge("a", "b")]))["id"]
    run_id = stranger.execute(slug)
    next(m for m in stranger.follow(run_id) if m.event in {"NodeStarted", "NodeQueued"})
    answer = stranger.send("POST", f"/api/runs/{run_id}/cancel")
    assert answer.status_code in {200, 202}, answer.text
    assert answer.json()["position"] > 0
    run = stranger.ended(run_id)
    assert (run["status"], statuses(run)) == ("cancelled", {"a": "cancelled", "b": "skipped"})
    again = stranger.send("POST", f"/api/runs/{run_id}/cancel")
    problem(again, 409)
