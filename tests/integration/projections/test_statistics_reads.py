"""Statistics, estimates, lineage and the pages of a timeline, over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flowforge.events import (
    Cause,
    Event,
    ForkedFrom,
    NodeCompleted,
    NodeQueued,
    NodeStarted,
    RunRetried,
    RunRetryRequested,
    RunStarted,
)
from flowforge.identity import derived_uuid, event_id
from histories import START, Clock, append_chain_run, chain_events, created, failing_events, new, received, triggered
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend

WEEK = {"since": START.isoformat(), "until": (START + timedelta(hours=1)).isoformat()}


async def get(client: AsyncClient, log: EventLog, path: str, **query: Any) -> dict[str, Any]:
    response = await client.get(path, params={"after": (await log.head()).position, **query})
    assert response.status_code == 200, response.text
    return response.json()


async def append_run(log: EventLog, clock: Clock, number: int, *events: Event, **fields: Any) -> UUID:
    group, cause = received(number, clock())
    first = triggered(cause, clock(), **fields)
    await log.append([group])
    for version, event in enumerate((first, *events)):
        await log.append([Append([StreamAppend("run", first.run_id, version, new(event))], recorded_at=clock())])
    return first.run_id


async def test_a_workflow_tells_what_became_of_its_runs_and_how_long_they_took(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    for number in range(3):
        await append_chain_run(log, clock, number)
    await append_chain_run(log, clock, 3, fails=True)
    stats = await get(client, log, "/api/workflows/chain/stats", **WEEK)
    assert stats["runs"] == {
        "created": 4, "completed": 3, "failed": 1, "cancelled": 0, "partial": 0, "success_rate": 0.75,
    }  # fmt: skip
    assert stats["durations"] == {"count": 3, "average_ms": 10.0, "p50_ms": 10, "p95_ms": 10, "p99_ms": 10}
    assert stats["throughput_per_hour"] == 2.0
    assert [(each["type"], each["id"], each["runs"]["created"]) for each in stats["triggers"]] == [
        ("event", "on-order", 4)
    ]
    assert [(each["hour"], each["runs"]["failed"]) for each in stats["hours"]] == [("2026-03-01T12:00:00Z", 1)]
    a, b, c = sorted(stats["nodes"], key=lambda node: node["node_id"])
    assert (a["completed_count"], a["timed_count"], a["average_ms"], a["deviation_ms"]) == (4, 4, 1.0, 0.0)
    assert (b["completed_count"], b["failed_count"], c["skipped_count"]) == (3, 1, 1)


async def test_a_run_that_is_retried_does_not_count_as_failed_any_more(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_events = failing_events(UUID(int=0))
    retried = [RunRetryRequested(cleared=["b", "c"], command_id="x"), RunRetried(cleared=["b", "c"])]
    await append_run(log, Clock(), 1, *run_events, *retried)
    stats = await get(client, log, "/api/workflows/chain/stats", **WEEK)
    assert (stats["runs"]["created"], stats["runs"]["failed"], stats["active"]) == (1, 0, 1)
    assert (await get(client, log, "/api/stats"))["runs"] == {"running": 1}


async def test_the_installation_tells_who_and_what_runs_were_for(client: AsyncClient, log: EventLog):
    await log.append([created(), created("other")])
    clock = Clock()
    for number, workflow in enumerate(("chain", "other", "chain")):
        await append_chain_run(log, clock, number, workflow_id=workflow)
    stats = await get(client, log, "/api/stats", **WEEK)
    assert [(each["workflow_id"], each["runs"]["created"]) for each in stats["usage"]["workflows"]] == [
        ("chain", 2),
        ("other", 1),
    ]
    assert stats["runs"] == {"completed": 3}
    assert stats["received_events"] == 3


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "query.since"),
        ({"since": "2020-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "query.since"),
        ({"since": "yesterday"}, "since"),
    ],
)
async def test_a_period_that_is_none_is_refused(client: AsyncClient, log: EventLog, query: dict[str, str], name: str):
    await log.append([created()])
    answer = await client.get("/api/workflows/chain/stats", params={"after": 1, **query})
    assert answer.status_code == 400
    assert name in answer.text


async def test_statistics_of_an_unknown_workflow_are_not_found(client: AsyncClient, log: EventLog):
    await log.append([created()])
    assert (await client.get("/api/workflows/nope/stats", params={"after": 1})).status_code == 404


async def test_a_running_run_tells_how_long_it_may_still_take_and_how_sure_that_is(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    for number in range(5):
        await append_chain_run(log, clock, number)
    run = await append_run(log, clock, 9, RunStarted(total_nodes=3))
    told = await get(client, log, f"/api/runs/{run}")
    assert told["estimated_time_remaining_ms"] == told["estimate"]["remaining_ms"] == 3
    assert (told["estimate"]["based_on_runs"], told["estimate"]["confidence"]) == (5, 0.5)
    [listed] = (await get(client, log, "/api/runs", status="running"))["items"]
    assert listed["estimated_time_remaining_ms"] == 3


async def test_a_run_that_has_ended_or_never_ran_before_has_no_estimate(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    first = await append_run(log, clock, 1, RunStarted(total_nodes=3))
    assert (await get(client, log, f"/api/runs/{first}"))["estimate"] is None
    ended = await append_chain_run(log, clock, 2)
    told = await get(client, log, f"/api/runs/{ended}")
    assert (told["estimate"], told["estimated_time_remaining_ms"]) == (None, None)


# --- lineage ----------------------------------------------------------------------------------------------------------


async def append_caused(log: EventLog, clock: Clock, by: UUID, name: str, **fields: Any) -> UUID:
    at = clock()
    stream = derived_uuid(at, "cause", name)
    cause = Cause(
        event_id=event_id(stream, 1, at), type="RunCompleted", id=name, source=f"/flowforge/run/{by}", stream_id=by
    )
    first = triggered(cause, at, depth=2, **fields)
    await log.append([Append([StreamAppend("run", first.run_id, 0, new(first))], recorded_at=at)])
    return first.run_id


async def test_a_run_tells_what_led_to_it_and_what_came_of_it(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    root = await append_chain_run(log, clock, 1)
    after = await append_caused(log, clock, root, "e1")
    later = await append_caused(log, clock, after, "e2")
    child = await append_caused(log, clock, root, "e3", parent_run_id=root, parent_node_id="a")
    fork = ForkedFrom(run_id=root, version=3, position=5)
    forked = await append_run(log, clock, 2, fork=fork)
    effects = await get(client, log, f"/api/runs/{root}/effects")
    assert [
        (each["run_id"], each["relation"], each["step"], each["caused_by_run_id"]) for each in effects["items"]
    ] == [
        (str(after), "trigger", 1, str(root)),
        (str(later), "trigger", 2, str(after)),
        (str(child), "child", 1, str(root)),
        (str(forked), "fork", 1, str(root)),
    ]
    causes = await get(client, log, f"/api/runs/{later}/causes")
    assert [each["run_id"] for each in causes["items"]] == [str(later), str(after), str(root)]
    page = await get(client, log, f"/api/runs/{root}/effects", limit=3)
    rest = await get(client, log, f"/api/runs/{root}/effects", limit=3, cursor=page["next_cursor"])
    assert [each["run_id"] for each in (*page["items"], *rest["items"])] == [
        each["run_id"] for each in effects["items"]
    ]


async def test_an_event_from_outside_that_looks_like_the_end_of_a_run_has_no_run_before_it(
    client: AsyncClient, log: EventLog
):
    await log.append([created()])
    clock = Clock()
    root = await append_chain_run(log, clock, 1)
    at = clock()
    source = f"/flowforge/run/{root}"
    cause = Cause(event_id=derived_uuid(at, "x"), type="RunCompleted", id="x", source=source, stream_id=root)
    first = triggered(cause, at)
    await log.append([Append([StreamAppend("run", first.run_id, 0, new(first))], recorded_at=at)])
    assert (await get(client, log, f"/api/runs/{root}/effects"))["items"] == []
    assert len((await get(client, log, f"/api/runs/{first.run_id}/causes"))["items"]) == 1


async def test_lineage_of_an_unknown_run_is_not_found(client: AsyncClient, log: EventLog):
    await log.append([created()])
    for name in ("causes", "effects"):
        answer = await client.get(f"/api/runs/{UUID(int=7)}/{name}", params={"after": 1})
        assert answer.status_code == 404


# --- pages of attempts ------------------------------------------------------------------------------------------------


async def test_the_pages_of_a_timeline_and_of_jobs_are_the_whole_of_them(client: AsyncClient, log: EventLog):
    await log.append([created()])
    events: list[Event] = [RunStarted(total_nodes=1), NodeStarted(node_id="a", instances_count=40)]
    events += [NodeQueued(node_id="a", instance=str(n), job_id=derived_uuid(START, n), job_type="w") for n in range(40)]
    events += [NodeStarted(node_id="a", instance=str(n), worker="w") for n in range(40)]
    events += [NodeCompleted(node_id="a", instance=str(n)) for n in reversed(range(38))]
    run = await append_run(log, Clock(), 1, *events)
    for path, count in (("timeline", 41), ("jobs", 40)):
        whole = (await get(client, log, f"/api/runs/{run}/{path}", limit=1000))["items"]
        assert len(whole) == count
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await get(client, log, f"/api/runs/{run}/{path}", limit=7, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == whole
    assert [item["status"] for item in whole] == ["running", "running", *["completed"] * 38]


async def test_metrics_tell_what_was_saved_against_one_after_the_other(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    run = await append_run(log, clock, 1, *chain_events(UUID(int=0)))
    metrics = await get(client, log, f"/api/runs/{run}/metrics")
    assert (metrics["run_duration_ms"], metrics["sequential_duration_ms"], metrics["time_saved_ms"]) == (10, 3, -7)
