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


FILTERED: dict[str, Any] = {
    "id": "on-big",
    "type": "event",
    "config": {"event_type": "file.*", "filter": "event.data.size > 10"},
    "input": {"path": "${event.data.path}"},
}


def event(**changes: Any) -> dict[str, Any]:
    return {"type": "file.arrived", "source": "/shop", "data": {"size": 20, "path": "a.csv"}, **changes}


async def tried(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/api/triggers/test", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_trigger_is_tried_on_one_event_and_nothing_is_stored(
    http: httpx.AsyncClient, postgres_dsn: str
) -> None:
    fired = await tried(http, trigger=FILTERED, event=event())
    assert fired == {"decision": "fired", "reason": None, "detail": None, "input": {"path": "a.csv"}}
    small = await tried(http, trigger=FILTERED, event=event(data={"size": 5}))
    assert (small["decision"], "event.data.size was 5" in small["reason"]) == ("not_matched", True)
    failed = await tried(http, trigger=FILTERED, event=event(data={}))
    assert (failed["decision"], failed["detail"]) == ("failed", "event.data.size")
    other = await tried(http, trigger=FILTERED, event=event(type="order.placed"))
    assert (other["decision"], "order.placed" in other["reason"]) == ("not_matched", True)
    off = await tried(http, trigger={**FILTERED, "enabled": False}, event=event())
    assert (off["decision"], off["reason"]) == ("suppressed", "disabled")
    assert await logged(postgres_dsn, "EventReceived") == []


async def test_the_workflow_of_the_trigger_counts(http: httpx.AsyncClient) -> None:
    schema = {"type": "object", "required": ["who"]}
    await http.post("/api/workflows", json=workflow(triggers=[FILTERED], input_schema=schema))
    answer = await tried(http, trigger={**FILTERED, "workflow_id": "hello", "version": 1}, event=event())
    assert (answer["decision"], "who" in answer["reason"]) == ("failed", True)
    await http.delete("/api/workflows/hello")
    answer = await tried(http, trigger=FILTERED, workflow_id="hello", event=event())
    assert (answer["decision"], answer["reason"]) == ("suppressed", "workflow_inactive")
    unknown = await http.post(
        "/api/triggers/test", json={"trigger": FILTERED, "event": event(), "workflow_id": "nowhere"}
    )
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"trigger": {**FILTERED, "config": {"event_type": "a", "filter": "event.data. >"}}, "event": event()}, 422,
         "$.trigger.config.filter"),
        ({"trigger": {**FILTERED, "config": {}}, "event": event()}, 422, "$.trigger.config"),
        ({"trigger": {**FILTERED, "type": "evnt"}, "event": event()}, 422, "$.trigger.type"),
        ({"trigger": FILTERED, "event": {"type": "a"}}, 422, "$.event"),
        ({"trigger": FILTERED}, 422, "$"),
        ({"trigger": [], "event": {}}, 422, "$.trigger"),
    ],
)  # fmt: skip
async def test_what_cannot_be_tried_is_refused_with_its_place(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, path: str
) -> None:
    answer = await http.post("/api/triggers/test", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["path"] == path


async def test_a_changed_trigger_is_compared_with_what_did_fire(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=workflow(triggers=[FILTERED]))
    for number in range(6):
        data = {"size": number * 4, "path": f"{number}.csv"}
        await http.post("/api/events", json={"specversion": "1.0", "id": str(number), **event(data=data)})
    await http.post("/api/events", json={"specversion": "1.0", "id": "x", **event(type="order.placed")})
    await http.post("/api/workflows/hello/triggers/on-big/fire", json={})
    changed = {**FILTERED, "config": {"event_type": "file.*", "filter": "event.data.size > 4"}}
    first = await http.post(
        "/api/triggers/what-if?limit=4",
        json={"trigger": changed, "workflow_id": "hello", "since": "2020-01-01T00:00:00Z"},
    )
    assert first.status_code == 200, first.text
    told = first.json()
    assert (told["evaluated"], told["would_fire"], told["did_fire"]) == (6, 4, 3)
    items, cursor = told["decisions"]["items"], told["decisions"]["next_cursor"]
    assert [(item["cause"]["id"], item["decision"], item["did_fire"]) for item in items] == [
        ("5", "fired", True), ("4", "fired", True), ("3", "fired", True), ("2", "fired", False),
    ]  # fmt: skip
    second = await http.post(
        f"/api/triggers/what-if?limit=4&cursor={cursor}",
        json={"trigger": changed, "workflow_id": "hello", "since": "2020-01-01T00:00:00Z"},
    )
    assert [item["cause"]["id"] for item in second.json()["decisions"]["items"]] == ["1", "0"]
    assert second.json()["decisions"]["next_cursor"] is None
    never = await http.post("/api/triggers/what-if", json={"trigger": changed, "until": "2020-01-01T00:00:00Z"})
    assert never.json() == {
        "evaluated": 0, "would_fire": 0, "did_fire": 0, "decisions": {"items": [], "next_cursor": None},
    }  # fmt: skip


async def test_many_triggers_are_changed_together_or_not_at_all(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    for name in ("a", "b"):
        await http.post("/api/workflows", json=workflow(name))
    items: list[dict[str, Any]] = [
        {"workflow_id": name, "trigger_id": "on-file", "enabled": False} for name in ("a", "b")
    ]
    refused = await http.put("/api/triggers", json={"items": [*items, {**items[0], "trigger_id": "none"}]})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.items[2]")
    assert await logged(postgres_dsn, "WorkflowUpdated") == []
    unclear = await http.put("/api/triggers", json={"items": [{**items[0], "patch": {}}]})
    assert (unclear.status_code, unclear.json()["errors"][0]["path"]) == (422, "$.items[0]")
    items[1] = {"workflow_id": "b", "trigger_id": "on-file", "patch": {"name": "Files"}}
    headers = {"Idempotency-Key": "k"}
    done = await http.put("/api/triggers", json={"items": items}, headers=headers)
    assert done.status_code == 200, done.text
    assert [(item["id"], item["version"]) for item in done.json()["items"]] == [("a", 2), ("b", 2)]
    first, second = await logged(postgres_dsn, "WorkflowUpdated")
    assert first["definition"]["triggers"][0]["enabled"] is False
    assert second["definition"]["triggers"][0]["name"] == "Files"
    assert (await http.put("/api/triggers", json={"items": items}, headers=headers)).json() == done.json()
    fired = await http.post("/api/workflows/a/triggers/on-file/fire")
    assert fired.status_code == 409


async def test_a_what_if_tells_its_progress_where_a_stream_is_asked_for(http: httpx.AsyncClient) -> None:
    for number in range(3):
        event_ = {"specversion": "1.0", "id": f"s{number}", "source": "/stream", "type": "streamed"}
        await http.post("/api/events", json=event_)
    trigger = {"id": "t", "type": "event", "config": {"event_type": "streamed"}}
    answer = await http.post(
        "/api/triggers/what-if", json={"trigger": trigger}, headers={"Accept": "text/event-stream"}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    kind, _, data = answer.text.strip().rpartition("\n\n")[2].partition("\n")
    assert kind == "event: answer"
    assert msgspec.json.decode(data.removeprefix("data: "))["would_fire"] == 3
