"""The life of a run: stream type `run`; version 1 by triggers, the rest by execution."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.errors import RunError
from flowforge.events.event import Event, Instance
from flowforge.events.slots import SlotWait
from flowforge.events.triggering import Cause, Chain, TriggerRef
from flowforge.raw import ABSENT, NULL


class WorkflowTriggered(Event, kw_only=True, frozen=True):
    """A trigger fired: the first event of a run, and the recorded decision `fired`. `depth` counts causes before it.

    `earlier` are the causes that it consumed besides its own, which came last.
    With `waits` the run is there and may not start: the decision is `held`, and another one follows in the slot's stream.
    """

    run_id: UUID
    workflow_id: str
    workflow_version: int
    trigger: TriggerRef
    trigger_version: int
    cause: Cause
    consumed: list[UUID] = []
    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    labels: dict[str, str] = {}
    priority: int = 0
    depth: int = 1
    timeout_ms: int | None = None
    parent_run_id: UUID | None = None
    chain: Chain | None = None
    earlier: list[Cause] = []
    waits: SlotWait | None = None


class RunQueued(Event, kw_only=True, frozen=True):
    """Execution took note of a run that waits for a slot, as triggers decided."""

    reason: Literal["concurrency"] = "concurrency"
    waits: SlotWait


class RunStarted(Event, kw_only=True, frozen=True):
    """Execution took the run up."""

    total_nodes: int


class NodeQueued(Event, kw_only=True, frozen=True):
    """A job was handed to the queue. Its input is `input`, or else the output of node `input_from` ("" = the run's)."""

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


class NodeStarted(Event, kw_only=True, frozen=True):
    """A worker began the attempt (or execution itself, for nodes without a job). `at` is when, by the worker's clock."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    worker: str = ""
    delivery: int = 1
    at: datetime | None = None
    input: msgspec.Raw = ABSENT
    input_from: str | None = None
    instances_count: int | None = None


class NodeProgressed(Event, kw_only=True, frozen=True):
    """A running job told how far it is, 0 to 1, with an optional message."""

    node_id: str
    instance: Instance = ""
    progress: float
    message: str = ""


class NodeCompleted(Event, kw_only=True, frozen=True):
    """The node (or one instance of it) ended well. `variables` are the run variables it set."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    output: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}


class NodeFailed(Event, kw_only=True, frozen=True):
    """The node (or one instance) failed for good: no attempts are left, or the error forbids another."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    error: RunError


class NodeRetried(Event, kw_only=True, frozen=True):
    """An attempt failed and another follows at `due_at`; `attempt` is the number of the one to come."""

    node_id: str
    instance: Instance = ""
    attempt: int
    error: RunError
    due_at: datetime


class NodeSkipped(Event, kw_only=True, frozen=True):
    """The node will not run: `branch_not_taken`, `upstream_failed`, `upstream_skipped`, `run_if_not_met`, `run_failed`."""

    node_id: str
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


TimerPurpose = Literal["retry", "node_timeout", "run_timeout", "queue_timeout"]


class TimerSet(Event, kw_only=True, frozen=True):
    """Something is due at `due_at`; the scheduler fires it."""

    timer_id: UUID
    due_at: datetime
    purpose: TimerPurpose
    node_id: str = ""
    instance: Instance = ""
    attempt: int = 0


class RunCancelRequested(Event, kw_only=True, frozen=True):
    """Somebody asked to end the run; running jobs are told, cleanup nodes still run."""

    reason: str = ""
    command_id: str = ""


class RunFailing(Event, kw_only=True, frozen=True):
    """The first failure that counts under fail_fast (or the run's timeout): nothing new starts but what exists for failure."""

    error: RunError


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


class RunCompleted(Event, kw_only=True, frozen=True):
    """The run ended well."""

    output: msgspec.Raw = NULL


class RunFailed(Event, kw_only=True, frozen=True):
    """The run ended, and it failed."""

    error: RunError


class RunCancelled(Event, kw_only=True, frozen=True):
    """The run ended because somebody asked for it."""

    reason: str = ""
