"""Templates of people's own."""

from typing import assert_never

from flowforge.events import TemplateDeleted, TemplateEvent, TemplateSaved

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.saved import creation, delete, replace
from services.projections.state import NEW, Json, ReadModels, TemplateRow


def fold_template(models: ReadModels, stored: StoredEvent, event: TemplateEvent) -> None:
    """Apply one event. The template is in `models`, unless this event creates it."""
    match event:
        case TemplateSaved():
            replace(models.templates, models.changes.templates, _row(models, stored, event))
            audit(models, stored, "save_template", "template", event.template_id)
        case TemplateDeleted():
            delete(models.changes.templates, models.templates[event.template_id], stored)
            audit(models, stored, "delete_template", "template", event.template_id)
        case _:
            assert_never(event)


def _row(models: ReadModels, stored: StoredEvent, event: TemplateSaved) -> TemplateRow:
    created = creation(models.templates.get(event.template_id), stored)
    return TemplateRow(
        id=event.template_id,
        version=event.template_version,
        status="active",
        name=event.name,
        description=event.description,
        category=event.category,
        definition=Json(bytes(event.definition).decode()),
        workflow_id=event.workflow_id,
        workflow_version=event.workflow_version,
        created_at=created.at,
        created_by=created.by,
        created_position=created.position,
        updated_at=stored.recorded_at,
        position=stored.position,
        change=NEW,
    )
