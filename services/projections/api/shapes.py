"""The shapes of answers (interface.md, section 3, "Shapes")."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.definition import Edge, Workflow
from msgspec import UNSET, UnsetType

from infra.http.paging import Page
from services.projections.differences import Difference, Summary
from services.projections.estimating import Estimate
from services.projections.graph import BodyGraph, GraphNode


class TriggerView(msgspec.Struct):
    """By which trigger a run was started."""

    type: str
    id: str


class CauseView(msgspec.Struct):
    """The event for which a trigger was evaluated: its id in the log, and the names its sender gave it."""

    event_id: UUID
    type: str
    id: str
    source: str


class Progress(msgspec.Struct):
    """How far a run is: `percent` counts nodes that have ended in whatever way."""

    completed_nodes: int
    total_nodes: int
    percent: int
    current_step: str | None


class BreakerView(msgspec.Struct):
    """A circuit breaker: `job:<job type>` or `host:<host>`. `status` is `closed`, `open` or `half_open`, `since` when.

    Of an open one `until` is when it lets one attempt through, and the rest the failure that opened it; of a half-open one
    by when its trial, in the run and node named, has to end.
    """

    breaker: str
    status: str
    since: datetime
    until: datetime | None
    failures_count: int | None
    error: str | None
    run_id: UUID | None
    node_id: str | None


class NodeRun(msgspec.Struct):
    """One node inside one run.

    `waiting_for`: what a node waits for and since when, `{for, since, due_at?, …}`; of a queued one, that no worker takes
    it. `isolation` and `usage` are of scripts; `cached_from` is whose output it has. Of maps and loops, `instances_count`
    are the items or iterations that are known, and `instance_counts` how many of them stand how.
    """

    node_id: str
    type: str
    status: str
    skip_reason: str | None
    attempt: int
    progress: float | None
    progress_message: str | None
    input: msgspec.Raw
    output: msgspec.Raw
    error: msgspec.Raw
    job_id: UUID | None
    job_type: str | None
    queue: str | None
    worker: str | None
    dependencies: list[str]
    dependents: list[str]
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    retry_at: datetime | None
    duration_ms: int | None
    waiting_for: msgspec.Raw
    child_run_id: UUID | None
    isolation: msgspec.Raw
    usage: msgspec.Raw
    cached_from: msgspec.Raw
    by_hand: msgspec.Raw
    instances_count: int | None
    instance_counts: msgspec.Raw


class NodeInstance(msgspec.Struct):
    """One item of a map, or a node of a loop's body in one iteration."""

    node_id: str
    instance: str
    status: str
    skip_reason: str | None
    attempt: int
    progress: float | None
    input: msgspec.Raw
    output: msgspec.Raw
    error: msgspec.Raw
    job_id: UUID | None
    worker: str | None
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    waiting_for: msgspec.Raw
    child_run_id: UUID | None
    usage: msgspec.Raw
    cached_from: msgspec.Raw
    instances_count: int | None
    instance_counts: msgspec.Raw


class NodeRunDetail(NodeRun):
    """A node run with what lies below it."""

    instances: Page[NodeInstance]


class WaitingFor(msgspec.Struct):
    """Why a run has not started: `limit` slots of its workflow or `pool` under `key`, `in_use` of them held by `holders`
    (the first few). `position` is its place in the queue, from 1."""

    reason: str
    pool: str | None
    key: str
    limit: int
    position: int
    in_use: int
    holders: list[UUID]


class SlotUse(msgspec.Struct):
    """How full the slots under one key are; `limit` as the last run that asked had it."""

    pool: str | None
    key: str
    limit: int
    in_use: int
    waiting: int


class CausedRun(msgspec.Struct):
    """One step of what led to a run: a run, the trigger that started it, and the cause that it was started for."""

    run_id: UUID
    workflow_id: str
    trigger: TriggerView
    cause: CauseView
    created_at: datetime


class AsOf(msgspec.Struct):
    """A past moment: the last event that something had then, its position and when it was recorded."""

    position: int
    at: datetime
    type: str


class Run(msgspec.Struct):
    """A run. It halts before its `breakpoints`, and `paused_before` are those that it stands before. `forked_from` is the
    moment of another run at which it began, `{run_id, position}`; of a `shadow` run, what its nodes would have done outside
    was not done, but taken from there. `estimate`, of a running one whose workflow's nodes are known, tells how sure
    `estimated_time_remaining_ms` is. `archive` is the file that its events are in since it
    ended long ago; all of it can be read still, but lists leave its `execution_path` empty.

    `node_runs` and `causes`, from the run itself back to the first event of all, are left out of lists; `as_of` is of a
    run that is told as it was at a past moment.
    """

    run_id: UUID
    workflow_id: str
    workflow_version: int
    status: str
    trigger: TriggerView
    cause: CauseView
    parent_run_id: UUID | None
    parent_node_id: str | None
    parent_instance: str | None
    actor: str | None
    labels: msgspec.Raw
    input_data: msgspec.Raw
    variables: msgspec.Raw
    output_data: msgspec.Raw
    error: msgspec.Raw
    priority: int
    depth: int
    from_node: str | None
    forked_from: msgspec.Raw
    shadow: bool
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    progress: Progress
    estimated_time_remaining_ms: int | None
    estimate: Estimate | None
    execution_path: list[str]
    breakpoints: msgspec.Raw
    paused_at: datetime | None
    paused_before: msgspec.Raw
    retries: int
    sla_missed_at: datetime | None
    recovery_actions: msgspec.Raw
    position: int
    archive: str | None = None
    waiting_for: WaitingFor | None = None
    node_runs: list[NodeRun] | UnsetType = UNSET
    causes: list[CausedRun] | UnsetType = UNSET
    as_of: AsOf | UnsetType = UNSET


class Active(msgspec.Struct):
    """The runs of a workflow that have not ended, and the slots that they hold or wait for."""

    items: list[Run]
    next_cursor: str | None
    slots: list[SlotUse]


class WorkflowView(Workflow, kw_only=True, frozen=True):
    """A workflow as it is read: its definition as it was written, with all six job-type triggers, and what is known of it."""

    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None


class WorkflowList(msgspec.Struct):
    """One page of workflows."""

    items: list[WorkflowView]
    next_cursor: str | None


class TriggerList(msgspec.Struct):
    """The triggers of a workflow as they were written, each with `workflow_id` and the workflow's `version`."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Version(msgspec.Struct):
    """One version of a workflow, without its definition."""

    workflow_id: str
    version: int
    rolled_back_to: int | None
    created_at: datetime
    created_by: str | None
    position: int


class GraphView(msgspec.Struct):
    """The graph of a workflow version; `bodies` are what its loops repeat, by the loop's id."""

    workflow_id: str
    version: int
    nodes: list[GraphNode]
    edges: list[Edge]
    bodies: dict[str, BodyGraph]


class DiffView(msgspec.Struct):
    """What changed from one version to another: at a glance, and field by field."""

    workflow_id: str
    from_version: int
    to_version: int
    summary: Summary
    changes: list[Difference]


class DecisionView(msgspec.Struct):
    """Why a trigger fired, or why not. `computed`: not on record, but evaluated now as it was then."""

    trigger_id: str
    trigger_version: int
    workflow_id: str
    cause: CauseView
    decision: str
    reason: str | None
    detail: str | None
    consumed: list[UUID]
    run_id: UUID | None
    decided_at: datetime
    position: int
    computed: bool = False


class TriggerStats(msgspec.Struct):
    """How often a trigger gave which answer: in all, suppressed by reason, and hour by hour, the oldest first.

    `rejected`: requests to a webhook that were turned away, by reason; they are no causes and have no decisions."""

    workflow_id: str
    trigger_id: str
    total: int
    decisions: dict[str, int]
    suppressed: dict[str, int]
    rejected: dict[str, int]
    hours: list["TriggerHour"]
    last_decided_at: datetime | None
    last_fired_at: datetime | None


class UpcomingView(msgspec.Struct):
    """A firing to come: its nominal time, and when it is due with its jitter."""

    scheduled_at: datetime
    due_at: datetime


class TriggerHour(msgspec.Struct):
    """One hour of the last 24, from `since` on, in which there were decisions or not."""

    since: datetime
    total: int
    decisions: dict[str, int]


class Effect(msgspec.Struct):
    """What a received event led to."""

    workflow_id: str
    trigger_id: str
    decision: str
    run_id: UUID | None


class ReceivedEvent(msgspec.Struct):
    """An event of an external system, and the decisions it caused."""

    position: int
    event_id: UUID
    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    datacontenttype: str | None
    data: msgspec.Raw
    extensions: msgspec.Raw
    received_at: datetime
    caused: list[Effect]


class DeadLetter(msgspec.Struct):
    """A message that could not be handled, with its cause. `status`: open, or retried and not known to have failed again.

    `reason` and `quarantined_at` are of the last of its `failures`.
    """

    id: UUID
    service: str
    subject: str
    status: str
    reason: str
    body: str
    body_encoding: str
    deliveries: int
    quarantined_at: datetime
    failures: int
    retries: int
    retried_at: datetime | None
    retried_by: str | None
    position: int


class Approval(msgspec.Struct):
    """What a node asks of people, and what they said. `approvers`: names of users; none is anybody who may approve.

    `status`: open, approved, rejected, expired (nobody decided in time), cancelled. Decided by nobody: its time was over.
    """

    id: str
    run_id: UUID
    workflow_id: str
    node_id: str
    instance: str
    attempt: int
    message: str
    approvers: msgspec.Raw
    requested_at: datetime
    expires_at: datetime | None
    status: str
    decision: str | None
    comment: str | None
    decided_by: str | None
    decided_at: datetime | None
    position: int


class AuditEntry(msgspec.Struct):
    """Who asked for what: `action` was done to `subject`, which is of kind `resource`; `workflow_id` is its workflow."""

    position: int
    actor: str | None
    action: str
    resource: str
    subject: str
    workflow_id: str | None
    at: datetime


class SecretView(msgspec.Struct):
    """A secret that workflows may name. Its value is not read by anybody."""

    name: str
    version: int
    created_at: datetime
    updated_at: datetime
    updated_by: str | None


class LogLine(msgspec.Struct):
    """One line that a job wrote."""

    node_id: str
    instance: str
    attempt: int
    line: int
    text: str
    job_id: UUID
    at: datetime


class Health(msgspec.Struct):
    """Whether this part does its work."""

    status: str
    log_position: int | None = None
    projected_position: int | None = None
