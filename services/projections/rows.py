"""The rows of the read models, as they are kept in memory while they change.

A field is a column of the same name, in the same order; `store` derives its statements from these types. JSON stays the
text it was. Every row is a function of the events alone, so that a rebuild gives the same
bytes. `change` is no column: it says what must be written.
"""

from datetime import datetime
from typing import NewType
from uuid import UUID

import msgspec

Json = NewType("Json", str)
"""JSON text, exactly as logged."""

NULL = Json("null")


CLEAN, CHANGED, NEW = 0, 1, 2
"""Whether the tables have a row as it is, have an older form of it, or do not have it."""


class WorkflowRow(msgspec.Struct, gc=False):
    """One workflow at its newest version; `template_id` is what it was made of. `has_schedule`: a clock may start it."""

    id: str
    created_at: datetime
    created_by: str | None
    created_position: int
    template_id: str | None
    version: int
    status: str
    name: str
    experiment_id: str | None
    tags: list[str]
    has_schedule: bool
    updated_at: datetime
    position: int
    change: int = CLEAN


class VersionRow(msgspec.Struct, gc=False):
    """One version of a workflow; never changes."""

    workflow_id: str
    version: int
    definition: Json
    rolled_back_to: int | None
    created_at: datetime
    created_by: str | None
    position: int


class RunRow(msgspec.Struct, gc=False):
    """One run. The fields down to `created_position` never change; `variables` holds what the run and its nodes set.

    `caused_by_run_id` is the run without which it would not be: its parent, the one it is a fork of, or the one whose end
    or job was its cause.

    `recovery_actions` are the first of them, `[{action, node_id, instance, detail, at}]`. Lists that are empty are null.
    While its events are in an `archive`, the run has no rows of nodes.
    """

    run_id: UUID
    workflow_id: str
    workflow_version: int
    trigger_type: str
    trigger_id: str
    cause_event_id: UUID
    cause_type: str
    cause_id: str
    cause_source: str
    parent_run_id: UUID | None
    parent_node_id: str | None
    parent_instance: str | None
    caused_by_run_id: UUID | None
    actor: str | None
    input_data: Json
    depth: int
    from_node: str | None
    forked_from: Json | None
    is_shadow: bool
    created_at: datetime
    created_position: int
    labels: Json = Json("{}")
    priority: int = 0
    status: str = "pending"
    variables: Json = Json("{}")
    output_data: Json = NULL
    error: Json = NULL
    started_at: datetime | None = None
    completed_at: datetime | None = None
    total_nodes: int = 0
    completed_nodes: int = 0
    ended_nodes: int = 0
    breakpoints: Json | None = None
    paused_at: datetime | None = None
    paused_before: Json | None = None
    retries: int = 0
    sla_missed_at: datetime | None = None
    recovery_actions: Json | None = None
    archive: str | None = None
    position: int = 0
    change: int = CLEAN


class RunLabelRow(msgspec.Struct, gc=False):
    """That a run has a label, `name=value`, cut where it is very long. It never changes, but goes when the label does."""

    label: str
    created_position: int
    workflow_id: str


class NodeRow(msgspec.Struct, gc=False):
    """One node of one run, or with `instance` one instance of it. Its input is `input`, else found by `input_from`.

    `started_at` is the first attempt's; `started_position` orders nodes by when they first began. `waiting_for` is what it
    waits for and since when. Of a map or a loop: `instances_count` are the items or iterations that are known,
    `instance_counts` how many of them stand how; rows of instances below `instances_since_position` are of an earlier try.
    """

    run_id: UUID
    node_id: str
    instance: str
    status: str = "idle"
    attempt: int = 0
    skip_reason: str | None = None
    progress: float | None = None
    progress_message: str | None = None
    input: Json | None = None
    input_from: str | None = None
    output: Json = NULL
    error: Json = NULL
    job_id: UUID | None = None
    job_type: str | None = None
    queue: str | None = None
    worker: str | None = None
    instances_count: int | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    retry_at: datetime | None = None
    waiting_for: Json | None = None
    child_run_id: UUID | None = None
    isolation: Json | None = None
    usage: Json | None = None
    cached_from: Json | None = None
    by_hand: Json | None = None
    instance_counts: Json | None = None
    instances_since_position: int | None = None
    started_position: int | None = None
    position: int = 0
    change: int = CLEAN


class ApprovalRow(msgspec.Struct, gc=False):
    """What a node asks of people. `status`: open, approved, rejected, expired (nobody decided in time) or cancelled.

    An id comes again where a retry repeats the attempt of a loop's iteration: the newest is meant.
    """

    requested_position: int
    id: str
    run_id: UUID
    workflow_id: str
    node_id: str
    instance: str
    attempt: int
    message: str
    approvers: Json
    requested_at: datetime
    expires_at: datetime | None = None
    status: str = "open"
    decision: str | None = None
    comment: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    position: int = 0
    change: int = CLEAN


class SlotRow(msgspec.Struct, gc=False):
    """What one run has to do with slots since `since_position`: it `holds` one, `waits` for one, or is `gone`."""

    run_id: UUID
    slot_id: UUID
    workflow_id: str
    pool: str | None
    key: str
    slot_limit: int
    state: str
    priority: int
    since_position: int
    position: int
    change: int = CLEAN


class TemplateRow(msgspec.Struct, gc=False):
    """A template of somebody's own at its newest version; it is `active` or `deleted`."""

    id: str
    version: int
    status: str
    name: str
    description: str
    category: str
    definition: Json
    workflow_id: str | None
    workflow_version: int | None
    created_at: datetime
    created_by: str | None
    created_position: int
    updated_at: datetime
    position: int
    change: int = CLEAN


class PromptRow(msgspec.Struct, gc=False):
    """A stored prompt as of its newest version; it is `active` or `deleted`."""

    id: str
    version: int
    status: str
    name: str
    description: str
    created_at: datetime
    created_by: str | None
    created_position: int
    updated_at: datetime
    position: int
    change: int = CLEAN


class PromptVersionRow(msgspec.Struct, gc=False):
    """One version of a stored prompt, as it was saved."""

    prompt_id: str
    version: int
    name: str
    description: str
    prompt: Json
    system: Json | None
    created_at: datetime
    created_by: str | None
    position: int


class UserRow(msgspec.Struct, frozen=True):
    """Somebody who may ask; it is `active` or `removed`. The first administrator was there before anything was logged."""

    name: str
    role: str
    status: str
    created_at: datetime | None
    created_by: str | None
    created_position: int
    updated_at: datetime
    position: int


class UserKeyRow(msgspec.Struct, frozen=True):
    """A key of a user that was not revoked."""

    user_name: str
    id: str
    description: str
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    position: int


class DecisionRow(msgspec.Struct, gc=False):
    """The answer of one trigger to one cause, by the position of the event that recorded it."""

    position: int
    workflow_id: str
    trigger_id: str
    trigger_version: int
    cause_event_id: UUID
    cause_type: str
    cause_id: str
    cause_source: str
    decision: str
    reason: str | None
    detail: str | None
    consumed: list[UUID]
    run_id: UUID | None
    decided_at: datetime


class ReceivedRow(msgspec.Struct, gc=False):
    """An event of an external system."""

    position: int
    event_id: UUID
    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    datacontenttype: str | None
    data: Json
    extensions: Json
    received_at: datetime


class RejectionRow(msgspec.Struct, gc=False):
    """Deliveries to a webhook trigger that were turned away for one reason, since they were last counted."""

    position: int
    reason: str
    workflow_id: str
    trigger_id: str
    count: int
    counted_at: datetime


class DeadLetterRow(msgspec.Struct, gc=False):
    """A message that could not be handled, by its stream. `status`: open, or retried until it is known to have failed again.

    `reason`, `deliveries` and `quarantined_at` are of the last failure; `failures` counts them, `retries` the retries.
    """

    stream_id: UUID
    id: UUID
    first_position: int
    service: str
    subject: str
    body: str
    body_encoding: str
    status: str
    reason: str
    deliveries: int
    quarantined_at: datetime
    failures: int = 1
    retries: int = 0
    retried_at: datetime | None = None
    retried_by: str | None = None
    position: int = 0
    change: int = CLEAN


class SecretChangeRow(msgspec.Struct, gc=False):
    """A secret got a value, as `version`, or with None was deleted."""

    position: int
    name: str
    version: int | None
    changed_at: datetime
    changed_by: str | None


class BreakerRow(msgspec.Struct, gc=False):
    """A circuit breaker as its last event left it. `until` is when an open one lets something through, or by when the trial
    of a half-open one (`run_id`, `node_id`) has to end; of an open one they are whose failure it was."""

    breaker: str
    status: str
    since: datetime
    until: datetime | None
    failures_count: int | None
    error: str | None
    run_id: UUID | None
    node_id: str | None
    position: int


class AuditRow(msgspec.Struct, gc=False):
    """Something that a person or program asked for, and who it was: `subject` is of kind `resource`, and belongs to
    `workflow_id` if to any."""

    position: int
    actor: str | None
    action: str
    resource: str
    subject: str
    workflow_id: str | None
    at: datetime
