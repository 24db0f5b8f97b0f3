"""How fast one worker process serves trivial jobs (`pytest -m bench -s`)."""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from nats.aio.msg import Msg

from tests.integration.workers.executing import Execution, body_of, requested

JOBS_COUNT = 30_000
LONE_COUNT = 300
JOBS_PER_S_MIN = 6_000
TRIVIAL = """
import sys
from flowforge import Worker
worker = Worker(nats_url=sys.argv[1], namespace=sys.argv[2])

@worker.job("work")
async def work(job):
    return {"ok": job.input}

worker.run_forever()
"""


@pytest.fixture
def trivial(nats_url: str, namespace: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", TRIVIAL, nats_url, namespace])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


@pytest.mark.bench
async def test_trivial_jobs(execution: Execution, trivial: psutil.Process) -> None:
    ended = 0

    async def heard(_message: Msg) -> None:
        nonlocal ended
        ended += 1

    await execution.ending(await execution.hand_out())
    latencies_ms: list[float] = []
    for _ in range(LONE_COUNT):
        job, began_at = requested(input={"n": 1}), time.perf_counter()
        await execution.client.publish(execution.subjects.job("default", "work"), body_of(job))
        await execution.ending(job)
        latencies_ms.append((time.perf_counter() - began_at) * 1000)
    latencies_ms.sort()

    await execution.client.subscribe(f"{execution.subjects.namespace}.reports.>", cb=heard)
    bodies = [body_of(requested(input={"n": 1})) for _ in range(JOBS_COUNT)]
    jetstream = execution.client.jetstream(publish_async_max_pending=8_000)
    cpu_s, began_at = sum(trivial.cpu_times()[:2]), time.perf_counter()
    for body in bodies:
        await jetstream.publish_async(execution.subjects.job("default", "work"), body)
    await execution.until(lambda: ended >= JOBS_COUNT)
    took_s, cpu_s = time.perf_counter() - began_at, sum(trivial.cpu_times()[:2]) - cpu_s
    print(
        f"\n{JOBS_COUNT / took_s:,.0f} jobs/s, {cpu_s / JOBS_COUNT * 1e6:.0f} µs of CPU each; "
        f"a lone job, published to reported: p50 {latencies_ms[LONE_COUNT // 2]:.2f} ms, "
        f"p95 {latencies_ms[LONE_COUNT * 95 // 100]:.2f} ms"
    )
    assert JOBS_COUNT / took_s >= JOBS_PER_S_MIN
