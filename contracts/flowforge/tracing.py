"""Where a worker's jobs stand in traces and logs, without a library for either.

A worker without a tracer hands the `traceparent` of a job on as it came. One that is given a tracer (the server package has
one for OpenTelemetry) records a span per job: handlers, scripts and calls are then told that span, and so are all reports.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowforge.job import Job


class JobSpan(Protocol):
    """The span of one delivery of one attempt."""

    traceparent: str
    """What the job's handler, and whoever it calls, is told."""

    def ended(self, error_code: str | None) -> None:
        """The job is over; `error_code` says why it failed."""
        ...


JobTracer = Callable[["Job"], "JobSpan | None"]
"""Called in the task of the job, before its handler; None for a job whose trace is not recorded. Must not raise."""

NOTHING: Mapping[str, str] = MappingProxyType({})
about: ContextVar[Mapping[str, str]] = ContextVar("flowforge_about", default=NOTHING)
"""What the log records of this task are about: `run_id`, `node_id`, `job_id` of the job in hand."""


def about_job(job: "Job") -> Mapping[str, str]:
    """The same for a job; with the id of its trace, where it is in one."""
    told = {"run_id": str(job.run_id), "node_id": job.node_id, "job_id": str(job.job_id)}
    trace = (job.traceparent or "").split("-")
    return {**told, "trace_id": trace[1]} if len(trace) > 1 else told
