"""A few faults that every test run injects; `make test-faults` has them all."""

import pytest

from tests.faults.system import System
from tests.faults.workload import Load

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nothing_is_lost_when_nothing_fails(system: System):
    load = Load(system)
    await load.begin()
    await load.send()
    await load.quiet()
    await load.check()


@pytest.mark.parametrize(
    ("process", "point", "deed"),
    [("execution", "execution.after_append", "die@2"), ("triggers", "eventlog.after_commit", "error@2")],
)
async def test_a_service_that_dies_or_fails_half_way(system: System, process: str, point: str, deed: str):
    load = Load(system)
    await load.begin()
    system.arm(process, point, deed)
    try:
        await system.cluster.restart(process)
        await load.send()
        await load.quiet()
    finally:
        system.disarm(process)
    assert system.fired(point), f"{point} was never passed in {process}"
    await load.check()
