"""Limits, circuit breakers, outputs that are used again and jobs that nobody takes, on a FlowForge that has limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from infra.embedded.cluster import Cluster
from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, python, workflow

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNS = 8
TOLD_WITHIN_S = 5
POOL_LIMIT, QUEUE_LIMIT = 2, 1
LIMITS = {
    "FLOWFORGE_POOLS": f"gpu={POOL_LIMIT}, db=1",
    "FLOWFORGE_QUEUE_LIMITS": f"narrow={QUEUE_LIMIT}",
    "FLOWFORGE_MAX_CONCURRENT_JOBS": "20",
    "FLOWFORGE_USER_MAX_CONCURRENT_JOBS": "15",
}
ENDS = {"NodeCompleted", "NodeFailed", "NodeCancelled", "NodeRetried"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def limited(server_home: Path) -> AsyncIterator[Cluster]:
    async with Cluster(server_home / "limited", env=LIMITS) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def somebody(limited: Cluster) -> Iterator[Stranger]:
    with Stranger(limited.home.folder) as stranger:
        yield stranger


async def ended(somebody: Stranger, runs: list[str]) -> list[Object]:
    return [await asyncio.to_thread(somebody.ended, run) for run in runs]


def most_at_once(somebody: Stranger, runs: list[str]) -> int:
    """How many jobs were under way at once, by the order of the log."""
    events = [(event, run) for run in runs for event in somebody.history(run)]
    events.sort(key=lambda each: each[0]["position"])
    under_way, most = set[tuple[str, str, str]](), 0
    for event, run in events:
        place = (run, event["data"].get("node_id", ""), event["data"].get("instance", ""))
        if event["type"] == "NodeQueued":
            under_way.add(place)
        elif event["type"] in ENDS:
            under_way.discard(place)
        most = max(most, len(under_way))
    return most


async def until(is_so: Any, what: str, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(is_so):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def kinds(somebody: Stranger, run: str) -> list[str]:
    return [event["type"] for event in somebody.history(run)]


async def test_no_more_than_the_pool_has_room_for_and_all_complete(somebody: Stranger):
    first, second = (workflow(bash("work", "sleep 0.2", pool="gpu")) for _ in range(2))
    for definition in (first, second):
        somebody.save(definition)
    runs = [somebody.execute(definition["id"]) for _ in range(RUNS // 2) for definition in (first, second)]
    assert {run["status"] for run in await ended(somebody, runs)} == {"completed"}
    assert most_at_once(somebody, runs) == POOL_LIMIT


async def test_a_queue_has_a_limit_whatever_serves_it(somebody: Stranger):
    nobody = workflow({"id": "work", "type": "job", "job_type": fresh("nobody"), "queue": "narrow"})
    somebody.save(nobody)
    runs = [somebody.execute(nobody["id"]) for _ in range(3)]
    node = f"/api/runs/{runs[2]}/nodes/work"
    await until(lambda: somebody.get(node)["status"] == "waiting", "the third is shown to wait")
    assert kinds(somebody, runs[2]).count("NodeWaiting") == 1
    shown = somebody.get(node)
    assert (shown["status"], shown["waiting_for"]["for"], shown["waiting_for"]["pool"]) == (
        "waiting", "pool", "queue:narrow",
    )  # fmt: skip
    assert most_at_once(somebody, runs) == QUEUE_LIMIT
    for run in runs:
        somebody.send("POST", f"/api/runs/{run}/cancel", {"reason": "enough"})
        await asyncio.to_thread(somebody.ended, run)


@pytest.mark.faults
async def test_killed_again_and_again_it_never_exceeds_the_limit_and_loses_no_place(
    limited: Cluster, somebody: Stranger
):
    definition = workflow(
        bash("a", "sleep 0.1", pool="gpu"),
        bash("b", "sleep 0.1", pool="db"),
        bash("m", "sleep 0.05", pool="gpu", for_each="${[1, 2, 3]}"),
        edges=[edge("a", "b"), edge("b", "m")],
    )
    somebody.save(definition)
    runs = [somebody.execute(definition["id"]) for _ in range(RUNS)]
    for _ in range(3):
        await asyncio.sleep(0.4)
        await limited.restart("execution")
    assert {run["status"] for run in await ended(somebody, runs)} == {"completed"}
    events = [(event, run) for run in runs for event in somebody.history(run)]
    events.sort(key=lambda each: each[0]["position"])
    for pool, nodes, limit in (("gpu", {"a", "m"}, POOL_LIMIT), ("db", {"b"}, 1)):
        under_way = 0
        for event, _ in events:
            if event["data"].get("node_id") not in nodes or (
                event["data"].get("node_id") == "m" and not event["data"].get("instance")
            ):
                continue
            under_way += (event["type"] == "NodeQueued") - (event["type"] in ENDS)
            assert under_way <= limit, pool
        assert under_way == 0


async def test_a_higher_priority_has_the_next_place(somebody: Stranger):
    definition = workflow(bash("work", "sleep 0.3", pool="db"))
    somebody.save(definition)
    holder = somebody.execute(definition["id"])
    low = [somebody.execute(definition["id"]) for _ in range(3)]
    high = somebody.execute(definition["id"], priority=10)
    runs = await ended(somebody, [holder, *low, high])
    starts = sorted(runs, key=lambda run: run["completed_at"])
    assert [run["run_id"] for run in starts[:2]] == [holder, high]


async def test_a_breaker_opens_lets_one_through_and_closes(limited: Cluster, somebody: Stranger):
    breaker = {"failure_threshold": 2, "window_ms": 60_000, "open_ms": 1_500}
    definition = workflow(bash("call", 'exit "$(cat "$FLOWFORGE_INPUT")"', circuit_breaker=breaker))
    somebody.save(definition)
    failing = [somebody.execute(definition["id"], input_data=1) for _ in range(2)]
    assert {run["status"] for run in await ended(somebody, failing)} == {"failed"}
    waiting = [somebody.execute(definition["id"], input_data=0) for _ in range(3)]
    await until(lambda: kinds(somebody, waiting[2]).count("NodeWaiting") == 1, "it waits before the breaker")
    [told] = [event for event in somebody.history(waiting[0]) if event["type"] == "NodeWaiting"]
    assert told["data"]["wait"]["for"] == "breaker"
    assert told["data"]["wait"]["breaker"] == "job:script"
    [shown] = somebody.get("/api/breakers", status="open")["items"]
    assert (shown["breaker"], shown["failures_count"]) == ("job:script", 2)
    assert shown["run_id"] in failing
    await limited.restart("execution")
    assert {run["status"] for run in await ended(somebody, waiting)} == {"completed"}
    await until(lambda: somebody.get("/api/breakers")["items"][0]["status"] == "closed", "it closes")
    again = somebody.execute(definition["id"], input_data=0)
    await asyncio.to_thread(somebody.ended, again)
    assert "NodeWaiting" not in kinds(somebody, again)


async def test_an_output_is_used_again_and_shown_as_such_after_a_crash_too(limited: Cluster, somebody: Stranger):
    big = 'import json, os; json.dump({"x": "y" * 400_000}, open(os.environ["FLOWFORGE_OUTPUT"], "w"))'
    definition = workflow(
        python("big", big, cache_key="${input.day}"),
        {"id": "length", "type": "data_transform", "expressions": {"n": "${size(nodes.big.output.x)}"}},
        edges=[edge("big", "length")],
    )
    first = somebody.run(definition, input_data={"day": "monday"})
    await limited.restart("execution")
    for day, is_cached in (("monday", True), ("tuesday", False)):
        run = somebody.execute(definition["id"], input_data={"day": day})
        told = await asyncio.to_thread(somebody.ended, run)
        assert told["output_data"] == {"n": 400_000}
        shown = next(row for row in told["node_runs"] if row["node_id"] == "big")
        assert (shown["cached_from"] is not None) is is_cached
        assert ("NodeQueued" not in kinds(somebody, run)) is is_cached
        [event] = [
            event["data"] for event in somebody.history(run)
            if event["type"] == "NodeCompleted" and event["data"]["node_id"] == "big"
        ]  # fmt: skip
        assert (event.get("cached_from") == {"run_id": first["run_id"], "node_id": "big"}) is is_cached


async def test_a_job_that_nobody_takes_is_told_within_seconds_and_once(somebody: Stranger):
    before = workflow({"id": "work", "type": "job", "job_type": fresh("nobody")})
    somebody.save(before)
    waits = somebody.execute(before["id"])
    await until(lambda: "WorkerAwaited" in kinds(somebody, waits), "another type that nobody takes")
    job_type = fresh("nobody")
    definition = workflow({"id": "work", "type": "job", "job_type": job_type})
    somebody.save(definition)
    run = somebody.execute(definition["id"])
    began = time.monotonic()
    await until(lambda: "WorkerAwaited" in kinds(somebody, run), "nobody takes it")
    assert time.monotonic() - began < TOLD_WITHIN_S
    history = somebody.history(run)
    [told] = [event["data"] for event in history if event["type"] == "WorkerAwaited"]
    [queued] = [event for event in history if event["type"] == "NodeQueued"]
    assert (told["job_type"], told["queue"], told["since"]) == (job_type, "default", queued["recorded_at"])
    shown = somebody.get(f"/api/runs/{run}/nodes/work", after=history[-1]["position"])
    assert shown["status"] == "queued"
    assert {**shown["waiting_for"], "since": None} == {
        "for": "worker", "job_type": job_type, "queue": "default", "since": None,
    }  # fmt: skip
    other = somebody.execute(definition["id"])
    await until(lambda: "WorkerAwaited" in kinds(somebody, other), "nobody takes the other either")
    assert kinds(somebody, run).count("WorkerAwaited") == 1
    for each in (waits, run, other):
        somebody.send("POST", f"/api/runs/{each}/cancel", {"reason": "enough"})


async def test_a_busy_worker_is_not_awaited(somebody: Stranger):
    definition = workflow(bash("work", "sleep 3", for_each="${[1, 2, 3, 4, 5, 6, 7, 8]}"))
    definition["settings"] = {"max_parallel_jobs": 8}
    run = somebody.run(definition)
    assert run["status"] == "completed"
    assert "WorkerAwaited" not in kinds(somebody, run["run_id"])
