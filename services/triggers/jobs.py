"""The end of a job of one of the six types as a cause, and what job-type triggers make of it (pure).

A job is told by the run that it belongs to (`JobEnded`), by an external system (an event `JobCompleted` on the inbox), or
by both. It starts a workflow once, whoever tells it, and never one that led to its own run.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

import msgspec
from flowforge.envelope import NULL
from flowforge.events import Cause, JobEnded, NodeQueued, WorkflowTriggered, decode
from flowforge.identity import identity_key, part_uuid
from flowforge.job_types import JobStatus, TriggerConfig, TriggerType
from msgspec import Meta

from infra.eventlog import StoredEvent
from services.triggers.cause import OwnCause, ReceivedCause
from services.triggers.endings import chain_after
from services.triggers.patterns import Pattern
from services.triggers.state import JobTrigger
from services.triggers.verdict import NotFired

REPORT_TYPE = "JobCompleted"
"""The type of an external event that reports a job."""
TOLD_OF_RUNS = frozenset({WorkflowTriggered.__name__, NodeQueued.__name__})
"""What `owner_of` looks through."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_encode = msgspec.json.encode


class _Report(msgspec.Struct, gc=False):
    """What the data of a report must be; more is not looked at."""

    job_id: Annotated[str, Meta(min_length=1)]
    job_type: TriggerType
    status: JobStatus
    experiment_id: str | None = None
    job_name: str = ""
    output: msgspec.Raw = NULL


_report = msgspec.json.Decoder(_Report)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job that ended. `run_id`, `workflow_id` and `node_id` are known of jobs of FlowForge's own runs."""

    job_id: str
    job_type: TriggerType
    status: JobStatus
    source: str
    experiment_id: str | None = None
    job_name: str = ""
    output: msgspec.Raw = NULL
    run_id: UUID | None = None
    workflow_id: str | None = None
    node_id: str | None = None

    @property
    def uuid(self) -> UUID | None:
        """The id, where it is a UUID: then it means the same job whoever names it."""
        return UUID(self.job_id) if _UUID.fullmatch(self.job_id) else None

    def identity(self, workflow_id: str) -> bytes:
        """Under which the log has the one run that the job starts of that workflow."""
        uuid = self.uuid
        named = (self.source, self.job_id) if uuid is None else ("", str(uuid))
        return identity_key("job", workflow_id, *named)

    def input(self) -> msgspec.Raw:
        """The data of the job: the input of the runs that it starts."""
        told: dict[str, Any] = {
            "job_id": self.job_id,
            "job_type": self.job_type,
            "experiment_id": self.experiment_id,
            "status": self.status,
            "output": self.output,
            "source": self.source,
        }
        known = {name: getattr(self, name) for name in ("run_id", "workflow_id", "node_id", "job_name")}
        return msgspec.Raw(_encode(told | {name: value for name, value in known.items() if value}))


def reported(kind: str, source: str, data: bytes | msgspec.Raw) -> Job | None:
    """The job that an external event reports. None for any other event, one whose data has another shape among them."""
    if kind != REPORT_TYPE:
        return None
    try:
        said = _report.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Job(
        job_id=said.job_id,
        job_type=said.job_type,
        status=said.status,
        source=source,
        experiment_id=said.experiment_id,
        job_name=said.job_name,
        output=said.output,
    )


def ended(event: JobEnded, run_id: UUID, output: msgspec.Raw, namespace: str) -> Job:
    """The job of a run of FlowForge's; `output` is whole."""
    return Job(
        job_id=str(event.job_id),
        job_type=cast("TriggerType", event.job_type),
        status=event.status,
        source=f"/{namespace}/run/{run_id}",
        experiment_id=event.experiment_id,
        job_name=event.job_name,
        output=output,
        run_id=run_id,
        workflow_id=event.workflow_id,
        node_id=event.node_id,
    )


class Owner(msgspec.Struct, frozen=True):
    """The run that a job belongs to, as it was started, and the node."""

    run: WorkflowTriggered
    node_id: str


def owner_of(job_id: UUID, events: Iterable[StoredEvent]) -> Owner | None:
    """Whose job it is, of the runs that began in the millisecond that a job's id has from its run (`TOLD_OF_RUNS`)."""
    run: StoredEvent | None = None
    named = str(job_id).encode()
    for stored in events:
        if stored.type == WorkflowTriggered.__name__:
            run = stored
        elif run is not None and stored.stream_id == run.stream_id and named in stored.data:
            queued = cast("NodeQueued", decode(stored.type, stored.data))
            if queued.job_id == job_id:
                return Owner(cast("WorkflowTriggered", decode(run.type, run.data)), queued.node_id)
    return None


class JobCause(OwnCause):
    """A job that ended. `run` is that of the job, where there is one: what the job starts is led to by it.

    `logged` and `fired` are the identities (`Job.identity`) under which a workflow has had its run of this job: in the log,
    and among what is decided together.
    """

    __slots__ = ("fired", "job", "logged", "run")

    def __init__(
        self,
        job: Job,
        cause: Cause,
        recorded_at: datetime,
        run: WorkflowTriggered | None,
        logged: Collection[bytes],
        fired: set[bytes],
    ) -> None:
        self.job = job
        self.run = run
        self.logged = logged
        self.fired = fired
        depth, chain = (0, None) if run is None else (run.depth, chain_after(run))
        super().__init__(cause, job.input(), recorded_at, depth, chain)

    @classmethod
    def of_run(
        cls, job: Job, event_id: UUID, recorded_at: datetime, run: WorkflowTriggered, logged: Collection[bytes]
    ) -> "JobCause":
        """Told by the run, whose stream is execution's: the decisions have one of their own."""
        cause = Cause(event_id=event_id, type=JobEnded.__name__, id=job.job_id, source=job.source, stream_id=run.run_id)
        made = cls(job, cause, recorded_at, run, logged, set())
        made.stream_id = part_uuid(event_id, "decisions")
        return made

    @classmethod
    def of_report(
        cls,
        job: Job,
        received: ReceivedCause,
        owner: Owner | None,
        logged: Collection[bytes],
        fired: set[bytes],
    ) -> "JobCause":
        """Told by an external system, of a job of its own or of a run's."""
        if owner is not None:
            run = owner.run
            job = msgspec.structs.replace(job, run_id=run.run_id, workflow_id=run.workflow_id, node_id=owner.node_id)
        return cls(job, received.cause, received.recorded_at, owner.run if owner else None, logged, fired)

    def has_started(self, workflow_id: str) -> bool:
        identity = self.job.identity(workflow_id)
        return identity in self.logged or identity in self.fired

    def starts(self, workflow_id: str) -> bytes:
        """The workflow has its run now; the identity under which the log has it once."""
        identity = self.job.identity(workflow_id)
        self.fired.add(identity)
        return identity


def unmatched(config: TriggerConfig, workflow_id: str, cause: JobCause) -> NotFired | None:
    """Why the job does not start the workflow, if it does not."""
    job = cause.job
    if job.status == "FAILED" and not config.on_failure:
        return NotFired("not_matched", "the job's status is FAILED, and on_failure is off")
    if config.job_name is not None and not _has_name(job, config.job_name):
        named = " or ".join(f"'{name}'" for name in _names(job)) or "without a name"
        return NotFired("not_matched", f"the job is {named}, the trigger takes '{config.job_name}'")
    if cause.run is not None and cause.chain is not None and workflow_id in cause.chain.workflow_ids:
        is_own = cause.run.workflow_id == workflow_id
        led = "of a run of this workflow" if is_own else "of a run that this workflow led to"
        return NotFired("suppressed", "self", f"the job is {led}: {cause.run.run_id}")
    if cause.has_started(workflow_id):
        return NotFired("suppressed", "duplicate", f"the job {job.job_id} has started this workflow already")
    return None


def ruled_out(trigger: JobTrigger, experiment_id: str | None, job: Job) -> NotFired | None:
    """Why a job that concerns the trigger by its type was not put before it: nothing of that is recorded."""
    config = trigger.config
    if not trigger.enabled:
        return NotFired("suppressed", "disabled")
    if config.across_experiments or (experiment_id is not None and experiment_id == job.experiment_id):
        return None
    there, here = (
        f"experiment '{name}'" if name is not None else "no experiment" for name in (job.experiment_id, experiment_id)
    )
    return NotFired("not_matched", f"the job is of {there}, the workflow of {here}")


def _names(job: Job) -> list[str]:
    return list(dict.fromkeys(name for name in (job.job_name, job.node_id) if name))


def _has_name(job: Job, pattern: str) -> bool:
    if "*" not in pattern:
        return pattern in _names(job)
    matcher = Pattern(pattern)
    return any(matcher.matches(name) for name in _names(job))
