"""Time travel tells what was read then: at every position of random histories, folded anew, what the live tables told."""

from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from flowforge.events import Event, RunCancelled, RunRetryRequested, RunStarted, WorkflowCreated, WorkflowTriggered
from flowforge.identity import named_stream
from histories import START, created, new, raw, received, triggered
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend
from tests.unit.execution.random_histories import Chances, RandomHistory
from tests.unit.execution.random_workflows import FLAGS, random_workflow

NOT_OF_THEN = {"as_of", "estimate", "estimated_time_remaining_ms", "waiting_for"}
"""Of now only: what others need, and how long it usually takes."""


def random_history(seed: int) -> tuple[dict[str, Any], RandomHistory]:
    """A run to its end, with failures, pauses and repeats, and perhaps a retry of it."""
    rng = Random(seed)
    definition = random_workflow(rng, 8)
    flags = {flag: rng.random() < 0.5 for flag in FLAGS}
    history = RandomHistory(definition, seed, Chances(failure=0.3, pause=0.1), flags, None)
    history.start()
    history.go_on()
    if history.retry():
        history.go_on()
    return definition, history


@pytest.mark.parametrize("seed", [4, 6, 25])
async def test_the_state_at_every_position_is_what_was_read_then(client: AsyncClient, log: EventLog, seed: int):
    definition, history = random_history(seed)
    saved = WorkflowCreated(workflow_id="wf", workflow_version=1, definition=raw(definition))
    workflow = StreamAppend("workflow", named_stream("workflow", "wf"), 0, new(saved))
    await log.append([Append([workflow], recorded_at=START, changes_definitions=True)])
    first = history.events[0][0]
    assert isinstance(first, WorkflowTriggered)
    path = f"/api/runs/{first.run_id}"
    seen: dict[int, Any] = {}
    for version, (event, at) in enumerate(history.events):
        stream = StreamAppend("run", first.run_id, version, new(event))
        await log.append([Append([stream], recorded_at=at)])
        position = (await log.head()).position
        answer = await client.get(path, params={"after": position})
        assert answer.status_code == 200, answer.text
        seen[position] = answer.json()
    assert len(seen) > 20, "the history is too short to tell anything"
    for position, then in seen.items():
        state = (await client.get(f"{path}/state", params={"at": position})).json()
        assert state["as_of"]["position"] == position
        for of_now in NOT_OF_THEN:
            state.pop(of_now, None)
            then.pop(of_now, None)
        assert state == then, f"seed {seed}, position {position}"


TOOK_S = (0.0, 0.5, 1.0, 3.9, 70.0, 3_000.0, 1e5, 5e5, None)


Life = tuple[str, list[tuple[datetime, datetime | None]]]


async def append_lives(log: EventLog) -> list[Life]:
    """Runs that took very different times, or have not ended, their events in the order of time: from when to when each was
    active. One of them waits for the slot of a retry."""
    lives: list[Life] = []
    steps: list[tuple[datetime, UUID, int, list[Event]]] = []
    for number in range(2 * len(TOOK_S)):
        began, took_s = START + timedelta(seconds=number * 211.5), TOOK_S[number % len(TOOK_S)]
        group, cause = received(number, began)
        await log.append([group])
        first = triggered(cause, began)
        ended = None if took_s is None else began + timedelta(seconds=took_s)
        steps.append((began, first.run_id, 0, [first, RunStarted(total_nodes=3)]))
        if ended is not None:
            steps.append((ended, first.run_id, 2, [RunCancelled(reason="")]))
        lives.append((str(first.run_id), [(began, ended)]))
    again, (began, _) = UUID(lives[1][0]), lives[1][1][0]
    asked_at = began + timedelta(seconds=1_000)
    steps.append((asked_at, again, 3, [RunRetryRequested(cleared=["a"])]))
    lives[1][1].append((asked_at, None))
    for at, run_id, version, events in sorted(steps, key=lambda step: step[0]):
        await log.append([Append([StreamAppend("run", run_id, version, new(*events))], recorded_at=at)])
    return lives


def was_active(life: Life, at: datetime) -> bool:
    return any(began <= at and (ended is None or ended > at) for began, ended in life[1])


async def active(client: AsyncClient, at: str) -> list[str]:
    """Two at a time, page by page."""
    found: list[str] = []
    query: dict[str, Any] = {"active_at": at, "limit": 2}
    while True:
        page = (await client.get("/api/runs", params=query)).json()
        found += [run["run_id"] for run in page["items"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def test_what_was_active_is_found_whenever_it_was_and_however_long_it_took(client: AsyncClient, log: EventLog):
    await log.append([created()])
    lives = await append_lives(log)
    head = (await log.head()).position
    assert (await client.get("/api/runs", params={"after": head})).status_code == 200
    for number in range(0, head, 13):
        event = await log.read_position(number + 1)
        assert event is not None
        for at in (event.recorded_at - timedelta(milliseconds=1), event.recorded_at):
            assert await active(client, at.isoformat()) == [life[0] for life in lives if was_active(life, at)][::-1]
    for position in (head // 3, head // 2, head):
        events = [event for run_id, *_ in lives for event in await log.read_stream(UUID(run_id))]
        last = {event.stream_id: event.type for event in events if event.position <= position}
        then = {str(run_id) for run_id, kind in last.items() if kind != RunCancelled.__name__}
        assert set(await active(client, str(position))) == then


async def test_nothing_was_active_before_the_beginning(client: AsyncClient, log: EventLog):
    await log.append([created()])
    for at in ("0001-01-01T00:00:00Z", "0001-01-02T00:00:00", "0", "2020-01-01T00:00:00Z"):
        assert await active(client, at) == []


async def test_a_time_at_the_end_of_all_times_is_refused(client: AsyncClient, log: EventLog):
    await log.append([created()])
    first, last = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"
    for path, name, at in (
        ("/api/runs", "active_at", first),
        ("/api/runs", "active_at", last),
        ("/api/stats", "until", "9999-12-31T23:59:59Z"),
        ("/api/stats", "until", "0001-01-01T00:00:00Z"),
        ("/api/workflows/chain/stats", "since", first),
        ("/api/workflows/chain", "at", last),
    ):
        answer = await client.get(path, params={name: at})
        assert answer.status_code == 400, (path, name, at, answer.text)
