"""Who asked for what."""

from infra.eventlog import StoredEvent
from services.projections.audited import audited_subject
from services.projections.fold.values import clean
from services.projections.state import AuditRow, ReadModels


def audit(
    models: ReadModels, stored: StoredEvent, action: str, resource: str, subject: str, workflow_id: str | None = None
) -> None:
    """One entry of the audit trail: the actor did `action` to `subject`, which is a `resource` (run, workflow, …)."""
    name = audited_subject(subject)
    row = AuditRow(stored.position, clean(stored.actor), action, resource, name, workflow_id, stored.recorded_at)
    models.changes.audits.append(row)
