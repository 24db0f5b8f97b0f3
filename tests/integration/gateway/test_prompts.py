"""Stored prompts over HTTP: saved as versions, deleted, refused with every fault."""

from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

PROMPT = {"id": "greet", "name": "Greeting", "prompt": "Greet ${input.who}", "system": "Be brief"}


pytestmark = pytest.mark.usefixtures("catalog")


async def logged(dsn: str) -> list[tuple[str, str, int, str | None]]:
    """Type, name, version and actor of every event of a prompt."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select type, data, actor from eventlog.events where stream_type = 'prompt' order by position"
        )
    finally:
        await connection.close()
    told = [(row["type"], msgspec.json.decode(row["data"]), row["actor"]) for row in rows]
    return [(kind, data.get("name", ""), data.get("prompt_version", 0), actor) for kind, data, actor in told]


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


async def test_each_post_is_a_version_and_so_is_each_put(http: httpx.AsyncClient, postgres_dsn: str):
    first = await http.post("/api/prompts", json=PROMPT)
    assert (first.status_code, first.headers["etag"], first.headers["location"]) == (201, '"1"', "/api/prompts/greet")
    assert first.json().keys() == {"id", "version", "position", "warnings"}
    same = await http.post("/api/prompts", json=PROMPT)
    assert (same.status_code, same.json()["version"]) == (201, 1)
    second = await http.post("/api/prompts", json={**PROMPT, "prompt": [{"role": "user", "content": "Hi"}]})
    assert (second.status_code, second.json()["version"]) == (201, 2)
    third = await http.put("/api/prompts/greet", json=without(PROMPT, "id", "name"))
    assert (third.status_code, third.json()["version"], third.headers["etag"]) == (200, 3, '"3"')
    gone = await http.delete("/api/prompts/greet")
    assert (gone.status_code, gone.json().keys()) == (200, {"id", "position"})
    assert (await http.delete("/api/prompts/greet")).status_code == 404
    assert (await http.put("/api/prompts/greet", json=PROMPT)).status_code == 404
    assert await logged(postgres_dsn) == [
        ("PromptSaved", "Greeting", 1, "admin"), ("PromptSaved", "Greeting", 2, "admin"),
        ("PromptSaved", "greet", 3, "admin"), ("PromptDeleted", "", 0, "admin"),
    ]  # fmt: skip


async def test_a_save_on_top_of_another_version_is_refused(http: httpx.AsyncClient):
    await http.post("/api/prompts", json=PROMPT)
    await http.put("/api/prompts/greet", json={**PROMPT, "prompt": "Hi"}, headers={"If-Match": '"1"'})
    for method, path in (("PUT", "/api/prompts/greet"), ("POST", "/api/prompts")):
        late = await http.request(method, path, json=PROMPT, headers={"If-Match": '"1"'})
        assert (late.status_code, late.json()["code"]) == (412, "VERSION_CHANGED")


async def test_the_same_request_again_is_answered_as_the_first_time(http: httpx.AsyncClient, postgres_dsn: str):
    headers = {"Idempotency-Key": "once"}
    first = await http.post("/api/prompts", json=PROMPT, headers=headers)
    await http.put("/api/prompts/greet", json={**PROMPT, "prompt": "Hi"})
    again = await http.post("/api/prompts", json=PROMPT, headers=headers)
    assert (again.json(), len(await logged(postgres_dsn))) == (first.json(), 2)


@pytest.mark.parametrize(
    ("changes", "status", "path"),
    [
        ({"prompt": "Hi ${input.}", "system": "${who}"}, 422, "$.prompt"),
        ({"prompt": ["Hi"]}, 422, "$.prompt[0]"),
        ({"id": "Not an id"}, 422, "$.id"),
        ({"temperature": 1}, 422, "$"),
    ],
)
async def test_what_is_no_prompt_is_refused_with_the_place(
    http: httpx.AsyncClient, changes: dict[str, Any], status: int, path: str
):
    answer = await http.post("/api/prompts", json=PROMPT | changes)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (status, path), answer.text


async def test_all_faults_are_told_at_once(http: httpx.AsyncClient):
    answer = await http.post("/api/prompts", json={**PROMPT, "prompt": "Hi ${input.}", "system": "${who}"})
    assert [error["path"] for error in answer.json()["errors"]] == ["$.prompt", "$.system"]


async def test_a_prompt_may_come_as_yaml_and_has_a_largest_size(http: httpx.AsyncClient):
    text = "id: greet\nprompt: |\n  Greet ${input.who}\n"
    answer = await http.post("/api/prompts", content=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    large = await http.post("/api/prompts", json={**PROMPT, "prompt": "x" * 1_500_000})
    assert (large.status_code, large.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_workflow_that_names_a_prompt_too_early_is_saved_with_a_warning(http: httpx.AsyncClient):
    node = {"id": "q", "type": "prompt_execution", "provider_model": "ollama:m", "prompt_id": "greet"}
    workflow = {"id": "w", "name": "W", "nodes": [node]}
    early = await http.post("/api/workflows", json=workflow)
    assert [warning["type"] for warning in early.json()["warnings"]] == ["UNKNOWN_PROMPT"]
    await http.post("/api/prompts", json=PROMPT)
    assert (await http.post("/api/workflows/validate", json=workflow)).json()["warnings"] == []
