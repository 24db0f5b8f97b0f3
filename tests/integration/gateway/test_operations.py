"""What people do to runs, nodes and approvals over HTTP, carried out by the real services."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest
from flowforge.envelope import now
from flowforge.events import MessageQuarantined, encode
from flowforge.identity import event_id, new_uuid

from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend

pytestmark = pytest.mark.usefixtures("catalog", "triggers", "execution")

WAIT_S = 20
NOBODY = str(uuid4())
WAITS = {
    "id": "waits",
    "name": "Waits",
    "nodes": [
        {"id": "ask", "type": "human_approval", "message": "go on?", "approvers": ["operator"]},
        {"id": "after", "type": "data_transform", "expressions": {"said": "${nodes.ask.output.comment}"}},
    ],
    "edges": [{"source_node_id": "ask", "target_node_id": "after"}],
}
FAILS = {
    "id": "fails",
    "name": "Fails",
    "nodes": [{"id": "broken", "type": "data_transform", "expressions": {"x": "${input.missing}"}}],
}
Start = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
async def projections(start: Start) -> AsyncGenerator[None]:
    async with start("projections"):
        yield


async def logged(dsn: str, event_type: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(
            "select position, stream_id, actor, data from eventlog.events where type = $1 order by position", event_type
        )
    finally:
        await connection.close()


async def until(dsn: str, event_type: str, count: int = 1) -> list[Any]:
    """The events of a type, once there are so many."""
    async with asyncio.timeout(WAIT_S):
        while len(found := await logged(dsn, event_type)) < count:
            await asyncio.sleep(0.02)
    return found


def data(row: Any) -> dict[str, Any]:
    return msgspec.json.decode(row["data"])


async def waiting(http: httpx.AsyncClient, dsn: str, **body: Any) -> str:
    """A run that waits for an approval."""
    await http.post("/api/workflows", json=WAITS)
    before = len(await logged(dsn, "NodeWaiting"))
    run_id = (await http.post("/api/workflows/waits/execute", json=body)).json()["run_id"]
    await until(dsn, "NodeWaiting", before + 1)
    return run_id


async def failed(http: httpx.AsyncClient, dsn: str) -> str:
    await http.post("/api/workflows", json=FAILS)
    before = len(await logged(dsn, "RunFailed"))
    run_id = (await http.post("/api/workflows/fails/execute", json={"input_data": {}})).json()["run_id"]
    await until(dsn, "RunFailed", before + 1)
    return run_id


async def post(http: httpx.AsyncClient, path: str, body: Any = None, status: int = 202) -> dict[str, Any]:
    answer = await http.post(path, json={} if body is None else body)
    assert answer.status_code == status, answer.text
    return answer.json()


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_a_run_is_paused_stepped_and_resumed(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    run_id = await waiting(http, postgres_dsn)
    paused = await post(http, f"/api/runs/{run_id}/pause", {"reason": "look"})
    assert (paused["run_id"], paused["status"]) == (run_id, "paused")
    [told] = await logged(postgres_dsn, "RunPaused")
    assert (told["actor"], told["position"], data(told)["reason"]) == ("admin", paused["position"], "look")
    assert "only a running run" in (await post(http, f"/api/runs/{run_id}/pause", status=409))["detail"]
    assert (await post(http, f"/api/runs/{run_id}/step", {"steps": 2}))["status"] == "running"
    assert "only a paused run" in (await post(http, f"/api/runs/{run_id}/resume", status=409))["detail"]
    assert [data(row)["steps"] for row in await logged(postgres_dsn, "RunResumed")] == [2]
    await post(http, f"/api/workflow-executions/{run_id}/pause")
    await post(http, f"/api/workflow-executions/{run_id}/resume")


async def test_the_same_key_pauses_once(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    run_id = await waiting(http, postgres_dsn)
    headers = {"Idempotency-Key": "p"}
    answers = [await http.post(f"/api/runs/{run_id}/pause", json={}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert len(await logged(postgres_dsn, "RunPaused")) == 1


async def test_a_failed_run_is_retried_from_what_failed_or_from_a_node(
    http: httpx.AsyncClient, postgres_dsn: str
) -> None:
    run_id = await failed(http, postgres_dsn)
    await post(http, f"/api/runs/{run_id}/retry", {"from": "failed", "reason": "again"})
    await until(postgres_dsn, "RunFailed", 2)
    await post(http, f"/api/runs/{run_id}/retry", {"from": "node", "node_id": "broken"})
    await until(postgres_dsn, "RunFailed", 3)
    asked = await logged(postgres_dsn, "RunRetryRequested")
    assert [(row["actor"], data(row)["cleared"]) for row in asked] == [("admin", ["broken"])] * 2
    assert (await post(http, f"/api/runs/{run_id}/retry", {"node_id": "ghost"}, 404))["code"] == "NOT_FOUND"


async def test_a_run_that_has_not_ended_is_not_retried(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    run_id = await waiting(http, postgres_dsn)
    assert (await post(http, f"/api/runs/{run_id}/retry", status=409))["code"] == "INVALID_FLOW_STATE"


@pytest.mark.parametrize(
    ("action", "body", "told"),
    [
        ("complete", {"output": {"comment": "by hand"}, "comment": "stuck"}, "NodeCompleted"),
        ("fail", {"message": "no more"}, "NodeFailed"),
        ("skip", {"comment": "not needed"}, "NodeSkipped"),
    ],
)
async def test_a_node_is_decided_by_hand(
    http: httpx.AsyncClient, postgres_dsn: str, action: str, body: dict[str, Any], told: str
) -> None:
    run_id = await waiting(http, postgres_dsn)
    await post(http, f"/api/runs/{run_id}/nodes/ask/{action}", body)
    [by_hand] = await logged(postgres_dsn, "NodeDecidedByHand")
    assert (by_hand["actor"], data(by_hand)["action"]) == ("admin", action)
    assert data((await logged(postgres_dsn, told))[0])["node_id"] == "ask"
    assert (await post(http, f"/api/runs/{run_id}/nodes/ask/{action}", body, 409))["code"] == "INVALID_FLOW_STATE"
    assert (await post(http, f"/api/runs/{run_id}/nodes/ghost/{action}", {}, 404))["code"] == "NOT_FOUND"
    assert (await http.post(f"/api/runs/{run_id}/nodes/ask/explode", json={})).status_code == 404


async def test_a_run_is_changed(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    run_id = await waiting(http, postgres_dsn)
    answer = await http.patch(f"/api/runs/{run_id}", json={"priority": 7, "labels": {"team": "x"}})
    assert answer.status_code == 202, answer.text
    answer = await http.put(f"/api/runs/{run_id}/breakpoints", json={"breakpoints": ["after"]})
    assert answer.status_code == 202, answer.text
    changes = [data(row) for row in await logged(postgres_dsn, "RunChanged")]
    assert (changes[0]["priority"], changes[0]["labels"], changes[1]["breakpoints"]) == (7, {"team": "x"}, ["after"])
    await post(http, f"/api/runs/{run_id}/nodes/ask/complete", {"output": {"comment": "c"}})
    [paused] = await until(postgres_dsn, "RunPaused")
    assert data(paused)["before"] == ["after"]
    await post(http, f"/api/runs/{run_id}/step")
    await until(postgres_dsn, "RunCompleted")
    answer = await http.put(f"/api/runs/{run_id}/breakpoints", json={"breakpoints": ["after"]})
    assert answer.status_code == 409
    answer = await http.patch(f"/api/runs/{run_id}", json={"labels": {}})
    assert answer.status_code == 202, answer.text


async def test_nothing_is_done_to_an_unknown_run(http: httpx.AsyncClient) -> None:
    for run_id in (NOBODY, "nonsense"):
        for path in ("pause", "resume", "step", "retry", "nodes/a/complete", "nodes/a/fail", "nodes/a/skip"):
            assert (await post(http, f"/api/runs/{run_id}/{path}", status=404))["code"] == "NOT_FOUND"
        assert (await http.patch(f"/api/runs/{run_id}", json={"priority": 1})).status_code == 404
        assert (await http.put(f"/api/runs/{run_id}/breakpoints", json={"breakpoints": []})).status_code == 404


# --- approvals --------------------------------------------------------------------------------------------------------


async def test_an_approver_decides_and_nobody_else(
    http: httpx.AsyncClient, keys: dict[str, str], postgres_dsn: str
) -> None:
    await waiting(http, postgres_dsn)
    name = data((await logged(postgres_dsn, "NodeWaiting"))[0])["wait"]["approval_id"]
    body = {"decision": "approve", "comment": "fine"}
    for role, status in (("viewer", 403), ("editor", 403), ("operator", 202), ("operator", 409), ("admin", 409)):
        headers = {"Authorization": f"Bearer {keys[role]}"}
        answer = await http.post(f"/api/approvals/{name}", json=body, headers=headers)
        assert answer.status_code == status, (role, answer.text)
        if status == 202:
            assert (answer.json()["id"], answer.json()["decision"]) == (name, "approve")
    [decided] = await logged(postgres_dsn, "ApprovalDecided")
    assert (decided["actor"], data(decided)["comment"]) == ("operator", "fine")
    assert data((await until(postgres_dsn, "NodeCompleted", 2))[1])["output"] == {"said": "fine"}


async def test_a_decision_about_nothing_is_refused(http: httpx.AsyncClient) -> None:
    for name in (f"{NOBODY}:ask:1", f"{NOBODY}:ask:3.0:1", "nonsense"):
        assert (await post(http, f"/api/approvals/{name}", {"decision": "approve"}, 404))["code"] == "NOT_FOUND"
    for body in ({"decision": "maybe"}, {}):
        await post(http, f"/api/approvals/{NOBODY}:ask:1", body, 422)


# --- many runs --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("projections")
async def test_many_runs_are_paused_resumed_and_cancelled(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    runs = [await waiting(http, postgres_dsn, labels={"batch": "one"}) for _ in range(5)]
    other = await waiting(http, postgres_dsn)
    for action, kind in (("pause", "RunPaused"), ("resume", "RunResumed")):
        answer = await post(http, "/api/runs/bulk", {"filter": {"label": "batch=one"}, "action": action})
        assert (answer["matched"], answer["accepted"], answer["refused"], answer["has_more"]) == (5, 5, [], False)
        assert {str(row["stream_id"]) for row in await logged(postgres_dsn, kind)} == set(runs)
    answer = await post(http, "/api/runs/bulk", {"filter": {"workflow_id": "waits"}, "action": "cancel", "reason": "x"})
    assert (set(answer["run_ids"]), answer["accepted"]) == ({*runs, other}, 6)
    cancelled = await logged(postgres_dsn, "RunCancelRequested")
    assert {row["actor"] for row in cancelled} == {"admin"}
    assert answer["position"] >= cancelled[0]["position"]
    again = await post(http, "/api/runs/bulk", {"filter": {"workflow_id": "waits"}, "action": "cancel"})
    assert again["matched"] == 0  # they have ended, and are not meant


@pytest.mark.usefixtures("projections")
async def test_each_run_that_is_refused_says_why(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    run_id, ended = await waiting(http, postgres_dsn), await failed(http, postgres_dsn)
    body = {"filter": {"run_ids": [run_id, ended, NOBODY]}, "action": "pause"}
    headers = {"Idempotency-Key": "k"}
    answer = await http.post("/api/runs/bulk", json=body, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["run_ids"]) == (202, [run_id])
    assert {each["run_id"]: each["code"] for each in told["refused"]} == {
        ended: "INVALID_FLOW_STATE",
        NOBODY: "NOT_FOUND",
    }
    assert (await http.post("/api/runs/bulk", json=body, headers=headers)).json() == told
    retried = await post(http, "/api/runs/bulk", {"filter": {"workflow_id": "fails"}, "action": "retry"})
    assert retried["run_ids"] == [ended]


# --- dead letters -----------------------------------------------------------------------------------------------------


async def _retried_once_known(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """Nobody told that the log grew: the read models see it when they next look."""
    while (answer := await http.post(f"/api/dead-letters/{name}/retry", json={})).status_code == 404:
        await asyncio.sleep(0.05)
    assert answer.status_code == 202, answer.text
    return answer.json()


@pytest.mark.usefixtures("projections")
async def test_a_dead_letter_is_handled_once_more(
    http: httpx.AsyncClient, service_dsn: str, postgres_dsn: str, namespace: str
) -> None:
    at, stream = now(), new_uuid()
    letter = MessageQuarantined(service="execution", subject=f"{namespace}.runs.w.r.RunAdmitted", reason="x", body="?")
    event = NewEvent(type(letter).__name__, encode(letter))
    async with await PostgresEventLog.connect(service_dsn) as log:
        await log.append([Append([StreamAppend("quarantine", stream, 0, [event])], at)])
    name = str(event_id(stream, 1, at))
    answer = await _retried_once_known(http, name)
    assert (answer["id"], answer["service"]) == (name, "execution")
    [retried] = await logged(postgres_dsn, "DeadLetterRetried")
    assert (retried["actor"], retried["position"]) == ("admin", answer["position"])
    assert len(await until(postgres_dsn, "MessageQuarantined", 2)) == 2  # it is no event, and failed again
    await post(http, f"/api/dead-letters/{name}/retry")
    assert (await post(http, f"/api/dead-letters/{NOBODY}/retry", status=404))["code"] == "NOT_FOUND"
    assert (await post(http, "/api/dead-letters/nonsense/retry", status=404))["code"] == "NOT_FOUND"
    await post(http, f"/api/dead-letters/{name}/retry", {"x": 1}, 422)
