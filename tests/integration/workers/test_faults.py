"""What happens to jobs when workers and servers do not behave."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flowforge import Job, Unreachable, Worker
from flowforge.jobs import ConsumerMismatch, ensure_job_consumer, job_consumer_config
from flowforge.reports import JobRequested
from flowforge.subjects import job_consumer
from nats.errors import Error as NatsError

from infra.bus.topology import declare
from tests.integration.workers.conftest import MakeWorker
from tests.integration.workers.executing import WAIT_S, Execution, body_of, serving
from tests.integration.workers.own_server import Nats
from tests.until import until

VANISHING = """
import asyncio, os, sys
from flowforge import Worker, jobs, serving
jobs.JOB_LEASE_S, serving.JOB_HEARTBEAT_S, serving.TICK_S = 1, 0.3, 0.1
worker = Worker(nats_url=sys.argv[1], namespace=sys.argv[2], name="vanishing")

@worker.job("work")
async def work(job):
    await asyncio.Event().wait()

worker.run_forever()
"""


@pytest.fixture
def vanishing(nats_url: str, namespace: str, short_lease: float) -> Iterator[subprocess.Popen[bytes]]:
    """Another worker, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", VANISHING, nats_url, namespace])
    yield process
    process.kill()
    process.wait()


async def test_heartbeats_keep_a_long_job(execution: Execution, make_worker: MakeWorker, short_lease: float) -> None:
    worker = make_worker()
    deliveries: list[int] = []

    @worker.job("work")
    async def work(job: Job) -> None:
        deliveries.append(job.delivery)
        await asyncio.sleep(2.5 * short_lease)  # the job's own work: longer than two leases

    async with serving(worker):
        job = await execution.hand_out()
        told = await execution.ending(job)
        info = await execution.settled()
    assert deliveries == [1]
    assert told.report.delivery == 1
    assert info.num_redelivered == 0


async def test_the_job_of_a_vanished_worker_goes_to_another(
    execution: Execution, make_worker: MakeWorker, vanishing: subprocess.Popen[bytes]
) -> None:
    job = await execution.hand_out()
    first = await execution.report(job, "JobStarted")
    assert (first.report.worker, first.report.delivery) == ("vanishing", 1)
    worker = make_worker(name="heir")

    @worker.job("work")
    async def work(job: Job) -> int:
        return job.delivery

    async with serving(worker):
        os.kill(vanishing.pid, signal.SIGKILL)
        told = await execution.ending(job)
        await execution.settled()
    assert (told.report.worker, told.report.delivery, told.event.id) == ("heir", 2, f"{job.job_id}-1-2-completed")
    assert msgspec.json.decode(told.report.output) == 2


async def test_a_zombie_reports_under_an_older_delivery(
    execution: Execution, make_worker: MakeWorker, vanishing: subprocess.Popen[bytes]
) -> None:
    job = await execution.hand_out()
    await execution.report(job, "JobStarted")
    os.kill(vanishing.pid, signal.SIGSTOP)
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    async with serving(worker):
        heir = await execution.report(job, "JobCompleted")
        os.kill(vanishing.pid, signal.SIGCONT)
        await execution.cancel(job)
        late = await execution.report(job, "JobFailed")
    assert late.report.worker == "vanishing"
    assert late.report.delivery < heir.report.delivery


async def test_reports_survive_a_killed_server(own_nats: Nats, namespace: str) -> None:
    worker = Worker(nats_url=own_nats.url, namespace=namespace, stop_grace_s=1)
    go_on, reached = asyncio.Event(), asyncio.Event()

    @worker.job("work")
    async def work(job: Job) -> str:
        if job.payload == "waits":
            reached.set()
            await go_on.wait()
        return "done"

    async with Execution.on(own_nats.url, namespace) as execution, serving(worker):
        job = await execution.hand_out(payload="waits")
        await execution.report(job, "JobStarted")
        own_nats.kill()
        own_nats.start()
        await _said_alive_again(execution, job)
        own_nats.kill()
        go_on.set()
        own_nats.start()
        told = await execution.ending(job)
        assert msgspec.json.decode(told.report.output) == "done"
        after = await execution.hand_out(payload="next")
        await execution.ending(after)
        await execution.settled()
        assert len(execution.of(job, "JobCompleted")) == 1


async def test_a_server_that_lost_everything_is_filled_anew(own_nats: Nats, namespace: str) -> None:
    worker = Worker(nats_url=own_nats.url, namespace=namespace, stop_grace_s=1)
    go_on, calls = asyncio.Event(), 0

    @worker.job("work")
    async def work(_job: Job) -> str:
        nonlocal calls
        calls += 1
        await go_on.wait()
        return "done"

    async with Execution.on(own_nats.url, namespace) as execution, serving(worker):
        job = await execution.hand_out()
        await execution.report(job, "JobStarted")
        own_nats.kill()
        own_nats.empty()
        own_nats.start()
        await _declared(execution, namespace)
        await _said_alive_again(execution, job)
        again = await execution.hand_out(job_id=job.job_id, run_id=job.run_id)  # said again by execution
        await _delivered(execution)
        go_on.set()
        told = await execution.ending(again)
        await execution.settled()
    assert msgspec.json.decode(told.report.output) == "done"
    assert calls == 1


async def test_a_job_said_again_after_its_end_is_taken_off_the_queue_unrun(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    calls = 0

    @worker.job("work")
    async def work(_job: Job) -> None:
        nonlocal calls
        calls += 1

    async with serving(worker):
        job = await execution.hand_out()
        await execution.ending(job)
        await execution.hand_out(job_id=job.job_id, run_id=job.run_id)
        await execution.settled()
    assert calls == 1


def counting(worker: Worker) -> list[int]:
    """The deliveries of the jobs that it does; what it answers is how many there were."""
    calls: list[int] = []

    @worker.job("work")
    async def work(job: Job) -> int:
        calls.append(job.delivery)
        return len(calls)

    return calls


async def test_a_job_that_is_asked_for_once_more_after_its_end_is_done_again(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    calls = counting(worker)

    async with serving(worker):
        job = await execution.hand_out()
        await execution.ending(job)
        await execution.settled()
        job.repeat = "-again-7"
        await execution.put("work", body_of(job))
        told = await execution.report(job, "JobCompleted", count=2)
        await execution.settled()
        await execution.put("work", body_of(job))  # it comes twice, as every message may
        await execution.settled()
    assert (bytes(told.report.output), told.event.id) == (b"2", f"{job.job_id}-1-1-again-7-completed")
    assert calls == [1, 1]


async def test_a_job_that_is_asked_for_once_more_while_its_end_is_being_told_is_done_again(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    calls = counting(worker)

    async def has_come_back() -> bool:
        return (await execution.consumer()).num_ack_pending == 2

    async with serving(worker):
        await execution.jetstream.delete_stream(execution.subjects.reports_stream)
        job = await execution.hand_out()
        await execution.ending(job)  # as it went by: nothing stores it
        job.repeat = "-again-7"
        await execution.put("work", body_of(job))
        await until(has_come_back, "the worker has both")
        await declare(execution.client, execution.subjects.namespace)
        await until(
            lambda: any(told.event.id.endswith("again-7-completed") for told in execution.told), "both are told"
        )
        await execution.settled()
    assert calls[0] == 1
    assert len(calls) == 2


async def test_a_job_whose_handler_does_not_end_is_told_once_more_when_its_report_was_lost(
    own_nats: Nats, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowforge.serving.CANCEL_GRACE_S", 0.1)
    worker = Worker(nats_url=own_nats.url, namespace=namespace, stop_grace_s=1)
    end = threading.Event()

    @worker.job("work")
    def work(_job: Job) -> None:
        end.wait(WAIT_S)

    async with Execution.on(own_nats.url, namespace) as execution, serving(worker):
        try:
            job = await execution.hand_out()
            await execution.report(job, "JobStarted")
            await execution.cancel(job)
            await execution.ending(job)
            ids: dict[str, Any] = {"job_id": job.job_id, "run_id": job.run_id}
            await execution.hand_out(**ids)
            await execution.settled()
            own_nats.kill()
            own_nats.empty()
            own_nats.start()
            await _declared(execution, namespace)
            await execution.hand_out(**ids)
            await execution.report(job, "JobFailed", count=2)
            await execution.settled()
        finally:
            end.set()


async def test_a_deleted_consumer_is_made_anew(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    async with serving(worker):
        await execution.jetstream.delete_consumer(execution.subjects.jobs_stream, job_consumer("default", "work"))
        await execution.ending(await execution.hand_out())


async def test_a_worker_waits_for_a_stream_that_is_not_there_yet(nats_url: str, namespace: str) -> None:
    worker = Worker(nats_url=nats_url, namespace=namespace, stop_grace_s=1)

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    running = asyncio.create_task(worker.run())
    async with Execution.on(nats_url, namespace) as execution:
        await execution.ending(await execution.hand_out())
        worker.stop()
        await running


async def test_a_consumer_of_another_shape_is_mended_or_refused(execution: Execution) -> None:
    subjects, stream = execution.subjects, execution.subjects.jobs_stream
    wanted = job_consumer_config(subjects, "default", "work")
    await execution.jetstream.add_consumer(stream, wanted.evolve(ack_wait=99, max_deliver=-1))
    await ensure_job_consumer(execution.jetstream, subjects, "default", "work")
    mended = (await execution.consumer()).config
    assert (mended.ack_wait, mended.max_deliver) == (wanted.ack_wait, wanted.max_deliver)

    other = job_consumer_config(subjects, "default", "other")
    await execution.jetstream.add_consumer(stream, other.evolve(deliver_subject="somewhere", max_waiting=None))
    with pytest.raises(ConsumerMismatch, match="delete it, or choose another FLOWFORGE_NAMESPACE"):
        await ensure_job_consumer(execution.jetstream, subjects, "default", "other")


async def test_a_failure_between_report_and_acknowledgement_is_harmless(
    execution: Execution, make_worker: MakeWorker
) -> None:
    failing = {"before_report": 1, "after_report": 1}

    def passed(point: str) -> None:
        if failing.pop(point, None):
            raise RuntimeError(f"armed: {point}")

    worker = make_worker(passed=passed)
    calls: list[int] = []

    @worker.job("work")
    async def work(job: Job) -> None:
        calls.append(job.delivery)

    async with serving(worker):
        job = await execution.hand_out()
        told = await execution.ending(job)
        await execution.settled()
    assert calls == [1, 2]
    assert told.report.delivery == 2
    assert len(execution.of(job, "JobCompleted")) == 1


async def test_a_worker_finds_a_server_that_moved(
    tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("FLOWFORGE_HOME", str(home))
    monkeypatch.delenv("FLOWFORGE_NATS_URL", raising=False)
    with contextlib.ExitStack() as servers:
        first = _server(servers, tmp_path / "first")
        (home / "endpoints.json").write_bytes(msgspec.json.encode({"worker_nats": first.url}))
        worker = Worker(namespace=namespace, stop_grace_s=1)

        @worker.job("work")
        async def work(_job: Job) -> None:
            return

        async with serving_from(worker, first.url, namespace) as running:
            first.kill()
            second = _server(servers, tmp_path / "second")
            (home / "endpoints.json").write_bytes(msgspec.json.encode({"worker_nats": second.url}))
            async with Execution.on(second.url, namespace) as execution:
                await execution.ending(await execution.hand_out())
                worker.stop()
                await running


async def test_no_address_is_told_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWFORGE_HOME", str(tmp_path))
    monkeypatch.delenv("FLOWFORGE_NATS_URL", raising=False)
    worker = Worker()

    @worker.job("work")
    async def work(_job: Job) -> None:
        return

    with pytest.raises(Unreachable, match="start `flowforge up`"):
        await worker.run()


def _server(servers: contextlib.ExitStack, home: Path) -> Nats:
    home.mkdir()
    nats = Nats(home)
    servers.callback(nats.kill)
    return nats


@contextlib.asynccontextmanager
async def serving_from(worker: Worker, url: str, namespace: str) -> AsyncGenerator[asyncio.Task[None]]:
    """The worker at work on a server that may go away."""
    async with Execution.on(url, namespace) as execution:
        running = asyncio.create_task(worker.run())
        await execution.ending(await execution.hand_out())
    yield running


async def _said_alive_again(execution: Execution, job: JobRequested) -> None:
    """A second JobStarted, as another message than the first, which may come twice too."""
    await execution.until(lambda: any(told.event.id == f"{job.job_id}-1-1-started-2" for told in execution.of(job)))


async def _declared(execution: Execution, namespace: str) -> None:
    """The streams again, as the supervisor declares them once the server is back."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(NatsError):
                await execution.client.flush(1)
                await declare(execution.client, namespace)
                return
            await asyncio.sleep(0.01)


async def _delivered(execution: Execution) -> None:
    """Until the job that was said again has been given to a worker."""
    stream = execution.subjects.jobs_stream
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(NatsError):
                info = await execution.jetstream.consumer_info(stream, job_consumer("default", "work"))
                if info.delivered is not None and info.delivered.stream_seq:
                    return
            await asyncio.sleep(0.01)
