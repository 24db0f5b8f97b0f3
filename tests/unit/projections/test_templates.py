"""What events of templates do to the rows."""

from datetime import UTC, datetime, timedelta

import msgspec
from flowforge.events import TemplateDeleted, TemplateEvent, TemplateSaved
from flowforge.identity import lasting_stream

from infra.eventlog import StoredEvent
from services.projections.fold import fold
from services.projections.state import CHANGED, CLEAN, NEW, ReadModels

START = datetime(2026, 1, 1, tzinfo=UTC)


def saved(version: int, name: str) -> TemplateSaved:
    return TemplateSaved(template_id="t", template_version=version, name=name, definition=msgspec.Raw(b'{"nodes":[]}'))


def tell(models: ReadModels, position: int, event: TemplateEvent) -> None:
    stored = StoredEvent(
        position=position, stream_type="template", stream_id=lasting_stream("template", "t"), version=position,
        type=type(event).__name__, schema_version=1, data=b"{}", correlation_id=None, causation_id=None,
        actor=f"person-{position}", traceparent=None, recorded_at=START + timedelta(seconds=position),
    )  # fmt: skip
    fold(models, stored, event)


def test_a_template_keeps_who_made_it_until_it_is_deleted_and_made_again():
    models = ReadModels()
    tell(models, 1, saved(1, "First"))
    tell(models, 2, saved(2, "Second"))
    row = models.templates["t"]
    assert (row.name, row.version, row.status, row.created_by, row.created_position) == (
        "Second",
        2,
        "active",
        "person-1",
        1,
    )
    assert (row.updated_at, row.definition, row.change) == (START + timedelta(seconds=2), '{"nodes":[]}', NEW)
    tell(models, 3, TemplateDeleted(template_id="t"))
    assert models.templates["t"].status == "deleted"
    tell(models, 4, saved(3, "Third"))
    row = models.templates["t"]
    assert (row.status, row.created_by, row.created_position) == ("active", "person-4", 4)
    assert models.changes.templates == [row]


def test_a_row_that_is_written_already_is_changed_and_not_made_anew():
    models = ReadModels()
    tell(models, 1, saved(1, "First"))
    models.templates["t"].change = CLEAN
    models.changes.templates.clear()
    tell(models, 2, saved(2, "Second"))
    tell(models, 3, TemplateDeleted(template_id="t"))
    assert [row.change for row in models.changes.templates] == [CHANGED]


def test_who_saved_and_deleted_templates_is_in_the_audit_trail():
    models = ReadModels()
    tell(models, 1, saved(1, "First"))
    tell(models, 2, TemplateDeleted(template_id="t"))
    assert [(row.actor, row.action, row.subject) for row in models.changes.audits] == [
        ("person-1", "save_template", "t"),
        ("person-2", "delete_template", "t"),
    ]
