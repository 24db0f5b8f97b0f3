"""Serves the job types of the example workflows. Beside a running `flowforge up`, from the repository's folder:

flowforge worker contracts.examples.workers:worker
"""

import asyncio
import time
from typing import Any

from flowforge import Job, JobError, Worker

worker = Worker(queue="default")


@worker.job("examples.consolidate")
async def consolidate(job: Job) -> dict[str, Any]:
    """Adds up the statistics of all files of a data set."""
    tables = job.input["tables"]
    columns = [column for table in tables for column in table["columns"]]
    job.log(f"{job.payload['dataset']}: {len(tables)} files")
    return {
        "dataset": job.payload["dataset"],
        "files": len(tables),
        "rows": sum(table["rows"] for table in tables),
        "columns": len(columns),
        "numeric_columns": sum(column["kind"] == "number" for column in columns),
        "values": sum(column["count"] for column in columns),
        "missing": sum(column["missing"] for column in columns),
        "largest": max(tables, key=lambda table: table["rows"])["name"],
    }


@worker.job("examples.fetch")
async def fetch(job: Job) -> dict[str, Any]:
    """Fails `failures` times, as a busy source does; a retry policy gets over it."""
    if job.attempt <= job.payload["failures"]:
        raise JobError(f"the source is busy (attempt {job.attempt})", code="SOURCE_BUSY")
    return {"attempts": job.attempt, "records": 120}


@worker.job("examples.copy")
async def copy(job: Job) -> dict[str, Any]:
    """Takes `seconds`, telling how far it is; ends at once when it is cancelled."""
    steps = job.payload["seconds"] * 10
    for step in range(steps):
        await asyncio.sleep(0.1)
        job.progress((step + 1) / steps, f"block {step + 1} of {steps}")
    return {"blocks": steps}


@worker.job("examples.book")
def book(job: Job) -> None:
    """Cannot be done, and says that trying again makes no sense. A plain function: it runs in a thread."""
    job.log(f"opening ledger {job.payload['ledger']}")
    time.sleep(0.4)
    raise JobError(f"ledger {job.payload['ledger']} is closed", code="LEDGER_CLOSED", retryable=False)


if __name__ == "__main__":
    worker.run_forever()
