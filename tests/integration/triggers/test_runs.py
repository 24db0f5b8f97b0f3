"""What runs ask of triggers, on real servers: a child, a slot for a retry, a handler of their failure; once, whoever dies."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from flowforge.errors import RunError
from flowforge.events import (
    ChildCancelRequested,
    ChildRunRefused,
    ChildRunRequested,
    RunAdmitted,
    RunFailed,
    RunRetryRequested,
    WorkflowTriggered,
    decode,
)
from flowforge.identity import new_uuid
from triggers_stage import Installation

from infra.failpoints import KILLED_EXIT_STATUS

FAILED = RunFailed(error=RunError("NODE_EXECUTION_FAILED", "it broke"))
POINTS = ["before_append", "after_append", "after_publish", "before_acknowledge"]


async def parent_with(installation: Installation, *workflows: str) -> UUID:
    for name in ("parent", *workflows):
        await installation.save(name)
    return await installation.run("parent", day="mon")


async def heard(installation: Installation, kind: str) -> object:
    """The next of that type that is said of a run."""
    while (event := await installation.next_run()).type != kind:
        pass
    return decode(kind, event.data)


async def test_a_child_that_is_asked_for_starts_and_is_said(installation: Installation):
    await installation.start()
    parent = await parent_with(installation, "child")
    child = new_uuid()
    asked = ChildRunRequested(node_id="n", child_run_id=child, workflow_id="child")
    await installation.run_says("parent", parent, asked)
    run = await heard(installation, "WorkflowTriggered")
    assert isinstance(run, WorkflowTriggered)
    assert (run.run_id, run.parent_run_id, run.labels) == (child, parent, {"day": "mon"})
    await installation.run_says("parent", parent, ChildCancelRequested(node_id="n", child_run_id=child))
    await installation.until_all_is_heard()
    assert len(await installation.log.read_stream(child)) == 1, "execution cancels what is there"


async def test_a_child_that_cannot_start_is_told_to_its_parent(installation: Installation):
    await installation.start()
    parent = await parent_with(installation)
    child = new_uuid()
    asked = ChildRunRequested(node_id="n", child_run_id=child, workflow_id="nowhere")
    await installation.run_says("parent", parent, asked)
    refused = await heard(installation, "ChildRunRefused")
    assert isinstance(refused, ChildRunRefused)
    assert (refused.parent_run_id, refused.child_run_id, refused.code) == (parent, child, "MISSING_DEPENDENCY")


@pytest.mark.faults
@pytest.mark.parametrize("point", POINTS)
async def test_killed_while_a_child_starts_it_starts_once(installation: Installation, tmp_path: Path, point: str):
    shell = await installation.start()
    parent = await parent_with(installation, "child")
    await shell.stop()
    asked = ChildRunRequested(node_id="n", child_run_id=new_uuid(), workflow_id="child")
    await installation.run_says("parent", parent, asked)
    assert await installation.dies_at(f"triggers.{point}", tmp_path) == KILLED_EXIT_STATUS
    await installation.start()
    [run] = await installation.until_runs(1, "child")
    await installation.until_all_is_heard()
    assert len(await installation.until_runs(1, "child")) == 1
    while await heard(installation, "WorkflowTriggered") != run:  # the parent's is said anew too
        pass


async def retried(installation: Installation) -> tuple[UUID, UUID]:
    """A run that failed and is to go on, and another that holds the only slot."""
    await installation.save("w", settings={"concurrency": {"limit": 1}})
    answer = await installation.command("RequestRun", command_id="first", workflow_id="w")
    failed = UUID(answer["ok"]["run_id"])
    await installation.run_says("w", failed, FAILED)
    await installation.until_all_is_heard()
    holder = UUID((await installation.command("RequestRun", command_id="second", workflow_id="w"))["ok"]["run_id"])
    return failed, holder


async def test_a_retry_waits_for_a_slot_and_is_admitted_though_triggers_were_away_when_it_got_free(
    installation: Installation,
):
    shell = await installation.start()
    failed, holder = await retried(installation)
    await installation.run_says("w", failed, RunRetryRequested(cleared=["n"]))
    await installation.until(_there(installation, "SlotAwaited", 1), "the retry waits")
    await shell.stop()
    await installation.run_says("w", holder, FAILED, is_said=False)
    await installation.start()
    assert await heard(installation, "RunAdmitted") == RunAdmitted(run_id=failed, workflow_id="w", asked_version=3)


@pytest.mark.faults
@pytest.mark.parametrize("point", POINTS)
async def test_killed_while_a_retry_gets_its_slot_it_gets_one(installation: Installation, tmp_path: Path, point: str):
    shell = await installation.start()
    failed, holder = await retried(installation)
    await installation.run_says("w", holder, FAILED)
    await installation.until_all_is_heard()
    await shell.stop()
    await installation.run_says("w", failed, RunRetryRequested(cleared=["n"]))
    assert await installation.dies_at(f"triggers.{point}", tmp_path) == KILLED_EXIT_STATUS
    await installation.start()
    assert await heard(installation, "RunAdmitted") == RunAdmitted(run_id=failed, workflow_id="w", asked_version=3)
    await installation.until_all_is_heard()
    assert len(await installation.logged("RunAdmitted")) == 1
    assert len(await installation.logged("SlotTaken")) == 3


async def test_a_failed_run_starts_the_handler_that_its_workflow_names(installation: Installation):
    await installation.start()
    await installation.save("w", settings={"on_failure": {"workflow_id": "page"}})
    await installation.save("page")
    failed = await installation.run("w")
    ending = await installation.run_says("w", failed, FAILED)
    run = await heard(installation, "WorkflowTriggered")
    assert isinstance(run, WorkflowTriggered)
    assert (run.workflow_id, run.trigger.type, run.cause.event_id) == ("page", "on_failure", ending.event_id)


def _there(installation: Installation, kind: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def are_there() -> bool:
        return len(await installation.logged(kind)) >= count

    return are_there
