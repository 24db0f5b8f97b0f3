"""Triggers beside execution, on real servers: what a run asks for is answered, and the run goes on with the answer."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import new_uuid
from nats.aio.msg import Msg
from triggers_stage import WAIT_S, Installation

from infra.bus import Shell
from services.execution.handlers import ExecutionService
from services.execution.outputs import Outputs
from services.execution.places import Limits
from services.execution.store import OutputStore

BROKEN = [{"id": "broken", "type": "data_transform", "expressions": {"v": "${input.missing}"}}]
WAITS = [{"id": "waits", "type": "human_approval"}]


@pytest.fixture
async def both(installation: Installation) -> AsyncGenerator[Installation]:
    """Triggers and execution turn."""
    await installation.start()
    shell = Shell(
        ExecutionService(
            installation.log,
            installation.namespace,
            Outputs(installation.log, OutputStore(installation.dsn), None),
            Limits(),
        ),
        installation.log,
        installation.client,
        installation.namespace,
        installation.dsn,
    )

    async def command(message: Msg) -> None:
        if not message.subject.endswith(".Health"):
            await shell.command(message.subject, message.data, message.reply)

    await installation.client.subscribe(installation.subjects.command("execution", "*"), cb=command)
    await shell.start()
    await shell.is_ready.wait()
    yield installation
    await shell.stop()


async def run(both: Installation, workflow_id: str) -> UUID:
    answer = await both.command("RequestRun", command_id=str(new_uuid()), workflow_id=workflow_id)
    return UUID(answer["ok"]["run_id"])


async def tells(both: Installation, name: str, run_id: UUID) -> dict[str, Any]:
    """What somebody asks of the run, and the answer."""
    data = {"command_id": str(new_uuid()), "actor": "ada", "run_id": str(run_id)}
    event = CloudEvent(id=str(new_uuid()), source="/gateway", type=name, data=msgspec.Raw(json.dumps(data).encode()))
    answer = await both.client.request(both.subjects.command("execution", name), encode(event), timeout=WAIT_S)
    return json.loads(answer.data)


async def until(both: Installation, run_id: UUID, kind: str, count: int = 1) -> list[str]:
    """The history of the run, as types, once it has so many of that one."""
    found: list[str] = []

    async def is_there() -> bool:
        found[:] = [stored.type for stored in await both.log.read_stream(run_id)]
        return found.count(kind) >= count

    await both.until(is_there, f"{count} {kind}")
    return found


async def test_a_run_that_is_retried_goes_on_once_it_has_its_slot(both: Installation):
    await both.save("w", settings={"concurrency": {"limit": 1}}, nodes=BROKEN)
    failed = await run(both, "w")
    await until(both, failed, "RunFailed")
    assert (await tells(both, "RetryRun", failed))["ok"]["status"] == "pending"
    history = await until(both, failed, "RunFailed", 2)
    assert history.count("RunRetried") == 1


async def test_a_run_that_is_retried_waits_for_the_one_that_has_the_slot(both: Installation):
    await both.save("w", settings={"concurrency": {"limit": 1}}, nodes=BROKEN)
    failed = await run(both, "w")
    await until(both, failed, "RunFailed")
    await both.save("w", version=2, settings={"concurrency": {"limit": 1}}, nodes=WAITS)
    holder = await run(both, "w")
    await until(both, holder, "NodeWaiting")
    await tells(both, "RetryRun", failed)
    await until(both, failed, "RunRetryRequested")
    await both.until_all_is_heard()
    assert "RunRetried" not in await until(both, failed, "RunRetryRequested")
    await tells(both, "CancelRun", holder)
    await until(both, failed, "RunRetried")


async def test_a_parent_goes_on_with_what_its_child_gave_or_why_there_is_none(both: Installation):
    await both.save("child", nodes=[{"id": "t", "type": "data_transform", "expressions": {"v": "${1}"}}])
    calls = {"id": "call", "type": "workflow", "workflow_id": "child"}
    await both.save("parent", nodes=[calls])
    await both.save("orphan", nodes=[{**calls, "workflow_id": "nowhere"}])
    await until(both, await run(both, "parent"), "RunCompleted")
    history = await until(both, await run(both, "orphan"), "RunFailed")
    assert "NodeFailed" in history


async def test_what_two_people_ask_at_once_is_logged_as_what_each_of_them_asked(both: Installation):
    await both.save("w", nodes=WAITS)
    run_id = await run(both, "w")
    await until(both, run_id, "NodeWaiting")

    async def changes(actor: str) -> None:
        data = {"command_id": str(new_uuid()), "run_id": str(run_id), "labels": {"by": actor}}
        event = CloudEvent(
            id=str(new_uuid()),
            source="/gateway",
            type="ChangeRun",
            data=msgspec.Raw(json.dumps(data).encode()),
            actor=actor,
        )
        await both.client.request(both.subjects.command("execution", "ChangeRun"), encode(event), timeout=WAIT_S)

    people = [f"person-{number}" for number in range(10)]
    await asyncio.gather(*(changes(actor) for actor in people))
    told = [stored for stored in await both.log.read_stream(run_id) if stored.type == "RunChanged"]
    assert sorted(stored.actor or "" for stored in told) == people
    assert all(json.loads(stored.data)["labels"]["by"] == stored.actor for stored in told)
