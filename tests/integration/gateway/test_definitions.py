"""Definitions over HTTP, carried out by the real catalog."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.usefixtures("catalog")


def hello(**changes: Any) -> dict[str, Any]:
    return {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}], **changes}


async def test_a_created_workflow_is_answered_with_version_position_and_etag(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/workflows", json=hello())
    assert answer.status_code == 201
    assert answer.json() == {"id": "hello", "version": 1, "position": 1, "warnings": []}
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == "/api/workflows/hello"


async def test_an_id_is_taken_once(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello())
    answer = await http.post("/api/workflows", json=hello(name="Other"))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "ALREADY_EXISTS"


async def test_each_save_is_a_version_unless_nothing_changed(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello())
    changed = await http.put("/api/workflows/hello", json=hello(name="Hello again"))
    assert (changed.status_code, changed.json()["version"], changed.json()["position"]) == (200, 2, 2)
    same = await http.put("/api/workflows/hello", json=hello(name="Hello again"))
    assert (same.status_code, same.json()["version"], same.json()["position"]) == (200, 2, 2)


async def test_if_match_names_the_version_that_is_changed(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello())
    good = await http.put("/api/workflows/hello", json=hello(name="Two"), headers={"If-Match": '"1"'})
    assert good.status_code == 200
    late = await http.put("/api/workflows/hello", json=hello(name="Three"), headers={"If-Match": '"1"'})
    assert late.status_code == 412
    assert late.json()["detail"] == "'hello' is at version 2, not 1; read it again and save on top of that"


async def test_yaml_is_a_definition_too(http: httpx.AsyncClient) -> None:
    text = "id: hello\nname: Hello\nnodes:\n  - {id: greet, type: job, job_type: greet}\n"
    answer = await http.post("/api/workflows", content=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 201


async def test_an_invalid_definition_is_refused_with_all_its_faults(http: httpx.AsyncClient) -> None:
    edges = [
        {"source_node_id": "greet", "target_node_id": "part"},
        {"source_node_id": "part", "target_node_id": "greet"},
        {"source_node_id": "part", "target_node_id": "gret"},
    ]
    nodes = [*hello()["nodes"], {"id": "part", "type": "job", "job_type": "x", "payload": {"a": "${input.}"}}]
    answer = await http.post("/api/workflows", json=hello(nodes=nodes, edges=edges))
    problem = answer.json()
    assert answer.status_code == 422
    assert {(error["type"], error["path"]) for error in problem["errors"]} == {
        ("CIRCULAR_DEPENDENCY", "$.edges[1]"),
        ("MISSING_DEPENDENCY", "$.edges[2].target_node_id"),
        ("EXPRESSION_ERROR", "$.nodes[1].payload.a"),
    }
    assert problem["circular_dependencies"] == [["greet", "part"]]


async def test_validate_answers_the_report_and_stores_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/workflows/validate", json=hello(nodes=[]))
    assert answer.status_code == 200
    assert answer.json()["is_valid"] is False
    assert (await http.post("/api/workflows", json=hello())).json()["version"] == 1


async def test_rollback_repeats_an_old_version(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello())
    await http.put("/api/workflows/hello", json=hello(name="Two"))
    answer = await http.post("/api/workflows/hello/rollback", json={"version": 1})
    assert (answer.status_code, answer.json()["version"]) == (200, 3)
    unknown = await http.post("/api/workflows/hello/rollback", json={"version": 9})
    assert unknown.status_code == 404


async def test_archived_and_revived(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello())
    archived = await http.delete("/api/workflows/hello")
    assert (archived.status_code, archived.json()["version"], archived.json()["position"]) == (200, 1, 2)
    again = await http.delete("/api/workflows/hello")
    assert again.json() == archived.json()
    assert (await http.post("/api/workflows", json=hello())).status_code == 409
    revived = await http.put("/api/workflows/hello", json=hello())
    assert (revived.status_code, revived.json()["version"], revived.json()["position"]) == (200, 2, 3)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", ""), ("DELETE", ""), ("POST", "/rollback"), ("POST", "/triggers"), ("PATCH", "/triggers/t")],
)
async def test_an_unknown_workflow_is_a_404(http: httpx.AsyncClient, method: str, path: str) -> None:
    body = hello(id="nowhere") if path == "" else {"version": 1}
    answer = await http.request(method, f"/api/workflows/nowhere{path}", json=body)
    assert answer.status_code == 404
    assert "nowhere" in answer.json()["detail"]


async def test_triggers_are_added_changed_and_removed_as_versions(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello())
    trigger = {"id": "on-file", "type": "event", "config": {"event_type": "file.arrived"}}
    added = await http.post("/api/workflows/hello/triggers", json=trigger)
    assert (added.status_code, added.json()["version"]) == (201, 2)
    assert (await http.post("/api/workflows/hello/triggers", json=trigger)).status_code == 409
    changed = await http.patch("/api/workflows/hello/triggers/on-file", json={"enabled": False})
    assert (changed.status_code, changed.json()["version"]) == (200, 3)
    wrong = await http.patch("/api/workflows/hello/triggers/on-file", json={"config": {"event_type": None}})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["path"] == "$.triggers[0].config"
    removed = await http.delete("/api/workflows/hello/triggers/on-file")
    assert (removed.status_code, removed.json()["version"]) == (200, 4)
    assert (await http.delete("/api/workflows/hello/triggers/on-file")).status_code == 404


async def test_older_path_names_answer(http: httpx.AsyncClient) -> None:
    assert (await http.post("/workflows", json=hello())).status_code == 201
    assert (await http.put("/workflows/hello", json=hello(name="Two"))).json()["version"] == 2


async def test_a_definition_larger_than_a_message_on_the_bus_is_saved(http: httpx.AsyncClient) -> None:
    nodes = [{"id": f"node-{n}", "type": "job", "job_type": "x", "payload": {"n": n}} for n in range(10_000)]
    edges = [{"source_node_id": f"node-{n}", "target_node_id": f"node-{n + 1}"} for n in range(9_999)]
    body = hello(nodes=nodes, edges=edges)
    assert (await http.post("/api/workflows/validate", json=body)).json()["is_valid"]
    assert (await http.post("/api/workflows", json=body)).status_code == 201
    assert (await http.put("/api/workflows/hello", json={**body, "name": "Two"})).json()["version"] == 2


async def test_the_worst_definition_still_gets_an_answer(http: httpx.AsyncClient) -> None:
    names = [f"{n:063d}" for n in range(9_000)]
    nodes = [{"id": name, "type": "job", "job_type": "x", "payload": "${\u0001" * 20} for name in names]
    pairs = [*zip(names[::2], names[1::2], strict=True), *zip(names[1::2], names[::2], strict=True)]
    edges = [{"source_node_id": source, "target_node_id": target} for source, target in pairs]
    report = (await http.post("/api/workflows/validate", json=hello(nodes=nodes, edges=edges))).json()
    assert (report["is_valid"], bool(report["errors"])) == (False, True)
    refused = await http.post("/api/workflows", json=hello(nodes=nodes, edges=edges))
    assert (refused.status_code, bool(refused.json()["errors"])) == (422, True)
