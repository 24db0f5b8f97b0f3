"""How runs begin, go on and end."""

import msgspec
import pytest
from flowforge.events import NodeQueued, NodeSkipped, RunFailed
from flowforge.refusals import Refusal
from given import Scenario, edge, job, kinds

from services.execution import decide

CHAIN = {"nodes": [job("a"), job("b")], "edges": [edge("a", "b")]}


def test_a_run_starts_its_roots_and_only_those():
    run = Scenario(CHAIN)
    assert kinds(run.start()) == ["RunStarted", "NodeQueued"]
    assert run.statuses() == {"a": "queued", "b": "idle"}


def test_a_chain_hands_each_output_to_the_next_and_ends_with_the_last():
    run = Scenario(CHAIN, {"n": 0})
    run.start()
    assert bytes(run.run.input_of(run.unit("a"))) == b'{"n":0}'
    assert kinds(run.completes("a", {"n": 1})) == ["NodeStarted", "NodeCompleted", "NodeQueued"]
    assert bytes(run.run.input_of(run.unit("b"))) == b'{"n":1}'
    assert kinds(run.completes("b", {"n": 2})) == ["NodeStarted", "NodeCompleted", "RunCompleted"]
    assert run.output() == {"n": 2}


def test_without_edges_and_order_all_nodes_run_in_parallel():
    run = Scenario({"nodes": [job("a"), job("b"), job("c")]})
    assert kinds(run.start()) == ["RunStarted", "NodeQueued", "NodeQueued", "NodeQueued"]


def test_order_index_makes_a_chain_in_that_order():
    run = Scenario({"nodes": [job("last", order_index=2), job("first", order_index=1)]})
    run.start()
    assert run.statuses() == {"first": "queued", "last": "idle"}


def test_no_more_jobs_than_slots_are_handed_out():
    run = Scenario({"nodes": [job(f"n{i}") for i in range(4)], "settings": {"max_parallel_jobs": 2}})
    run.start()
    assert sorted(run.statuses().values()) == ["idle", "idle", "queued", "queued"]
    assert kinds(run.completes("n0")) == ["NodeStarted", "NodeCompleted", "NodeQueued"]


def test_markers_and_transforms_need_no_worker():
    run = Scenario(
        {
            "nodes": [
                {"id": "start", "type": "start"},
                {
                    "id": "sum",
                    "type": "data_transform",
                    "expressions": {"twice": "${input.n * 2}", "text": "n=${input.n}"},
                },
                {"id": "end", "type": "end", "output": {"result": "${nodes.sum.output.twice}"}},
            ],
            "edges": [edge("start", "sum"), edge("sum", "end")],
        },
        {"n": 21},
    )
    assert kinds(run.start())[-1] == "RunCompleted"
    assert run.output() == {"result": 42}


def test_several_upstream_outputs_come_as_an_object_by_node():
    run = Scenario({"nodes": [job("a"), job("b"), job("join")], "edges": [edge("a", "join"), edge("b", "join")]})
    run.start()
    run.completes("a", 1)
    run.completes("b", {"x": 2})
    assert msgspec.json.decode(run.run.input_of(run.unit("join"))) == {"a": 1, "b": {"x": 2}}


def test_edges_route_named_outputs_to_named_inputs():
    edges = [edge("a", "b", source_output="rows", target_input="data"), edge("c", "b", target_input="other")]
    run = Scenario({"nodes": [job("a"), job("c"), job("b")], "edges": edges})
    run.start()
    run.completes("a", {"rows": [1, 2]})
    run.completes("c", "all of it")
    assert msgspec.json.decode(run.run.input_of(run.unit("b"))) == {"data": [1, 2], "other": "all of it"}


def test_a_missing_named_output_fails_the_node_that_wants_it():
    run = Scenario(
        {"nodes": [job("a"), job("b")], "edges": [edge("a", "b", source_output="rows", target_input="data")]}
    )
    run.start()
    run.completes("a", {"lines": 1})
    error = run.unit("b").error
    assert error is not None
    assert error.code == "EXPRESSION_ERROR"
    assert "rows" in error.message
    assert run.run.status == "failed"


def test_an_expression_that_cannot_be_evaluated_names_itself_and_what_is_missing():
    run = Scenario({"nodes": [job("a", input_mapping={"n": "${input.customer.name}"})]}, {"client": 1})
    run.start()
    error = run.unit("a").error
    assert error is not None
    assert error.code == "EXPRESSION_ERROR"
    assert "input.customer" in error.message


def test_run_variables_have_defaults_are_overridden_and_set_by_nodes():
    definition = {
        "variables": [
            {"name": "region", "default_value": "eu"},
            {"name": "count", "type": "number", "default_value": 0},
        ],
        "nodes": [
            job("a", output_mapping={"count": "${output.n + variables.count}"}),
            job("b", payload={"c": "${variables.count}", "r": "${variables.region}"}),
        ],
        "edges": [edge("a", "b")],
    }
    run = Scenario(definition, variables={"region": msgspec.Raw(b'"us"')})
    run.start()
    events = run.completes("a", {"n": 5})
    assert run.run.variables == {"region": "us", "count": 5}
    queued = next(event for event in events if isinstance(event, NodeQueued))
    assert msgspec.json.decode(queued.payload) == {"c": 5, "r": "us"}


def test_the_output_mapping_of_the_workflow_is_the_runs_output():
    run = Scenario(
        {"nodes": [job("a")], "output_mapping": {"path": "${nodes.a.output.path}", "status": "${nodes.a.status}"}}
    )
    run.start()
    run.completes("a", {"path": "/x"})
    assert run.output() == {"path": "/x", "status": "completed"}


def test_an_output_mapping_that_fails_fails_the_run_and_says_so():
    run = Scenario({"nodes": [job("a")], "output_mapping": {"path": "${nodes.a.output.path}"}})
    run.start()
    last = run.completes("a", {})[-1]
    assert isinstance(last, RunFailed)
    assert last.error.code == "EXPRESSION_ERROR"


@pytest.mark.parametrize(("value", "problem"), [({}, "missing"), ({"n": "x"}, "number"), ([], "object")])
def test_declared_inputs_are_checked(value: object, problem: str):
    run = Scenario({"nodes": [job("a", inputs=[{"name": "n", "type": "number"}])]}, value)
    run.start()
    error = run.unit("a").error
    assert error is not None
    assert error.code == "INPUT_INVALID"
    assert problem in error.message


def test_declared_outputs_are_checked():
    run = Scenario({"nodes": [job("a", outputs=[{"name": "n", "type": "number"}])]})
    run.start()
    run.completes("a", {"n": True})
    error = run.unit("a").error
    assert error is not None
    assert error.code == "OUTPUT_INVALID"


# --- cancel ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_run_stops_what_runs_skips_the_rest_and_still_cleans_up():
    nodes = [job("a"), job("b"), job("clean", run_if="all_done")]
    run = Scenario({"nodes": nodes, "edges": [edge("a", "b"), edge("a", "clean")]})
    run.start()
    run.cancel()
    assert run.statuses() == {"a": "cancelled", "b": "skipped:run_cancelled", "clean": "queued"}
    assert kinds(run.completes("clean"))[-1] == "RunCancelled"
    assert run.run.status == "cancelled"


def test_a_run_that_has_ended_cannot_be_cancelled():
    run = Scenario({"nodes": [job("a")]})
    run.start()
    run.completes("a")
    step = decide.Step(run.run, run.now)
    refusal = decide.cancel(step, "", "")
    assert isinstance(refusal, Refusal)
    assert refusal.status == 409
    assert step.events == []


def test_cancelling_twice_changes_nothing_the_second_time():
    run = Scenario(CHAIN)
    run.start()
    assert "RunCancelled" in kinds(run.cancel())


def test_a_cancelled_jobs_own_report_is_no_news():
    nodes = [job("a"), job("clean", run_if="all_done")]
    run = Scenario({"nodes": nodes, "edges": [edge("a", "clean")]})
    run.start()
    run.cancel()
    assert run.fails("a", "CANCELLED", retryable=False) == []
    assert kinds(run.completes("a", 1)) == ["ReportIgnored"]


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_fails_and_says_what_was_under_way():
    run = Scenario({**CHAIN, "settings": {"timeout_ms": 1000}})
    assert kinds(run.start()) == ["RunStarted", "TimerSet", "NodeQueued"]
    last = run.timer("run_timeout")[-1]
    assert isinstance(last, RunFailed)
    assert last.error.code == "EXECUTION_TIMEOUT"
    assert last.error.affected_nodes == ["a"]
    assert run.statuses() == {"a": "cancelled", "b": "skipped:run_failed"}


def test_a_run_timeout_after_the_end_changes_nothing():
    run = Scenario({"nodes": [job("a")], "settings": {"timeout_ms": 1000}})
    run.start()
    run.completes("a")
    assert run.timer("run_timeout") == []


def test_an_attempt_that_takes_too_long_fails_with_job_timeout_and_may_be_retried():
    run = Scenario({"nodes": [job("a", timeout_ms=500, retry_policy={"max_attempts": 2, "delay_ms": 0})]})
    run.start()
    assert kinds(run.timer("node_timeout")) == ["NodeRetried", "NodeQueued", "TimerSet"]
    assert run.unit("a").attempt == 2
    assert kinds(run.timer("node_timeout"))[-1] == "RunFailed"
    error = run.unit("a").error
    assert error is not None
    assert error.code == "JOB_TIMEOUT"


# --- maps -----------------------------------------------------------------------------------------------------------


def mapped(**fields: object) -> Scenario:
    each = job("each", for_each="${nodes.list.output}", input_mapping={"it": "${item}", "at": "${index}"}, **fields)
    return Scenario({"nodes": [job("list"), each, job("sum")], "edges": [edge("list", "each"), edge("each", "sum")]})


def test_a_map_runs_once_per_item_and_its_output_is_their_list_in_order():
    run = mapped()
    run.start()
    run.completes("list", ["x", "y"])
    assert msgspec.json.decode(run.run.input_of(run.unit("each", "1"))) == {"it": "y", "at": 1}
    run.completes("each", "second", instance="1")
    run.completes("each", "first", instance="0")
    assert msgspec.json.decode(run.run.input_of(run.unit("sum"))) == ["first", "second"]


def test_a_map_over_nothing_is_complete_at_once():
    run = mapped()
    run.start()
    run.completes("list", [])
    assert run.statuses()["sum"] == "queued"
    assert bytes(run.run.input_of(run.unit("sum"))) == b"[]"


def test_a_map_keeps_to_its_own_limit():
    run = mapped(max_parallel=1)
    run.start()
    run.completes("list", [1, 2, 3])
    assert [unit.status for unit in run.run.nodes["each"].instances] == ["queued", "idle", "idle"]
    run.completes("each", 1, instance="0")
    assert [unit.status for unit in run.run.nodes["each"].instances] == ["completed", "queued", "idle"]


def test_a_failing_instance_fails_the_map_and_cancels_the_others():
    run = mapped()
    run.start()
    run.completes("list", [1, 2])
    run.fails("each", instance="1")
    assert run.statuses()["each"] == "failed"
    assert run.unit("each", "0").status == "cancelled"
    assert run.run.status == "failed"


def test_instances_that_may_fail_leave_a_gap():
    run = mapped(allow_failure=True)
    run.start()
    run.completes("list", [1, 2])
    run.fails("each", instance="0")
    run.completes("each", "ok", instance="1")
    assert msgspec.json.decode(run.run.input_of(run.unit("sum"))) == [None, "ok"]


def test_a_map_over_something_else_than_a_list_fails_clearly():
    run = mapped()
    run.start()
    run.completes("list", {"not": "a list"})
    error = run.unit("each").error
    assert error is not None
    assert error.code == "INPUT_INVALID"
    assert "list" in error.message


def test_a_map_of_transforms_needs_no_worker():
    nodes = [{"id": "t", "type": "data_transform", "for_each": "${input}", "expressions": {"sq": "${item * item}"}}]
    run = Scenario({"nodes": nodes}, [1, 2, 3])
    run.start()
    assert run.output() == [{"sq": 1}, {"sq": 4}, {"sq": 9}]


def test_skips_carry_their_reason():
    run = Scenario(CHAIN)
    run.start()
    skipped = [event for event in run.fails("a") if isinstance(event, NodeSkipped)]
    assert [(event.node_id, event.reason) for event in skipped] == [("b", "upstream_failed")]


def test_in_a_nodes_own_settings_input_is_what_was_mapped_over_the_runs_input():
    nodes = [
        {
            "id": "t",
            "type": "data_transform",
            "input_mapping": {"k": "${input.n + 1}"},
            "expressions": {"mapped": "${input.k}", "whole": "${input.n}"},
        },
        job("a", input_mapping={"k": "${input.n}"}, payload={"p": "${input.k}"}),
        job("b", payload={"p": "${input.n}"}),
    ]
    run = Scenario({"nodes": nodes}, {"n": 1})
    events = run.start()
    assert msgspec.json.decode(run.unit("t").output) == {"mapped": 2, "whole": 1}
    payloads = [msgspec.json.decode(event.payload) for event in events if isinstance(event, NodeQueued)]
    assert payloads == [{"p": 1}, {"p": 1}]


def test_a_map_fails_with_its_first_failure_though_most_of_it_has_not_begun():
    run = Scenario({"nodes": [job("each", for_each=[1, 2, 3, 4, 5], max_parallel=2)]})
    run.start()
    run.fails("each", instance="0")
    assert [unit.status for unit in run.run.nodes["each"].instances] == ["failed", "cancelled", "idle", "idle", "idle"]
    assert run.run.status == "failed"


def test_instances_that_are_tried_again_keep_to_max_parallel():
    policy = {"max_attempts": 2, "delay_ms": 1_000}
    run = Scenario({"nodes": [job("each", for_each=[1, 2], max_parallel=1, retry_policy=policy)]})
    run.start()
    run.fails("each", instance="0")
    assert run.unit("each", "1").status == "queued"
    assert run.timer("retry") == []
    run.completes("each", instance="1")
    assert run.unit("each", "0").status == "queued"
