"""Jobs that are told to end: their time is up, or nobody waits for them any more."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from flowforge import Job

from tests.integration.workers.conftest import MakeWorker
from tests.integration.workers.executing import Execution, body_of, requested, serving


async def test_the_time_for_an_attempt_is_up(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()
    cleaned: list[bool] = []

    @worker.job("work")
    async def work(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(job.cancelled)

    async with serving(worker):
        soon = await execution.ending(
            await execution.hand_out(deadline=datetime.now(UTC) + timedelta(milliseconds=150))
        )
        past = await execution.ending(await execution.hand_out(deadline=datetime.now(UTC) - timedelta(seconds=1)))
    assert soon.report.error.code == past.report.error.code == "JOB_TIMEOUT"
    assert soon.report.error.retryable
    assert cleaned == [True]


async def test_a_cancelled_job_ends_and_says_so(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()
    seen: list[str] = []

    @worker.job("work")
    async def work(job: Job) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(str(job.stop_reason))
            if job.payload == "swallows":
                return "went on"
            raise
        return ""

    async with serving(worker):
        for payload in ("obeys", "swallows"):
            job = await execution.hand_out(payload=payload)
            await execution.report(job, "JobStarted")
            await execution.cancel(job)
            told = await execution.ending(job)
            assert (told.report.error.code, told.report.error.retryable) == ("CANCELLED", False)
        await execution.settled()
    assert seen == ["cancelled", "cancelled"]


async def test_a_cancel_names_the_attempts_it_means_and_is_remembered_for_them(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    go_on = asyncio.Event()

    @worker.job("work")
    async def work(_job: Job) -> None:
        await go_on.wait()

    async with serving(worker):
        second = await execution.hand_out(attempt=2)
        await execution.report(second, "JobStarted")
        await execution.cancel(second, attempt=1)
        ids: dict[str, Any] = {"job_id": second.job_id, "run_id": second.run_id}
        first = await execution.hand_out(attempt=1, **ids)
        late = await execution.ending(first)
        go_on.set()
        await execution.report(second, "JobCompleted")
    assert (late.report.attempt, late.report.error.code) == (1, "CANCELLED")


async def test_a_cancel_that_comes_late_revives_no_later_attempt(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    async with serving(worker):
        job = requested(attempt=2)
        await execution.cancel(job, attempt=2)
        await execution.cancel(job, attempt=1)
        await execution.client.flush()
        await execution.put("work", body_of(job))
        assert (await execution.ending(job)).report.error.code == "CANCELLED"


async def test_a_handler_that_does_not_end_is_left_behind_and_reported(
    execution: Execution, make_worker: MakeWorker, monkeypatch: Any
) -> None:
    monkeypatch.setattr("flowforge.serving.CANCEL_GRACE_S", 0.1)
    worker = make_worker()
    end = threading.Event()

    @worker.job("thread")
    def in_thread(_job: Job) -> None:
        end.wait(20)

    @worker.job("stubborn")
    async def stubborn(_job: Job) -> None:
        while not end.is_set():
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                await asyncio.sleep(1)

    async with serving(worker):
        for job_type in ("thread", "stubborn"):
            job = await execution.hand_out(job_type)
            await execution.report(job, "JobStarted")
            await execution.cancel(job)
            told = await execution.ending(job)
            assert told.report.error.code == "CANCELLED"
        end.set()
