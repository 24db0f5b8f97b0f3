"""Subscriptions that die or fail at every point that they pass: nothing is lost, and of each run the order is kept."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count

import pytest

from tests.e2e.server import Server
from tests.faults import points
from tests.faults.system import System

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]
RUNS = 6
CHANGES = 4
WITHIN_S = 30.0
AT_THE_FIRST = frozenset({"subscriptions.in_transaction"})
"""What is owed may all be found in one go."""
_numbers = count(1)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server.serving() as answering:
        yield answering


@pytest.mark.parametrize("deed", ["die", "error"])
@pytest.mark.parametrize("point", points.of_subscriptions())
async def test_whatever_happens_there_each_event_arrives_in_the_order_of_its_run(
    system: System, server: Server, point: str, deed: str
):
    name = f"faults-{next(_numbers)}"
    made = await system.client.subscribe(f"{server.url}/hook", {"label": f"key={name}"}, id=name)
    system.arm(points.SUBSCRIPTIONS, point, deed if point in AT_THE_FIRST else f"{deed}@2")
    await system.cluster.restart(points.SUBSCRIPTIONS)
    try:
        ids = [await system.client.execute("chain", {"n": n, "size": 0}, labels={"key": name}) for n in range(RUNS)]
        for number in range(CHANGES):
            await system.client.change_subscription(name, name=f"change {number}")
        wanted = {run_id: await _history(system, run_id) for run_id in ids}
        missing = await _arrived(server, wanted)
        assert not missing, f"{missing} did not arrive\n{system.tails()}"
    finally:
        system.disarm(points.SUBSCRIPTIONS)
    assert system.fired(point), f"I12: {point} was never passed"
    told = [json.loads(asked["body"]) for asked in server.asked]
    for run_id, events in wanted.items():
        heard = dict.fromkeys(body["id"] for body in told if body["source"].endswith(run_id))
        assert list(heard) == events
    shown = await system.client.subscription(name)
    assert (shown["name"], shown["version"]) == (f"change {CHANGES - 1}", made["version"] + CHANGES)
    await system.client.delete_subscription(name)


async def _history(system: System, run_id: str) -> list[str]:
    await system.client.wait(run_id, WITHIN_S)
    return [event["event_id"] async for event in system.client.events(run_id)]


async def _arrived(server: Server, wanted: dict[str, list[str]]) -> set[str]:
    """What has not arrived when the time is up."""
    owed = {event_id for events in wanted.values() for event_id in events}
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while True:
        missing = owed - {asked["headers"]["webhook-id"] for asked in list(server.asked)}
        if not missing or asyncio.get_running_loop().time() > deadline:
            return missing
        await asyncio.sleep(0.05)
