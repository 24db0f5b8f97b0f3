"""What the first pages of a console read, over HTTP: workflows with their last runs, what is due, how all stands."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flowforge.events import WorkflowCreated, WorkflowUpdated
from flowforge.identity import named_stream
from histories import START, Clock, append_chain_run, created, definition, new, raw
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend

NOW = datetime.now(UTC).replace(microsecond=0)


async def get(client: AsyncClient, log: EventLog, path: str, **query: Any) -> Any:
    response = await client.get(path, params={"after": (await log.head()).position, **query})
    assert response.status_code == 200, response.text
    return response.json()


def clocked(trigger_id: str, **fields: Any) -> dict[str, Any]:
    cron = fields.pop("cron", "0 0 * * *")
    return {"id": trigger_id, "name": trigger_id.title(), "type": "schedule", "config": {"cron": cron}, **fields}


def saved(workflow_id: str, *triggers: dict[str, Any], version: int = 1, **fields: Any) -> Append:
    written = raw({**definition(workflow_id), "triggers": list(triggers), **fields})
    kind = WorkflowCreated if version == 1 else WorkflowUpdated
    event = kind(workflow_id=workflow_id, workflow_version=version, definition=written)
    stream = StreamAppend("workflow", named_stream("workflow", workflow_id), version - 1, new(event))
    return Append([stream], recorded_at=START, actor="ada", changes_definitions=True)


async def test_what_is_due_first_is_told_first_over_all_workflows(client: AsyncClient, log: EventLog):
    await log.append([saved("slow", clocked("yearly", cron="0 0 1 1 *"), clocked("each-minute", cron="* * * * *"))])
    await log.append([saved("fast", clocked("each-second", cron="* * * * * *"))])
    due = (await get(client, log, "/api/upcoming"))["items"]
    assert [(each["workflow_id"], each["trigger_id"]) for each in due] == [
        ("fast", "each-second"), ("slow", "each-minute"), ("slow", "yearly"),
    ]  # fmt: skip
    assert due[0]["trigger_name"] == "Each-Second"
    assert len((await get(client, log, "/api/upcoming", limit=1))["items"]) == 1


async def test_what_is_disabled_a_draft_or_over_is_not_due(client: AsyncClient, log: EventLog):
    over = {"cron": "* * * * *", "end_at": "2020-01-01T00:00:00Z"}
    await log.append([
        saved("one", clocked("off", enabled=False), {**clocked("over"), "config": over}),
        saved("two", clocked("on"), status="draft"),
    ])  # fmt: skip
    assert (await get(client, log, "/api/upcoming"))["items"] == []


async def test_a_changed_schedule_is_due_at_its_new_time(client: AsyncClient, log: EventLog):
    await log.append([saved("one", clocked("t", cron="0 0 1 1 *"))])
    assert len((await get(client, log, "/api/upcoming"))["items"]) == 1
    await log.append([saved("one", clocked("t", cron="* * * * *"), version=2)])
    [due] = (await get(client, log, "/api/upcoming"))["items"]
    assert datetime.fromisoformat(due["due_at"]) <= datetime.now(UTC) + timedelta(minutes=1)


async def test_a_workflow_whose_last_schedule_goes_is_due_no_more_and_is_again_once_one_comes(
    client: AsyncClient, log: EventLog
):
    await log.append([saved("one", clocked("t"))])
    assert len((await get(client, log, "/api/upcoming"))["items"]) == 1
    await log.append([saved("one", clocked("t", enabled=False), version=2)])
    assert (await get(client, log, "/api/upcoming"))["items"] == []
    await log.append([saved("one", clocked("t"), version=3)])
    assert len((await get(client, log, "/api/upcoming"))["items"]) == 1


async def test_workflows_are_listed_with_their_last_runs_and_what_fires_next(client: AsyncClient, log: EventLog):
    await log.append([saved("chain", clocked("daily"), {"id": "m", "type": "manual", "enabled": False})])
    clock = Clock()
    runs = [await append_chain_run(log, clock, number, fails=number == 1) for number in range(3)]
    [row] = (await get(client, log, "/api/workflow-activity"))["items"]
    assert [each["run_id"] for each in row["last_runs"]] == [str(run) for run in runs]
    assert [each["status"] for each in row["last_runs"]] == ["completed", "failed", "completed"]
    assert row["last_runs"][0]["duration_ms"] == 10
    assert (row["triggers_count"], row["triggers_enabled_count"], row["active_runs"]) == (2, 1, 0)
    assert row["next_firing"]["trigger_id"] == "daily"
    assert "nodes" not in row


async def test_counts_of_the_last_days_are_told(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    clock.at = NOW
    for number in range(4):
        await append_chain_run(log, clock, number, fails=number == 0)
    [row] = (await get(client, log, "/api/workflow-activity"))["items"]
    assert (row["counts"]["completed"], row["counts"]["failed"], row["counts"]["success_rate"]) == (3, 1, 0.75)
    hours = (await get(client, log, "/api/stats"))["usage"]["hours"]
    assert sum(each["runs"]["created"] for each in hours) == 4


async def test_workflows_are_found_by_id_name_tag_and_state(client: AsyncClient, log: EventLog):
    await log.append([
        saved("orders", name="Order pipeline", tags=["shop"]),
        saved("nightly", name="Import", status="archived"),
        saved("draft", name="100% new", status="draft"),
    ])  # fmt: skip

    async def found(**query: Any) -> list[str]:
        return [each["workflow_id"] for each in (await get(client, log, "/api/workflow-activity", **query))["items"]]

    assert await found() == ["draft", "nightly", "orders"]
    assert await found(search="ORDER") == ["orders"]
    assert await found(search="0% n") == ["draft"]
    assert await found(tag="shop") == ["orders"]
    assert await found(status="archived") == ["nightly"]
    assert await found(archived="false") == ["draft", "orders"]


async def test_pages_of_workflows_neither_repeat_nor_lose_one(client: AsyncClient, log: EventLog):
    for number in range(5):
        await log.append([created(f"w{number}")])
    seen, cursor = list[str](), None
    while True:
        query = {} if cursor is None else {"cursor": cursor}
        page = await get(client, log, "/api/workflow-activity", limit=2, **query)
        seen += [each["workflow_id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["w4", "w3", "w2", "w1", "w0"]


async def test_the_system_tells_where_log_and_read_models_stand(client: AsyncClient, log: EventLog):
    await log.append([created()])
    view = await get(client, log, "/api/system")
    assert (view["log_position"], view["read_models_lag_events"], view["read_models_lag_s"]) == (1, 0, 0)
    assert view["active_runs"] == {"pending": 0, "running": 0, "paused": 0}


async def test_without_nats_nothing_is_said_of_who_is_up(client: AsyncClient, log: EventLog):
    view = await get(client, log, "/api/system")
    assert view["is_bus_up"] is False
    assert {one["is_up"] for one in view["services"]} == {None}
