"""What events of templates do to the read models. Pure."""

from typing import assert_never

from flowforge.events import TemplateDeleted, TemplateEvent, TemplateSaved

from infra.eventlog import StoredEvent
from services.projections.state import CHANGED, CLEAN, NEW, Json, ReadModels, TemplateRow


def fold_template(models: ReadModels, stored: StoredEvent, event: TemplateEvent) -> None:
    """Apply one event. The template is in `models`, unless this event creates it."""
    match event:
        case TemplateSaved():
            _saved(models, stored, event)
        case TemplateDeleted():
            row = models.templates[event.template_id]
            row.status = "deleted"
            _touch(models, row, stored)
        case _:
            assert_never(event)


def _saved(models: ReadModels, stored: StoredEvent, event: TemplateSaved) -> None:
    before = models.templates.get(event.template_id)
    is_new = before is None or before.status == "deleted"
    row = TemplateRow(
        id=event.template_id,
        version=event.template_version,
        status="active",
        name=event.name,
        description=event.description,
        category=event.category,
        definition=Json(bytes(event.definition).decode()),
        workflow_id=event.workflow_id,
        workflow_version=event.workflow_version,
        created_at=stored.recorded_at if before is None or is_new else before.created_at,
        created_by=stored.actor if before is None or is_new else before.created_by,
        created_position=stored.position if before is None or is_new else before.created_position,
        updated_at=stored.recorded_at,
        position=stored.position,
        change=NEW,
    )
    models.templates[row.id] = row
    if before is not None:
        row.change = before.change
        if before.change != CLEAN:
            models.changes.templates.remove(before)
            models.changes.templates.append(row)
            return
        row.change = CHANGED
    models.changes.templates.append(row)


def _touch(models: ReadModels, row: TemplateRow, stored: StoredEvent) -> None:
    row.updated_at, row.position = stored.recorded_at, stored.position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.templates.append(row)
