"""Overlap as the public page promises it: how many runs go on at once, and what becomes of one too many."""

import asyncio
import json
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, node_runs, problem, workflow

EVENTS = 20


def limited(*nodes: Object, event_type: str = "", queue_timeout_ms: int | None = None, **concurrency: Any) -> Object:
    """A workflow with `concurrency`, started by hand and by events of that type."""
    settings: Object = {"concurrency": concurrency}
    if queue_timeout_ms is not None:
        settings["queue_timeout_ms"] = queue_timeout_ms
    triggers = [{"id": "t", "type": "event", "config": {"event_type": event_type}}] if event_type else []
    return workflow(*(nodes or (endless(),)), settings=settings, triggers=triggers)


def endless(node_id: str = "work", **fields: Any) -> Object:
    """A job that nobody serves: its run goes on until it is cancelled."""
    return {"id": node_id, "type": "job", "job_type": fresh("nobody"), **fields}


def status(stranger: Stranger, run_id: str) -> str:
    return stranger.get(f"/api/runs/{run_id}")["status"]


def until(stranger: Stranger, run_id: str, wanted: str) -> Object:
    """The run once it stands like that; the test's own timeout ends the wait."""
    while (run := stranger.get(f"/api/runs/{run_id}"))["status"] != wanted:
        pass
    return run


def cancel(stranger: Stranger, run_id: str, reason: str = "enough") -> Object:
    answer = stranger.send("POST", f"/api/runs/{run_id}/cancel", {"reason": reason})
    assert answer.status_code == 202, answer.text
    return stranger.ended(run_id)


def publish(stranger: Stranger, event_type: str, data: Any = None) -> str:
    name = fresh("event")
    event = {"specversion": "1.0", "id": name, "source": "/tests", "type": event_type, "data": data or {}}
    answer = stranger.send("POST", "/api/events", event)
    assert answer.status_code == 202, answer.text
    return name


def decisions(stranger: Stranger, slug: str, cause: str, count: int, trigger: str = "t") -> list[Object]:
    """What was decided about the cause, oldest first, once there is so much of it."""
    path = f"/api/workflows/{slug}/triggers/{trigger}/decisions"
    while len(found := list(stranger.all(path, cause=cause))) < count:
        pass
    return found[::-1]


def said(decision: Object) -> tuple[str, str | None]:
    return decision["decision"], decision["reason"]


async def test_twenty_events_at_once_run_two_by_two_and_all_complete_in_order(stranger: Stranger):
    event_type = fresh("many")
    definition = limited(bash("work", "sleep 0.05"), event_type=event_type, limit=2)
    stranger.save(definition)
    names = [fresh("event") for _ in range(EVENTS)]
    async with stranger.nats() as connection:
        for name in names:
            event = {"specversion": "1.0", "id": name, "source": "/tests", "type": event_type, "data": {}}
            await connection.publish("flowforge.inbox.overlap", json.dumps(event).encode())
        await connection.flush()
    runs: list[Object] = []
    while len(runs) < EVENTS or any(run["completed_at"] is None for run in runs):
        await asyncio.sleep(0.05)
        runs = await asyncio.to_thread(lambda: list(stranger.all("/api/runs", workflow_id=definition["id"])))
    assert {run["status"] for run in runs} == {"completed"}
    runs.sort(key=lambda run: run["started_at"])
    assert [run["cause"]["id"] for run in runs] == names
    for run in runs:
        together = [each for each in runs if each["started_at"] <= run["started_at"] < each["completed_at"]]
        assert len(together) <= 2, together
    idle = {"items": [], "next_cursor": None, "slots": []}
    while stranger.get(f"/api/workflows/{definition['id']}/active") != idle:  # a slot is free just after its run ended
        await asyncio.sleep(0.05)


def test_one_too_many_waits_and_says_why_then_it_fires(stranger: Stranger):
    event_type = fresh("queue")
    definition = limited(event_type=event_type, limit=1, key="${input.customer}")
    stranger.save(definition)
    first = stranger.execute(definition["id"], input_data={"customer": "eu"})
    until(stranger, first, "running")
    cause = publish(stranger, event_type, {"customer": "eu"})
    other = publish(stranger, event_type, {"customer": "us"})
    [fired] = decisions(stranger, definition["id"], other, 1)
    assert said(fired) == ("fired", None), "another key has slots of its own"
    [held] = decisions(stranger, definition["id"], cause, 1)
    assert said(held) == ("held", "concurrency")
    assert first in held["detail"]
    assert "place 1" in held["detail"]
    second = held["run_id"]
    run = stranger.get(f"/api/runs/{second}")
    assert run["status"] == "pending"
    assert run["waiting_for"] == {
        "reason": "concurrency", "pool": None, "key": "eu", "limit": 1, "position": 1, "in_use": 1, "holders": [first],
    }  # fmt: skip
    active = stranger.get(f"/api/workflows/{definition['id']}/active")
    assert {(item["run_id"], item["trigger"]["type"]) for item in active["items"]} == {
        (first, "manual"), (second, "event"), (fired["run_id"], "event"),
    }  # fmt: skip
    assert {(use["key"], use["limit"], use["in_use"], use["waiting"]) for use in active["slots"]} == {
        ("eu", 1, 1, 1), ("us", 1, 1, 0),
    }  # fmt: skip
    cancel(stranger, first)
    until(stranger, second, "running")
    assert list(map(said, decisions(stranger, definition["id"], cause, 2))) == [
        ("held", "concurrency"),
        ("fired", None),
    ]
    kinds = [event["type"] for event in stranger.history(second)]
    assert kinds[:3] == ["WorkflowTriggered", "RunQueued", "RunStarted"]
    for run_id in (second, fired["run_id"]):
        cancel(stranger, run_id)


def test_skip_is_a_decision_and_for_execute_a_conflict_that_may_be_overridden(stranger: Stranger):
    event_type = fresh("skip")
    definition = limited(event_type=event_type, limit=1, on_conflict="skip")
    stranger.save(definition)
    first = stranger.execute(definition["id"])
    cause = publish(stranger, event_type)
    [suppressed] = decisions(stranger, definition["id"], cause, 1)
    assert said(suppressed) == ("suppressed", "overlap")
    assert first in suppressed["detail"]
    assert suppressed["run_id"] is None
    told = problem(stranger.send("POST", f"/api/workflows/{definition['id']}/execute", {}), 409)
    assert told["code"] == "CONCURRENT_EXECUTION_CONFLICT"
    assert told["run_ids"] == [first]
    assert first in told["detail"]
    second = stranger.execute(definition["id"], options={"override_running": True})
    until(stranger, second, "running")
    [use] = stranger.get(f"/api/workflows/{definition['id']}/active")["slots"]
    assert (use["limit"], use["in_use"]) == (1, 2)
    for run_id in (first, second):
        cancel(stranger, run_id)


def test_cancel_running_ends_the_older_run_cleanup_included_and_leaves_one_waiting_at_most(stranger: Stranger):
    tidy = bash("tidy", "true", run_if="all_done")
    definition = limited(endless(), tidy, limit=1, on_conflict="cancel_running")
    definition["edges"] = [edge("work", "tidy")]
    stranger.save(definition)
    first = stranger.execute(definition["id"])
    until(stranger, first, "running")
    second = stranger.execute(definition["id"])
    third = stranger.execute(definition["id"])
    ended = stranger.ended(first)
    assert ended["status"] == "cancelled"
    assert second in ended["error"]["message"]
    assert node_runs(ended)["tidy"]["status"] == "completed"
    assert stranger.ended(second)["status"] == "cancelled"
    until(stranger, third, "running")
    cancel(stranger, third)


def test_workflows_share_a_pool(stranger: Stranger):
    pool = fresh("pool")
    one, two = (limited(limit=1, pool=pool) for _ in range(2))
    stranger.save(one)
    stranger.save(two)
    first, second = stranger.execute(one["id"]), stranger.execute(two["id"])
    waits = until(stranger, second, "pending")["waiting_for"]
    assert (waits["pool"], waits["holders"]) == (pool, [first])
    cancel(stranger, first)
    until(stranger, second, "running")
    cancel(stranger, second)


@pytest.mark.parametrize("ending", ["timeout", "cancel"])
def test_a_run_leaves_the_queue_when_it_waited_too_long_or_is_cancelled(stranger: Stranger, ending: str):
    event_type = fresh("leave")
    definition = limited(event_type=event_type, limit=1, queue_timeout_ms=300 if ending == "timeout" else None)
    stranger.save(definition)
    first = stranger.execute(definition["id"])
    cause = publish(stranger, event_type)
    [held, *_] = decisions(stranger, definition["id"], cause, 1)
    second = held["run_id"]
    if ending == "timeout":
        run = stranger.ended(second)
        assert (run["status"], run["error"]["code"]) == ("failed", "EXECUTION_TIMEOUT")
        assert "queue" in run["error"]["message"]
    else:
        assert cancel(stranger, second)["status"] == "cancelled"
    final = decisions(stranger, definition["id"], cause, 2)[-1]
    assert said(final) == (("expired", "concurrency") if ending == "timeout" else ("suppressed", "cancelled"))
    assert status(stranger, first) == "running"
    third = stranger.execute(definition["id"])
    assert until(stranger, third, "pending")["waiting_for"]["position"] == 1
    for run_id in (third, first):
        cancel(stranger, run_id)


def test_a_higher_priority_goes_first_and_a_raised_limit_lets_more_in(stranger: Stranger):
    definition = limited(limit=1)
    stranger.save(definition)
    first = stranger.execute(definition["id"])
    low = stranger.execute(definition["id"])
    high = stranger.execute(definition["id"], priority=5)
    assert until(stranger, low, "pending")["waiting_for"]["position"] == 2
    definition["settings"]["concurrency"]["limit"] = 2
    answer = stranger.send("PUT", f"/api/workflows/{definition['id']}", definition)
    assert answer.status_code == 200, answer.text
    until(stranger, high, "running")
    assert status(stranger, low) == "pending"
    for run_id in (low, high, first):
        cancel(stranger, run_id)


def test_a_key_that_names_what_is_not_there_is_told_at_save_and_one_without_a_value_when_it_starts(stranger: Stranger):
    definition = limited(limit=1, key="${nodes.work.output}")
    told = problem(stranger.send("POST", "/api/workflows", definition), 422)
    assert told["errors"][0]["path"] == "$.settings.concurrency.key"
    event_type = fresh("key")
    definition = limited(event_type=event_type, limit=1, key="${input.customer}")
    stranger.save(definition)
    cause = publish(stranger, event_type, {"n": 1})
    [failed] = decisions(stranger, definition["id"], cause, 1)
    assert (failed["decision"], failed["detail"]) == ("failed", "input.customer")
    told = problem(stranger.send("POST", f"/api/workflows/{definition['id']}/execute", {}), 422)
    assert told["errors"][0]["path"] == "$.settings.concurrency.key"
