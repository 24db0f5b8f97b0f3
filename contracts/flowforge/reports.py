"""What goes between FlowForge and its workers (interface.md, section 4): the job handed out, the reports that come back."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from flowforge.events import NULL, JobUsage

OUTPUT_INLINE_BYTES_MAX = 256 * 1024
"""A larger output travels by reference: `{"$blob": sha256, "size": bytes}`."""
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
LOG_LINES_PER_REPORT_MAX = 500


class JobResources(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the attempt takes of what its worker offers."""

    slots: int = 1
    memory_mb: int = 0


class JobRequested(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The job on the queue. `deadline` is when this attempt times out, if it does. `callback_url`: where a webhook that
    waits for an answer is to be told to send it; in no event. `repeat`: not empty where NATS lost an earlier message of the
    attempt, or what came of it; a part of the ids of its reports, so that none passes for one that was told before."""

    job_id: UUID
    job_type: str
    workflow_id: str
    run_id: UUID
    node_id: str
    attempt: int
    idempotency_key: str
    instance: str = ""
    payload: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    deadline: datetime | None = None
    resources: JobResources | None = None
    callback_url: str = ""
    repeat: str = ""


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every report says: which attempt, in which delivery of the queue."""

    attempt: int
    delivery: int = 1
    node_id: str = ""
    instance: str = ""
    worker: str = ""


class JobStarted(Report, kw_only=True):
    """The worker began. `isolation`: which layers keep a script apart from the machine."""

    at: datetime | None = None
    isolation: list[str] = []


class JobProgressed(Report, kw_only=True):
    """How far it is, 0 to 1."""

    progress: Annotated[float, Meta(ge=0, le=1)]
    message: str = ""


class JobLogged(Report, kw_only=True):
    """Lines of output, in order; `first_line` counts from 0 within the attempt, so that a repeat is recognised."""

    lines: list[str]
    first_line: int = 0


class JobCompleted(Report, kw_only=True):
    """The job ended well. `started_at` stands in for a JobStarted that was not sent because the job was short."""

    output: msgspec.Raw = NULL
    started_at: datetime | None = None
    isolation: list[str] = []
    usage: JobUsage | None = None


class ReportedError(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a job failed."""

    code: str = "NODE_EXECUTION_FAILED"
    message: str = ""
    retryable: bool = True
    details: msgspec.Raw = NULL


class JobFailed(Report, kw_only=True):
    """The job failed."""

    error: ReportedError
    started_at: datetime | None = None
    isolation: list[str] = []
    usage: JobUsage | None = None


REPORT_TYPES: dict[str, type[Report]] = {
    kind.__name__: kind for kind in (JobStarted, JobProgressed, JobLogged, JobCompleted, JobFailed)
}


class BlobRef(msgspec.Struct, kw_only=True):
    """Stands where a payload was too large to travel: read it at `/api/blobs/{hash}`."""

    hash: str = msgspec.field(name="$blob")
    size: int
