"""Jobs that NATS lost are handed out again, whatever else is wrong; and none that is on the queue is handed out twice."""

from uuid import UUID

import msgspec
import pytest
from execution_stage import Installation
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import new_uuid
from flowforge.reports import JobRequested

from services.execution import lost_jobs
from tests.until import until


@pytest.fixture(autouse=True)
def looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_jobs, "JOBS_LOOKED_AT_AFTER_S", 0)


async def lost(installation: Installation, beside: str = "") -> UUID:
    """A run whose job was handed out, and that NATS has forgotten; nobody turns. `beside`: a workflow that was begun after
    it, and waits for an event."""
    await installation.define({"id": "j", "type": "job", "job_type": "work"})
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    if beside:
        await installation.until_logged(await installation.run(beside), "NodeWaiting")
    await installation.stop()
    await installation.client.jetstream().purge_stream(installation.subjects.jobs_stream)
    return run


async def is_handed_out_again(installation: Installation) -> None:
    async def is_on_the_queue() -> bool:
        return await installation.queued_count() == 1

    await until(is_on_the_queue, "the job is on the queue again")


async def test_a_job_is_looked_for_again_when_the_log_did_not_answer(installation: Installation):
    installation.log.away = await lost(installation)
    await installation.start()
    await until(lambda: installation.log.asked_count > 0, "it is looked for in vain")
    installation.log.away = None
    await is_handed_out_again(installation)


async def test_a_run_that_cannot_be_read_keeps_no_job_of_another_from_being_found(installation: Installation):
    await installation.triggered("unknown")
    await lost(installation)
    await installation.start()
    await is_handed_out_again(installation)


async def test_a_job_that_is_queued_while_lost_ones_are_looked_for_is_not_handed_out_twice(installation: Installation):
    waits = {"id": "w", "type": "wait_event", "event_type": "order.paid"}
    job = {"id": "k", "type": "job", "job_type": "work"}
    await installation.define(waits, job, edges=[{"source_node_id": "w", "target_node_id": "k"}], workflow_id="other")
    run = await lost(installation, beside="other")

    async def another_is_queued() -> None:
        await installation.received("order.paid")
        await until(are_two_queued, "the job of the other run is queued")

    async def are_two_queued() -> bool:
        return len(await installation.log.read(0, types={"NodeQueued"})) == 2

    installation.log.awaited, installation.log.meanwhile = run, another_is_queued
    await installation.start()

    async def are_both_there() -> bool:
        return await installation.queued_count() >= 2

    await until(are_both_there, "the lost job and the new one are on the queue")
    await installation.completes(run, "j")
    await installation.until_logged(run, "RunCompleted")
    assert await installation.queued_count() == 2


async def test_the_queue_is_read_whole_though_the_server_gives_less_at_a_time_than_was_asked_for(
    installation: Installation,
):
    subject, count = installation.subjects.job("default", "work"), 70
    for number in range(count):
        job = JobRequested(
            job_id=new_uuid(), job_type="work", workflow_id="wf", run_id=new_uuid(), node_id="j", attempt=1,
            idempotency_key="", payload=msgspec.Raw(b'"%s"' % (b"x" * 1_000_000)), input=msgspec.Raw(b"null"),
        )  # fmt: skip
        data = msgspec.Raw(msgspec.json.encode(job))
        body = encode(CloudEvent(id=str(number), source="/test", type="JobRequested", data=data))
        await installation.client.jetstream().publish(subject, body)
    assert await installation.queued_count() == count
    assert len(await lost_jobs.queued_jobs(installation.client, installation.subjects.jobs_stream)) == count
