"""Who asked for what."""

from infra.eventlog import StoredEvent
from services.projections.fold.values import clean
from services.projections.state import AuditRow, ReadModels


def audit(models: ReadModels, stored: StoredEvent, action: str, subject: str) -> None:
    row = AuditRow(stored.position, clean(stored.actor), action, subject, stored.recorded_at)
    models.changes.audits.append(row)
