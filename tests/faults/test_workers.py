"""Workers that vanish, and workers that come back too late."""

import os
import signal

import msgspec
import pytest
from flowforge.events import NodeFailed, ReportIgnored, decode

from tests.faults.system import LEASE_S, WORKER, System
from tests.faults.workload import ENDINGS, Load

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

DELIVERIES_MAX = 3


async def _delivered(system: System, delivery: int) -> bool:
    """Whether the job's worker has told the start of that delivery."""
    return any(
        event.type == "NodeStarted" and msgspec.json.decode(event.data).get("delivery", 1) == delivery
        for event in await system.read_on()
    )


async def test_the_job_of_a_killed_worker_is_given_to_another(system: System):
    load = Load(system)
    await load.begin()
    await load.publish("faults.long", {"ms": 1500})
    await system.until(lambda: _delivered(system, 1), 20, "the job runs")
    await system.cluster.restart(WORKER)
    await load.quiet()
    [completed] = [event for event in await system.read_on() if event.type == "NodeCompleted"]
    assert msgspec.json.decode(completed.data)["output"] == {"delivery": 2}
    await load.check()


async def test_a_job_whose_third_worker_was_killed_is_lost_and_told(system: System):
    load = Load(system)
    await load.begin()
    await load.publish("faults.long", {"ms": 20_000})
    for delivery in range(1, DELIVERIES_MAX + 1):
        await system.until(lambda: _delivered(system, delivery), LEASE_S * 5, f"delivery {delivery} runs")  # noqa: B023
        await system.cluster.restart(WORKER)
    await load.quiet()
    [failed] = [decode(event.type, event.data) for event in await system.read_on() if event.type == "NodeFailed"]
    assert isinstance(failed, NodeFailed)
    assert failed.error.code == "WORKER_LOST"
    await load.check(endings={**ENDINGS, "long": "RunFailed"})


async def test_a_worker_that_was_stopped_past_its_lease_is_ignored_and_told(system: System):
    load = Load(system)
    await load.begin()
    await load.publish("faults.long", {"ms": 1500})
    await system.until(lambda: _delivered(system, 1), 20, "the job runs")
    zombie = system.cluster.pid(WORKER)
    async with system.another_worker():
        os.kill(zombie, signal.SIGSTOP)
        try:
            await system.until(lambda: system.has_logged("RunCompleted"), LEASE_S * 6, "another worker did the job")
        finally:
            os.kill(zombie, signal.SIGCONT)
        await system.until(lambda: system.has_logged("ReportIgnored"), 30, "the late report is told")
    assert system.cluster.pid(WORKER) == zombie
    await load.quiet()
    ignored = [decode(event.type, event.data) for event in await system.read_on() if event.type == "ReportIgnored"]
    assert all(isinstance(each, ReportIgnored) and each.delivery == 1 for each in ignored)
    [completed] = [event for event in await system.read_on() if event.type == "NodeCompleted"]
    assert msgspec.json.decode(completed.data)["output"] == {"delivery": 2}
    await load.check()
