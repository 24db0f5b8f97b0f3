"""Reading stored prompts, and building what is read of them anew."""

from datetime import timedelta
from typing import Any

import pytest
from flowforge.events import Event, PromptDeleted, PromptSaved
from flowforge.identity import named_stream
from histories import START, new, raw
from httpx import AsyncClient, Response

from infra.eventlog import Append, Appended, EventLog, PostgresEventLog, StreamAppend
from services.projections import store
from services.projections.projector import Projector
from services.projections.rebuild import verify

MESSAGES = [{"role": "user", "content": "Greet ${input.who}"}]


def saved(version: int, prompt_id: str = "greet", **fields: Any) -> PromptSaved:
    fields = {"name": f"Name {version}", "prompt": raw(f"text {version}")} | fields
    return PromptSaved(prompt_id=prompt_id, prompt_version=version, **fields)


async def tell(log: EventLog, at: int, event: PromptSaved | PromptDeleted) -> None:
    """Append `event`, the `at`th of its stream, `at` seconds after the start, by a person of that number."""
    events: list[Event] = [event]
    stream = StreamAppend("prompt", named_stream("prompt", event.prompt_id), at - 1, new(*events))
    [answer] = await log.append([Append([stream], START + timedelta(seconds=at), actor=f"person-{at}")])
    assert isinstance(answer, Appended)


async def get(client: AsyncClient, log: EventLog, path: str = "", **query: Any) -> Response:
    return await client.get(f"/api/prompts{path}", params={"after": (await log.head()).position, **query})


async def test_a_prompt_is_read_as_its_newest_version_left_it(client: AsyncClient, log: EventLog):
    assert (await get(client, log)).json() == {"items": [], "next_cursor": None}
    await tell(log, 1, saved(1, system=raw("Be ${variables.tone}")))
    await tell(log, 2, saved(2, description="Says hello", prompt=raw(MESSAGES)))
    summary = {
        "id": "greet", "name": "Name 2", "description": "Says hello", "version": 2, "created_by": "person-1",
        "created_at": "2026-03-01T12:00:01Z", "updated_at": "2026-03-01T12:00:02Z",
    }  # fmt: skip
    assert (await get(client, log)).json()["items"] == [summary]
    read = await get(client, log, "/greet")
    assert (read.json(), read.headers["etag"]) == ({**summary, "prompt": MESSAGES, "system": None}, '"2"')
    assert (await get(client, log, "/none")).status_code == 404


async def test_every_version_is_read_as_it_was_saved(client: AsyncClient, log: EventLog):
    await tell(log, 1, saved(1, system=raw("Be brief")))
    await tell(log, 2, saved(2))
    page = (await get(client, log, "/greet/versions", limit=1)).json()
    assert [(one["version"], one["name"], one["created_by"]) for one in page["items"]] == [(2, "Name 2", "person-2")]
    rest = (await get(client, log, "/greet/versions", limit=1, cursor=page["next_cursor"])).json()
    assert ([one["version"] for one in rest["items"]], rest["next_cursor"]) == ([1], None)
    assert (await get(client, log, "/greet/versions/1")).json() == {
        "id": "greet", "version": 1, "name": "Name 1", "description": "", "prompt": "text 1", "system": "Be brief",
        "created_at": "2026-03-01T12:00:01Z", "created_by": "person-1",
    }  # fmt: skip
    assert (await get(client, log, "/greet/versions/3")).json()["detail"] == "there is no prompt 'greet version 3'"
    assert (await get(client, log, "/none/versions")).status_code == 404


@pytest.mark.parametrize("version", ["0", "one", "99999999999"])
async def test_a_version_is_a_number_from_1_on(client: AsyncClient, log: EventLog, version: str):
    assert (await get(client, log, f"/greet/versions/{version}")).status_code in (400, 404)


async def test_a_deleted_prompt_is_listed_no_more_and_its_versions_stay(client: AsyncClient, log: EventLog):
    await tell(log, 1, saved(1))
    await tell(log, 2, PromptDeleted(prompt_id="greet"))
    assert (await get(client, log)).json()["items"] == []
    assert (await get(client, log, "/greet")).status_code == 404
    assert (await get(client, log, "/greet/versions/1")).json()["prompt"] == "text 1"
    assert [one["version"] for one in (await get(client, log, "/greet/versions")).json()["items"]] == [1]
    await tell(log, 3, saved(2))
    again = (await get(client, log, "/greet")).json()
    assert (again["version"], again["created_by"], again["created_at"]) == (2, "person-3", "2026-03-01T12:00:03Z")


async def test_prompts_are_listed_page_by_page_the_newest_first(client: AsyncClient, log: EventLog):
    for number in range(5):
        await tell(log, 1, saved(1, f"p{number}"))
    await tell(log, 2, saved(2, "p0"))
    listed: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while query.get("cursor", "") is not None:
        page = (await get(client, log, **query)).json()
        listed += [one["id"] for one in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert listed == ["p4", "p3", "p2", "p1", "p0"]
    assert (await get(client, log, cursor="nonsense")).status_code == 400


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_a_rebuild_gives_the_same_rows_in_whatever_batches_they_were_heard(
    service_dsn: str, log: PostgresEventLog, size: int
):
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    await store.create_tables(connection, store.LIVE_SCHEMA, (await log.head()).incarnation)
    history = [saved(1, system=raw("s")), saved(2), PromptDeleted(prompt_id="greet"), saved(3, prompt=raw(MESSAGES))]
    for at, event in enumerate(history, 1):
        await tell(log, at, event)
    projector = Projector(log, connection, cached_runs_max=1)
    await projector.start()
    while await projector.advance(size):
        await projector.start()
    verified = await verify(log, service_dsn)
    assert (verified.is_equal, verified.rows) == (True, 1 + 3 + 4)  # the prompt, its versions, the audit
    connection.terminate()
