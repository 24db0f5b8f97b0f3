"""Live events over HTTP: from the first or from where one was, each once, in order, to the end of the run."""

import asyncio
from uuid import UUID

import pytest
from flowforge.events import RunCompleted, RunStarted, TriggerDecided
from histories import Clock, append_chain_run, append_chain_runs, chain_events, created, new, received, triggered
from httpx import AsyncClient
from listening import listening
from serving import served

from infra.eventlog import Append, EventLog, StreamAppend
from infra.settings import Settings
from services.projections.api import create_app
from services.projections.loop import Loop
from services.projections.settings import ReadSettings


async def begin(log: EventLog, number: int, clock: Clock, workflow_id: str = "chain") -> UUID:
    """A run that was triggered and does nothing yet."""
    group, cause = received(number, clock())
    first = triggered(cause, clock(), workflow_id)
    await log.append([group, Append([StreamAppend("run", first.run_id, 0, new(first))], recorded_at=clock())])
    return first.run_id


async def finish(log: EventLog, run_id: UUID, clock: Clock) -> None:
    for version, event in enumerate(chain_events(run_id), 1):
        await log.append([Append([StreamAppend("run", run_id, version, new(event))], recorded_at=clock())])


TYPES = [
    "WorkflowTriggered",
    "RunStarted",
    *["NodeQueued", "NodeStarted", "NodeCompleted"] * 3,
    "RunCompleted",
]


async def test_an_ended_run_is_told_from_its_first_event_and_the_stream_ends(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    async with listening(client, f"/api/runs/{run_id}/stream") as stream:
        heard = await stream.rest()
    assert [message.type for message in heard] == TYPES
    assert heard[0].data["data"]["workflow_id"] == "chain"
    assert heard[0].data["position"] == heard[0].position
    assert [message.position for message in heard] == sorted({message.position for message in heard})


async def test_who_comes_back_hears_only_what_follows(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    async with listening(client, f"/api/runs/{run_id}/stream") as stream:
        all_of_it = await stream.rest()
    for told in (0, 3, len(all_of_it) - 2):
        async with listening(client, f"/api/runs/{run_id}/stream", all_of_it[told].position) as stream:
            assert await stream.rest() == all_of_it[told + 1 :]
    response = await client.get(f"/api/runs/{run_id}/stream", headers={"Last-Event-ID": str(all_of_it[-1].position)})
    assert response.status_code == 204


async def test_a_run_is_followed_while_it_runs(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    run_id = await begin(log, 1, clock)
    async with listening(client, f"/api/workflow-executions/{run_id}/stream") as stream:
        assert (await stream.take(1))[0].type == "WorkflowTriggered"
        telling = asyncio.create_task(finish(log, run_id, clock))
        assert [message.type for message in await stream.rest()] == TYPES[1:]
        await telling


async def test_the_wide_stream_begins_now_and_goes_on_after_an_id(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    await append_chain_run(log, clock, 1)
    head = (await log.head()).position
    async with listening(client, "/api/stream") as stream:
        await append_chain_run(log, clock, 2)
        heard = await stream.take(13)
    assert [message.position for message in heard] == list(range(head + 1, head + 14))
    async with listening(client, "/api/stream", 1) as stream:
        again = await stream.take(head + 12)
    assert [message.position for message in again] == list(range(2, head + 14))


async def test_a_workflows_stream_tells_its_runs_and_decisions_and_nobody_elses(client: AsyncClient, log: EventLog):
    await log.append([created(), created("other")])
    clock = Clock()
    before = (await log.head()).position
    earlier = await begin(log, 1, clock, "other")
    async with (
        listening(client, f"/api/stream?workflow_id=other&after={before}") as now,
        listening(client, "/api/stream?workflow_id=other", before) as since,
    ):
        await append_chain_run(log, clock, 2)
        await log.append(
            [Append([StreamAppend("run", earlier, 1, new(RunStarted(total_nodes=3)))], recorded_at=clock())]
        )
        group, cause = received(3, clock())
        refused = TriggerDecided(
            trigger_id="t", trigger_version=1, workflow_id="other", cause=cause, decision="not_matched", reason="no"
        )
        await log.append([group])
        await log.append([Append([StreamAppend("cause", cause.stream_id, 1, new(refused))], recorded_at=clock())])
        await log.append([Append([StreamAppend("run", earlier, 2, new(RunCompleted()))], recorded_at=clock())])
        live = ["RunStarted", "TriggerDecided", "RunCompleted"]
        assert [message.type for message in await now.take(3)] == live
        assert [message.type for message in await since.take(4)] == ["WorkflowTriggered", *live]


@pytest.mark.parametrize("backlog", [1, 7])
async def test_a_slow_listener_is_caught_up_from_the_log(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog, backlog: int
):
    app = create_app(settings, ReadSettings(stream_poll_s=0.01, listener_backlog_max=backlog, stream_page_count=20))
    await log.append([created()])
    async with served(app) as client:
        client.headers["authorization"] = f"Bearer {keys['viewer']}"
        head = (await log.head()).position
        async with listening(client, "/api/stream") as stream:
            await append_chain_runs(log, Clock(), range(40))
            heard = await stream.take(40 * 13)
    assert [message.position for message in heard] == list(range(head + 1, head + 1 + 40 * 13))


async def test_a_silent_stream_says_that_it_is_still_there(
    live: Loop, settings: Settings, keys: dict[str, str], log: EventLog
):
    app = create_app(settings, ReadSettings(stream_keep_alive_s=0.02, stream_poll_s=0.01))
    await log.append([created()])
    async with served(app) as client:
        client.headers["authorization"] = f"Bearer {keys['viewer']}"
        async with client.stream("GET", "/api/stream") as response:
            comments = 0
            async for line in response.aiter_lines():
                assert line == "" or line.startswith(":"), line
                comments += line.startswith(":")
                if comments == 4:
                    break


async def test_an_id_that_this_log_never_gave_is_refused(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    for path in (f"/api/runs/{run_id}/stream", "/api/stream"):
        for wrong in ("999999", "-1", "x", "1.5", "9" * 40):
            response = await client.get(path, headers={"Last-Event-ID": wrong})
            assert response.status_code == 400, (path, wrong)
            assert response.json()["errors"][0]["path"] == "header.Last-Event-ID"


async def test_there_is_no_stream_of_what_is_not_there(client: AsyncClient):
    assert (await client.get("/api/runs/019ca945-2b5d-764f-be2e-79b6b73f502e/stream")).status_code == 404
    assert (await client.get("/api/stream?workflow_id=nobody")).status_code == 404
    assert (await client.get("/api/stream?workflow=nobody")).status_code == 400
