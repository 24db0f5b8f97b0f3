"""Secrets by name over HTTP, before the real catalog: kept sealed, told by nobody, given to whom they are for."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import nats
import pytest
from flowforge.envelope import now
from flowforge.events import Cause, TriggerRef, WorkflowTriggered, encode
from flowforge.identity import new_uuid
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.eventlog import Append, NewEvent, PostgresEventLog, StreamAppend
from infra.secrets.asking import Question, SecretsGiven, subject

CANARY = "canary-7d1f0c9a-value"
pytestmark = pytest.mark.usefixtures("catalog")


async def rows(dsn: str, query: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


async def events(dsn: str) -> list[tuple[str, dict[str, Any], str | None]]:
    found = await rows(
        dsn, "select type, data, actor from eventlog.events where stream_type = 'secret' order by position"
    )
    return [(row["type"], msgspec.json.decode(row["data"]), row["actor"]) for row in found]


async def set_(http: httpx.AsyncClient, name: str, value: str, **headers: str) -> dict[str, Any]:
    answer = await http.put(f"/api/secrets/{name}", json={"value": value}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_secret_is_set_replaced_and_deleted_and_each_is_an_event_with_its_actor(
    http: httpx.AsyncClient, postgres_dsn: str
) -> None:
    first, second = await set_(http, "token", CANARY), await set_(http, "token", "other")
    assert (first["name"], first["version"], second["version"]) == ("token", 1, 2)
    assert (await set_(http, "token", "other")) == second
    gone = await http.delete("/api/secrets/token")
    assert (gone.status_code, gone.json()["name"]) == (200, "token")
    assert (await http.delete("/api/secrets/token")).status_code == 404
    assert (await set_(http, "token", CANARY))["version"] == 3
    told = await events(postgres_dsn)
    assert [(kind, actor) for kind, _, actor in told] == [
        ("SecretSet", "admin"), ("SecretSet", "admin"), ("SecretDeleted", "admin"), ("SecretSet", "admin"),
    ]  # fmt: skip
    assert told[0][1].keys() == {"name", "secret_version", "ref"}
    assert CANARY not in str(told)


async def test_the_value_is_sealed_in_its_table(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await set_(http, "token", CANARY)
    [row] = await rows(postgres_dsn, "select owner, fingerprint, sealed from secrets.sealed")
    assert row["owner"] == "named/token"
    assert CANARY.encode() not in row["sealed"]
    [(_, data, _)] = await events(postgres_dsn)
    assert data["ref"] == row["fingerprint"]


async def test_the_same_request_again_is_answered_as_the_first_time(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    first = await set_(http, "token", "a", **{"Idempotency-Key": "k"})
    await set_(http, "token", "b")
    assert await set_(http, "token", "a", **{"Idempotency-Key": "k"}) == first
    other = await http.put("/api/secrets/token", json={"value": "c"}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(await events(postgres_dsn)) == 2


@pytest.mark.parametrize("name", ["1x", "a-b", "a.b", "x" * 64, "ü", "%20"])
async def test_a_name_that_no_expression_could_say_is_refused(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.put(f"/api/secrets/{name}", json={"value": "v"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "path.name")


@pytest.mark.parametrize(
    "body", [{}, {"value": ""}, {"value": 7}, {"value": None}, {"value": "a\x00b"}, {"value": "v", "x": 1}]
)
async def test_a_value_that_is_none_is_refused_and_not_repeated(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await http.put("/api/secrets/token", json=body)
    assert answer.status_code == 422
    assert re.search(r"\$", answer.json()["errors"][0]["path"])


@pytest.fixture
async def bus(nats_url: str) -> AsyncGenerator[Client]:
    connection = await nats.connect(nats_url)
    yield connection
    await connection.close()


@pytest.fixture
async def run_id(http: httpx.AsyncClient, postgres_dsn: str) -> UUID:
    """A run of a workflow whose nodes refer to secrets."""
    node = {"id": "call", "type": "webhook", "url": "https://example.com", "headers": {"X": "Bearer ${secrets.token}"}}
    script = {"id": "run", "type": "script", "language": "bash", "source": "echo ${secrets.other}", "env": {}}
    inner = {"id": "inner", "type": "script", "language": "bash", "source": "true", "env": {"A": "${secrets.inner}"}}
    loop = {"id": "again", "type": "loop", "loop_type": "count", "count": 1, "body": {"nodes": [inner]}}
    query = {"id": "ask", "type": "sql", "connection": "db", "query": "select 1"}
    nodes = [node, script, loop, query]
    answer = await http.post("/api/workflows", json={"id": "w", "name": "W", "nodes": nodes})
    assert answer.status_code == 201, answer.text
    begun = new_uuid()
    cause = Cause(event_id=begun, type="t", id="i", source="/s", stream_id=begun)
    event = WorkflowTriggered(
        run_id=begun,
        workflow_id="w",
        workflow_version=1,
        trigger=TriggerRef("manual", "t"),
        trigger_version=1,
        cause=cause,
    )
    log = await PostgresEventLog.connect(postgres_dsn)
    await log.append([Append([StreamAppend("run", begun, 0, [NewEvent("WorkflowTriggered", encode(event))])], now())])
    await log.close()
    return begun


async def asked(bus: Client, namespace: str, question: Question) -> SecretsGiven:
    answer = await bus.request(subject(Subjects(namespace)), msgspec.json.encode(question.asked), timeout=5)
    assert b"canary" not in answer.data
    return msgspec.json.decode(answer.data, type=SecretsGiven)


async def test_a_secret_is_given_to_the_node_that_refers_to_it_sealed(
    http: httpx.AsyncClient, bus: Client, namespace: str, run_id: UUID
) -> None:
    for name, node in (("token", "call"), ("inner", "inner"), ("db", "ask")):
        await set_(http, name, CANARY)
        question = Question(run_id, node, [name])
        assert question.opened(await asked(bus, namespace, question)) == {name: CANARY}
    await set_(http, "token", "another")
    question = Question(run_id, "call", ["token"])
    assert question.opened(await asked(bus, namespace, question)) == {"token": "another"}


async def test_questions_that_come_together_are_all_answered(
    http: httpx.AsyncClient, bus: Client, namespace: str, run_id: UUID
) -> None:
    await set_(http, "token", CANARY)
    questions = [Question(run_id, "call", ["token"]) for _ in range(20)]
    answers = await asyncio.gather(*(asked(bus, namespace, question) for question in questions))
    opened = [question.opened(answer) for question, answer in zip(questions, answers, strict=True)]
    assert opened == [{"token": CANARY}] * 20


async def test_a_secret_is_not_given_to_a_node_that_does_not_refer_to_it(
    http: httpx.AsyncClient, bus: Client, namespace: str, run_id: UUID
) -> None:
    for name in ("token", "other"):
        await set_(http, name, CANARY)
    strangers = [
        (run_id, "run", "token"),
        (run_id, "run", "other"),
        (run_id, "nowhere", "token"),
        (new_uuid(), "call", "token"),
    ]
    for run, node, name in strangers:
        given = await asked(bus, namespace, Question(run, node, [name]))
        assert (given.sealed, given.missing) == ("", [])
        assert f"does not refer to '{name}'" in given.refused


async def test_what_is_missing_is_named(http: httpx.AsyncClient, bus: Client, namespace: str, run_id: UUID) -> None:
    assert (await asked(bus, namespace, Question(run_id, "call", ["token"]))).missing == ["token"]
    await set_(http, "token", CANARY)
    await http.delete("/api/secrets/token")
    assert (await asked(bus, namespace, Question(run_id, "call", ["token"]))).missing == ["token"]


async def test_a_question_that_makes_no_sense_is_answered_so(bus: Client, namespace: str) -> None:
    for body in (b"", b"{}", b'{"run_id": "x"}'):
        answer = await bus.request(subject(Subjects(namespace)), body, timeout=5)
        assert "cannot be read" in msgspec.json.decode(answer.data, type=SecretsGiven).refused


async def test_a_callback_needs_a_token_that_was_given_out(http: httpx.AsyncClient) -> None:
    for token in ("x", "A" * 120, "x" * 2_000):
        answer = await http.post(f"/api/callbacks/{token}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
        assert token not in answer.text or len(token) == 1
