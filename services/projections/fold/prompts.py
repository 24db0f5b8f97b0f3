"""Stored prompts and their versions."""

from typing import assert_never

from flowforge.events import PromptDeleted, PromptEvent, PromptSaved
from flowforge.raw import present

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.saved import creation, delete, replace
from services.projections.fold.values import clean, text
from services.projections.state import NEW, PromptRow, PromptVersionRow, ReadModels


def fold_prompt(models: ReadModels, stored: StoredEvent, event: PromptEvent) -> None:
    """Apply one event. The prompt is in `models`, unless this event creates it."""
    match event:
        case PromptSaved():
            replace(models.prompts, models.changes.prompts, _row(models, stored, event))
            models.changes.prompt_versions.append(_version(stored, event))
            audit(models, stored, "save_prompt", "prompt", event.prompt_id)
        case PromptDeleted():
            delete(models.changes.prompts, models.prompts[event.prompt_id], stored)
            audit(models, stored, "delete_prompt", "prompt", event.prompt_id)
        case _:
            assert_never(event)


def _row(models: ReadModels, stored: StoredEvent, event: PromptSaved) -> PromptRow:
    created = creation(models.prompts.get(event.prompt_id), stored)
    return PromptRow(
        id=event.prompt_id,
        version=event.prompt_version,
        status="active",
        name=event.name,
        description=event.description,
        created_at=created.at,
        created_by=created.by,
        created_position=created.position,
        updated_at=stored.recorded_at,
        position=stored.position,
        change=NEW,
    )


def _version(stored: StoredEvent, event: PromptSaved) -> PromptVersionRow:
    system = present(event.system)
    return PromptVersionRow(
        prompt_id=event.prompt_id,
        version=event.prompt_version,
        name=event.name,
        description=event.description,
        prompt=text(event.prompt),
        system=None if system is None else text(system),
        created_at=stored.recorded_at,
        created_by=clean(stored.actor),
        position=stored.position,
    )
