"""A process that takes over: whatever it finds, it goes on."""

import pytest
from execution_stage import Installation
from flowforge.events import RunStarted

from services.execution import runs

JOB = {"id": "j", "type": "job", "job_type": "work"}


async def test_a_run_that_cannot_be_read_keeps_nobody_from_starting(installation: Installation):
    await installation.define(JOB)
    unreadable = await installation.triggered("unknown")
    await installation.logged("run", unreadable, RunStarted(total_nodes=1))
    await installation.start()
    await installation.until_logged(await installation.run(), "NodeQueued")


async def test_a_report_on_one_of_more_runs_than_memory_holds_is_not_taken_for_that_of_no_run(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    await installation.define(JOB)
    await installation.start()
    begun = [await installation.run() for _ in range(5)]
    for run in begun:
        await installation.until_logged(run, "NodeQueued")
    await installation.stop()
    await installation.log.set_cursor("heard:execution", (await installation.log.head()).position)
    await installation.completes(begun[0], "j")
    monkeypatch.setattr(runs, "RUNS_CACHED_MAX", 2)
    await installation.start(jobs_max=10)
    await installation.until_logged(begun[0], "RunCompleted")
