"""How a worker ends: told to stop, cancelled, or turned away; nothing goes on, and what it had is somebody else's."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from flowforge import Job, Unreachable, Worker, jobs
from nats.errors import ConnectionClosedError

from tests.integration.workers.conftest import MakeWorker
from tests.integration.workers.executing import WAIT_S, Execution, serving
from tests.integration.workers.own_server import Nats


async def test_a_worker_that_stops_ends_what_it_runs(execution: Execution, make_worker: MakeWorker) -> None:
    worker = make_worker()
    go_on = asyncio.Event()

    @worker.job("work")
    async def work(_job: Job) -> str:
        await go_on.wait()
        return "in time"

    async with serving(worker) as running:
        job = await execution.hand_out()
        await execution.report(job, "JobStarted")
        worker.stop()
        later = await execution.hand_out()
        go_on.set()
        await running
    told = await execution.ending(job)
    assert msgspec.json.decode(told.report.output) == "in time"
    assert execution.of(later) == []
    left = await execution.consumer()
    assert (left.num_pending or 0) + (left.num_ack_pending or 0) == 1  # on the queue, or handed back to it


async def test_a_worker_stops_in_order_while_nats_is_silent(
    own_nats: Nats, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DRAIN_WAIT_S", 0.1)
    monkeypatch.setattr("flowforge.serving.LAST_FLUSH_S", 0.1)
    worker = Worker(nats_url=own_nats.url, namespace=namespace, stop_grace_s=0.1)
    cancelled = hanging(worker)

    async with Execution.on(own_nats.url, namespace) as execution:
        running = asyncio.create_task(worker.run())
        await execution.report(await execution.hand_out(), "JobStarted")
        own_nats.process.send_signal(signal.SIGSTOP)
        worker.stop()
        try:
            await running
        finally:
            own_nats.process.send_signal(signal.SIGCONT)
    assert cancelled.is_set()


async def test_a_worker_that_is_cancelled_takes_no_more_and_hands_back_what_it_has(
    execution: Execution, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    cancelled = hanging(worker)

    running = asyncio.create_task(worker.run())
    job = await execution.hand_out()
    await execution.report(job, "JobStarted")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled.is_set()
    async with asyncio.timeout(WAIT_S):
        while (info := await execution.consumer()).num_waiting:
            await asyncio.sleep(0.01)
    assert info.num_redelivered == 0

    heir = make_worker()
    heir.job("work")(_at_once)
    async with serving(heir):
        assert (await execution.ending(job)).report.delivery == 2


async def test_a_stop_that_comes_with_an_answer_of_nats_ends_the_taking(
    execution: Execution, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def answers_when_cancelled(*_: object) -> None:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr("flowforge.taking.ensure_job_consumer", answers_when_cancelled)
    before = asyncio.all_tasks()
    worker = make_worker()
    worker.job("work")(_at_once)
    running = asyncio.create_task(worker.run())
    await asked.wait()
    worker.stop()
    await running
    await _turns()
    assert asyncio.all_tasks() - before == set()


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_worker_that_ends_while_nobody_answers_asks_no_more(
    is_cancelled: bool, own_nats: Nats, namespace: str, make_worker: MakeWorker
) -> None:
    own_nats.process.send_signal(signal.SIGSTOP)  # it takes the connection and says nothing
    while psutil.Process(own_nats.process.pid).status() != psutil.STATUS_STOPPED:
        await asyncio.sleep(0)
    before = asyncio.all_tasks()
    worker = make_worker(nats_url=own_nats.url)
    worker.job("work")(_at_once)
    running = asyncio.create_task(worker.run())
    await _turns()
    if is_cancelled:
        running.cancel()
    else:
        worker.stop()
    await asyncio.wait([running], timeout=WAIT_S)
    await _turns()
    assert asyncio.all_tasks() - before == set()


async def test_a_worker_that_nats_turns_away_leaves_nothing_running(own_nats: Nats, namespace: str) -> None:
    worker = Worker(nats_url=own_nats.url, namespace=namespace, stop_grace_s=60)
    cancelled = hanging(worker)

    with contextlib.suppress(ConnectionClosedError):  # the test's own connection is turned away as well
        async with Execution.on(own_nats.url, namespace) as execution:
            running = asyncio.create_task(worker.run())
            await execution.report(await execution.hand_out(), "JobStarted")
            own_nats.change_logins()
            with pytest.raises(Unreachable, match="ended the connection"):
                await running
    assert cancelled.is_set()


async def test_a_worker_that_stops_hands_back_what_does_not_end(execution: Execution, make_worker: MakeWorker) -> None:
    leaving, staying = make_worker(name="leaving", stop_grace_s=0.05), make_worker(name="staying")

    @leaving.job("work")
    async def forever(job: Job) -> None:
        job.log("cannot end")
        await asyncio.Event().wait()

    @staying.job("work")
    async def at_once(_job: Job) -> None:
        return

    async with serving(leaving):
        job = await execution.hand_out()
        await execution.report(job, "JobStarted")
    assert [told.kind for told in execution.of(job)] == ["JobStarted", "JobLogged"]
    async with serving(staying):
        told = await execution.ending(job)
    assert (told.report.worker, told.report.delivery) == ("staying", 2)


COMMAND = """
import threading
from flowforge import Worker
worker = Worker(stop_grace_s=0.1)

@worker.job("work")
async def work(job):
    return "served"

@worker.job("stuck")
def stuck(job):
    threading.Event().wait()
"""


async def test_the_command_serves_until_sigterm_even_with_a_stuck_thread(
    execution: Execution, tmp_path: Path, nats_url: str, namespace: str
) -> None:
    (tmp_path / "own_jobs.py").write_text(COMMAND)
    process = subprocess.Popen(
        [sys.executable, "-m", "flowforge.worker", "own_jobs:worker"],
        cwd=tmp_path,
        env={**os.environ, "FLOWFORGE_NATS_URL": nats_url, "FLOWFORGE_NAMESPACE": namespace},
    )
    try:
        told = await execution.ending(await execution.hand_out())
        stuck = await execution.hand_out("stuck")
        await execution.report(stuck, "JobStarted")
        process.terminate()
        assert await asyncio.to_thread(process.wait, WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
    assert msgspec.json.decode(told.report.output) == "served"


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _at_once(_job: Job) -> None:
    return


def hanging(worker: Worker) -> asyncio.Event:
    """Its jobs do not end by themselves; set once one was told to."""
    told = asyncio.Event()

    @worker.job("work")
    async def work(_job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.set()

    return told
