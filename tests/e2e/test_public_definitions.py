"""Definitions over HTTP as the public page promises them: save, read, refuse, list, compare, roll back, archive."""

import json

import pytest

from tests.e2e.stranger import Stranger, bash, edge, fresh, problem, transform, workflow

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
