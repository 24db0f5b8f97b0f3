"""Conditions, parallels and merges."""

from typing import Any

from flowforge.events import NodeFailed, NodeStarted

from tests.unit.execution.given import Scenario, edge, job, kinds


def begun(*nodes: Any, edges: list[Any] | None = None, input_data: Any = None, **fields: Any) -> Scenario:
    run = Scenario({"nodes": list(nodes), "edges": edges or [], **fields}, input_data)
    run.start()
    return run


def fork(mode: str, count: int | None = None, **fields: Any) -> Scenario:
    """Three branches of one job each, joined."""
    parallel = {"id": "p", "type": "parallel", "branches": [{"target_node_id": name} for name in "abc"]}
    merge = {"id": "m", "type": "merge", "parallel_node_id": "p", "mode": mode, "required_count": count}
    edges = [edge(name, "m") for name in "abc"]
    return begun(parallel, job("a"), job("b"), job("c"), merge, edges=edges, **fields)


def test_a_condition_takes_one_path_and_the_other_is_not_taken():
    condition = {"id": "c", "type": "condition", "condition": "input.x > 1", "true_path": "yes", "false_path": ["no"]}
    run = begun(condition, job("yes"), job("no"), job("after"), edges=[edge("no", "after")], input_data={"x": 5})
    assert run.statuses() == {
        "c": "completed",
        "yes": "queued",
        "no": "skipped:branch_not_taken",
        "after": "skipped:branch_not_taken",
    }
    run = begun(condition, job("yes"), job("no"), input_data={"x": 0})
    assert run.statuses()["yes"] == "skipped:branch_not_taken"


def test_a_condition_that_cannot_be_evaluated_fails_its_node():
    run = begun(
        {"id": "c", "type": "condition", "condition": "input.x > 1", "true_path": "yes"}, job("yes"), input_data={}
    )
    assert run.unit("c").error is not None
    assert run.unit("c").error.code == "EXPRESSION_ERROR"  # type: ignore[union-attr]


def test_all_branches_start_together_and_are_joined_by_id():
    run = fork("all")
    assert [run.unit(name).status for name in "abc"] == ["queued"] * 3
    for name in "abc":
        run.completes(name, name.upper())
    assert run.output() == {"a": "A", "b": "B", "c": "C"}


def test_any_is_met_by_the_first_and_the_losers_are_cancelled():
    run = fork("any")
    events = run.completes("b", "won")
    assert kinds(events)[-1] == "RunCompleted"
    assert run.statuses() == {"p": "completed", "a": "cancelled", "b": "completed", "c": "cancelled", "m": "completed"}
    assert run.output() == {"b": "won"}


def test_a_losing_branch_that_fails_counts_neither_for_the_run_nor_for_fail_fast():
    run = fork("any")
    run.fails("a")
    assert run.unit("b").status == "queued"
    run.completes("b")
    assert run.run.status == "completed"


def test_any_fails_once_no_branch_is_left():
    run = fork("any")
    run.fails("a")
    run.fails("b")
    run.fails("c")
    assert run.unit("m").status == "failed"
    assert run.run.status == "failed"


def test_count_is_met_by_so_many_and_fails_as_soon_as_it_cannot_be():
    run = fork("count", 2)
    run.completes("a")
    run.completes("c")
    assert run.statuses()["b"] == "cancelled"
    assert run.run.status == "completed"
    run = fork("count", 2)
    run.fails("a")
    run.fails("b")
    assert run.statuses()["m"] == "failed"
    assert run.statuses()["c"] == "cancelled"


def test_all_without_fail_fast_fails_with_the_first_failed_branch():
    run = fork("all", settings={"fail_fast": False})
    run.fails("b")
    assert run.statuses() == {"p": "completed", "a": "cancelled", "b": "failed", "c": "cancelled", "m": "failed"}


def test_a_branch_gives_its_first_node_its_input():
    parallel = {
        "id": "p",
        "type": "parallel",
        "branches": [{"target_node_id": "a", "input_data": {"n": "${input.x + 1}"}}],
    }
    run = begun(parallel, job("a"), input_data={"x": 1})
    assert bytes(run.run.input_of(run.unit("a"))) == b'{"n":2}'


def test_a_skipped_parallel_skips_its_merge():
    parallel = {"id": "p", "type": "parallel", "branches": [{"target_node_id": "a"}]}
    merge = {"id": "m", "type": "merge", "parallel_node_id": "p"}
    first = {"id": "first", "type": "condition", "condition": "false", "true_path": "p"}
    run = begun(first, parallel, job("a"), merge, edges=[edge("a", "m")])
    assert run.statuses()["m"] == "skipped:branch_not_taken"


def test_branches_that_are_not_taken_are_left_out_of_all():
    choice = {"id": "choice", "type": "condition", "condition": "false", "true_path": "a2"}
    parallel = {"id": "p", "type": "parallel", "branches": [{"target_node_id": "choice"}, {"target_node_id": "b"}]}
    merge = {"id": "m", "type": "merge", "parallel_node_id": "p", "mode": "all"}
    run = begun(parallel, choice, job("a2"), job("b"), merge, edges=[edge("a2", "m"), edge("b", "m")])
    run.completes("b", 1)
    assert run.unit("m").status == "completed"


def test_a_run_that_begins_at_a_node_leaves_the_others_out():
    nodes = [job("a"), job("b"), job("c"), job("d")]
    edges = [edge("a", "b"), edge("b", "c"), edge("d", "c")]
    run = Scenario({"nodes": nodes, "edges": edges}, {"given": 1}, from_node="b")
    run.start()
    assert run.statuses() == {"a": "skipped:not_selected", "b": "queued", "c": "idle", "d": "skipped:not_selected"}
    assert bytes(run.run.input_of(run.unit("b"))) == b'{"given":1}'
    run.completes("b")
    assert run.unit("c").status == "queued"


def test_what_went_wrong_says_where():
    run = fork("any")
    for name in "abc":
        run.fails(name, "BROKEN")
    error = next(e.error for e, _ in reversed(run.history) if isinstance(e, NodeFailed))
    assert "a (BROKEN), b (BROKEN), c (BROKEN)" in error.message


def race(*nodes: dict[str, Any], edges: list[dict[str, Any]], **fields: Any) -> Scenario:
    """Two branches that begin with `a` and `b`; the first to come wins."""
    parallel = {"id": "p", "type": "parallel", "branches": [{"target_node_id": "a"}, {"target_node_id": "b"}]}
    merge = {"id": "m", "type": "merge", "parallel_node_id": "p", "mode": "any"}
    return begun(parallel, job("a"), job("b"), merge, *nodes, edges=edges, **fields)


def test_what_is_left_of_the_branch_that_won_goes_on():
    run = race(job("beside"), edges=[edge("a", "m"), edge("a", "beside"), edge("b", "m")])
    run.completes("a")
    assert run.statuses() == {
        "p": "completed",
        "a": "completed",
        "b": "cancelled",
        "m": "completed",
        "beside": "queued",
    }
    run.fails("beside")
    assert run.run.status == "failed", "it is no losing branch whose failure counts for nothing"


def test_what_is_left_of_a_branch_that_lost_before_is_cancelled_too():
    run = race(job("tidy"), edges=[edge("a", "m"), edge("b", "m"), edge("b", "tidy", dependency="on_failure")])
    run.fails("b")
    assert run.unit("tidy").status == "queued"
    run.completes("a")
    assert run.statuses()["tidy"] == "cancelled"
    assert run.run.status == "completed"


def test_a_failure_in_the_branch_that_wins_counts_once_it_has_won():
    instead = job("instead")
    edges = [edge("a", "instead", dependency="on_failure"), edge("instead", "m"), edge("b", "m")]
    run = race(instead, job("next"), edges=[*edges, edge("m", "next")])
    run.fails("a")
    assert run.unit("b").status == "queued", "nobody knows yet whether the branch will lose"
    events = run.completes("instead")
    assert "RunFailing" in kinds(events)
    assert run.unit("next").status == "queued", "it follows from what exists for failure"
    run.completes("next")
    assert run.run.status == "failed"
    run = race(instead, edges=edges)
    run.fails("a")
    run.completes("b")
    assert run.run.status == "completed"


def test_a_merge_says_which_branches_came():
    run = fork("count", 2)
    run.completes("c")
    run.completes("a")
    joined = next(e for e, _ in run.history if isinstance(e, NodeStarted) and e.node_id == "m")
    assert joined.branches == ["a", "c"]
