"""Nodes of a run: in its stream, written by execution."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.errors import RunError
from flowforge.events.event import Event, Instance
from flowforge.raw import ABSENT, NULL


class NodeQueued(Event, kw_only=True, frozen=True):
    """A job was handed to the queue. Its input is `input`, or else the output of node `input_from` ("" = the run's).

    `cache_key`: under which key its output may be used again. `breaker`: the circuit breaker that let it through.
    """

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    job_id: UUID | None = None
    job_type: str = ""
    queue: str = ""
    input: msgspec.Raw = ABSENT
    input_from: str | None = None
    payload: msgspec.Raw = NULL
    deadline_ms: int | None = None
    cache_key: str = ""
    breaker: str = ""


class NodeStarted(Event, kw_only=True, frozen=True):
    """A worker began the attempt (or execution itself, for nodes without a job). `at` is when, by the worker's clock.

    `isolation`: which layers kept a script apart from the machine. `branches`: of a merge, the first nodes of the
    branches that came.
    """

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    worker: str = ""
    delivery: int = 1
    at: datetime | None = None
    input: msgspec.Raw = ABSENT
    input_from: str | None = None
    instances_count: int | None = None
    isolation: list[str] = []
    branches: list[str] = []


class NodeProgressed(Event, kw_only=True, frozen=True):
    """A running job told how far it is, 0 to 1, with an optional message."""

    node_id: str
    instance: Instance = ""
    progress: float
    message: str = ""


class JobUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a script took: processor time, and its peak of memory."""

    cpu_ms: int = 0
    peak_memory_bytes: int = 0


class EarlierOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose output was used again, instead of doing the work once more (`cache_key`)."""

    run_id: UUID
    node_id: str
    instance: Instance = ""


class NodeCompleted(Event, kw_only=True, frozen=True):
    """The node (or one instance of it) ended well. `variables` are the run variables it set.

    `cache_key` names what its output stands for (workflow, node, job type and rendered `cache_key`, hashed): a node with
    the same name uses it again, and says in `cached_from` whose it is.
    """

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    output: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    usage: JobUsage | None = None
    cached_from: EarlierOutput | None = None
    cache_key: str = ""


class NodeFailed(Event, kw_only=True, frozen=True):
    """The node (or one instance) failed for good: no attempts are left, or the error forbids another.

    `job_id` is told to its worker, where the attempt ran out of time.
    """

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    error: RunError
    usage: JobUsage | None = None
    job_id: UUID | None = None


class NodeRetried(Event, kw_only=True, frozen=True):
    """An attempt failed and another follows at `due_at`; `attempt` is the number of the one to come. `job_id`: as above."""

    node_id: str
    instance: Instance = ""
    attempt: int
    error: RunError
    due_at: datetime
    job_id: UUID | None = None


class NodeSkipped(Event, kw_only=True, frozen=True):
    """The node will not run: `branch_not_taken`, `upstream_failed`, `upstream_skipped`, `run_if_not_met`, `run_failed`,
    `run_cancelled`, `branch_lost` (another branch has won), `not_selected` (the run began elsewhere), `by_hand`.
    """

    node_id: str
    instance: Instance = ""
    reason: str


class NodeCancelled(Event, kw_only=True, frozen=True):
    """A running or waiting node (or instance) was stopped. `job_id` is told to its worker."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    job_id: UUID | None = None
    reason: str = ""


class ReportIgnored(Event, kw_only=True, frozen=True):
    """A worker's report came too late to count: another delivery, attempt or ending came first. Nothing changed."""

    node_id: str
    instance: Instance = ""
    job_id: UUID
    report: str
    attempt: int
    delivery: int
    reason: str


class JobEnded(Event, kw_only=True, frozen=True):
    """A job of one of the six types that workflows can be triggered by (interface.md 2.2) ended for good.

    `job_name` is the node's name, "" where it has none.
    """

    node_id: str
    instance: Instance = ""
    job_name: str = ""
    job_id: UUID
    job_type: str
    workflow_id: str
    experiment_id: str | None = None
    status: Literal["COMPLETE", "FAILED"]
    output: msgspec.Raw = NULL


class WorkerAwaited(Event, kw_only=True, frozen=True):
    """No worker that serves the job type has asked for work since the job was queued, at `since`."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    job_type: str
    queue: str
    since: datetime


class IterationStarted(Event, kw_only=True, frozen=True):
    """A loop began an iteration of its body, `index` from 0. The body's nodes are instances `<loop's instance>.<index>`."""

    node_id: str
    instance: Instance = ""
    index: int


class IterationEnded(Event, kw_only=True, frozen=True):
    """All nodes of the iteration have ended."""

    node_id: str
    instance: Instance = ""
    index: int
    status: Literal["completed", "failed", "cancelled"] = "completed"
    error: RunError | None = None
