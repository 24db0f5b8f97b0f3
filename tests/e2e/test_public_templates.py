"""Templates and drafts over HTTP and the command line: listed, saved, made into workflows that run."""

import json
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, node_runs, problem, transform, workflow

EXPECTED: dict[str, Any] = {
    "sequential-etl": {"loaded": 10, "dropped": 10},
    "parallel-etl": {
        "rows": [{"customer": n, "customers": n + 1, "orders": n + 1, "payments": n + 1} for n in range(5)]
    },
    "process-list": {"files": ["north.csv", "south.csv", "east.csv", "west.csv"], "lines": 340},
    "validate-and-alert": {"is_published": False},
    "poll-until-ready": {"asked": 3},
    "first-answer-wins": {"answers": {"quick": {"answer": 42, "from": "quick"}}},
}
NEEDS_A_PROVIDER = {"prompt-chain-with-approval"}


def made(stranger: Stranger, template_id: str, **fields: Any) -> Object:
    answer = stranger.send("POST", f"/api/templates/{template_id}/instantiate", {"id": fresh("made"), **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_ready_made_templates_are_listed(stranger: Stranger):
    listed = {item["id"]: item for item in stranger.all("/api/templates", source="builtin", limit=3)}
    assert listed.keys() == EXPECTED.keys() | NEEDS_A_PROVIDER
    assert len(listed) >= 6
    one = listed["sequential-etl"]
    assert {"name", "description", "category", "source", "parameters"} <= one.keys()
    assert [parameter["name"] for parameter in one["parameters"]] == ["rows_count", "threshold"]
    read = stranger.get("/api/templates/sequential-etl")
    assert [node["id"] for node in read["definition"]["nodes"]] == ["extract", "transform", "load"]
    assert stranger.get("/api/workflow-templates/sequential-etl") == read
    assert stranger.get("/api/templates", category="waiting")["items"][0]["id"] == "poll-until-ready"
    assert stranger.http.get("/api/templates/none").status_code == 404


@pytest.mark.parametrize("template_id", sorted(EXPECTED))
def test_a_ready_made_template_runs_as_it_is(stranger: Stranger, template_id: str):
    workflow_id = made(stranger, template_id)["id"]
    run = stranger.ended(stranger.execute(workflow_id))
    assert run["status"] == "completed", json.dumps(run["node_runs"])
    assert EXPECTED[template_id].items() <= run["output_data"].items()


def test_variables_replace_the_defaults_of_a_template(stranger: Stranger):
    workflow_id = made(stranger, "sequential-etl", name="Mine", variables={"rows_count": 3, "threshold": 0})["id"]
    read = stranger.get(f"/api/workflows/{workflow_id}")
    assert (read["name"], [one["default_value"] for one in read["variables"]]) == ("Mine", [3, 0])
    assert stranger.ended(stranger.execute(workflow_id))["output_data"]["loaded"] == 3
    refused = stranger.send(
        "POST", "/api/templates/sequential-etl/instantiate", {"id": fresh("x"), "variables": {"n": 1}}
    )
    assert "rows_count" in problem(refused, 422)["errors"][0]["suggested_resolution"]


def test_an_id_is_made_of_the_name_where_none_is_given(stranger: Stranger):
    name = fresh("Daily Report!")
    answer = stranger.send("POST", "/api/templates/poll-until-ready/instantiate", {"name": name})
    assert answer.json()["id"] == name.lower().replace(" ", "-").replace("!", "")
    again = stranger.send("POST", "/api/templates/poll-until-ready/instantiate", {"name": name})
    assert problem(again, 409)["code"] == "ALREADY_EXISTS"


def test_a_template_of_ones_own_is_saved_read_changed_and_deleted(stranger: Stranger):
    template_id = fresh("own")
    body = {"id": template_id, "name": "Own", "description": "Says hello", "category": "mine",
            "definition": {"nodes": [transform("a", expressions={"x": "${variables.n}"})],
                           "variables": [{"name": "n", "type": "number", "default_value": 1}],
                           "output_mapping": {"x": "${nodes.a.output.x}"}}}  # fmt: skip
    answer = stranger.send("POST", "/api/templates", body)
    assert answer.status_code == 201, answer.text
    assert {"id", "version", "position", "warnings"} <= answer.json().keys()
    problem(stranger.send("POST", "/api/templates", body), 409)
    first = stranger.get("/api/templates")["items"][0]
    assert (first["id"], first["source"], first["category"], first["version"]) == (template_id, "own", "mine", 1)
    assert stranger.get("/api/templates", category="mine")["items"][0]["id"] == template_id
    workflow_id = made(stranger, template_id, variables={"n": 5})["id"]
    assert stranger.ended(stranger.execute(workflow_id))["output_data"] == {"x": 5}
    changed = {name: value for name, value in body.items() if name != "id"} | {"name": "Changed"}
    assert stranger.send("PUT", f"/api/templates/{template_id}", changed).json()["version"] == 2
    assert stranger.get(f"/api/templates/{template_id}")["name"] == "Changed"
    assert stranger.send("DELETE", f"/api/templates/{template_id}").status_code == 200
    assert stranger.http.get(f"/api/templates/{template_id}").status_code == 404
    assert template_id not in [item["id"] for item in stranger.all("/api/templates")]
    assert stranger.get(f"/api/workflows/{workflow_id}")["name"] == "Own"
    assert {("save_template", template_id), ("delete_template", template_id)} <= {
        (item["action"], item["subject"]) for item in stranger.get("/api/audit")["items"]
    }


def test_a_workflow_is_saved_as_a_template(stranger: Stranger):
    definition = workflow(transform("a"), tags=["x"])
    stranger.save(definition)
    template_id = fresh("taken")
    answer = stranger.send("POST", "/api/templates", {"id": template_id, "workflow_id": definition["id"], "version": 1})
    assert answer.status_code == 201, answer.text
    read = stranger.get(f"/api/templates/{template_id}")
    assert (read["name"], read["workflow_id"], read["workflow_version"]) == (definition["name"], definition["id"], 1)
    assert read["definition"]["tags"] == ["x"]


def test_bad_templates_are_refused_with_their_faults(stranger: Stranger):
    told = problem(stranger.send("POST", "/api/templates", {"id": fresh("bad"), "definition": {"nodes": []}}), 422)
    assert told["errors"][0]["path"] == "$.nodes"
    problem(stranger.send("POST", "/api/templates", {"id": "Bad!", "definition": {}}), 422)
    problem(stranger.send("POST", "/api/templates", {"id": fresh("bad")}), 422)
    problem(stranger.send("DELETE", "/api/templates/sequential-etl"), 409)
    problem(stranger.send("POST", "/api/templates/none/instantiate", {"id": fresh("x")}), 404)


def test_a_draft_is_saved_changed_and_run_by_hand_but_never_by_a_trigger(stranger: Stranger):
    event_type = fresh("draft-tried")
    draft = workflow(
        bash("a", "true"), status="draft",
        triggers=[{"id": "t", "type": "event", "config": {"event_type": event_type}}],
    )  # fmt: skip
    stranger.save(draft)
    stranger.send("POST", "/api/events", {"specversion": "1.0", "id": fresh("e"), "source": "/t", "type": event_type})
    assert stranger.ended(stranger.execute(draft["id"]))["status"] == "completed"
    changed = stranger.send("PUT", f"/api/workflows/{draft['id']}", {**draft, "description": "still a draft"})
    assert changed.json()["version"] == 2
    broken = {**draft, "edges": [edge("a", "a")]}
    assert problem(stranger.send("PUT", f"/api/workflows/{draft['id']}", broken), 422)["circular_dependencies"] == [
        ["a"]
    ]
    assert [run["trigger"]["type"] for run in stranger.get("/api/runs", workflow_id=draft["id"])["items"]] == ["manual"]
    [decision] = stranger.get(f"/api/workflows/{draft['id']}/triggers/t/decisions")["items"]
    assert (decision["decision"], decision["reason"]) == ("suppressed", "workflow_inactive")


def test_a_run_keeps_its_version_while_the_workflow_changes_and_is_rolled_back(stranger: Stranger):
    loop: Object = {"id": "l", "type": "loop", "loop_type": "count", "count": 2, "body": {"nodes": [transform("a")]}}
    definition = workflow(loop, description="one")
    stranger.save(definition)
    changed = {**loop, "count": 3, "body": {"nodes": [transform("a"), transform("b")]}}
    stranger.send("PUT", f"/api/workflows/{definition['id']}", {**definition, "nodes": [changed]})
    diff = stranger.get(f"/api/workflows/{definition['id']}/diff", **{"from": 1, "to": 2})
    assert [(one["change"], one["path"]) for one in diff["changes"]] == [
        ("changed", "$.nodes[l].count"),
        ("added", "$.nodes[l].body.nodes[b]"),
    ]
    assert (diff["summary"]["nodes"]["added"], diff["summary"]["nodes"]["changed"]) == (["b"], ["l"])
    assert stranger.send("POST", f"/api/workflows/{definition['id']}/rollback", {"version": 1}).json()["version"] == 3
    again = stranger.get(f"/api/workflows/{definition['id']}/diff", **{"from": 1, "to": 3})
    assert again["changes"] == []
    old, new = stranger.execute(definition["id"], version=2), stranger.execute(definition["id"])
    rows = [node_runs(stranger.ended(run))["l"]["output"] for run in (old, new)]
    assert [len(row) for row in rows] == [3, 2]


def test_templates_on_the_command_line(stranger: Stranger):
    listed = stranger.cli("templates", "list", "--json")
    assert listed.status == 0, listed.err
    assert "poll-until-ready" in listed.out
    shown = stranger.cli("templates", "show", "poll-until-ready")
    assert shown.status == 0, shown.err
    assert "ready_after" in shown.out
    workflow_id = fresh("cli")
    used = stranger.cli("templates", "use", "poll-until-ready", "--id", workflow_id, "--set", "ready_after=1", "--json")
    assert used.status == 0, used.err
    assert json.loads(used.out)["id"] == workflow_id
    own = fresh("cli-own")
    saved = stranger.cli("templates", "save", workflow_id, "--id", own, "--category", "mine")
    assert saved.status == 0, saved.err
    assert stranger.cli("templates", "delete", own).status == 0
    missing = stranger.cli("templates", "show", own)
    assert missing.status != 0
    assert "there is no template" in missing.err
