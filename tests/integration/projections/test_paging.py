"""Pages of every list: none twice, none left out, and no cursor but its own."""

from datetime import timedelta
from typing import Any

import pytest
from histories import START, Clock, append_chain_run, created
from httpx import AsyncClient

from infra.eventlog import EventLog
from infra.http.paging import Cursors

LISTS = [
    "/api/workflows", "/api/workflows/chain/versions", "/api/workflows/chain/active", "/api/runs", "/api/events",
    "/api/workflows/chain/triggers/on-order/decisions", "/api/dead-letters", "/api/audit", "/api/approvals", "/api/secrets",
    "/api/templates", "/api/prompts", "/api/runs/{run}/events", "/api/runs/{run}/jobs", "/api/runs/{run}/logs",
    "/api/runs/{run}/timeline", "/api/runs/{run}/effects",
]  # fmt: skip
SPAN = {"since": START.isoformat(), "until": (START + timedelta(hours=1)).isoformat()}


async def pages(client: AsyncClient, path: str, **query: Any) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def test_no_list_takes_a_cursor_that_is_not_its_own(client: AsyncClient, log: EventLog, keys: dict[str, str]):
    await log.append([created()])
    clock = Clock()
    run = [await append_chain_run(log, clock, number) for number in range(3)][-1]
    after = (await log.head()).position
    page = await client.get("/api/runs", params={"limit": 1, "after": after})
    own: str = page.json()["next_cursor"]
    client.headers["authorization"] = f"Bearer {keys['admin']}"
    tampered = ["x", "%00", "=" * 8, "a" * 3_000, "ü", own[:-2], own[:-3] + "AAA", own[::-1]]
    for path in LISTS:
        for cursor in [*tampered, *([] if path == "/api/runs" else [own])]:
            answer = await client.get(path.format(run=run), params={"cursor": cursor})
            if answer.status_code == 503 and path == "/api/templates":
                continue  # another service knows the ready-made ones
            assert answer.status_code == 400, (path, cursor, answer.text)
            assert "cursor" in answer.json()["detail"], (path, cursor)
    for filters in ({"status": "failed"}, {"workflow_id": "chain"}, SPAN):
        assert (await client.get("/api/runs", params={"cursor": own, **filters})).status_code == 400


def test_a_cursor_of_a_list_that_was_sorted_otherwise_is_refused():
    cursors = Cursors("events")
    with pytest.raises(Exception, match="cursor"):
        cursors.read(cursors.write([7]), int, str)


@pytest.mark.parametrize("path", ["/api/runs", "/api/events", "/api/audit"])
async def test_pages_of_a_span_of_time_are_the_whole_of_it_newest_first(
    client: AsyncClient, log: EventLog, keys: dict[str, str], path: str
):
    client.headers["authorization"] = f"Bearer {keys['admin']}"
    clock = Clock()
    for number in range(9):
        await log.append([created(f"chain-{number}", at=clock())])
        await append_chain_run(log, clock, number, workflow_id=f"chain-{number}")
    after = (await log.head()).position
    whole = (await client.get(path, params={"after": after})).json()["items"]
    assert len(whole) == 9
    assert await pages(client, path, limit=2, **SPAN) == whole
    assert await pages(client, path, limit=4) == whole
    time = {"/api/runs": "created_at", "/api/events": "received_at", "/api/audit": "at"}[path]
    assert await pages(client, path, limit=2, until=whole[3][time]) == whole[4:]
    assert await pages(client, path, limit=2, since=whole[3][time]) == whole[:4]
