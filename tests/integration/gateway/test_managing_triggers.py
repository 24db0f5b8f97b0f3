"""Triggers fired, tried out and changed together over HTTP, carried out by the real services."""

from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

pytestmark = pytest.mark.usefixtures("catalog", "triggers")

TRIGGER: dict[str, Any] = {"id": "on-file", "type": "event", "config": {"event_type": "file.arrived"}}


def workflow(name: str = "hello", **changes: Any) -> dict[str, Any]:
    node = {"id": "greet", "type": "job", "job_type": "greet"}
    return {"id": name, "name": name, "nodes": [node], "triggers": [TRIGGER], **changes}


async def logged(dsn: str, event_type: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select data from eventlog.events where type = $1 order by position", event_type)
        return [msgspec.json.decode(row["data"]) for row in rows]
    finally:
        await connection.close()


async def test_a_trigger_is_fired_by_hand_once_per_key(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await http.post("/api/workflows", json=workflow())
    path, headers = "/api/workflows/hello/triggers/on-file/fire", {"Idempotency-Key": "k"}
    body = {"input_data": {"a": 1}, "labels": {"by": "hand"}}
    first = await http.post(path, json=body, headers=headers)
    assert first.status_code == 202, first.text
    again = await http.post(path, json=body, headers=headers)
    assert again.json() == first.json()
    [run] = await logged(postgres_dsn, "WorkflowTriggered")
    assert run["trigger"] == {"type": "event", "id": "on-file"}
    assert (run["input_data"], run["labels"]) == ({"a": 1}, {"by": "hand"})
    assert first.headers["location"] == f"/api/runs/{run['run_id']}"


async def test_an_unknown_trigger_is_404_and_a_disabled_one_409(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=workflow(triggers=[{**TRIGGER, "enabled": False}]))
    assert (await http.post("/api/workflows/hello/triggers/none/fire")).status_code == 404
    refused = await http.post("/api/workflows/hello/triggers/on-file/fire", json={})
    assert (refused.status_code, "disabled" in refused.json()["detail"]) == (409, True)
