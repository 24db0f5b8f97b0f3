"""Runs as the public page promises them: their shapes and inputs, and their history."""

import json
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.stranger import (
    ENDED,
    Object,
    Stranger,
    bash,
    edge,
    error_of,
    node_runs,
    problem,
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
