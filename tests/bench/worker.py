"""The one Python worker of the benchmark: a job that does nothing, on the ordinary SDK."""

from flowforge import Job, Worker

from infra.telemetry import start_tracing
from infra.telemetry.jobs import JobSpans

worker = Worker(queue="default", concurrency=1000)


@worker.job("step")
async def step(_job: Job) -> dict[str, int]:
    return {"n": 1}


if __name__ == "__main__":
    tracing = start_tracing("worker", "flowforge")
    worker.tracer = None if tracing is None else JobSpans(tracing)
    worker.run_forever()
