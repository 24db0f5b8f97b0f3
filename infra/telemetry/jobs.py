"""The spans of a worker: one for each delivery of an attempt, below the attempt's own."""

import time

from flowforge.job import Job

from infra.telemetry.context import TraceContext, derived_span
from infra.telemetry.tracing import Kind, Tracing


class JobSpans:
    """A worker's tracer (`flowforge.tracing.JobTracer`)."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def __call__(self, job: Job) -> "_JobSpan | None":
        """The span of a job; what its handler traces with OpenTelemetry of its own hangs below it."""
        parent = self._tracing.followed(job.traceparent)
        if parent is None:
            return None
        own = parent.child(derived_span(job.job_id, job.attempt, job.delivery))
        self._tracing.make_current(own)
        return _JobSpan(self._tracing, job, own, parent)


class _JobSpan:
    def __init__(self, tracing: Tracing, job: Job, own: TraceContext, parent: TraceContext) -> None:
        self._tracing, self._job, self._own, self._parent = tracing, job, own, parent
        self._began_ns = time.time_ns()
        self.traceparent = own.traceparent

    def ended(self, error_code: str | None) -> None:
        job = self._job
        self._tracing.record(
            f"job {job.job_type}", self._own, self._parent, began_ns=self._began_ns, kind=Kind.CONSUMER, error=error_code,
            attributes={
                "flowforge.job.id": str(job.job_id),
                "flowforge.job.type": job.job_type,
                "flowforge.job.delivery": job.delivery,
                "flowforge.run.id": str(job.run_id),
                "flowforge.node.id": job.node_id,
                "flowforge.node.attempt": job.attempt,
                "flowforge.workflow.id": job.workflow_id,
            },
        )  # fmt: skip
