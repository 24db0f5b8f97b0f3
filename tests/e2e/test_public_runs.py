"""Runs as the public page promises them: shapes, order, failure, retry, iteration, limits, expressions, scripts."""

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stranger import (
    ENDED,
    Object,
    Stranger,
    bash,
    edge,
    node_runs,
    problem,
    python,
    transform,
    workflow,
)

RUN_FIELDS = {
    "run_id", "workflow_id", "workflow_version", "status", "trigger", "cause", "parent_run_id", "actor", "labels",
    "input_data", "variables", "output_data", "error", "priority", "created_at", "started_at", "completed_at",
    "duration_ms", "progress", "estimated_time_remaining_ms", "execution_path", "node_runs",
}  # fmt: skip
NODE_FIELDS = {
    "node_id", "type", "status", "skip_reason", "attempt", "progress", "input", "output", "error", "job_id", "worker",
    "dependencies", "dependents", "started_at", "completed_at", "duration_ms", "instances_count",
}  # fmt: skip
ERROR_FIELDS = {"code", "message", "affected_nodes", "dependency_chain", "suggested_resolution"}
FAILS = "echo no luck >&2; exit 3"


def statuses(run: Object) -> Object:
    return {row["node_id"]: row["status"] for row in run["node_runs"]}


def reasons(run: Object) -> Object:
    return {row["node_id"]: row["skip_reason"] for row in run["node_runs"] if row["status"] == "skipped"}


def error_of(run: Object, node_id: str) -> Object:
    error = node_runs(run)[node_id]["error"]
    assert error is not None, run
    assert error.keys() >= ERROR_FIELDS
    return error


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_execute_answers_202_with_the_run_and_its_position(stranger: Stranger):
    slug = stranger.save(workflow(transform("a")))["id"]
    answer = stranger.send("POST", f"/api/workflows/{slug}/execute", {})
    assert answer.status_code == 202
    told = answer.json()
    read = stranger.get(f"/api/runs/{told['run_id']}", after=told["position"])
    assert read["workflow_id"] == slug


def test_execute_without_a_body_is_a_run_without_input(stranger: Stranger):
    slug = stranger.save(workflow(transform("a", expressions={"i": "${input}"})))["id"]
    answer = stranger.http.post(f"/api/workflows/{slug}/execute")
    assert answer.status_code == 202, answer.text


def test_every_field_of_a_run_is_there_and_sensible(stranger: Stranger):
    definition = workflow(
        {"id": "start", "type": "start"},
        bash("a", 'echo \'{"n": 1}\' > "$FLOWFORGE_OUTPUT"'),
        transform("b", expressions={"m": "${nodes.a.output.n + 1}"}),
        {"id": "end", "type": "end"},
        edges=[edge("start", "a"), edge("a", "b"), edge("b", "end")],
        variables=[{"name": "v", "type": "number", "default_value": 7}, {"name": "w", "type": "string"}],
        output_mapping={"m": "${nodes.b.output.m}"},
    )
    run = stranger.run(definition, input_data={"x": 1}, variables={"w": "given"}, labels={"team": "red"}, priority=3)
    assert run.keys() >= RUN_FIELDS
    assert (run["workflow_id"], run["workflow_version"], run["status"]) == (definition["id"], 1, "completed")
    assert run["trigger"]["type"] == "manual"
    assert run["cause"]
    assert (run["parent_run_id"], run["error"], run["estimated_time_remaining_ms"] or None) == (None, None, None)
    assert run["actor"]
    assert (run["labels"], run["priority"], run["input_data"]) == ({"team": "red"}, 3, {"x": 1})
    assert run["variables"] == {"v": 7, "w": "given"}
    assert run["output_data"] == {"m": 2}
    created, started, completed = (
        datetime.fromisoformat(run[f"{word}_at"]) for word in ("created", "started", "completed")
    )
    assert created <= started <= completed
    assert abs(run["duration_ms"] - (completed - started).total_seconds() * 1000) < 2
    assert run["progress"] == {"completed_nodes": 4, "total_nodes": 4, "percent": 100, "current_step": None}
    assert run["execution_path"] == ["start", "a", "b", "end"]
    assert [row["node_id"] for row in run["node_runs"]] == ["start", "a", "b", "end"]
    for row in run["node_runs"]:
        assert row.keys() >= NODE_FIELDS
    a = node_runs(run)["a"]
    assert (a["type"], a["status"], a["attempt"], a["skip_reason"], a["error"]) == (
        "script",
        "completed",
        1,
        None,
        None,
    )
    assert (a["dependencies"], a["dependents"]) == (["start"], ["b"])
    assert a["job_id"]
    assert a["worker"]
    assert (a["output"], a["instances_count"]) == ({"n": 1}, None)
    assert a["duration_ms"] >= 0
    assert stranger.get(f"/api/runs/{run['run_id']}/nodes/a")["output"] == {"n": 1}
    problem(stranger.http.get(f"/api/runs/{run['run_id']}/nodes/ghost"), 404)


def test_runs_are_listed_newest_first_by_every_filter(stranger: Stranger):
    slug = stranger.save(workflow(bash("a", "[ $(cat $FLOWFORGE_INPUT) != 2 ]")))["id"]
    ids = [stranger.execute(slug, input_data=n, labels={"n": f"{slug}-{n}"}) for n in (1, 2, 3)]
    runs = [stranger.ended(run_id) for run_id in ids]
    assert [run["status"] for run in runs] == ["completed", "failed", "completed"]

    def listed(**filters: Any) -> list[str]:
        return [item["run_id"] for item in stranger.all("/api/runs", **filters)]

    assert listed(workflow_id=slug) == ids[::-1]
    assert listed(workflow_id=slug, limit=1) == ids[::-1]
    assert listed(workflow_id=slug, status="failed") == [ids[1]]
    assert listed(workflow_id=slug, trigger_type="manual") == ids[::-1]
    assert listed(workflow_id=slug, trigger_type="event") == []
    assert listed(label=f"n={slug}-3") == [ids[2]]
    assert listed(workflow_id=slug, since=runs[1]["created_at"]) == ids[:0:-1]
    assert listed(workflow_id=slug, until=runs[1]["created_at"]) in ([ids[0]], [ids[1], ids[0]])
    problem(stranger.http.get("/api/runs?status=sleeping"), 400, 422)
    problem(stranger.http.get("/api/runs?since=yesterday"), 400, 422)


# --- input ------------------------------------------------------------------------------------------------------------


def test_input_that_its_schema_refuses_starts_nothing(stranger: Stranger):
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 1}}}
    slug = stranger.save(workflow(transform("a"), input_schema=schema))["id"]
    for wrong in ({}, {"n": 0}, {"n": "x"}):
        told = problem(stranger.send("POST", f"/api/workflows/{slug}/execute", {"input_data": wrong}), 400, 422)
        assert "n" in json.dumps(told)
    assert stranger.ended(stranger.execute(slug, input_data={"n": 1}))["status"] == "completed"
    assert len(stranger.get("/api/runs", workflow_id=slug)["items"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"colour": "red"}, {"version": "one"}, {"variables": []}, {"variables": {"ghost": 1}}, {"variables": {"v": "x"}},
        {"labels": {"a": {}}}, {"options": {"timeout_ms": "long"}}, {"options": {"colour": 1}}, [],
    ],
    ids=json.dumps,
)  # fmt: skip
def test_wrong_execute_requests_are_refused(stranger: Stranger, body: Any):
    slug = stranger.save(workflow(transform("a"), variables=[{"name": "v", "type": "number", "default_value": 1}]))[
        "id"
    ]
    problem(stranger.send("POST", f"/api/workflows/{slug}/execute", body), 400, 422)


def test_declared_inputs_and_outputs_are_checked_at_run_time(stranger: Stranger):
    needs = workflow(transform("a", inputs=[{"name": "n", "type": "number", "required": True}]))
    run = stranger.run(needs, input_data={"n": "text"})
    assert (run["status"], error_of(run, "a")["code"]) == ("failed", "INPUT_INVALID")
    gives = workflow(
        transform("a", expressions={"x": "${1}"}, outputs=[{"name": "x", "type": "string", "required": True}])
    )
    run = stranger.run(gives)
    assert (run["status"], error_of(run, "a")["code"]) == ("failed", "OUTPUT_INVALID")


def test_a_nodes_input_is_its_mapping_else_routed_else_upstream_else_the_runs(stranger: Stranger):
    see = {"saw": "${input}"}
    definition = workflow(
        transform("first", expressions=see),
        transform("second", expressions=see),
        transform("mapped", expressions=see, input_mapping={"k": "${variables.v}", "t": "v=${variables.v}!"}),
        transform("routed", expressions=see),
        transform("joined", expressions=see),
        variables=[{"name": "v", "type": "number", "default_value": 4}],
        edges=[
            edge("first", "second"), edge("first", "mapped"), edge("second", "joined"), edge("mapped", "joined"),
            edge("first", "routed", source_output="saw", target_input="here"),
        ],
    )  # fmt: skip
    rows = node_runs(stranger.run(definition, input_data={"x": 1}))
    assert rows["first"]["output"] == {"saw": {"x": 1}}
    assert rows["first"]["input"] == {"x": 1}
    assert rows["second"]["input"] == {"saw": {"x": 1}}
    assert rows["mapped"]["input"] == {"k": 4, "t": "v=4!"}
    assert rows["routed"]["input"] == {"here": {"x": 1}}
    assert rows["joined"]["input"] == {"second": rows["second"]["output"], "mapped": rows["mapped"]["output"]}


def test_output_mapping_of_a_node_sets_run_variables(stranger: Stranger):
    definition = workflow(
        transform("a", expressions={"n": "${41}"}, output_mapping={"v": "${output.n + 1}"}),
        transform("b", expressions={"seen": "${variables.v}"}),
        edges=[edge("a", "b")],
        variables=[{"name": "v", "type": "number", "default_value": 0}],
    )
    run = stranger.run(definition)
    assert node_runs(run)["b"]["output"] == {"seen": 42}
    assert run["variables"] == {"v": 42}


# --- expressions ------------------------------------------------------------------------------------------------------


def test_a_lone_expression_keeps_its_type_and_text_around_it_makes_a_string(stranger: Stranger):
    templates = {
        "int": "${1 + 1}", "double": "${1.5}", "text": "${'a' + 'b'}", "bool": "${1 < 2}", "null": "${null}",
        "list": "${[1, 2]}", "object": "${{'a': 1}}", "around": "n=${1 + 1};${true}", "plain": "no expression",
        "two": "${1}${2}", "input": "${input}", "size": "${size(input.list)}", "nested": {"deep": ["${input.n}"]},
        "braces": "${{'a': {'b': '}'}}.a.b}",
    }  # fmt: skip
    run = stranger.run(workflow(transform("a", expressions=templates)), input_data={"n": 3, "list": [1, 2, 3]})
    assert node_runs(run)["a"]["output"] == {
        "int": 2, "double": 1.5, "text": "ab", "bool": True, "null": None, "list": [1, 2], "object": {"a": 1},
        "around": "n=2;true", "plain": "no expression", "two": "12", "input": {"n": 3, "list": [1, 2, 3]}, "size": 3,
        "nested": {"deep": [3]}, "braces": "}",
    }  # fmt: skip


def test_expressions_see_run_nodes_variables_event_and_now(stranger: Stranger):
    definition = workflow(
        transform("my-node"),
        transform(
            "a",
            expressions={
                "run": "${run.id}", "workflow": "${run.workflow_id}", "version": "${run.version}",
                "labels": "${run.labels}", "status": "${nodes['my-node'].status}", "trigger": "${run.trigger.type}",
                "output": '${nodes["my-node"].output.value}', "now": "${now > timestamp('2020-01-01T00:00:00Z')}",
            },
        ),
        edges=[edge("my-node", "a")],
    )  # fmt: skip
    run = stranger.run(definition, labels={"k": "v"})
    assert node_runs(run)["a"]["output"] == {
        "run": run["run_id"], "workflow": definition["id"], "version": 1, "labels": {"k": "v"}, "status": "completed",
        "trigger": "manual", "output": 1, "now": True,
    }  # fmt: skip


def test_a_missing_value_fails_its_node_naming_expression_and_name(stranger: Stranger):
    run = stranger.run(workflow(transform("a", expressions={"x": "${input.customer.name}"})), input_data={"other": 1})
    assert run["status"] == "failed"
    error = error_of(run, "a")
    assert error["code"] == "EXPRESSION_ERROR"
    assert "input.customer.name" in error["message"]
    assert "customer" in error["message"].replace("input.customer.name", "")
    assert error["affected_nodes"] == ["a"]
    assert run["error"]["code"] in {"EXPRESSION_ERROR", "NODE_EXECUTION_FAILED"}


def test_int_and_double_do_not_mix_and_the_error_says_how(stranger: Stranger):
    run = stranger.run(
        workflow(transform("a", expressions={"x": "${input.a + input.b}"})), input_data={"a": 1, "b": 1.5}
    )
    error = error_of(run, "a")
    assert error["code"] == "EXPRESSION_ERROR"
    assert "double(" in error["message"] + str(error["suggested_resolution"])


def test_the_output_mapping_of_a_run_that_cannot_be_evaluated_is_told(stranger: Stranger):
    run = stranger.run(workflow(transform("a"), output_mapping={"x": "${nodes.a.output.ghost}"}))
    assert (run["status"], run["error"]["code"]) == ("failed", "EXPRESSION_ERROR")


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


# --- for_each ---------------------------------------------------------------------------------------------------------


def test_for_each_is_an_instance_per_item_and_a_list_in_order(stranger: Stranger):
    definition = workflow(
        transform("map", for_each="${input.items}", expressions={"square": "${item * item}", "at": "${index}"}),
        transform("after", expressions={"n": "${size(nodes.map.output)}", "last": "${nodes.map.output[24].square}"}),
        edges=[edge("map", "after")],
    )
    run = stranger.run(definition, input_data={"items": list(range(25))})
    row = node_runs(run)["map"]
    assert row["instances_count"] == 25
    assert row["output"] == [{"square": n * n, "at": n} for n in range(25)]
    assert node_runs(run)["after"]["output"] == {"n": 25, "last": 576}
    assert len(run["node_runs"]) == 2
    first = stranger.get(f"/api/runs/{run['run_id']}/nodes/map", limit=10)["instances"]
    assert len(first["items"]) == 10
    assert first["items"][0].keys() >= {"node_id", "instance", "status"}
    second = stranger.get(f"/api/runs/{run['run_id']}/nodes/map", limit=10, cursor=first["next_cursor"])["instances"]
    assert not {json.dumps(i["instance"]) for i in first["items"]} & {
        json.dumps(i["instance"]) for i in second["items"]
    }


def test_for_each_over_nothing_and_over_no_list(stranger: Stranger):
    definition = workflow(transform("map", for_each="${input.items}", expressions={"x": "${item}"}))
    run = stranger.run(definition, input_data={"items": []})
    assert (run["status"], run["node_runs"][0]["output"]) == ("completed", [])
    run = stranger.ended(stranger.execute(definition["id"], input_data={"items": 7}))
    assert run["status"] == "failed"
    assert error_of(run, "map")["code"] in {"EXPRESSION_ERROR", "INPUT_INVALID"}


def test_an_instance_that_fails_fails_its_node_unless_allowed(stranger: Stranger):
    script = '[ "$(cat $FLOWFORGE_INPUT)" != 2 ] && cp $FLOWFORGE_INPUT $FLOWFORGE_OUTPUT'
    node = bash("map", script, for_each="${[1, 2, 3]}", env={"ITEM": "${item}"})
    node["source"] = '[ "$ITEM" != 2 ] && echo "$ITEM" > "$FLOWFORGE_OUTPUT"'
    run = stranger.run(workflow(node, settings={"fail_fast": False}))
    assert (run["status"], statuses(run)) == ("failed", {"map": "failed"})
    instances = stranger.get(f"/api/runs/{run['run_id']}/nodes/map")["instances"]["items"]
    assert [i["status"] for i in instances] == ["completed", "failed", "completed"]
    allowed = stranger.run(workflow(node | {"allow_failure": True}))
    assert allowed["status"] == "completed"


def test_max_parallel_limits_instances(stranger: Stranger):
    node = bash("map", "sleep 0.05", for_each="${[1, 2, 3, 4, 5, 6]}", max_parallel=2)
    run = stranger.run(workflow(node))
    under_way = highest = 0
    for event in stranger.history(run["run_id"]):
        under_way += (
            {"NodeQueued": 1, "NodeCompleted": -1}.get(event["type"], 0) if event["data"].get("instance") else 0
        )
        highest = max(highest, under_way)
    assert (run["status"], highest) == ("completed", 2)


# --- scripts ----------------------------------------------------------------------------------------------------------

SCRIPTS = {
    "bash": 'cat "$FLOWFORGE_INPUT" > "$FLOWFORGE_OUTPUT"; echo out; echo err >&2',
    "python": """
import json, os, sys
value = json.load(open(os.environ["FLOWFORGE_INPUT"]))
json.dump(value, open(os.environ["FLOWFORGE_OUTPUT"], "w"))
print("out"); print("err", file=sys.stderr)
""",
    "node": """
const fs = require("fs");
fs.writeFileSync(process.env.FLOWFORGE_OUTPUT, fs.readFileSync(process.env.FLOWFORGE_INPUT));
console.log("out"); console.error("err");
""",
}


@pytest.mark.parametrize("language", ["bash", "python", "node"])
def test_a_script_reads_its_input_writes_its_output_and_is_logged(stranger: Stranger, language: str):
    script = {"id": "a", "type": "script", "language": language, "source": SCRIPTS[language]}
    run = stranger.run(workflow(script), input_data={"ä": [1, 2.5, None, "x"]})
    if language == "node" and run["status"] == "failed":
        assert "node" in error_of(run, "a")["message"].lower(), "this machine has no node, and the error says so"
        return
    assert node_runs(run)["a"]["output"] == {"ä": [1, 2.5, None, "x"]}
    logs = stranger.get(f"/api/runs/{run['run_id']}/logs")["items"]
    assert sorted(line["text"] for line in logs) == ["err", "out"]


def test_a_script_that_writes_nothing_gives_null_and_one_that_fails_tells_its_exit_status(stranger: Stranger):
    assert stranger.run(workflow(bash("a", "true")))["node_runs"][0]["output"] is None
    run = stranger.run(workflow(bash("a", "echo no luck >&2; exit 3")))
    error = error_of(run, "a")
    assert error["code"] == "NODE_EXECUTION_FAILED"
    assert "3" in error["message"]
    assert "no luck" in json.dumps(stranger.get(f"/api/runs/{run['run_id']}/logs"))
    killed = stranger.run(workflow(bash("a", "kill -9 $$")))
    assert killed["status"] == "failed"
    garbled = stranger.run(workflow(bash("a", "echo '{broken' > $FLOWFORGE_OUTPUT")))
    assert garbled["status"] == "failed"
    assert error_of(garbled, "a")["message"]


def test_a_script_has_its_env_and_not_the_systems_secrets(stranger: Stranger):
    run = stranger.run(
        workflow(
            python(
                "a",
                "import os\nprint(sorted(os.environ))\nprint(os.environ['GREETING'])",
                env={"GREETING": "hi ${input.n}"},
            )
        ),
        input_data={"n": 5},
    )
    lines = [line["text"] for line in stranger.get(f"/api/runs/{run['run_id']}/logs")["items"]]
    assert lines[1] == "hi 5"
    assert "DATABASE_URL" not in lines[0]
    assert "NATS_URL" not in lines[0]


def test_output_over_256_kib_travels_by_reference_and_is_used_by_the_next_node(stranger: Stranger):
    big = 'python3 -c "import json; json.dump({\\"text\\": \\"x\\" * 400000}, open(\\"$FLOWFORGE_OUTPUT\\", \\"w\\"))"'
    definition = workflow(
        bash("a", big), transform("b", expressions={"size": "${size(nodes.a.output.text)}"}),
        bash("c", 'wc -c < "$FLOWFORGE_INPUT" > "$FLOWFORGE_OUTPUT"', input_mapping={"again": "${nodes.a.output.text}"}),
        edges=[edge("a", "b"), edge("b", "c")],
    )  # fmt: skip
    run = stranger.run(definition)
    assert run["status"] == "completed", run["error"]
    assert node_runs(run)["b"]["output"] == {"size": 400_000}
    assert node_runs(run)["c"]["output"] > 400_000
    reference = next(
        e for e in stranger.history(run["run_id"]) if e["type"] == "NodeCompleted" and e["data"]["node_id"] == "a"
    )
    assert len(json.dumps(reference)) < 5000
    hashes = [
        word for word in json.dumps(reference["data"]).replace('"', " ").replace("/", " ").split() if len(word) == 64
    ]
    assert hashes, reference
    assert stranger.get(f"/api/blobs/{hashes[0]}") == {"text": "x" * 400_000}


def test_large_input_is_taken_or_refused_with_413(stranger: Stranger):
    definition = workflow(transform("a", expressions={"n": "${size(input.text)}"}))
    stranger.save(definition)
    answer = stranger.send(
        "POST", f"/api/workflows/{definition['id']}/execute", {"input_data": {"text": "x" * 2_000_000}}
    )
    if answer.status_code == 413:
        problem(answer, 413)
    else:
        assert answer.status_code == 202, answer.text
        assert stranger.ended(answer.json()["run_id"])["node_runs"][0]["output"] == {"n": 2_000_000}


# --- many, and their history ------------------------------------------------------------------------------------------


def test_fifty_runs_at_once_all_end(stranger: Stranger):
    definition = workflow(transform("a"), bash("b", "true"), transform("c"), edges=[edge("a", "b"), edge("b", "c")])
    stranger.save(definition)
    ids = [stranger.execute(definition["id"], input_data={"n": n}) for n in range(50)]
    assert {stranger.ended(run_id)["status"] for run_id in ids} == {"completed"}
    assert len(list(stranger.all("/api/runs", workflow_id=definition["id"], status="completed", limit=20))) == 50


def test_history_is_complete_in_order_and_connected(stranger: Stranger):
    definition = workflow(transform("a"), bash("b", "true"), edges=[edge("a", "b")])
    run = stranger.run(definition)
    events = stranger.history(run["run_id"])
    assert [event["type"] for event in events] == [
        "WorkflowTriggered", "RunStarted", "NodeStarted", "NodeCompleted", "NodeQueued", "NodeStarted", "NodeCompleted",
        "RunCompleted",
    ]  # fmt: skip
    for event in events:
        assert event.keys() == {
            "position", "event_id", "type", "stream", "version", "recorded_at", "data", "correlation_id",
            "causation_id", "actor",
        }  # fmt: skip
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert all(a["position"] < b["position"] for a, b in pairwise(events))
    assert len({event["event_id"] for event in events}) == len(events)
    assert len({event["correlation_id"] for event in events}) == 1
    assert events[0]["actor"]
    paged = list(stranger.all(f"/api/runs/{run['run_id']}/events", limit=3))
    assert paged == events


def test_the_stream_of_a_run_starts_at_its_first_event_and_resumes(stranger: Stranger):
    run = stranger.run(workflow(transform("a"), transform("b")))
    events = stranger.history(run["run_id"])
    told = [message for message, _ in zip(stranger.follow(run["run_id"]), events, strict=False)]
    assert [(m.event, m.id) for m in told] == [(e["type"], e["position"]) for e in events]
    assert [m.data for m in told] == events
    resumed = stranger.follow(run["run_id"], last_event_id=told[2].id)
    assert [m.id for m, _ in zip(resumed, events[3:], strict=False)] == [e["position"] for e in events[3:]]


def test_the_stream_of_a_workflow_starts_now_and_tells_its_runs(stranger: Stranger):
    slug = stranger.save(workflow(transform("a")))["id"]
    other = stranger.save(workflow(transform("a")))["id"]
    before = stranger.ended(stranger.execute(slug))
    last = stranger.history(before["run_id"])[-1]["position"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
    run_ids = [stranger.execute(slug), stranger.execute(other), stranger.execute(slug)]
    ends: list[Object] = []
    for message in stranger.listen(f"/api/stream?workflow_id={slug}", **headers):
        assert message.id > last
        if message.event in ENDED:
            ends.append(message.data)
        if len(ends) == 2:
            break
    streams = json.dumps([end["stream"] for end in ends])
    assert run_ids[0] in streams
    assert run_ids[2] in streams
    assert run_ids[1] not in streams


def test_a_failure_is_told_in_words_and_never_as_a_stack_of_ours(stranger: Stranger):
    run = stranger.run(workflow(bash("a", "echo no luck >&2; exit 3")))
    told = json.dumps([run, stranger.history(run["run_id"])])
    assert "Traceback" not in told
    assert ".py" not in told


def test_data_in_env_stays_as_it_is_and_an_unknown_secret_fails_the_node(stranger: Stranger):
    script = bash("a", 'echo "[$X] [$Y]"', env={"X": "${input}", "Y": "cost $${input}"})
    run = stranger.run(workflow(script), input_data="${boom} $5")
    assert [line["text"] for line in stranger.all(f"/api/runs/{run['run_id']}/logs")] == [
        "[${boom} $5] [cost ${input}]"
    ]
    run = stranger.run(workflow(bash("a", "true", env={"X": "${secrets.token}"})))
    assert run["status"] == "failed"
    assert error_of(run, "a")["code"] == "EXPRESSION_ERROR"
    assert "secrets.token" in error_of(run, "a")["message"]


def test_the_lines_of_a_run_that_ended_are_there_at_once(stranger: Stranger):
    definition = workflow(*(bash(f"n{number}", "echo said") for number in range(5)))
    stranger.save(definition)
    for _ in range(10):
        run_id = stranger.ended(stranger.execute(definition["id"]))["run_id"]
        assert [line["text"] for line in stranger.all(f"/api/runs/{run_id}/logs")] == ["said"] * 5
