"""The triggers of all workflows in one list, and what an event led to."""

from uuid import UUID

from flowforge.events import TriggerDecided, WorkflowArchived, WorkflowCreated
from flowforge.identity import named_stream
from histories import START, Clock, append_chain_run, created, definition, new, raw, received
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend

NOBODY = UUID("01890000-0000-7000-8000-000000000000")
NIGHTLY = {"id": "nightly", "name": "Every night", "type": "schedule", "config": {"cron": "0 3 * * *"}}
OFF = {"id": "off", "type": "schedule", "enabled": False, "config": {"cron": "0 3 * * *"}}


def scheduled(workflow_id: str) -> Append:
    document = raw({**definition(workflow_id), "triggers": [NIGHTLY, OFF]})
    event = WorkflowCreated(workflow_id=workflow_id, workflow_version=1, definition=document)
    stream = StreamAppend("workflow", named_stream("workflow", workflow_id), 0, new(event))
    return Append([stream], recorded_at=START, changes_definitions=True)


def archived(workflow_id: str) -> Append:
    event = WorkflowArchived(workflow_id=workflow_id)
    stream = StreamAppend("workflow", named_stream("workflow", workflow_id), 1, new(event))
    return Append([stream], recorded_at=START, changes_definitions=True)


async def found(client: AsyncClient, log: EventLog, **query: str | int) -> list[str]:
    answer = await client.get("/api/triggers", params={"after": (await log.head()).position, **query})
    assert answer.status_code == 200, answer.text
    return [f"{item['workflow_id']}/{item['id']}" for item in answer.json()["items"]]


async def test_the_triggers_of_all_workflows_are_one_list(client: AsyncClient, log: EventLog) -> None:
    await log.append([created(), scheduled("report"), created("gone")])
    await log.append([archived("gone")])
    run_id = await append_chain_run(log, Clock(), 1)
    after = {"after": (await log.head()).position}
    by_event, nightly, off = (await client.get("/api/triggers", params=after)).json()["items"]
    assert (by_event["workflow_id"], by_event["id"], by_event["workflow_name"]) == ("chain", "on-order", "Chain")
    assert by_event["last_decision"]["decision"] == "fired"
    assert by_event["last_decision"]["run_id"] == str(run_id)
    assert by_event["next_at"] is None
    assert (nightly["name"], nightly["enabled"], nightly["last_decision"]) == ("Every night", True, None)
    assert nightly["definition"] == NIGHTLY
    assert nightly["next_at"].endswith("T03:00:00Z")
    assert (off["enabled"], off["next_at"]) == (False, None)


async def test_triggers_are_found_by_type_and_by_words_and_paged(client: AsyncClient, log: EventLog) -> None:
    await log.append([created(), scheduled("report")])
    assert await found(client, log, type="schedule") == ["report/nightly", "report/off"]
    assert await found(client, log, search="every NIGHT") == ["report/nightly"]
    assert await found(client, log, search="chain") == ["chain/on-order"]
    assert await found(client, log, search="%") == []
    assert await found(client, log, workflow_id="chain") == ["chain/on-order"]
    first = (await client.get("/api/triggers", params={"limit": 2})).json()
    rest = (await client.get("/api/triggers", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in (*first["items"], *rest["items"])] == ["on-order", "nightly", "off"]
    assert rest["next_cursor"] is None


async def test_an_event_tells_what_every_trigger_said_to_it(client: AsyncClient, log: EventLog) -> None:
    clock = Clock()
    await log.append([created()])
    group, cause = received(2, clock())
    refused = TriggerDecided(
        trigger_id="on-order", trigger_version=1, workflow_id="chain", cause=cause, decision="not_matched", reason="no"
    )
    await log.append([group])
    await log.append([Append([StreamAppend("cause", cause.stream_id, 1, new(refused))], recorded_at=clock())])
    after = {"after": (await log.head()).position}
    event = (await client.get(f"/api/events/{cause.event_id}", params=after)).json()
    assert (event["id"], event["data"], event["caused"][0]["decision"]) == ("order-2", {"number": 2}, "not_matched")
    [answer] = (await client.get(f"/api/events/{cause.event_id}/decisions", params=after)).json()["items"]
    assert (answer["trigger_id"], answer["decision"], answer["reason"]) == ("on-order", "not_matched", "no")
    assert (answer["run_id"], answer["run_status"], answer["cause"]["id"]) == (None, None, "order-2")


async def test_an_answer_that_started_a_run_tells_how_it_stands(client: AsyncClient, log: EventLog) -> None:
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    [event] = (await client.get("/api/events", params={"after": (await log.head()).position})).json()["items"]
    [answer] = (await client.get(f"/api/events/{event['event_id']}/decisions")).json()["items"]
    assert (answer["decision"], answer["run_id"], answer["run_status"]) == ("fired", str(run_id), "completed")


async def test_an_event_that_is_not_there_is_not_found_and_has_no_decisions(client: AsyncClient, log: EventLog) -> None:
    await log.append([created()])
    missing = await client.get(f"/api/events/{NOBODY}", params={"after": (await log.head()).position})
    assert (missing.status_code, missing.json()["status"]) == (404, 404)
    assert (await client.get(f"/api/events/{NOBODY}/decisions")).json() == {"items": [], "next_cursor": None}
