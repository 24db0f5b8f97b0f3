"""From a job on the queue to its ending report: what a worker promises of every job."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flowforge import Job, JobError
from flowforge.blobs import BlobMissing, Blobs
from flowforge.reports import OUTPUT_INLINE_BYTES_MAX

from tests.integration.workers.conftest import MakeWorker
from tests.integration.workers.executing import Execution, body_of, requested, serving


async def test_a_job_is_handed_over_with_all_it_says_and_its_output_comes_back(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker(name="w1")
    seen: list[Any] = []

    @worker.job("work")
    async def work(job: Job) -> dict[str, Any]:
        seen.append((job.job_type, job.workflow_id, job.node_id, job.attempt, job.delivery, job.payload, job.deadline))
        return {"doubled": job.input["n"] * 2}

    async with serving(worker):
        job = await execution.hand_out(payload={"p": 1}, input={"n": 21}, attempt=2)
        told = await execution.ending(job)
        await execution.settled()
    assert seen == [("work", "w", "n", 2, 1, {"p": 1}, None)]
    assert told.kind == "JobCompleted"
    assert msgspec.json.decode(told.report.output) == {"doubled": 42}
    assert (told.report.attempt, told.report.delivery, told.report.node_id, told.report.worker) == (2, 1, "n", "w1")
    assert told.event.id == f"{job.job_id}-2-1-completed"
    assert told.event.correlationid == "the-correlation"
    assert told.event.causationid == f"e-{job.job_id}"
    assert told.event.traceparent is not None


async def test_a_short_job_sends_one_report_that_carries_its_start(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    async with serving(worker):
        job = await execution.hand_out()
        told = await execution.ending(job)
    assert [each.kind for each in execution.of(job)] == ["JobCompleted"]
    assert told.report.started_at is not None
    assert abs(told.report.started_at - datetime.now(UTC)) < timedelta(seconds=10)


async def test_a_long_job_tells_its_start_at_once_and_once(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()
    go_on = asyncio.Event()

    @worker.job("work")
    async def work(_job: Job) -> None:
        await go_on.wait()

    async with serving(worker):
        job = await execution.hand_out()
        started = await execution.report(job, "JobStarted")
        go_on.set()
        told = await execution.ending(job)
    assert started.report.at is not None
    assert told.report.started_at is None
    assert [each.kind for each in execution.of(job)] == ["JobStarted", "JobCompleted"]


async def test_a_job_whose_input_takes_long_to_read_tells_its_start_too(
    execution: Execution, make_worker: MakeWorker, monkeypatch: Any
) -> None:
    monkeypatch.setattr("flowforge.serving.STARTED_AFTER_S", 0.0)
    worker = make_worker()
    go_on = asyncio.Event()

    @worker.job("work")
    async def work(_job: Job) -> None:
        await go_on.wait()

    blobs = Blobs(execution.jetstream, execution.subjects.blobs_bucket)
    reference = msgspec.to_builtins(await blobs.put(b'"a large input"'))
    async with serving(worker):
        job = await execution.hand_out(input=reference)
        await execution.report(job, "JobStarted")
        go_on.set()
        await execution.ending(job)
    assert [each.kind for each in execution.of(job)] == ["JobStarted", "JobCompleted"]


async def test_progress_and_lines_are_told_in_order_before_the_end(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(job: Job) -> None:
        await job.progress(0.4, "nearly half")
        for number in range(250):
            job.log(f"line {number}")
        job.log("two\nlines\n")

    async with serving(worker):
        job = await execution.hand_out()
        await execution.ending(job)
    assert execution.of(job)[-1].kind == "JobCompleted"
    progressed = execution.of(job, "JobProgressed")[0].report
    assert (progressed.progress, progressed.message) == (0.4, "nearly half")
    lines: list[str] = []
    for told in execution.of(job, "JobLogged"):
        assert told.report.first_line == len(lines)
        lines += told.report.lines
    assert lines == [*(f"line {number}" for number in range(250)), "two", "lines"]


async def test_words_that_are_no_utf8_are_told_as_far_as_they_are(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    name = b"caf\xe9.csv".decode(errors="surrogateescape")  # as `os.listdir` gives it

    @worker.job("work")
    async def work(job: Job) -> None:
        job.log(f"reading {name}")
        job.progress(0.5, name)
        if job.payload == "fails":
            raise JobError(name, code=name)

    async with serving(worker):
        good, bad = await execution.hand_out(), await execution.hand_out(payload="fails")
        assert (await execution.ending(good)).report.delivery == 1
        error = (await execution.ending(bad)).report.error
    assert (error.code, error.message) == ("caf?.csv", "caf?.csv")
    assert execution.of(good, "JobLogged")[0].report.lines == ["reading caf?.csv"]
    assert execution.of(good, "JobProgressed")[0].report.message == "caf?.csv"


async def test_what_a_handler_raises_fails_the_attempt(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(job: Job) -> Any:
        if job.payload == "own":
            raise JobError("no such customer", code="CUSTOMER_UNKNOWN", retryable=False)
        if job.payload == "exit":
            raise SystemExit(3)
        if job.payload == "bad output":
            return {"not": object()}
        if job.payload == "raw output":
            return msgspec.Raw(b"{")
        raise ValueError("7 is not even")

    async with serving(worker):
        told = {
            kind: (await execution.ending(await execution.hand_out(payload=kind))).report.error
            for kind in ("own", "exit", "plain", "bad output", "raw output")
        }
    assert (told["own"].code, told["own"].message, told["own"].retryable) == (
        "CUSTOMER_UNKNOWN", "no such customer", False,
    )  # fmt: skip
    assert (told["plain"].code, told["plain"].retryable) == ("NODE_EXECUTION_FAILED", True)
    assert told["plain"].message == "ValueError: 7 is not even"
    assert "raise ValueError" in msgspec.json.decode(told["plain"].details)["traceback"]
    assert told["exit"].message == "SystemExit: 3"
    assert told["bad output"].code == told["raw output"].code == "OUTPUT_INVALID"
    assert "object" in told["bad output"].message


async def test_details_too_large_for_a_report_leave_the_error_as_it_is(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        raise JobError("the answer makes no sense", code="ODD", details={"answer": "x" * 2_000_000})

    async with serving(worker):
        told = await execution.ending(await execution.hand_out())
    assert (told.report.error.code, told.report.delivery) == ("ODD", 1)
    assert "at most 262144 are kept" in msgspec.json.decode(told.report.error.details)["too_large"]


async def test_plain_functions_run_side_by_side_in_threads(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker(concurrency=3)
    together = threading.Barrier(3, timeout=10)

    @worker.job("work")
    def work(job: Job) -> str:
        job.progress(0.5)
        job.log("from a thread")
        together.wait()
        return threading.current_thread().name

    async with serving(worker):
        jobs = [await execution.hand_out() for _ in range(3)]
        told = [await execution.ending(job) for job in jobs]
    assert len({msgspec.json.decode(each.report.output) for each in told}) == 3
    assert execution.of(jobs[0], "JobLogged")[0].report.lines == ["from a thread"]
    assert execution.of(jobs[0], "JobProgressed")[0].report.progress == 0.5


async def test_no_more_handlers_run_at_once_than_allowed(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker(concurrency=2)
    running, most, turn = 0, 0, asyncio.Semaphore(0)

    @worker.job("work")
    async def work(_job: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await turn.acquire()
        running -= 1

    async with serving(worker):
        jobs = [await execution.hand_out() for _ in range(6)]
        await execution.until(lambda: sum(bool(execution.of(job, "JobStarted")) for job in jobs) == 2)
        assert (await execution.consumer()).num_ack_pending == 2  # the others are there for other workers
        for _ in jobs:
            turn.release()
        for job in jobs:
            await execution.ending(job)
    assert most == 2


async def test_more_job_types_than_places_and_none_waits_for_ever(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker(concurrency=1)
    for name in ("a", "b", "c"):

        @worker.job(name)
        async def work(job: Job) -> str:
            return job.job_type

    async with serving(worker):
        jobs = [await execution.hand_out(name) for _ in range(5) for name in ("a", "b", "c")]
        told = [await execution.ending(job) for job in jobs]
    assert [msgspec.json.decode(each.report.output) for each in told] == ["a", "b", "c"] * 5


async def test_a_busy_job_type_gets_the_places_that_idle_ones_leave(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker(concurrency=12)
    gate = asyncio.Event()

    async def work(_job: Job) -> None:
        await gate.wait()

    for name in ("a", "b", "c"):
        worker.job(name)(work)
    async with serving(worker):
        jobs = [await execution.hand_out("a") for _ in range(8)]
        await execution.until(lambda: all(execution.of(job, "JobStarted") for job in jobs))
        gate.set()
        for job in jobs:
            await execution.ending(job)


async def test_a_large_output_travels_by_reference_and_is_put_in_its_place_as_input(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    large = "x" * (OUTPUT_INLINE_BYTES_MAX + 300_000)

    @worker.job("make")
    async def make(_job: Job) -> str:
        return large

    @worker.job("take")
    async def take(job: Job) -> list[Any]:
        return [job.input["inner"] == large, job.payload == large]

    async with serving(worker):
        made = await execution.ending(await execution.hand_out("make"))
        reference = msgspec.json.decode(made.report.output)
        assert reference.keys() == {"$blob", "size"}
        assert reference["size"] == len(large) + 2
        taken = await execution.ending(await execution.hand_out("take", input={"inner": reference}, payload=reference))
        again = await execution.ending(await execution.hand_out("make"))
    assert msgspec.json.decode(taken.report.output) == [True, True]
    assert msgspec.json.decode(again.report.output) == reference
    kept = await Blobs(execution.jetstream, execution.subjects.blobs_bucket).get(reference["$blob"])
    assert msgspec.json.decode(kept) == large


async def test_a_payload_that_the_object_store_has_spoiled_is_read_from_the_server(execution: Execution) -> None:
    data = b'"as it was"'

    async def from_server(_name: str) -> bytes | None:
        return data

    bucket = execution.subjects.blobs_bucket
    reference = await Blobs(execution.jetstream, bucket).put(data)
    await (await execution.jetstream.object_store(bucket)).put(reference.hash, b'"as it is now"')
    assert await Blobs(execution.jetstream, bucket, from_server).get(reference.hash) == data
    with pytest.raises(BlobMissing):
        await Blobs(execution.jetstream, bucket).get(reference.hash)


async def test_a_reference_to_nothing_fails_the_attempt(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        raise AssertionError("must not be called")

    async with serving(worker):
        told = await execution.ending(await execution.hand_out(input={"$blob": "0" * 64, "size": 1}))
    assert "is not in the object store" in told.report.error.message


async def test_an_input_that_cannot_be_asked_for_fails_the_attempt_and_says_why(
    execution: Execution, make_worker: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWFORGE_HOME", str(tmp_path))
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        raise AssertionError("must not be called")

    async with serving(worker):
        (tmp_path / "endpoints.json").write_text("{")
        told = await execution.ending(await execution.hand_out(input={"$blob": "0" * 64, "size": 1}))
    assert "endpoints.json cannot be read" in told.report.error.message


async def test_an_output_over_the_cap_is_refused(
    execution: Execution, make_worker: MakeWorker, monkeypatch: Any
) -> None:
    monkeypatch.setattr("flowforge.performing.OUTPUT_BYTES_MAX", 1000)
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> str:
        return "x" * 1000

    async with serving(worker):
        told = await execution.ending(await execution.hand_out())
    assert (told.report.error.code, told.report.error.retryable) == ("PAYLOAD_TOO_LARGE", False)


async def test_a_message_that_is_no_job_leaves_the_queue_and_its_run_is_told(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    half = requested()
    body = msgspec.json.encode(
        {"specversion": "1.0", "id": "1", "source": "/x", "type": "JobRequested",
         "data": {"job_id": half.job_id, "run_id": half.run_id, "attempt": 4, "job_type": 7}}
    )  # fmt: skip
    async with serving(worker):
        await execution.put("work", b"\xff no json")
        await execution.put("work", body)
        good = await execution.hand_out()
        told = await execution.ending(half)
        await execution.ending(good)
        info = await execution.settled()
    assert (told.kind, told.report.error.code, told.report.attempt) == ("JobFailed", "INPUT_INVALID", 4)
    assert not told.report.error.retryable
    assert info.num_redelivered == 0


async def test_a_job_type_that_shares_a_queue_by_its_spelling_is_failed_with_words(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()

    @worker.job("a.b")
    async def work(_job: Job) -> None:
        return

    async with serving(worker):
        told = await execution.ending(await execution.hand_out("a_b"))
    assert told.report.error.message == "this worker does not serve the job type 'a_b'"


@pytest.mark.alone
async def test_a_lone_job_is_answered_in_a_few_milliseconds(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    took_s: list[float] = []
    async with serving(worker):
        for _ in range(30):
            job, began_at = requested(), time.perf_counter()
            await execution.client.publish(execution.subjects.job("default", "work"), body_of(job))
            await execution.ending(job)
            took_s.append(time.perf_counter() - began_at)
    assert sorted(took_s)[15] < 0.05
