"""`Idempotency-Key`: the first answer, once."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import httpx
import pytest

from services.gateway.store import Store, open_pool

KEY = {"Idempotency-Key": "k-1"}


def hello(**changes: Any) -> dict[str, Any]:
    return {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}], **changes}


async def events_count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("select count(*) from eventlog.events")
    finally:
        await connection.close()


async def execute_sql(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.usefixtures("catalog")
async def test_the_same_request_again_gets_the_first_answer(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    first = await http.post("/api/workflows", json=hello(), headers=KEY)
    again = await http.post("/api/workflows", json=hello(), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (again.headers["etag"], again.headers["location"]) == (first.headers["etag"], first.headers["location"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await events_count(postgres_dsn) == 1


@pytest.mark.usefixtures("catalog")
async def test_a_refusal_is_an_answer_too(http: httpx.AsyncClient) -> None:
    first = await http.put("/api/workflows/hello", json=hello(), headers=KEY)
    await http.post("/api/workflows", json=hello())
    again = await http.put("/api/workflows/hello", json=hello(), headers=KEY)
    assert (first.status_code, again.status_code) == (404, 404)
    assert again.json() == first.json()
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.usefixtures("catalog")
async def test_the_same_key_with_another_body_is_refused(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=hello(), headers=KEY)
    other = await http.post("/api/workflows", json=hello(name="Other"), headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.usefixtures("catalog")
async def test_a_key_belongs_to_one_caller_and_one_route(http: httpx.AsyncClient, keys: dict[str, str]) -> None:
    assert (await http.post("/api/workflows", json=hello(), headers=KEY)).status_code == 201
    as_editor = {**KEY, "Authorization": f"Bearer {keys['editor']}"}
    assert (await http.post("/api/workflows", json=hello(), headers=as_editor)).status_code == 409
    assert (await http.put("/api/workflows/hello", json=hello(), headers=KEY)).json()["version"] == 1


@pytest.mark.usefixtures("catalog")
async def test_the_same_request_at_once_is_carried_out_once(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    answers = await asyncio.gather(*(http.post("/api/workflows", json=hello(), headers=KEY) for _ in range(20)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert await events_count(postgres_dsn) == 1


@pytest.mark.usefixtures("catalog")
async def test_different_bodies_at_once_are_carried_out_once(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    bodies = [hello(name=f"{number}") for number in range(10)]
    answers = await asyncio.gather(*(http.post("/api/workflows", json=body, headers=KEY) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 9
    assert await events_count(postgres_dsn) == 1


@pytest.mark.usefixtures("catalog")
async def test_an_answer_that_was_never_kept_is_given_again(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    first = await http.post("/api/workflows", json=hello(), headers=KEY)
    await http.put("/api/workflows/hello", json=hello(name="Two"))
    await execute_sql(postgres_dsn, "update gateway.idempotency set answer = null")  # killed before it was kept
    again = await http.post("/api/workflows", json=hello(), headers=KEY)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert await events_count(postgres_dsn) == 2


@pytest.mark.usefixtures("catalog")
async def test_a_key_is_free_after_seven_days(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await http.put("/api/workflows/hello", json=hello(), headers=KEY)
    await execute_sql(postgres_dsn, "update gateway.idempotency set created_at = now() - interval '8 days'")
    other = await http.put("/api/workflows/hello", json=hello(name="Other"), headers=KEY)
    assert (other.status_code, "idempotency-replayed" in other.headers) == (404, False)


async def taken_before(http: httpx.AsyncClient, postgres_dsn: str, period: str) -> None:
    """A change of a workflow, carried out with a key that was taken in that period."""
    assert (await http.put("/api/workflows/hello", json=hello(name="Two"), headers=KEY)).status_code == 404
    await execute_sql(postgres_dsn, f"update gateway.idempotency set answer = null, period = {period}")
    await http.post("/api/workflows", json=hello())
    assert (await http.put("/api/workflows/hello", json=hello(name="Two"), headers=KEY)).json()["version"] == 2


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("name", ["Two", "Four"])
async def test_what_is_asked_with_a_key_that_is_free_again_is_carried_out(
    http: httpx.AsyncClient, postgres_dsn: str, name: str
) -> None:
    await taken_before(http, postgres_dsn, "1")
    await http.put("/api/workflows/hello", json=hello(name="Three"))
    await execute_sql(postgres_dsn, "update gateway.idempotency set created_at = now() - interval '8 days'")
    answers = [await http.put("/api/workflows/hello", json=hello(name=name), headers=KEY) for _ in range(2)]
    assert [(answer.status_code, answer.json()["version"]) for answer in answers] == [(200, 4), (200, 4)]


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("period", ["1", "null"], ids=["of before", "before there were any"])
async def test_a_key_names_the_request_that_it_did_as_long_as_it_is_kept(
    http: httpx.AsyncClient, postgres_dsn: str, period: str
) -> None:
    await taken_before(http, postgres_dsn, period)
    await http.put("/api/workflows/hello", json=hello(name="Three"))
    await execute_sql(postgres_dsn, "update gateway.idempotency set answer = null")  # killed before it was kept
    assert (await http.put("/api/workflows/hello", json=hello(name="Two"), headers=KEY)).json()["version"] == 2


async def test_however_many_old_keys_there_are_none_is_left(
    service_dsn: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.store.idempotency_swept_rows_max", 10)
    for count, days in ((35, 8), (5, 6)):
        await execute_sql(
            postgres_dsn,
            "insert into gateway.idempotency (key, body_hash, created_at) "
            f"select decode(md5('{days}-' || n), 'hex'), '', now() - interval '{days} days' from generate_series(1, {count}) n",
        )
    pool = await open_pool(service_dsn)
    sweeping = asyncio.create_task(Store(pool).sweep())
    try:
        async with asyncio.timeout(5):
            while await pool.fetchval("select count(*) from gateway.idempotency") != 5:
                await asyncio.sleep(0.01)
    finally:
        sweeping.cancel()
        await pool.close()


async def test_a_service_that_is_away_is_waited_for(
    http: httpx.AsyncClient, start: Callable[[str], AbstractAsyncContextManager[Any]], postgres_dsn: str
) -> None:
    asking = asyncio.create_task(http.post("/api/workflows", json=hello(), headers=KEY))
    async with start("catalog"):
        answer = await asking
    assert answer.status_code == 201
    assert await events_count(postgres_dsn) == 1


async def test_a_service_that_stays_away_is_told_with_503_and_the_key_stays_good(
    http: httpx.AsyncClient,
    start: Callable[[str], AbstractAsyncContextManager[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.gateway.commanding.answers_wait_s", 0.3)
    answer = await http.post("/api/workflows", json=hello(), headers=KEY)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"] == "the service 'catalog' does not answer; nothing is lost by asking again"
    monkeypatch.undo()
    async with start("catalog"):
        assert (await http.post("/api/workflows", json=hello(), headers=KEY)).status_code == 201


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_that_makes_no_sense_is_refused(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post("/api/workflows", json=hello(), headers={"Idempotency-Key": key})
    assert answer.status_code == 400
