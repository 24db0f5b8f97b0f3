"""Schedules in the whole system: the clock starts runs, each due time one, also when the scheduler is killed."""

import asyncio
from typing import Any

from flowforge import Client

from infra.embedded.cluster import Cluster

WAIT_S = 30


def ticking(**more: Any) -> dict[str, Any]:
    trigger = {"id": "tick", "type": "schedule", "config": {"every_ms": 200, "catch_up": "all"}, **more}
    node = {"id": "n", "type": "data_transform", "expressions": {"at": "${event.data.scheduled_at}"}}
    return {
        "id": "ticking", "name": "Ticking", "nodes": [node], "triggers": [trigger],
        "output_mapping": {"at": "${nodes.n.output.at}"},
    }  # fmt: skip


async def completed(client: Client) -> list[dict[str, Any]]:
    page = await client.runs(workflow_id="ticking", status="completed", limit=200)
    return page["items"]


async def until_more_than(client: Client, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(WAIT_S):
        while len(items := await completed(client)) <= count:
            await asyncio.sleep(0.1)
    return items


async def test_the_clock_starts_a_run_for_each_due_time_also_through_a_kill(cluster: Cluster) -> None:
    async with Client(home=cluster.home.folder) as client:
        await client.save_workflow(ticking())
        before = len(await until_more_than(client, 5))
        await cluster.restart("scheduler")
        await until_more_than(client, before + 10)
        await client.save_workflow(ticking(enabled=False))
        runs = await until_more_than(client, before + 10)
        at = sorted([(await client.run(run["run_id"]))["output_data"]["at"] for run in runs])
        assert len(at) == len(set(at)) > before + 10
        [view] = {run["trigger"]["type"] for run in runs}
        assert view == "schedule"
        page = await client.decisions("ticking", "tick", limit=200)
        assert {item["decision"] for item in page["items"]} <= {"fired", "suppressed"}
        assert {item["cause"]["type"] for item in page["items"]} == {"ScheduleFired"}


async def test_what_is_upcoming_is_told(cluster: Cluster) -> None:
    async with Client(home=cluster.home.folder) as client:
        definition = ticking()
        definition |= {"id": "later", "triggers": [{"id": "t", "type": "schedule", "config": {"cron": "0 3 1 1 *"}}]}
        await client.save_workflow(definition)
        items = await client.upcoming("later", "t", 2)
        assert [item["scheduled_at"][4:] for item in items] == ["-01-01T03:00:00Z"] * 2


async def test_the_past_is_made_up_for_once_and_its_runs_are_found_by_their_label(cluster: Cluster) -> None:
    async with Client(home=cluster.home.folder) as client:
        nightly = {"id": "night", "type": "schedule", "config": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}}
        await client.save_workflow({**ticking(), "id": "past", "triggers": [nightly]})
        window = ("2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z")
        preview = await client.backfill("past", "night", *window, dry_run=True)
        assert preview["count"] == 4
        assert (await client.runs(workflow_id="past"))["items"] == []
        done = await client.backfill("past", "night", *window)
        async with asyncio.timeout(WAIT_S):
            while len(items := (await client.runs(label=done["label"], status="completed"))["items"]) < done["count"]:
                await asyncio.sleep(0.1)
        outputs = [(await client.run(item["run_id"]))["output_data"]["at"] for item in items]
        assert sorted(outputs) == [item["scheduled_at"] for item in preview["items"]]
        assert "2026-03-29T01:00:00Z" in outputs, "the night without half past two"
        again = await client.backfill("past", "night", *window)
        assert (again["count"], (await client.runs(label=again["label"]))["items"]) == (0, [])
        page = await client.decisions("past", "night")
        assert [item["decision"] for item in page["items"]] == ["fired"] * 4
