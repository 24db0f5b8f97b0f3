"""What people do to runs: pause, resume, step, retry, decide a node by hand, change."""

from typing import Any

import msgspec
import pytest
from flowforge.commands import ChangeRun, DecideNode, PauseRun, ResumeRun, RetryRun
from flowforge.events import NodeQueued, RetryRefused

from services.execution import decide
from services.execution.decide import operations
from tests.unit.execution.given import RUN, Scenario, edge, job, kinds

CHAIN = {"nodes": [job("a"), job("b"), job("c")], "edges": [edge("a", "b"), edge("b", "c")]}


def begun(definition: dict[str, Any], **triggered: Any) -> Scenario:
    run = Scenario(definition, {"x": 1}, **triggered)
    run.start()
    return run


def pause(run: Scenario, name: str = "p") -> list[Any]:
    return run.operation(PauseRun(command_id=name, run_id=str(RUN)), operations.pause)


def resume(run: Scenario, name: str = "r", **fields: Any) -> list[Any]:
    return run.operation(ResumeRun(command_id=name, run_id=str(RUN), **fields), operations.resume)


def retry(run: Scenario, *node_ids: str, name: str = "again") -> list[Any]:
    return run.operation(RetryRun(command_id=name, run_id=str(RUN), node_ids=list(node_ids)), operations.retry)


def by_hand(run: Scenario, node_id: str, action: Any, **fields: Any) -> list[Any]:
    command = DecideNode(command_id=f"{action}-{node_id}", run_id=str(RUN), node_id=node_id, action=action, **fields)
    return run.operation(command, operations.decide_node)


# --- pause and resume -------------------------------------------------------------------------------------------------


def test_a_paused_run_finishes_what_runs_and_starts_nothing():
    run = begun(CHAIN)
    run.started("a")
    assert kinds(pause(run)) == ["RunPaused"]
    assert run.run.status == "paused"
    assert kinds(run.completes("a")) == ["NodeCompleted"]
    assert kinds(resume(run)) == ["RunResumed", "NodeQueued"]


def test_a_retry_that_comes_due_in_a_pause_is_made_at_resume():
    run = begun({"nodes": [job("a", retry_policy={"max_attempts": 2, "delay_ms": 1000})]})
    run.fails("a")
    pause(run)
    assert run.timer("retry") == []
    assert kinds(resume(run)) == ["RunResumed", "NodeQueued"]


def test_the_time_of_the_run_stands_still_in_a_pause():
    run = begun({**CHAIN, "settings": {"timeout_ms": 1000}})
    pause(run)
    run.pass_ms(10_000)
    assert run.timer("run_timeout") == []
    resume(run)
    assert run.run.status == "running"
    run.timer("run_timeout")
    assert run.run.status == "failed"


def test_a_run_that_is_paused_can_be_cancelled():
    run = begun(CHAIN)
    pause(run)
    run.cancel()
    assert run.run.status == "cancelled"


def test_pausing_and_resuming_are_refused_where_they_make_no_sense():
    run = begun(CHAIN)
    command = ResumeRun(command_id="r", run_id=str(RUN))
    assert "only a paused run" in run.refused(command, operations.resume)
    pause(run)
    assert "is paused" in run.refused(PauseRun(command_id="other", run_id=str(RUN)), operations.pause)


# --- breakpoints and steps --------------------------------------------------------------------------------------------


def test_a_run_halts_before_a_breakpoint_and_goes_on_when_told():
    run = begun(CHAIN, breakpoints=["b"])
    assert kinds(run.completes("a"))[-1] == "RunPaused"
    assert run.run.paused_before == ["b"]
    assert kinds(resume(run)) == ["RunResumed", "NodeQueued"]
    run.completes("b")
    assert run.unit("c").status == "queued"


def test_a_breakpoint_inside_a_loop_halts_each_iteration():
    body = {"nodes": [job("x")], "edges": []}
    loop = {"id": "l", "type": "loop", "loop_type": "count", "count": 2, "body": body}
    run = begun({"nodes": [loop]}, breakpoints=["x"])
    resume(run)
    assert kinds(run.completes("x", instance="0"))[-1] == "RunPaused"
    resume(run, "second")
    assert run.unit("x", "1").status == "queued"


def test_a_step_starts_one_node_and_halts_before_the_next():
    run = begun(CHAIN, breakpoints=["a"])
    assert run.run.status == "paused"
    assert kinds(resume(run, steps=1)) == ["RunResumed", "NodeQueued"]
    assert kinds(run.completes("a"))[-1] == "RunPaused"
    assert run.run.paused_before == ["b"]
    resume(run, "second", steps=1)
    assert run.unit("b").status == "queued"


def test_a_step_where_several_could_start_starts_one():
    run = begun({"nodes": [job("a"), job("b")]}, breakpoints=["a", "b"])
    resume(run, steps=1)
    assert sorted(run.unit(name).status for name in "ab") == ["idle", "queued"]
    assert run.run.status == "paused"


# --- retry ------------------------------------------------------------------------------------------------------------


def test_a_retry_keeps_what_completed_and_does_the_rest_anew():
    run = begun(CHAIN)
    run.completes("a", "kept")
    run.fails("b")
    assert run.run.status == "failed"
    assert kinds(retry(run)) == ["RunRetryRequested", "RunRetried", "NodeQueued"]
    assert run.statuses() == {"a": "completed", "b": "queued", "c": "idle"}
    assert run.unit("b").attempt == 2
    run.completes("b", attempt=2)
    run.completes("c")
    assert run.run.status == "completed"


def test_a_report_on_the_attempt_before_a_retry_is_stale():
    run = begun(CHAIN)
    run.fails("a")
    retry(run)
    assert "NodeCompleted" not in kinds(run.completes("a", attempt=1))


def test_a_retry_policy_counts_anew_after_a_retry_by_hand():
    run = begun({"nodes": [job("a", retry_policy={"max_attempts": 2, "delay_ms": 0})]})
    run.fails("a")
    run.fails("a", attempt=2)
    retry(run)
    assert kinds(run.fails("a", attempt=3)) == ["NodeStarted", "NodeRetried", "NodeQueued"]


def test_a_retry_from_a_node_clears_it_and_what_lies_below():
    run = begun(CHAIN)
    for name in "abc":
        run.completes(name)
    retry(run, "b")
    assert run.statuses() == {"a": "completed", "b": "queued", "c": "idle"}


def test_a_cancelled_run_is_retried_from_what_was_stopped():
    run = begun(CHAIN)
    run.completes("a")
    run.cancel()
    retry(run)
    assert run.statuses() == {"a": "completed", "b": "queued", "c": "idle"}


def test_a_map_that_failed_goes_on_with_what_it_lacks():
    run = begun({"nodes": [job("m", for_each=[1, 2, 3]), job("after")], "edges": [edge("m", "after")]})
    run.completes("m", "kept", instance="0")
    run.fails("m", instance="1")
    events = retry(run)
    assert (events[0].cleared, events[0].resumed) == (["after"], ["m"])
    assert [run.unit("m", str(index)).status for index in range(3)] == ["completed", "queued", "queued"]
    run.completes("m", "again", instance="1", attempt=2)
    run.completes("m", "at last", instance="2", attempt=2)
    assert bytes(run.unit("m").output) == b'["kept","again","at last"]'
    assert run.unit("after").status == "queued"


def test_a_losing_branch_that_failed_is_nothing_to_retry():
    parallel = {"id": "p", "type": "parallel", "branches": [{"target_node_id": "a"}, {"target_node_id": "b"}]}
    merge = {"id": "m", "type": "merge", "parallel_node_id": "p", "mode": "any"}
    run = begun({"nodes": [parallel, job("a"), job("b"), merge], "edges": [edge("a", "m"), edge("b", "m")]})
    run.fails("a")
    run.completes("b")
    assert "nothing in run" in run.refused(RetryRun(command_id="x", run_id=str(RUN)), operations.retry)


def test_a_map_that_is_retried_whole_hands_out_other_jobs():
    run = begun({"nodes": [job("m", for_each=[1, 2])]})
    first = run.run.job_id(run.unit("m", "0"))
    run.fails("m", instance="0")
    retry(run, "m")
    assert run.run.job_id(run.unit("m", "0")) != first
    run.completes("m", instance="0")
    run.completes("m", instance="1")
    assert run.run.status == "completed"


def test_a_loop_that_is_retried_begins_anew():
    body = {"nodes": [job("x")], "edges": []}
    run = begun({"nodes": [{"id": "l", "type": "loop", "loop_type": "count", "count": 2, "body": body}]})
    run.completes("x", instance="0")
    run.fails("x", instance="1")
    events = retry(run)
    assert events[0].cleared == ["l", "x"]
    run.completes("x", 1, instance="0")
    run.completes("x", 2, instance="1")
    assert run.output() == [1, 2]


def test_a_retry_of_a_workflow_with_slots_waits_to_be_admitted():
    run = begun({**CHAIN, "settings": {"concurrency": {"limit": 1}}})
    run.fails("a")
    assert kinds(retry(run)) == ["RunRetryRequested"]
    assert run.run.status == "pending"
    assert kinds(run.when(lambda step: decide.admitted(step, step.run.asked_version))) == ["RunRetried", "NodeQueued"]


def limited() -> Scenario:
    run = begun({**CHAIN, "settings": {"concurrency": {"limit": 1}, "queue_timeout_ms": 1000}})
    run.fails("a")
    retry(run)
    return run


def test_a_retry_that_gets_no_slot_leaves_the_run_as_it_was():
    run = limited()
    refused = RetryRefused(run_id=RUN, workflow_id="wf", asked_version=run.run.asked_version, code="X", message="full")
    assert kinds(run.when(lambda step: decide.retry_refused(step, refused))) == ["RunRetryRefused"]
    assert run.run.status == "failed"
    assert kinds(retry(run, name="once more"))[0] == "RunRetryRequested"


def test_an_admission_of_before_does_not_let_a_retry_go_on():
    run = limited()
    assert run.when(lambda step: decide.admitted(step, 1)) == []
    version = run.run.asked_version
    assert kinds(run.when(lambda step: decide.admitted(step, version)))[0] == "RunRetried"


def test_a_retry_that_waits_too_long_for_a_slot_ends_the_run_once_more():
    run = limited()
    assert kinds(run.timer("queue_timeout"))[-1] == "RunFailed"


def test_retries_are_refused_where_they_make_no_sense():
    run = begun(CHAIN)
    command = RetryRun(command_id="x", run_id=str(RUN))
    assert "only a run that has ended" in run.refused(command, operations.retry)
    for name in "abc":
        run.completes(name)
    assert "nothing in run" in run.refused(command, operations.retry)
    assert "there is no node 'z'" in run.refused(
        RetryRun(command_id="x", run_id=str(RUN), node_ids=["z"]), operations.retry
    )


def test_a_retried_merge_also_does_the_branches_that_had_lost():
    parallel = {"id": "p", "type": "parallel", "branches": [{"target_node_id": "a"}, {"target_node_id": "b"}]}
    merge = {"id": "m", "type": "merge", "parallel_node_id": "p", "mode": "any"}
    run = begun({"nodes": [parallel, job("a"), job("b"), merge], "edges": [edge("a", "m"), edge("b", "m")]})
    run.completes("a")
    retry(run, "p")
    assert run.statuses() == {"p": "completed", "a": "queued", "b": "queued", "m": "idle"}


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_a_node_is_completed_by_hand_and_its_worker_told():
    run = begun(CHAIN)
    run.started("a")
    events = by_hand(run, "a", "complete", output=msgspec.Raw(b'"given"'))
    assert kinds(events) == ["NodeDecidedByHand", "NodeCompleted", "NodeQueued"]
    assert events[0].job_id is not None
    assert run.unit("b").input_from == "a"


def test_a_node_is_failed_by_hand():
    run = begun(CHAIN)
    by_hand(run, "a", "fail", message="known to be broken")
    assert run.run.status == "failed"
    error = run.unit("a").error
    assert error is not None
    assert error.message == "known to be broken"


def test_a_node_is_skipped_by_hand_even_before_its_turn():
    run = begun({**CHAIN, "settings": {"fail_fast": False}})
    by_hand(run, "b", "skip")
    run.completes("a")
    assert run.statuses() == {"a": "completed", "b": "skipped:by_hand", "c": "skipped:upstream_skipped"}


def test_one_instance_of_a_map_is_completed_by_hand():
    run = begun({"nodes": [job("m", for_each=[1, 2])]})
    by_hand(run, "m", "complete", instance="0", output=msgspec.Raw(b"1"))
    run.completes("m", 2, instance="1")
    assert run.output() == [1, 2]


@pytest.mark.parametrize("action", ["complete", "fail", "skip"])
def test_a_node_that_has_ended_is_not_decided_again(action: str):
    run = begun(CHAIN)
    run.completes("a")
    command = DecideNode(command_id="x", run_id=str(RUN), node_id="a", action=action)  # type: ignore[arg-type]
    assert "completed already" in run.refused(command, operations.decide_node)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_breakpoints_labels_and_priority_are_changed():
    run = begun(CHAIN)
    command = ChangeRun(command_id="x", run_id=str(RUN), priority=5, labels={"a": "b"}, breakpoints=["b"])
    assert kinds(run.operation(command, operations.change)) == ["RunChanged"]
    assert (run.run.priority, run.run.labels) == (5, {"a": "b"})
    run.completes("a")
    assert run.run.status == "paused"
    wrong = ChangeRun(command_id="y", run_id=str(RUN), breakpoints=["z"])
    assert "there is no node 'z'" in run.refused(wrong, operations.change)


# --- settings of failure ----------------------------------------------------------------------------------------------


def two(**settings: Any) -> Scenario:
    return begun({"nodes": [job("a"), job("b")], "settings": settings})


def test_recovery_may_let_the_others_go_on():
    run = two(recovery={"continue_on_node_failure": True})
    assert "RecoveryTaken" in kinds(run.fails("a"))
    run.completes("b")
    assert run.run.status == "failed"


@pytest.mark.parametrize(
    "recovery",
    [{"skip_failed_branches": True}, {"continue_on_node_failure": True, "fallback_to_partial_execution": True}],
)
def test_recovery_may_let_a_run_end_partial(recovery: dict[str, Any]):
    run = two(recovery=recovery)
    run.fails("a")
    assert kinds(run.completes("b"))[-2:] == ["RecoveryTaken", "RunPartiallyCompleted"]
    assert run.run.status == "partial"
    run = two(recovery=recovery)
    run.fails("a")
    run.fails("b")
    assert run.run.status == "failed"


def test_recovery_may_give_nodes_a_retry_policy():
    run = two(recovery={"retry_failed_nodes": True, "max_retry_attempts": 1})
    assert kinds(run.fails("a"))[:3] == ["NodeStarted", "RecoveryTaken", "NodeRetried"]


def test_a_run_that_takes_too_long_for_its_sla_goes_on_and_says_so():
    run = two(sla_ms=1000)
    assert kinds(run.timer("sla")) == ["RunSlaMissed"]
    assert run.run.status == "running"


def test_errors_are_retried_by_code_or_by_class():
    policy = {"max_attempts": 2, "delay_ms": 0, "retry_on_errors": ["ValueError"]}
    run = begun({"nodes": [job("a", retry_policy=policy), job("b")]})
    assert "NodeRetried" not in kinds(run.fails("a"))


def test_large_outputs_are_kept_beside_the_log():
    big = "x" * 300_000
    run = Scenario(
        {"nodes": [{"id": "t", "type": "data_transform", "expressions": {"v": "${input.big}"}}]}, {"big": big}
    )
    step = decide.Step(run.run, run.now)
    decide.start(step)
    assert len(step.blobs) == 1
    assert not any(isinstance(event, NodeQueued) for event in step.events)


# --- found by random histories ----------------------------------------------------------------------------------------


def test_a_report_from_before_a_retry_does_not_end_the_node_that_the_retry_cleared():
    run = begun(CHAIN)
    run.completes("a")
    run.completes("b")
    run.fails("c")
    retry(run, "a")
    assert run.completes("b") == [], "it was heard before"
    assert kinds(run.started("b", delivery=2)) == ["ReportIgnored"]
    assert run.statuses() == {"a": "queued", "b": "idle", "c": "idle"}


def test_a_cancel_lets_cleanup_run_below_what_had_failed_before():
    nodes = [job("a"), job("slow"), job("later"), job("tidy", run_if="all_done")]
    edges = [edge("a", "tidy"), edge("slow", "later"), edge("later", "tidy")]
    run = begun({"nodes": nodes, "edges": edges, "settings": {"fail_fast": False}})
    run.fails("a")
    run.completes("slow")
    run.started("later")
    run.cancel()
    assert run.statuses() == {"a": "failed", "slow": "completed", "later": "cancelled", "tidy": "queued"}
    run = begun({"nodes": nodes, "edges": edges, "settings": {"fail_fast": False, "max_parallel_jobs": 1}})
    run.fails("a")
    run.cancel()
    assert run.statuses()["tidy"] == "queued"
    run.completes("tidy")
    assert run.run.status == "cancelled"


def test_a_run_that_began_at_a_node_follows_the_edges_once_what_is_above_is_retried():
    run = begun(CHAIN, from_node="b")
    run.fails("b")
    retry(run, "a")
    assert run.statuses() == {"a": "queued", "b": "idle", "c": "idle"}
    run.fails("a", attempt=1)
    assert run.statuses()["b"] == "skipped:upstream_failed"
