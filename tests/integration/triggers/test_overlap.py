"""Slots of `concurrency` on real servers: what ended while nobody listened, and a process that dies half way."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID

import pytest
from flowforge.envelope import CloudEvent, now
from flowforge.events import RunAdmitted, RunCompleted, SlotFreed, SlotTaken, WorkflowTriggered, decode, encode
from triggers_stage import Installation, on_event

from infra.bus.message import envelope
from infra.eventlog import Append, NewEvent, StoredEvent, StreamAppend
from infra.failpoints import KILLED_EXIT_STATUS
from tests.killing import points


async def save(installation: Installation) -> None:
    """A workflow of which one run goes on at a time."""
    await installation.save("w", on_event(), settings={"concurrency": {"limit": 1}})


async def completes(installation: Installation, run_id: UUID) -> StoredEvent:
    """What execution logs; it is not said."""
    stream = StreamAppend("run", run_id, 1, [NewEvent(RunCompleted.__name__, encode(RunCompleted()))])
    await installation.log.append([Append([stream], now())])
    return (await installation.log.read_stream(run_id))[-1]


async def says(installation: Installation, ended: StoredEvent) -> None:
    """As execution does."""
    subject = installation.subjects.run("w", ended.stream_id, ended.type)
    body = envelope(ended, installation.namespace)
    await installation.client.jetstream().publish(subject, body, headers={"Nats-Msg-Id": str(ended.event_id)})


async def two_runs(installation: Installation) -> tuple[UUID, UUID]:
    """One that holds the slot, one that waits."""
    runs: list[UUID] = []
    for name in ("e1", "e2"):
        await installation.publish(name)
        run = decode("WorkflowTriggered", (await installation.next_run()).data)
        assert isinstance(run, WorkflowTriggered)
        runs.append(run.run_id)
    await installation.until_inbox_is_empty()
    return runs[0], runs[1]


async def next_admitted(installation: Installation) -> CloudEvent:
    while (event := await installation.next_run()).type != "RunAdmitted":
        pass
    return event


async def test_an_ending_frees_the_slot_and_the_next_is_told(installation: Installation):
    await installation.start()
    await save(installation)
    first, second = await two_runs(installation)
    await says(installation, await completes(installation, first))
    admitted = decode("RunAdmitted", (await next_admitted(installation)).data)
    assert admitted == RunAdmitted(run_id=second, workflow_id="w")


async def test_a_run_that_ended_while_triggers_were_away_and_was_never_said_frees_its_slot(installation: Installation):
    shell = await installation.start()
    await save(installation)
    first, second = await two_runs(installation)
    await shell.stop()
    await completes(installation, first)
    await installation.start()
    assert (await next_admitted(installation)).source.startswith(f"/{installation.namespace}/slot/")
    facts = [decode(event.type, event.data) for event in await installation.logged("SlotFreed", "RunAdmitted")]
    assert facts == [SlotFreed(run_id=first, workflow_id="w"), RunAdmitted(run_id=second, workflow_id="w")]


@pytest.mark.faults
@pytest.mark.parametrize("point", points("after_append", "before_append", "after_publish", "before_acknowledge"))
async def test_killed_while_a_slot_changes_hands_it_changes_hands_once(
    installation: Installation, tmp_path: Path, point: str
):
    shell = await installation.start()
    await save(installation)
    first, second = await two_runs(installation)
    await shell.stop()
    await says(installation, await completes(installation, first))
    environment = {
        **os.environ,
        "FLOWFORGE_DATABASE_URL": installation.dsn,
        "FLOWFORGE_NATS_URL": installation.nats_url,
        "FLOWFORGE_NAMESPACE": installation.namespace,
        "FLOWFORGE_HOME": str(tmp_path),
        "FLOWFORGE_FAILPOINTS": f"triggers.{point}=die",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.triggers", env=environment)
    assert await asyncio.wait_for(process.wait(), 30) == KILLED_EXIT_STATUS
    await installation.start()
    await next_admitted(installation)
    facts = [decode(e.type, e.data) for e in await installation.logged("SlotTaken", "SlotFreed", "RunAdmitted")]
    held = SlotTaken(run_id=first, workflow_id="w", limit=1)
    assert facts == [
        held,
        SlotFreed(run_id=first, workflow_id="w"),
        RunAdmitted(run_id=second, workflow_id="w"),
    ]
