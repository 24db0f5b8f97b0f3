"""Workflows and their versions."""

import msgspec
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowUpdated

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.values import clean, kept, text
from services.projections.state import CHANGED, CLEAN, NEW, ReadModels, VersionRow, WorkflowRow


class _Trigger(msgspec.Struct):
    type: str
    enabled: bool = True


class _Head(msgspec.Struct):
    """What the list of workflows shows of a definition."""

    name: str
    experiment_id: str | None = None
    tags: list[str] = []
    status: str = "active"
    triggers: list[_Trigger] = []


_head = msgspec.json.Decoder(_Head)


def defined(models: ReadModels, stored: StoredEvent, event: WorkflowCreated | WorkflowUpdated) -> None:
    definition = text(event.definition)
    head = _head.decode(definition)
    row = models.workflows.get(event.workflow_id)
    if row is None:
        row = models.workflows[event.workflow_id] = WorkflowRow(
            id=event.workflow_id,
            created_at=stored.recorded_at,
            created_by=clean(stored.actor),
            created_position=stored.position,
            template_id=event.template_id if isinstance(event, WorkflowCreated) else None,
            version=0,
            status="",
            name="",
            experiment_id=None,
            tags=[],
            has_schedule=False,
            updated_at=stored.recorded_at,
            position=0,
            change=NEW,
        )
        models.changes.workflows.append(row)
    row.version, row.status, row.name = event.workflow_version, head.status, kept(head.name)
    row.experiment_id, row.tags = clean(head.experiment_id), [kept(tag) for tag in head.tags]
    row.has_schedule = any(trigger.type == "schedule" and trigger.enabled for trigger in head.triggers)
    _touch_workflow(models, row, stored)
    models.changes.versions.append(
        VersionRow(
            workflow_id=event.workflow_id,
            version=event.workflow_version,
            definition=definition,
            rolled_back_to=event.rolled_back_to if isinstance(event, WorkflowUpdated) else None,
            created_at=stored.recorded_at,
            created_by=clean(stored.actor),
            position=stored.position,
        )
    )
    action = "create_workflow" if isinstance(event, WorkflowCreated) else "update_workflow"
    audit(models, stored, action, "workflow", event.workflow_id, event.workflow_id)


def archived(models: ReadModels, stored: StoredEvent, event: WorkflowArchived) -> None:
    row = models.workflows[event.workflow_id]
    row.status = "archived"
    _touch_workflow(models, row, stored)
    audit(models, stored, "archive_workflow", "workflow", event.workflow_id, event.workflow_id)


def _touch_workflow(models: ReadModels, row: WorkflowRow, stored: StoredEvent) -> None:
    row.updated_at, row.position = stored.recorded_at, stored.position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.workflows.append(row)
