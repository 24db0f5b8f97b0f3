"""A job that its workers took and never ended is reported as lost, whatever happens meanwhile."""

from typing import Any

import pytest
from execution_stage import Installation
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext

from infra.bus.appending import UNAVAILABLE_WAIT_S
from infra.bus.aside import BUG_DELIVERIES_MAX
from services.execution import spent_jobs
from tests.until import until

JOB = {"id": "j", "type": "job", "job_type": "work"}


async def spend(installation: Installation) -> None:
    """Worker after worker takes the job and is gone."""
    jobs = await installation.client.jetstream().pull_subscribe_bind("default--work", installation.subjects.jobs_stream)
    for _ in range(3):
        [job] = await jobs.fetch(1, timeout=5)
        await job.nak()


async def test_a_job_is_lost_though_the_log_did_not_answer_when_that_was_to_be_logged(installation: Installation):
    await installation.define(JOB)
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    installation.log.refused_count = len(UNAVAILABLE_WAIT_S) + 1  # longer than one turn has patience for
    await spend(installation)
    await installation.until_logged(run, "NodeFailed")
    assert installation.log.refused_count == 0

    async def is_off_the_queue() -> bool:
        return await installation.queued_count() == 0

    await until(is_off_the_queue, "nobody needs it on the queue any more")


async def test_a_job_is_lost_though_nats_did_not_tell_for_a_while_which_one_it_was(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    await installation.define(JOB)
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    answers, silences = JetStreamContext.get_msg, [NatsTimeout()] * 5 * BUG_DELIVERIES_MAX
    monkeypatch.setattr(spent_jobs, "LATER_S", 0.05)

    async def silent(*args: Any, **options: Any) -> Any:
        if silences:
            raise silences.pop()
        return await answers(*args, **options)

    await spend(installation)
    monkeypatch.setattr(JetStreamContext, "get_msg", silent)
    await installation.until_logged(run, "NodeFailed")
    assert silences == []
