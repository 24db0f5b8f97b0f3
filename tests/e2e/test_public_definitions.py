"""Definitions over HTTP as the public page promises them: save, read, refuse, list, compare, roll back, archive."""

import json
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, problem, transform, workflow


def refused(stranger: Stranger, definition: Any) -> Object:
    return problem(stranger.send("POST", "/api/workflows", definition), 400, 422)


def paths(told: Object) -> list[str]:
    return [error.get("path", "") for error in told["errors"]]


# --- saving and reading -----------------------------------------------------------------------------------------------


def test_a_save_answers_id_version_position_and_warnings(stranger: Stranger):
    definition = workflow(transform("a"))
    answer = stranger.send("POST", "/api/workflows", definition)
    assert answer.status_code == 201
    told = answer.json()
    assert {"id", "version", "position", "warnings"} <= told.keys()
    assert (told["id"], told["version"], told["warnings"]) == (definition["id"], 1, [])
    assert told["position"] > 0
    assert answer.headers["etag"]


def test_a_workflow_is_read_with_its_version_times_author_and_all_defaults(stranger: Stranger):
    definition = workflow(transform("a"))
    stranger.save(definition)
    read = stranger.get(f"/api/workflows/{definition['id']}")
    assert {"version", "created_at", "updated_at", "created_by"} <= read.keys()
    assert read["version"] == 1
    assert read["created_at"].endswith("Z")
    assert (read["status"], read["tags"], read["edges"], read["triggers"]) == ("active", [], [], [])
    assert (read["settings"]["max_parallel_jobs"], read["settings"]["fail_fast"]) == (5, True)


def test_what_was_read_can_be_saved_again_as_it_is(stranger: Stranger):
    definition = workflow(
        transform("a"), bash("b", "true"), edges=[edge("a", "b")], triggers=[{"id": "m", "type": "manual"}]
    )
    stranger.save(definition)
    read = stranger.get(f"/api/workflows/{definition['id']}")
    told = ("version", "created_at", "updated_at", "created_by")
    again = {name: value for name, value in read.items() if name not in told}
    answer = stranger.send("PUT", f"/api/workflows/{definition['id']}", again)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("media_type", ["application/yaml", "application/x-yaml", "text/yaml"])
def test_yaml_is_the_same_shape(stranger: Stranger, media_type: str):
    slug = fresh("yaml")
    text = f"id: {slug}\nname: In YAML\nnodes:\n  - {{id: a, type: data_transform, expressions: {{x: '${{1}}'}}}}\n"
    answer = stranger.http.post("/api/workflows", content=text, headers={"Content-Type": media_type})
    assert answer.status_code == 201, answer.text
    stranger.notice(answer)
    assert stranger.get(f"/api/workflows/{slug}")["name"] == "In YAML"


def test_settings_of_a_node_may_be_flat_or_below_config(stranger: Stranger):
    flat = workflow({"id": "a", "type": "data_transform", "expressions": {"x": "${1 + 1}"}})
    below = workflow({"id": "a", "type": "data_transform", "config": {"expressions": {"x": "${1 + 1}"}}})
    first, second = stranger.run(flat), stranger.run(below)
    assert first["node_runs"][0]["output"] == second["node_runs"][0]["output"] == {"x": 2}


def test_order_index_without_edges_is_a_chain(stranger: Stranger):
    definition = workflow(
        transform("last", order_index=2), transform("first", order_index=0), transform("mid", order_index=1)
    )
    run = stranger.run(definition)
    assert run["execution_path"] == ["first", "mid", "last"]
    rows = {row["node_id"]: row["dependencies"] for row in run["node_runs"]}
    assert rows == {"first": [], "mid": ["first"], "last": ["mid"]}


def test_neither_edges_nor_order_index_is_all_in_parallel(stranger: Stranger):
    run = stranger.run(workflow(transform("a"), transform("b")))
    assert [row["dependencies"] for row in run["node_runs"]] == [[], []]


# --- refusing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (lambda d: d, "colour"),
        (lambda d: d["nodes"][0], "colour"),
        (lambda d: d["nodes"][0]["retry_policy"], "colour"),
        (lambda d: d["settings"], "colour"),
        (lambda d: d["edges"][0], "colour"),
        (lambda d: d["triggers"][0], "colour"),
        (lambda d: d["triggers"][0]["config"], "colour"),
        (lambda d: d["variables"][0], "colour"),
    ],
    ids=["workflow", "node", "retry_policy", "settings", "edge", "trigger", "trigger-config", "variable"],
)
def test_unknown_fields_are_refused_with_their_path(stranger: Stranger, place: Any, field: str):
    definition = workflow(
        transform("a", retry_policy={"max_attempts": 2}),
        transform("b"),
        settings={"fail_fast": True},
        edges=[edge("a", "b")],
        variables=[{"name": "v", "type": "string"}],
        triggers=[{"id": "t", "type": "event", "config": {"event_type": "x"}}],
    )
    place(definition)[field] = "red"
    told = refused(stranger, definition)
    assert field in json.dumps(told["errors"])
    assert any(path.endswith(field) for path in paths(told)), told


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"nodes": "none"}, "nodes"),
        ({"settings": {"max_parallel_jobs": "many"}}, "settings.max_parallel_jobs"),
        ({"settings": {"max_parallel_jobs": 0}}, "settings.max_parallel_jobs"),
        ({"settings": {"timeout_ms": -1}}, "settings.timeout_ms"),
        ({"status": "sleeping"}, "status"),
        ({"tags": "etl"}, "tags"),
        ({"id": "Not A Slug"}, "id"),
        ({"name": 7}, "name"),
        ({"variables": [{"name": "v", "type": "date"}]}, "variables"),
        ({"input_schema": {"type": "nonsense"}}, "input_schema"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_refused_with_their_path(stranger: Stranger, change: Object, path: str):
    told = refused(stranger, workflow(transform("a")) | change)
    assert any(path in p.replace("$.", "") for p in paths(told)), told


def test_a_missing_name_or_nodes_is_told(stranger: Stranger):
    for field in ("id", "name", "nodes"):
        definition = workflow(transform("a"))
        del definition[field]
        assert field in json.dumps(refused(stranger, definition))


@pytest.mark.parametrize("status", ["draft", "archived", "active"])
def test_an_invalid_definition_is_refused_whatever_its_status(stranger: Stranger, status: str):
    cyclic = workflow(transform("a"), transform("b"), edges=[edge("a", "b"), edge("b", "a")], status=status)
    assert "a" in json.dumps(refused(stranger, cyclic)["errors"])
    assert stranger.http.get(f"/api/workflows/{cyclic['id']}").status_code == 404


def findings(stranger: Stranger, definition: Object) -> Object:
    answer = stranger.send("POST", "/api/workflows/validate", definition)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {
        "is_valid", "errors", "warnings", "circular_dependencies", "unreachable_nodes", "orphaned_nodes",
    } <= told.keys()  # fmt: skip
    for finding in told["errors"] + told["warnings"]:
        assert {"type", "nodes", "path", "message", "severity", "suggested_resolution"} <= finding.keys()
        assert finding["message"]
        assert finding["suggested_resolution"]
    assert told["is_valid"] is (told["errors"] == [])
    return told


def test_a_valid_definition_has_no_findings_and_is_not_saved(stranger: Stranger):
    definition = workflow(transform("a"), transform("b"), edges=[edge("a", "b")])
    told = findings(stranger, definition)
    assert told["is_valid"]
    assert told["errors"] == told["warnings"] == told["circular_dependencies"] == []
    assert stranger.http.get(f"/api/workflows/{definition['id']}").status_code == 404


def test_cycles_are_found_with_their_nodes(stranger: Stranger):
    nodes = [transform(name) for name in "abcd"]
    edges = [edge("a", "b"), edge("b", "c"), edge("c", "b"), edge("a", "d")]
    told = findings(stranger, workflow(*nodes, edges=edges))
    assert [sorted(set(cycle)) for cycle in told["circular_dependencies"]] == [["b", "c"]]
    assert {"b", "c"} <= set(told["errors"][0]["nodes"])


def test_a_node_that_needs_itself_is_a_cycle(stranger: Stranger):
    told = findings(stranger, workflow(transform("a"), edges=[edge("a", "a")]))
    assert not told["is_valid"]
    assert told["circular_dependencies"]


def test_missing_nodes_and_duplicate_ids_are_errors(stranger: Stranger):
    missing = findings(stranger, workflow(transform("a"), edges=[edge("a", "ghost")]))
    assert any("ghost" in json.dumps(error) for error in missing["errors"])
    assert any("edges" in error["path"] for error in missing["errors"])
    twice = findings(stranger, workflow(transform("a"), transform("a")))
    assert any("a" in error["nodes"] for error in twice["errors"])
    triggers = [{"id": "t", "type": "manual"}, {"id": "t", "type": "manual"}]
    assert not findings(stranger, workflow(transform("a"), triggers=triggers))["is_valid"]


@pytest.mark.parametrize("expression", ["${1 +}", "${nodes.}", "${input.a", "${unknown_name.x}", "x ${'open} y"])
def test_bad_expressions_are_errors_with_their_place(stranger: Stranger, expression: str):
    told = findings(stranger, workflow(transform("a", expressions={"x": expression})))
    assert told["errors"], expression
    assert "expressions" in told["errors"][0]["path"]
    assert told["errors"][0]["nodes"] == ["a"]


def test_bad_expressions_elsewhere_are_errors_too(stranger: Stranger):
    event = {"id": "t", "type": "event", "config": {"event_type": "x", "filter": "event.data. == 1"}}
    for definition in (
        workflow(transform("a"), triggers=[event]),
        workflow(transform("a"), transform("b"), edges=[edge("a", "b", condition="1 +")]),
        workflow(transform("a", for_each="${[1,}")),
        workflow(transform("a", input_mapping={"x": "${)}"})),
        workflow(transform("a", output_mapping={"v": "${)}"}), variables=[{"name": "v", "type": "string"}]),
        workflow(transform("a"), output_mapping={"x": "${)}"}),
    ):
        assert findings(stranger, definition)["errors"], definition


def test_a_reference_to_a_node_that_is_not_there_is_an_error(stranger: Stranger):
    told = findings(stranger, workflow(transform("a", expressions={"x": "${nodes.ghost.output.y}"})))
    assert any("ghost" in error["message"] for error in told["errors"] + told["warnings"])


def test_ports_of_different_types_do_not_connect(stranger: Stranger):
    told = findings(
        stranger,
        workflow(
            transform("a", outputs=[{"name": "x", "type": "string"}]),
            transform("b", inputs=[{"name": "y", "type": "number"}]),
            edges=[edge("a", "b", source_output="x", target_input="y")],
        ),
    )
    assert any({"a", "b"} <= set(error["nodes"]) for error in told["errors"]), told


def test_a_bad_cron_and_an_unknown_timezone_are_errors(stranger: Stranger):
    for config in ({"cron": "61 * * * *"}, {"cron": "0 9 * * *", "timezone": "Mars/Olympus"}):
        told = findings(
            stranger, workflow(transform("a"), triggers=[{"id": "s", "type": "schedule", "config": config}])
        )
        assert any("triggers" in error["path"] for error in told["errors"]), told


def test_orphaned_and_unreachable_nodes_are_warnings_and_do_not_hinder_the_save(stranger: Stranger):
    definition = workflow(
        {"id": "start", "type": "start"}, transform("a"), transform("alone"), edges=[edge("start", "a")]
    )
    told = findings(stranger, definition)
    assert told["is_valid"]
    assert "alone" in told["orphaned_nodes"]
    assert told["warnings"]
    assert stranger.save(definition)["warnings"]


def test_dependency_other_than_on_success_does_not_go_with_a_run_if(stranger: Stranger):
    definition = workflow(
        transform("a"), transform("b", run_if="all_done"), edges=[edge("a", "b", dependency="on_failure")]
    )
    assert findings(stranger, definition)["errors"]


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_are_kept_compared_and_rolled_back_to(stranger: Stranger):
    first = workflow(transform("a"), description="one")
    slug = first["id"]
    stranger.save(first)
    answer = stranger.send("PUT", f"/api/workflows/{slug}", first | {"description": "two"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == 2
    diff = stranger.http.get(
        f"/api/workflows/{slug}/diff", params={"from": 1, "to": 2, "after": answer.json()["position"]}
    )
    assert diff.status_code == 200, diff.text
    assert "description" in diff.text
    assert "one" in diff.text
    assert "two" in diff.text
    back = stranger.send("POST", f"/api/workflows/{slug}/rollback", {"version": 1})
    assert back.status_code == 200, back.text
    assert back.json()["version"] == 3
    read = stranger.get(f"/api/workflows/{slug}")
    assert (read["version"], read["description"]) == (3, "one")
    versions = stranger.get(f"/api/workflows/{slug}/versions")
    assert [row["version"] for row in versions["items"]] == [3, 2, 1]
    assert stranger.get(f"/api/workflows/{slug}", version=2)["description"] == "two"


def test_an_older_version_can_be_run(stranger: Stranger):
    definition = workflow(transform("a", expressions={"x": "${'old'}"}))
    slug = definition["id"]
    stranger.save(definition)
    changed = definition | {"nodes": [transform("a", expressions={"x": "${'new'}"})]}
    stranger.send("PUT", f"/api/workflows/{slug}", changed)
    old, new = stranger.ended(stranger.execute(slug, version=1)), stranger.ended(stranger.execute(slug))
    assert (old["workflow_version"], old["node_runs"][0]["output"]) == (1, {"x": "old"})
    assert (new["workflow_version"], new["node_runs"][0]["output"]) == (2, {"x": "new"})
    problem(stranger.send("POST", f"/api/workflows/{slug}/execute", {"version": 9}), 404, 422)


def test_rolling_back_to_a_version_that_is_not_there_is_refused(stranger: Stranger):
    slug = stranger.save(workflow(transform("a")))["id"]
    problem(stranger.send("POST", f"/api/workflows/{slug}/rollback", {"version": 7}), 404, 422)


def test_if_match_guards_against_lost_updates(stranger: Stranger):
    definition = workflow(transform("a"))
    path = f"/api/workflows/{definition['id']}"
    saved = stranger.send("POST", "/api/workflows", definition)
    etag = saved.headers["etag"]
    assert stranger.http.get(path, params={"after": saved.json()["position"]}).headers["etag"] == etag
    first = stranger.send("PUT", path, definition | {"description": "mine"}, **{"If-Match": etag})
    assert first.status_code == 200, first.text
    assert first.headers["etag"] != etag
    problem(stranger.send("PUT", path, definition | {"description": "theirs"}, **{"If-Match": etag}), 412)
    assert stranger.get(path)["description"] == "mine"


def test_the_graph_has_nodes_and_edges(stranger: Stranger):
    definition = workflow(transform("a"), transform("b"), edges=[edge("a", "b")])
    stranger.save(definition)
    graph = stranger.get(f"/api/workflows/{definition['id']}/graph")
    assert [node["node_id"] for node in graph["nodes"]] == ["a", "b"]
    assert "a" in json.dumps(graph["edges"])
    assert "b" in json.dumps(graph["edges"])


# --- lists ------------------------------------------------------------------------------------------------------------


def test_lists_are_newest_first_filtered_and_paged_by_cursor(stranger: Stranger):
    experiment, tag = fresh("exp"), fresh("tag")
    saved = [stranger.save(workflow(transform("a"), experiment_id=experiment, tags=[tag]))["id"] for _ in range(5)]
    stranger.save(workflow(transform("a"), experiment_id=experiment, status="draft"))
    first = stranger.get("/api/workflows", tag=tag, limit=2)
    assert [item["id"] for item in first["items"]] == saved[:-3:-1]
    assert first["next_cursor"]
    assert [item["id"] for item in stranger.all("/api/workflows", tag=tag, limit=2)] == saved[::-1]
    drafts = stranger.get("/api/workflows", experiment_id=experiment, status="draft")
    assert len(drafts["items"]) == 1
    assert drafts["next_cursor"] is None
    assert len(stranger.get("/api/workflows", experiment_id=experiment)["items"]) == 6


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=nonsense", "status=sleeping", "after=x", "colour=red"]
)
def test_wrong_queries_are_refused(stranger: Stranger, query: str):
    problem(stranger.http.get(f"/api/workflows?{query}"), 400, 422)


# --- archive, twice, ids ----------------------------------------------------------------------------------------------


def test_delete_archives_and_keeps_what_was(stranger: Stranger):
    slug = stranger.save(workflow(transform("a")))["id"]
    answer = stranger.send("DELETE", f"/api/workflows/{slug}")
    assert answer.status_code in {200, 204}, answer.text
    assert stranger.get(f"/api/workflows/{slug}")["status"] == "archived"
    again = stranger.send("DELETE", f"/api/workflows/{slug}")
    assert again.status_code in {200, 204, 409}


def test_an_id_can_be_used_once(stranger: Stranger):
    definition = workflow(transform("a"))
    stranger.save(definition)
    problem(stranger.send("POST", "/api/workflows", definition), 409)


def test_a_put_names_the_workflow_of_its_address(stranger: Stranger):
    definition = workflow(transform("a"))
    stranger.save(definition)
    other = definition | {"id": fresh("other")}
    problem(stranger.send("PUT", f"/api/workflows/{definition['id']}", other), 400, 409, 422)


def test_older_path_names_answer_too(stranger: Stranger):
    definition = workflow(transform("a"))
    answer = stranger.send("POST", "/workflows", definition)
    assert answer.status_code == 201, answer.text
    slug = definition["id"]
    assert stranger.get(f"/workflows/{slug}")["id"] == slug
    assert stranger.get("/workflows", limit=1)["items"]
    run_id = stranger.send("POST", f"/workflows/{slug}/execute", {}).json()["run_id"]
    run = stranger.ended(run_id)
    assert stranger.get(f"/api/workflow-executions/{run_id}") == run
    assert [item["run_id"] for item in stranger.get("/api/workflow-executions", workflow_id=slug)["items"]] == [run_id]
    assert stranger.get(f"/api/workflow-executions/{run_id}/events")["items"]


# --- the same request twice -------------------------------------------------------------------------------------------


def test_the_same_idempotency_key_is_one_deed(stranger: Stranger):
    definition, key = workflow(transform("a")), fresh("key")
    first = stranger.send("POST", "/api/workflows", definition, **{"Idempotency-Key": key})
    second = stranger.send("POST", "/api/workflows", definition, **{"Idempotency-Key": key})
    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert first.json() == second.json()
    other = stranger.send("POST", "/api/workflows", workflow(transform("b")), **{"Idempotency-Key": key})
    problem(other, 422)


def test_the_same_idempotency_key_starts_one_run(stranger: Stranger):
    slug = stranger.save(workflow(transform("a")))["id"]
    key = {"Idempotency-Key": fresh("key")}
    told = [stranger.send("POST", f"/api/workflows/{slug}/execute", {"input_data": {"n": 1}}, **key) for _ in range(3)]
    assert len({answer.json()["run_id"] for answer in told}) == 1
    problem(stranger.send("POST", f"/api/workflows/{slug}/execute", {"input_data": {"n": 2}}, **key), 422)
    other = stranger.save(workflow(transform("a")))["id"]
    assert stranger.send("POST", f"/api/workflows/{other}/execute", {}, **key).status_code == 202
    stranger.ended(told[0].json()["run_id"])
    assert len(stranger.get("/api/runs", workflow_id=slug)["items"]) == 1


def test_a_read_after_a_position_has_it_and_one_without_too(stranger: Stranger):
    for turn in range(20):
        definition = workflow(transform("a"))
        position = stranger.save(definition)["position"]
        path = f"/api/workflows/{definition['id']}" + (f"?after={position}" if turn % 2 else "")
        assert stranger.http.get(path).json()["version"] == 1
        started = stranger.send("POST", f"/api/workflows/{definition['id']}/execute", {}).json()
        path = f"/api/runs/{started['run_id']}" + (f"?after={started['position']}" if turn % 2 else "")
        assert stranger.http.get(path).status_code == 200


# --- what is no request -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b'{"id": "x", ', "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b"[1, 2]", "application/json"),
        (b"null", "application/json"),
        (b"", "application/json"),
        (b"a: [1, 2", "application/yaml"),
        (b"a: !!python/object/apply:os.system ['true']", "application/yaml"),
        (b"<xml/>", "application/xml"),
    ],
)
def test_broken_bodies_get_a_problem_document(stranger: Stranger, content: bytes, media_type: str):
    answer = stranger.http.post("/api/workflows", content=content, headers={"Content-Type": media_type})
    problem(answer, 400, 415, 422)


def test_unknown_things_are_404(stranger: Stranger):
    nobody = "01890000-0000-7000-8000-000000000000"
    for path in (
        "/api/workflows/nobody-here", "/api/workflows/nobody-here/versions", "/api/workflows/nobody-here/graph",
        f"/api/runs/{nobody}", f"/api/runs/{nobody}/events", f"/api/runs/{nobody}/logs", f"/api/runs/{nobody}/stream",
        f"/api/runs/{nobody}/nodes/a", "/api/workflows/nobody-here/triggers", "/api/nothing", f"/api/blobs/{'0' * 64}",
    ):  # fmt: skip
        problem(stranger.http.get(path), 404)
    problem(stranger.send("POST", "/api/workflows/nobody-here/execute", {}), 404)
    problem(stranger.send("PUT", "/api/workflows/nobody-here", workflow(transform("a")) | {"id": "nobody-here"}), 404)
    problem(stranger.send("DELETE", "/api/workflows/nobody-here"), 404)
    problem(stranger.send("POST", f"/api/runs/{nobody}/cancel"), 404)
    problem(stranger.http.get("/api/runs/not-a-uuid"), 400, 404, 422)


def test_a_wrong_method_is_told(stranger: Stranger):
    problem(stranger.send("PATCH", "/api/workflows", {}), 404, 405)
    problem(stranger.send("DELETE", "/api/workflows"), 404, 405)


def test_an_enormous_definition_is_refused_with_413_or_saved_whole(stranger: Stranger):
    definition = workflow(bash("a", "#" + "x" * 1_500_000))
    answer = stranger.send("POST", "/api/workflows", definition)
    if answer.status_code != 201:
        problem(answer, 413, 422)
        return
    assert stranger.get(f"/api/workflows/{definition['id']}")["nodes"][0]["source"] == definition["nodes"][0]["source"]
    huge = stranger.http.post("/api/workflows", content=b" " * 70_000_000, headers={"Content-Type": "application/json"})
    problem(huge, 413)
