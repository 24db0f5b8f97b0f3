"""The rows of the read models, as they are kept in memory while they change, and what a batch of events changed.

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
    """One workflow at its newest version. `document` is that version's definition."""

    id: str
    created_at: datetime
    created_by: str | None
    created_position: int
    version: int
    status: str
    name: str
    experiment_id: str | None
    tags: list[str]
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
    """One run. The fields down to `created_position` never change; `variables` holds what the run and its nodes set."""

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
    actor: str | None
    labels: Json
    input_data: Json
    priority: int
    depth: int
    created_at: datetime
    created_position: int
    status: str = "pending"
    variables: Json = Json("{}")
    output_data: Json = NULL
    error: Json = NULL
    started_at: datetime | None = None
    completed_at: datetime | None = None
    total_nodes: int = 0
    completed_nodes: int = 0
    ended_nodes: int = 0
    position: int = 0
    change: int = CLEAN


class NodeRow(msgspec.Struct, gc=False):
    """One node of one run, or with `instance` one instance of it. Its input is `input`, else found by `input_from`.

    `started_at` is the first attempt's; `started_position` orders nodes by when they first began.
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
    started_position: int | None = None
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
    """A message that could not be handled."""

    position: int
    id: UUID
    service: str
    subject: str
    reason: str
    body: str
    body_encoding: str
    deliveries: int
    quarantined_at: datetime


class SecretChangeRow(msgspec.Struct, gc=False):
    """A secret got a value, as `version`, or with None was deleted."""

    position: int
    name: str
    version: int | None
    changed_at: datetime
    changed_by: str | None


class AuditRow(msgspec.Struct, gc=False):
    """Something that a person or program asked for, and who it was."""

    position: int
    actor: str | None
    action: str
    subject: str
    at: datetime


class RunState:
    """A run and all its node rows, by (node, instance)."""

    __slots__ = ("nodes", "row")

    def __init__(self, row: RunRow, nodes: dict[tuple[str, str], NodeRow] | None = None) -> None:
        self.row = row
        self.nodes: dict[tuple[str, str], NodeRow] = {} if nodes is None else nodes


class Changes:
    """What must be written so that the tables agree with the state: each row once, in its final form."""

    __slots__ = (
        "audits",
        "dead_letters",
        "decisions",
        "nodes",
        "received",
        "rejections",
        "runs",
        "secret_changes",
        "slots",
        "templates",
        "versions",
        "workflows",
    )

    def __init__(self) -> None:
        self.workflows: list[WorkflowRow] = []
        self.runs: list[RunRow] = []
        self.nodes: list[NodeRow] = []
        self.slots: list[SlotRow] = []
        self.templates: list[TemplateRow] = []
        self.versions: list[VersionRow] = []
        self.decisions: list[DecisionRow] = []
        self.received: list[ReceivedRow] = []
        self.rejections: list[RejectionRow] = []
        self.dead_letters: list[DeadLetterRow] = []
        self.secret_changes: list[SecretChangeRow] = []
        self.audits: list[AuditRow] = []


class ReadModels:
    """The part of the read models that may still change, and the changes since they were last written."""

    def __init__(self) -> None:
        self.workflows: dict[str, WorkflowRow] = {}
        self.runs: dict[UUID, RunState] = {}
        self.slots: dict[UUID, SlotRow] = {}
        self.templates: dict[str, TemplateRow] = {}
        self.changes = Changes()
