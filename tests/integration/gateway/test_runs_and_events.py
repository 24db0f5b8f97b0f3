"""Runs and events over HTTP, carried out by the real services."""

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

pytestmark = pytest.mark.usefixtures("catalog", "triggers")

HELLO = {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}]}


def event(**changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/test", "type": "file.arrived", "data": {"n": 1}, **changes}


async def logged(dsn: str, event_type: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(
            "select position, actor, data from eventlog.events where type = $1 order by position", event_type
        )
    finally:
        await connection.close()


async def test_execute_answers_the_run_and_where_it_is_logged(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await http.post("/api/workflows", json=HELLO)
    answer = await http.post("/api/workflows/hello/execute", json={"input_data": {"a": 1}, "labels": {"by": "hand"}})
    assert answer.status_code == 202
    run_id = str(UUID(answer.json()["run_id"]))
    assert answer.headers["location"] == f"/api/runs/{run_id}"
    [triggered] = await logged(postgres_dsn, "WorkflowTriggered")
    assert answer.json()["position"] >= triggered["position"]
    assert triggered["actor"] == "admin"


async def test_execute_needs_no_body(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=HELLO)
    assert (await http.post("/api/workflows/hello/execute")).status_code == 202


async def test_an_unknown_workflow_is_not_executed(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/workflows/nowhere/execute", json={})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"input": {}}, "$"),
        ({"labels": {"a": 1}}, "$.labels[...]"),
        ({"priority": "high"}, "$.priority"),
        ({"version": 0}, "$.version"),
        ({"options": {"timeout": 5}}, "$.options"),
        ({"options": {"timeout_ms": 0}}, "$.options.timeout_ms"),
        ({"from_node": "Not A Slug"}, "$.from_node"),
        ({"breakpoints": "greet"}, "$.breakpoints"),
        ({"options": {"override_running": "yes"}}, "$.options.override_running"),
        ([], "$"),
    ],
)
async def test_what_execute_does_not_take_is_refused_with_its_path(
    http: httpx.AsyncClient, body: Any, path: str
) -> None:
    answer = await http.post("/api/workflows/hello/execute", json=body)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_where_a_run_begins_and_halts_is_logged_and_unknown_nodes_are_refused(
    http: httpx.AsyncClient, postgres_dsn: str
) -> None:
    await http.post("/api/workflows", json=HELLO)
    body = {"from_node": "greet", "breakpoints": ["greet", "greet"], "options": {"skip_dependency_check": True}}
    assert (await http.post("/api/workflows/hello/execute", json=body)).status_code == 202
    [triggered] = await logged(postgres_dsn, "WorkflowTriggered")
    run = json.loads(triggered["data"])
    assert (run["from_node"], run["breakpoints"]) == ("greet", ["greet"])
    answer = await http.post("/api/workflows/hello/execute", json={"from_node": "gret", "breakpoints": ["x"]})
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["$.from_node", "$.breakpoints[0]"]
    assert answer.json()["errors"][0]["suggested_resolution"] == "name 'greet'"


async def test_one_event_is_answered_with_its_place(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    answer = await http.post(
        "/api/events", json=event(), headers={"Content-Type": "application/cloudevents+json; charset=utf-8"}
    )
    assert answer.status_code == 202
    assert {"id": "1", "source": "/test", "position": 1}.items() <= answer.json().items()
    UUID(answer.json()["event_id"])
    again = await http.post("/api/events", json=event())
    assert again.json()["event_id"] == answer.json()["event_id"]
    assert len(await logged(postgres_dsn, "EventReceived")) == 1


async def test_a_list_of_events_is_answered_in_order(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/events", json=[event(id=str(n)) for n in range(20)])
    assert answer.status_code == 202
    items = answer.json()["items"]
    assert [item["id"] for item in items] == [str(n) for n in range(20)]
    assert answer.json()["position"] == max(item["position"] for item in items)


async def test_a_list_that_is_larger_than_the_bus_takes_goes_in_parts(
    http: httpx.AsyncClient, postgres_dsn: str
) -> None:
    events = [event(id=str(n), data="x" * 100_000) for n in range(25)]
    answer = await http.post("/api/events", json=events)
    assert answer.status_code == 202
    assert [item["id"] for item in answer.json()["items"]] == [str(n) for n in range(25)]
    assert len(await logged(postgres_dsn, "EventReceived")) == 25


async def test_a_list_with_one_bad_event_is_refused_whole(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    without_type = {name: value for name, value in event(id="2").items() if name != "type"}
    answer = await http.post("/api/events", json=[event(), without_type, event(id="")])
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["$[1]", "$[2]"]
    assert await logged(postgres_dsn, "EventReceived") == []


async def test_an_event_that_the_bus_cannot_carry_is_refused_before_it_is_sent(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/events", json=event(data="x" * 1_100_000))
    assert answer.status_code == 413
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"


async def test_an_event_starts_runs(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    trigger = {"id": "on-file", "type": "event", "config": {"event_type": "file.*", "filter": "event.data.n > 5"}}
    await http.post("/api/workflows", json={**HELLO, "triggers": [trigger]})
    await http.post("/api/events", json=[event(id="small"), event(id="large", data={"n": 9})])
    assert len(await logged(postgres_dsn, "WorkflowTriggered")) == 1


async def test_the_same_key_starts_one_run_however_many_ask_at_once(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await http.post("/api/workflows", json=HELLO)
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(http.post("/api/workflows/hello/execute", json={"input_data": 1}, headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(await logged(postgres_dsn, "WorkflowTriggered")) == 1


@pytest.mark.usefixtures("execution")
async def test_a_run_is_cancelled(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await http.post("/api/workflows", json=HELLO)
    run_id = (await http.post("/api/workflows/hello/execute")).json()["run_id"]
    answer = await http.post(f"/api/runs/{run_id}/cancel", json={"reason": "enough"})
    assert answer.status_code == 202
    assert answer.json()["run_id"] == run_id
    assert len(await logged(postgres_dsn, "RunCancelRequested")) == 1
    older = await http.post(f"/api/workflow-executions/{run_id}/cancel")
    assert older.status_code in (202, 409)


@pytest.mark.usefixtures("execution")
@pytest.mark.parametrize("run_id", ["0199f5c8-7d00-7000-8000-000000000001", "nonsense"])
async def test_an_unknown_run_is_not_cancelled(http: httpx.AsyncClient, run_id: str) -> None:
    answer = await http.post(f"/api/runs/{run_id}/cancel")
    assert answer.status_code == 404
