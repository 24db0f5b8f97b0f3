"""What is heard once more long after it was dealt with: it changes nothing, and is answered as the first time."""

import pytest
from execution_stage import Installation
from flowforge.events import ChildCancelRequested, RunDisplaced, RunSlaMissed, TimerFired, TimerSet
from flowforge.identity import new_uuid

JOB = {"id": "j", "type": "job", "job_type": "work"}


async def heard_again(installation: Installation) -> None:
    """All that the log has, as by a process that does not know how far the one before came."""
    await installation.stop()
    await installation.log.set_cursor("heard:execution", 0)
    await installation.start()


@pytest.mark.parametrize("kind", ["RunDisplaced", "ChildCancelRequested"])
async def test_a_run_that_was_stopped_and_then_retried_is_not_stopped_again(installation: Installation, kind: str):
    await installation.define(JOB)
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    if kind == "RunDisplaced":
        displaced = RunDisplaced(run_id=run, workflow_id="wf", by_run_id=new_uuid())
        await installation.logged("slot", new_uuid(), displaced)
    else:
        await installation.logged("run", new_uuid(), ChildCancelRequested(node_id="n", child_run_id=run))
    await heard_again(installation)
    await installation.until_logged(run, "RunCancelled")
    assert (await installation.tells("RetryRun", run))["ok"]["status"] == "running"
    await heard_again(installation)
    await installation.completes(run, "j", attempt=2)
    await installation.until_logged(run, "RunCompleted")
    assert (await installation.kinds(run)).count("RunCancelRequested") == 1


async def test_a_run_that_ended_in_time_and_was_then_retried_is_not_told_to_be_late(installation: Installation):
    await installation.define(JOB, settings={"sla_ms": 1})
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    await installation.completes(run, "j")
    await installation.until_logged(run, "RunCompleted")
    [timer] = await installation.events(run, TimerSet)
    fired = TimerFired(timer_id=timer.timer_id, run_id=run, workflow_id="wf", purpose="sla", due_at=timer.due_at)
    await installation.logged("timer", timer.timer_id, fired)
    await installation.tells("RetryRun", run, node_ids=["j"])
    await heard_again(installation)
    await installation.completes(run, "j", attempt=2)
    await installation.until_logged(run, "RunCompleted", 2)
    assert RunSlaMissed.__name__ not in await installation.kinds(run)


async def test_a_command_that_comes_again_is_answered_with_a_position_that_its_event_is_below(
    installation: Installation,
):
    await installation.define(JOB)
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    first = await installation.tells("PauseRun", run, command_id="p")
    again = await installation.tells("PauseRun", run, command_id="p")
    assert again == first
    await installation.stop()
    await installation.start()
    assert await installation.tells("PauseRun", run, command_id="p") == first
