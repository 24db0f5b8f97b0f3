"""The worker of the fault suite, in a process of its own, kept alive by the supervisor.

Its failpoints are `worker.before_report` and `worker.after_report`.
"""

import asyncio
import contextlib
import logging
import signal

from flowforge import Job, Worker
from flowforge.errors import JobError

from infra.embedded.readiness import say_ready
from infra.failpoints import failpoint

worker = Worker(queue="default", concurrency=50, passed=lambda point: failpoint(f"worker.{point}"))


@worker.job("step")
async def step(job: Job) -> dict[str, object]:
    """Answers what it was given; with `size`, so many characters beside it."""
    size = int(job.payload.get("size") or 0)
    return {"n": job.payload.get("n"), "filling": str(job.job_id).ljust(size, "x")}


@worker.job("flaky")
async def flaky(job: Job) -> dict[str, object]:
    """Succeeds at the second attempt."""
    if job.attempt == 1:
        raise JobError("not yet")
    return {"attempt": job.attempt}


@worker.job("broken")
async def broken(_job: Job) -> None:
    """Never succeeds."""
    raise JobError("it cannot be done", retryable=False)


@worker.job("long")
async def long(job: Job) -> dict[str, object]:
    """Takes `ms`; answers which delivery it was."""
    await asyncio.sleep(int(job.payload["ms"]) / 1000)
    return {"delivery": job.delivery}


async def serve() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    telling = asyncio.create_task(_tell_when_ready())
    try:
        await worker.run()
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


async def _tell_when_ready() -> None:
    await worker.is_ready.wait()
    say_ready()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(serve())
