"""Requests that come twice, that wait for what was written, and that are none."""

import pytest

from tests.e2e.stranger import Stranger, bash, fresh, problem, transform, workflow

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
