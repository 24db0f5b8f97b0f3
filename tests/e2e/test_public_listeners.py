"""Who follows runs, in Python and in another language, while what serves them is killed and started again."""

import asyncio
import itertools
import json
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from flowforge import Client

from infra.embedded.cluster import Cluster
from tests.e2e.stranger import Object, Stranger, transform, workflow
from tests.integration.cli.command import ROOT, environment

NODE = shutil.which("node")
LISTENER = ROOT / "contracts" / "examples" / "listener.mjs"
WAIT_S = 60.0
pytestmark = pytest.mark.asyncio(loop_scope="session")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node on this machine")


def slow(steps: int) -> Object:
    """A run that takes a while: short delays, one after the other."""
    names = [f"d{number}" for number in range(steps)]
    nodes = [{"id": name, "type": "delay", "duration_ms": 300} for name in names]
    edges = [{"source_node_id": a, "target_node_id": b} for a, b in itertools.pairwise(names)]
    return workflow(*nodes, edges=edges)


def positions(events: Sequence[Object]) -> list[int]:
    return [event["position"] for event in events]


async def test_following_goes_on_across_restarts_of_all_that_serves_it(stranger: Stranger, cluster: Cluster):
    slug = stranger.save(slow(12))["id"]
    run_id = stranger.execute(slug)
    first = stranger.history(run_id)[0]["position"]
    async with Client(home=cluster.home.folder) as client:

        async def all_of_it() -> list[Object]:
            found: list[Object] = []
            async for event in client.follow_all(slug, after=first - 1):
                found.append(event)
                if event["type"] == "RunCompleted":
                    return found
            return found

        wide = asyncio.create_task(all_of_it())
        heard: list[Object] = []
        fates = iter(("front", "projections", "nats", "front"))
        async for event in client.follow(run_id):
            heard.append(event)
            if event["type"] == "NodeCompleted" and (name := next(fates, None)) is not None:
                cluster.kill(name)
        async with asyncio.timeout(WAIT_S):
            told = await wide
    await cluster.wait_ready()
    history = stranger.history(run_id)
    assert positions(heard) == positions(history)
    assert heard[-1]["type"] == "RunCompleted"
    of_run = f"run/{run_id}"
    assert positions([event for event in told if event["stream"] == of_run]) == positions(history)
    assert positions(told) == sorted(set(positions(told)))


async def _listened(cluster: Cluster, *words: str) -> tuple[int, list[Object], str]:
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE, str(LISTENER), *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(cluster.home.folder),
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], err.decode()


@needs_node
@pytest.mark.parametrize("way", [(), ("--nats",)], ids=["http", "nats"])
async def test_a_listener_in_node_hears_a_run_from_its_first_event_to_its_end(
    stranger: Stranger, cluster: Cluster, way: tuple[str, ...]
):
    run_id = stranger.execute(stranger.save(workflow(transform("a")))["id"])
    status, heard, err = await _listened(cluster, run_id, *way)
    assert (status, err) == (0, "")
    history = stranger.history(run_id)
    last = next(number for number, event in enumerate(history) if event["type"] == "RunCompleted")
    assert positions(heard) == positions(history[: last + 1])
    assert [event["data"] for event in heard] == [event["data"] for event in history[: last + 1]]


@needs_node
async def test_a_listener_in_node_goes_on_where_its_connection_broke(stranger: Stranger, cluster: Cluster):
    run_id = stranger.execute(stranger.save(slow(6))["id"])
    listening = asyncio.create_task(_listened(cluster, run_id))
    for event in stranger.follow(run_id):
        if event.event == "NodeCompleted":
            break
    await cluster.restart("front")
    status, heard, err = await listening
    assert (status, err) == (0, "")
    assert positions(heard) == positions(stranger.history(run_id))


@needs_node
async def test_a_listener_in_node_says_what_is_wrong(cluster: Cluster):
    status, heard, err = await _listened(cluster, "019ca945-2b5d-764f-be2e-79b6b73f502e")
    assert (status, heard) == (1, [])
    assert "there is no run" in err
