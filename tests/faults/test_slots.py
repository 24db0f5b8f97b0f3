"""Slots of `concurrency` while those who give and take them are killed: none is lost, none is held twice."""

import asyncio

import pytest
from flowforge.events import RunAdmitted, SlotTaken, WorkflowTriggered, decode

from tests.faults.system import System
from tests.faults.workload import Load

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

EVENTS = 20


@pytest.mark.parametrize("process", ["triggers", "execution"])
async def test_a_killed_process_leaves_no_slot_held_and_the_queue_in_its_order(system: System, process: str):
    load = Load(system)
    await load.begin()
    sending = asyncio.gather(*(load.publish("faults.pair", {"n": number}) for number in range(EVENTS)))
    for count in (1, 4, 8):
        await system.until(lambda: system.has_logged("SlotFreed", count), 30, f"{count} slots are free again")  # noqa: B023
        await system.cluster.restart(process)
    await sending
    await load.quiet()
    await load.check()
    facts = [decode(event.type, event.data) for event in await system.read_on()]
    came = [fact.run_id for fact in facts if isinstance(fact, WorkflowTriggered)]
    began = [fact.run_id for fact in facts if isinstance(fact, SlotTaken | RunAdmitted)]
    assert began == came, "in the order in which they came"
    assert len(came) == EVENTS


async def test_slots_are_freed_by_runs_that_ended_while_nobody_listened(system: System):
    load = Load(system)
    await load.begin()
    for number in range(4):
        await load.publish("faults.pair", {"n": number})
    await system.until(lambda: system.has_logged("SlotTaken", 2), 30, "two runs hold the slots")
    await system.kill_nats_and_delete_its_store()
    await load.quiet()
    await load.check(is_all_said=False)
