"""Loops: iterations of a body, one after the other or side by side, and what they give."""

import json
from typing import Any

import msgspec
from flowforge.commands import RetryRun
from flowforge.events import NodeCancelled, NodeCompleted, NodeFailed

from services.execution import decide
from services.execution.decide import operations
from tests.unit.execution.given import RUN, Scenario, edge, job, kinds


def loop(body: list[Any], *, edges: list[Any] | None = None, node_id: str = "l", **fields: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "loop", "body": {"nodes": body, "edges": edges or []}, **fields}


def transform(node_id: str, **expressions: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "data_transform", "expressions": expressions}


def begun(*nodes: Any, edges: list[Any] | None = None, input_data: Any = None, **fields: Any) -> Scenario:
    run = Scenario({"nodes": list(nodes), "edges": edges or [], **fields}, input_data)
    run.start()
    return run


def test_a_loop_over_a_list_gives_the_list_of_what_its_iterations_gave():
    run = begun(
        loop(
            [transform("double", value="${item * 2}", place="${index}")], loop_type="for_each", array_source="${input}"
        ),
        input_data=[3, 4],
    )
    assert run.statuses() == {"l": "completed"}
    assert run.output() == [{"value": 6, "place": 0}, {"value": 8, "place": 1}]


def test_an_empty_list_gives_an_empty_list():
    run = begun(loop([transform("x", a=1)], loop_type="for_each", array_source=[]))
    assert run.output() == []


def test_a_while_loop_tests_first_and_sees_what_the_iteration_before_gave():
    run = begun(
        loop(
            [transform("n", value="${previous == null ? 1 : previous.value * 2}")],
            loop_type="while",
            condition="previous == null || previous.value < 10",
        )
    )
    assert [each["value"] for each in run.output()] == [1, 2, 4, 8, 16]
    assert begun(loop([transform("n", a=1)], loop_type="while", condition="false")).output() == []


def test_jobs_in_a_sequential_loop_run_one_after_the_other():
    run = begun(loop([job("a", payload={"i": "${index}"})], loop_type="count", count=2))
    assert run.unit("a", "0").status == "queued"
    assert run.run.find("a", "1") is None
    events = run.completes("a", "first", instance="0")
    assert kinds(events) == ["NodeStarted", "NodeCompleted", "IterationEnded", "IterationStarted", "NodeQueued"]
    run.completes("a", "second", instance="1")
    assert run.output() == ["first", "second"]


def test_max_parallel_iterations_run_side_by_side():
    run = begun(loop([job("a")], loop_type="count", count=5, max_parallel=2))
    assert [run.run.find("a", str(i)) is not None for i in range(4)] == [True, True, False, False]
    run.completes("a", 1, instance="1")
    assert run.run.find("a", "2") is not None


def test_loops_in_loops_name_their_instances_by_both_indices():
    inner = loop([transform("x", at="${index}")], node_id="inner", loop_type="count", count=2)
    run = begun(loop([inner], node_id="outer", loop_type="count", count=2))
    names = [(e.node_id, e.instance) for e, _ in run.history if isinstance(e, NodeCompleted)]
    assert names == [
        ("x", "0.0"), ("x", "0.1"), ("inner", "0"), ("x", "1.0"), ("x", "1.1"), ("inner", "1"), ("outer", ""),
    ]  # fmt: skip
    assert run.output() == [[{"at": 0}, {"at": 1}], [{"at": 0}, {"at": 1}]]


def test_a_map_in_a_loop_and_a_loop_as_a_map():
    mapped = {**job("m"), "for_each": [1, 2]}
    run = begun(loop([mapped], loop_type="count", count=1))
    run.completes("m", "a", instance="0.0")
    run.completes("m", "b", instance="0.1")
    assert run.output() == [["a", "b"]]
    nested = {
        **loop([transform("x", v="${item}")], loop_type="for_each", array_source="${item}"),
        "for_each": [[1], [2, 3]],
    }
    assert begun(nested).output() == [[{"v": 1}], [{"v": 2}, {"v": 3}]]


def test_a_body_sees_its_own_nodes_and_those_around_it():
    run = begun(
        transform("before", base=10),
        loop(
            [transform("a", v="${nodes.before.output.base + index}"), transform("b", v="${nodes.a.output.v}")],
            edges=[edge("a", "b")],
            loop_type="count",
            count=2,
        ),
        edges=[edge("before", "l")],
    )
    assert run.output() == [{"v": 10}, {"v": 11}]


def test_more_iterations_than_allowed_fail_the_loop():
    run = begun(loop([transform("x", a=1)], loop_type="for_each", array_source=[1, 2, 3], max_iterations=2))
    error = next(e.error for e, _ in run.history if isinstance(e, NodeFailed))
    assert error.code == "LOOP_LIMIT_EXCEEDED"
    assert "needs 3" in error.message or "need 3" in error.message
    assert "IterationStarted" not in kinds([e for e, _ in run.history])
    run = begun(loop([transform("x", a=1)], loop_type="while", condition="true", max_iterations=4))
    assert run.unit("l").error is not None
    assert sum(type(e).__name__ == "IterationStarted" for e, _ in run.history) == 4


def test_a_failed_iteration_fails_a_sequential_loop_and_nothing_more_begins():
    run = begun(loop([job("a"), job("b")], edges=[edge("a", "b")], loop_type="count", count=3))
    run.fails("a", "BROKEN", instance="0")
    assert run.statuses() == {"l": "failed"}
    error = run.unit("l").error
    assert error is not None
    assert (error.code, error.affected_nodes, error.dependency_chain) == ("BROKEN", ["a"], ["l", "a"])
    assert run.run.status == "failed"


def test_without_fail_fast_parallel_iterations_go_on():
    run = begun(loop([job("a")], loop_type="count", count=2, max_parallel=2), settings={"fail_fast": False})
    run.fails("a", instance="0")
    assert run.unit("l").status == "running"
    run.completes("a", instance="1")
    assert run.run.status == "failed"


def test_a_failure_in_a_body_that_is_allowed_does_not_count():
    run = begun(loop([job("a", allow_failure=True)], loop_type="count", count=1))
    run.fails("a", instance="0")
    assert run.run.status == "completed"


def test_cancelling_a_run_stops_what_runs_inside_of_loops():
    run = begun(loop([job("a")], loop_type="count", count=2, max_parallel=2))
    events = run.cancel()
    cancelled = [(e.node_id, e.instance) for e in events if isinstance(e, NodeCancelled)]
    assert cancelled == [("a", "0"), ("a", "1"), ("l", "")]
    assert run.run.status == "cancelled"


def test_a_late_report_on_an_iteration_that_is_over_changes_nothing():
    run = begun(loop([job("a")], loop_type="count", count=2))
    job_id = run.run.job_id(run.unit("a", "0"))
    run.completes("a", instance="0")
    assert job_id not in run.run.jobs


def test_a_loop_that_is_tried_again_hands_out_other_jobs():
    policy = {"max_attempts": 2, "delay_ms": 0}
    run = begun(loop([job("a")], loop_type="count", count=1, retry_policy=policy))
    first = run.run.job_id(run.unit("a", "0"))
    run.fails("a", instance="0")
    assert run.unit("l").attempt == 2
    assert run.run.job_id(run.unit("a", "0")) != first
    run.completes("a", "ok", instance="0")
    assert run.output() == ["ok"]


def test_a_long_loop_keeps_little_in_memory():
    run = begun(loop([transform("x", i="${index}")], loop_type="count", count=500))
    assert len(run.run.frames) == 0
    assert len(msgspec.json.decode(run.unit("l").output)) == 500


def test_a_while_loop_with_max_parallel_is_tested_after_each_iteration_all_the_same():
    run = begun(loop([job("a")], loop_type="while", condition="index < 2", max_parallel=3))
    run.completes("a", "first", instance="0")
    run.completes("a", "second", instance="1")
    assert run.output() == ["first", "second"]
    run = begun(
        loop([job("a")], loop_type="while", condition="index < 2", max_parallel=3), settings={"fail_fast": False}
    )
    run.fails("a", instance="0")
    assert run.statuses() == {"l": "failed"}


def test_a_loop_as_a_map_hands_out_other_jobs_after_a_retry_of_the_run():
    mapped = {**loop([job("a")], loop_type="count", count=1), "for_each": [1]}
    run = begun(mapped)
    first = run.run.job_id(run.unit("a", "0.0"))
    run.fails("a", instance="0.0")
    command = RetryRun(command_id="again", run_id=str(RUN), node_ids=["l"])
    run.operation(command, operations.retry)
    assert run.run.job_id(run.unit("a", "0.0")) != first


def test_a_value_that_grows_deeper_and_deeper_fails_its_node():
    run = begun(loop([transform("x", v="${previous}")], loop_type="count", count=900))
    error = run.unit("l").error
    assert error is not None
    assert (error.code, error.affected_nodes) == ("PAYLOAD_TOO_LARGE", ["x"])
    deep = json.loads("[" * 300 + '"[{"' + "]" * 300)
    run = begun(job("a"))
    run.completes("a", deep)
    assert run.run.status == "failed"
    run = begun(job("a"))
    run.completes("a", [["[["] * 500, {"{{": '"['}])
    assert run.run.status == "completed"


def test_a_long_loop_is_done_in_several_steps():
    run = Scenario({"nodes": [loop([transform("x", i="${index}")], loop_type="count", count=10)]})
    step = decide.Step(run.run, run.now, events_max=20)
    decide.start(step)
    run.history += [(event, run.now) for event in step.events]
    assert len(step.events) < 30
    assert run.run.status == "running"
    run.timer("go_on")
    assert [each["i"] for each in run.output()] == list(range(10))
