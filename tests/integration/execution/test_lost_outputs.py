"""A job that was done, with an output that NATS has lost before it was in the log: it is done again."""

from hashlib import sha256
from uuid import UUID

import msgspec
import pytest
from execution_stage import Installation
from flowforge.blobs import Blobs
from flowforge.envelope import decode
from flowforge.events import NodeFailed
from flowforge.reports import JobRequested
from flowforge.subjects import JOB_DELIVERIES_MAX
from nats.errors import TimeoutError as NatsTimeout

from services.execution import lost_jobs
from tests.until import until

LARGE = b'"' + b"x" * 300_000 + b'"'


async def has_ended(installation: Installation, run: UUID, *, is_kept: bool = False, event_id: str = "") -> None:
    """Its worker reports a large output, whatever became of that, and takes the job off the queue."""
    name = sha256(LARGE).hexdigest()
    if is_kept:
        await blobs(installation).put(LARGE)
    await installation.client.jetstream().purge_stream(installation.subjects.jobs_stream)
    await installation.completes(run, "j", {"$blob": name, "size": len(LARGE)}, event_id=event_id)


def blobs(installation: Installation) -> Blobs:
    return Blobs(installation.client.jetstream(), installation.subjects.blobs_bucket)


async def is_handed_out_again(installation: Installation) -> None:
    async def is_on_the_queue() -> bool:
        return await installation.queued_count() == 1

    await until(is_on_the_queue, "the job is on the queue again")


async def on_the_queue(installation: Installation) -> list[JobRequested]:
    jetstream, stream = installation.client.jetstream(), installation.subjects.jobs_stream
    state = (await jetstream.stream_info(stream)).state
    sequences = range(state.first_seq, state.last_seq + 1)
    found = [(await jetstream.get_msg(stream, seq=sequence)).data or b"" for sequence in sequences]
    return [msgspec.json.decode(decode(body).data, type=JobRequested) for body in found]


async def running(installation: Installation) -> UUID:
    await installation.define({"id": "j", "type": "job", "job_type": "work"})
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    return run


async def test_a_job_whose_output_was_lost_is_handed_out_again(installation: Installation):
    run = await running(installation)
    await has_ended(installation, run)
    await is_handed_out_again(installation)
    [job] = await on_the_queue(installation)
    assert job.repeat.startswith("-again-"), "its reports would pass for those of before"
    await has_ended(installation, run, is_kept=True)
    await installation.until_logged(run, "RunCompleted")
    assert await installation.kinds(run) == [
        "WorkflowTriggered", "RunStarted", "NodeQueued", "NodeStarted", "NodeCompleted", "RunCompleted"
    ]  # fmt: skip


async def test_a_report_on_a_lost_output_that_comes_twice_counts_once(installation: Installation):
    run = await running(installation)
    for _ in range(4):
        await has_ended(installation, run, event_id="the-same")
    await is_handed_out_again(installation)
    await has_ended(installation, run, is_kept=True)
    await installation.until_logged(run, "RunCompleted")


async def test_a_job_whose_output_is_lost_again_and_again_fails(installation: Installation):
    run = await running(installation)
    for _ in range(JOB_DELIVERIES_MAX - 1):
        await has_ended(installation, run)
        await is_handed_out_again(installation)
    await has_ended(installation, run)
    await installation.until_logged(run, "RunFailed")
    [failed] = await installation.events(run, NodeFailed)
    assert failed.error.code == "WORKER_LOST"
    assert "was lost before it was stored" in failed.error.message


async def test_an_output_that_cannot_be_asked_for_now_is_not_lost(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    """NATS is killed between the question and its answer."""
    run = await running(installation)
    asked, get = list[str](), Blobs.get

    async def unanswered_once(of: Blobs, name: str) -> bytes:
        asked.append(name)
        if len(asked) == 1:
            raise NatsTimeout
        return await get(of, name)

    monkeypatch.setattr(Blobs, "get", unanswered_once)
    await has_ended(installation, run, is_kept=True)
    await installation.until_logged(run, "RunCompleted")
    assert len(asked) == 2
    assert (await installation.kinds(run)).count("NodeQueued") == 1
    assert await installation.queued_count() == 0


async def test_killed_before_the_job_is_handed_out_again_the_next_owner_finds_it(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    run = await running(installation)
    await has_ended(installation, run)
    await until(lambda: "was lost with NATS" in caplog.text, "the report is as good as none")
    await installation.stop()
    await installation.client.jetstream().purge_stream(installation.subjects.jobs_stream)
    monkeypatch.setattr(lost_jobs, "JOBS_LOOKED_AT_AFTER_S", 0)
    await installation.start()
    await is_handed_out_again(installation)
