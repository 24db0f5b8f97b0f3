"""Secrets, by name; their values are in no event."""

from flowforge.events import SecretDeleted, SecretSet

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.values import clean
from services.projections.state import ReadModels, SecretChangeRow


def secret_changed(models: ReadModels, stored: StoredEvent, event: SecretSet | SecretDeleted) -> None:
    """A secret got a value, or is no more."""
    version = event.secret_version if isinstance(event, SecretSet) else None
    row = SecretChangeRow(stored.position, event.name, version, stored.recorded_at, clean(stored.actor))
    models.changes.secret_changes.append(row)
    audit(models, stored, "set_secret" if version else "delete_secret", "secret", event.name)
