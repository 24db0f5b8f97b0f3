"""Workers that offer slots and memory, and what becomes of their jobs when they stop."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flowforge import Job, Worker
from flowforge import serving as at_serving
from flowforge.reports import JobResources

from tests.integration.workers.conftest import MakeWorker
from tests.integration.workers.executing import WAIT_S, Execution, serving


class Gated:
    """A worker whose jobs run until they are let go."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.running: list[str] = []
        self.ever: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._news = asyncio.Condition()
        worker.job("work")(self.work)

    async def work(self, job: Job) -> None:
        name = str(job.payload)
        self.running.append(name)
        self.ever.append(name)
        async with self._news:
            self._news.notify_all()
        try:
            await self._gates.setdefault(name, asyncio.Event()).wait()
        finally:
            self.running.remove(name)

    def let_go(self, *names: str) -> None:
        for name in names:
            self._gates.setdefault(name, asyncio.Event()).set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(condition)

    async def until_running(self, *names: str) -> None:
        await self.until(lambda: set(names) <= set(self.running))


async def delivered(execution: Execution, count: int) -> None:
    """Until so many jobs are with workers."""
    async with asyncio.timeout(WAIT_S):
        while (await execution.consumer()).num_ack_pending != count:
            await asyncio.sleep(0.01)


async def test_jobs_begin_while_slots_and_memory_are_free(execution: Execution, make_worker: MakeWorker) -> None:
    gated = Gated(make_worker(concurrency=10, slots=4, memory_mb=1000))
    async with serving(gated.worker):
        await execution.hand_out(payload="large", resources=JobResources(slots=1, memory_mb=800))
        await gated.until_running("large")
        await execution.hand_out(payload="other", resources=JobResources(slots=1, memory_mb=300))
        await delivered(execution, 2)
        await execution.hand_out(payload="small")
        await gated.until_running("large", "small")
        assert gated.ever == ["large", "small"]
        gated.let_go("large")
        await gated.until_running("other")
        gated.let_go("other", "small")
        await execution.settled()


async def test_a_job_of_many_slots_comes_to_its_turn_among_small_ones(
    execution: Execution, make_worker: MakeWorker
) -> None:
    gated = Gated(make_worker(concurrency=4))
    async with serving(gated.worker):
        for name in "abc":
            await execution.hand_out(payload=name)
        await gated.until_running(*"abc")
        await execution.hand_out(payload="wide", resources=JobResources(slots=4))
        await delivered(execution, 4)
        for number in range(20):
            await execution.hand_out(payload=f"later-{number}")
        gated.let_go(*"abc")
        await gated.until_running("wide")
        assert gated.running == ["wide"]
        gated.let_go("wide", *(f"later-{number}" for number in range(20)))
        await execution.settled()
    assert len(gated.ever) == 24


async def test_a_job_that_waits_for_room_keeps_its_lease(
    execution: Execution, make_worker: MakeWorker, short_lease: float
) -> None:
    gated = Gated(make_worker(slots=2))
    async with serving(gated.worker):
        await execution.hand_out(payload="first", resources=JobResources(slots=2))
        await gated.until_running("first")
        waiting = await execution.hand_out(payload="second", resources=JobResources(slots=2))
        await delivered(execution, 2)
        leased_until = asyncio.get_running_loop().time() + 2.5 * short_lease
        while asyncio.get_running_loop().time() < leased_until:
            assert (await execution.consumer()).num_redelivered == 0
            await asyncio.sleep(0.1)
        assert execution.of(waiting) == []
        gated.let_go("first", "second")
        assert (await execution.ending(waiting)).report.delivery == 1


async def test_a_job_that_is_too_large_here_goes_to_a_worker_with_room(
    execution: Execution, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(at_serving, "PASSED_ON_S", (0.1, 0.1))
    small, large = Gated(make_worker(name="small", slots=1)), Gated(make_worker(name="large", memory_mb=100))
    need = JobResources(slots=2, memory_mb=100)
    with caplog.at_level(logging.WARNING, "flowforge.worker"):
        async with serving(small.worker):
            job = await execution.hand_out(payload="wide", resources=need)
            async with asyncio.timeout(WAIT_S):
                while "handed back" not in caplog.text:
                    await asyncio.sleep(0.01)
            async with serving(large.worker):
                large.let_go("wide")
                ended = await execution.ending(job)
    assert ended.report.worker == "large"
    assert small.ever == []
    assert caplog.text.count("handed back") == 1
    assert "it needs 2 slots, and at most 1 are offered by this worker" in caplog.text


async def test_a_job_for_which_nobody_has_room_fails_in_words(
    execution: Execution, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_serving, "PASSED_ON_S", (0.05, 0.05))
    gated = Gated(make_worker(name="small", memory_mb=100))
    async with serving(gated.worker):
        job = await execution.hand_out(payload="large", resources=JobResources(memory_mb=200))
        told = await execution.ending(job)
        await execution.settled()
    assert told.report.error.code == "NODE_EXECUTION_FAILED"
    assert told.report.error.message == (
        "no worker was found that has room for the job: it needs 200 MB of memory, and at most 100 MB are offered by "
        "small. Start a worker that offers more, give such nodes a queue of their own, or ask for less in `resources`"
    )
    assert gated.ever == []


async def test_a_job_that_waits_is_cancelled_and_timed_out_as_one_that_runs(
    execution: Execution, make_worker: MakeWorker
) -> None:
    gated, all_of_it = Gated(make_worker(memory_mb=100)), JobResources(memory_mb=100)
    async with serving(gated.worker):
        await execution.hand_out(payload="first", resources=all_of_it)
        await gated.until_running("first")
        now = datetime.now(UTC)
        cancelled = await execution.hand_out(payload="cancelled", resources=all_of_it)
        late = await execution.hand_out(payload="late", resources=all_of_it, deadline=now + timedelta(seconds=1))
        over = await execution.hand_out(payload="over", resources=all_of_it, deadline=now - timedelta(seconds=1))
        await execution.cancel(cancelled, attempt=1)
        codes = [(await execution.ending(job)).report.error.code for job in (cancelled, late, over)]
        assert codes == ["CANCELLED", "JOB_TIMEOUT", "JOB_TIMEOUT"]
        assert gated.ever == ["first"]
        gated.let_go("first")
        await execution.settled()


async def test_what_a_stopping_worker_does_not_end_another_has_at_once_with_the_same_attempt(
    execution: Execution, make_worker: MakeWorker
) -> None:
    leaving = Gated(make_worker(name="leaving", slots=2, stop_grace_s=0.3))
    staying = Gated(make_worker(name="staying"))
    async with serving(leaving.worker) as running:
        ends, stays = [await execution.hand_out(payload=name, attempt=2) for name in ("ends", "stays")]
        await leaving.until_running("ends", "stays")
        waits = await execution.hand_out(payload="waits", attempt=2)
        async with serving(staying.worker):
            staying.let_go("stays", "waits")
            leaving.worker.stop()
            leaving.let_go("ends")
            async with asyncio.timeout(5):  # a third of the lease, after which they would come by themselves
                told = [await execution.ending(job) for job in (ends, stays, waits)]
                await running
            await execution.settled()
    assert [each.report.worker for each in told] == ["leaving", "staying", "staying"]
    assert [each.report.attempt for each in told] == [2, 2, 2]
    assert [told[0].report.delivery, told[1].report.delivery] == [1, 2]
    assert leaving.ever == ["ends", "stays"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slots": 0}, "slots must be at least 1, not 0"),
        ({"memory_mb": -1}, "memory_mb must be at least 0, not -1"),
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
    ],
)
def test_an_offer_of_nothing_is_refused(make_worker: MakeWorker, options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_worker(**options)
