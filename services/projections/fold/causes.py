"""Causes, decisions, what was turned away, and what could not be handled."""

from flowforge.events import (
    DeadLetterRetried,
    EventReceived,
    MessageQuarantined,
    RunRequested,
    TriggerDecided,
    WebhookReceived,
    WebhooksRejected,
)

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.values import as_json, clean, kept, names, text
from services.projections.state import (
    CHANGED,
    CLEAN,
    NEW,
    DeadLetterRow,
    DecisionRow,
    ReadModels,
    ReceivedRow,
    RejectionRow,
)
from services.projections.statistics import Used

RECEIVED = "events"
"""The kind of use that counts received events."""


def decided(models: ReadModels, stored: StoredEvent, event: TriggerDecided) -> None:
    cause_id, cause_type, cause_source = names(event.cause)
    models.changes.decisions.append(
        DecisionRow(
            position=stored.position,
            workflow_id=event.workflow_id,
            trigger_id=event.trigger_id,
            trigger_version=event.trigger_version,
            cause_event_id=event.cause.event_id,
            cause_type=cause_type,
            cause_id=cause_id,
            cause_source=cause_source,
            decision=event.decision,
            reason=clean(event.reason) or None,
            detail=clean(event.detail) or None,
            consumed=event.consumed,
            run_id=event.run_id,
            decided_at=stored.recorded_at,
        )
    )


def received(models: ReadModels, stored: StoredEvent, event: EventReceived) -> None:
    models.changes.received.append(
        ReceivedRow(
            position=stored.position,
            event_id=stored.event_id,
            id=kept(event.id),
            source=kept(event.source),
            type=kept(event.type),
            subject=clean(event.subject),
            time=None if event.time is None else event.time.isoformat().replace("+00:00", "Z"),
            datacontenttype=clean(event.datacontenttype),
            data=text(event.data),
            extensions=as_json(event.extensions),
            received_at=stored.recorded_at,
        )
    )
    models.changes.seen.used.append(Used(RECEIVED, "", stored.recorded_at, stored.position))
    if isinstance(event, WebhookReceived):
        audit(
            models,
            stored,
            "receive_webhook",
            "trigger",
            _trigger(event.workflow_id, event.trigger_id),
            event.workflow_id,
        )
    elif stored.actor is not None:
        audit(models, stored, "publish_event", "event", kept(f"{event.source} {event.id}"))


def requested(models: ReadModels, stored: StoredEvent, event: RunRequested) -> None:
    """Somebody asked for a run, or fired a trigger by hand."""
    if event.fork is not None:
        audit(models, stored, "fork", "run", str(event.fork.run_id), event.workflow_id)
    elif event.trigger_id is not None:
        audit(
            models, stored, "fire_trigger", "trigger", _trigger(event.workflow_id, event.trigger_id), event.workflow_id
        )
    else:
        audit(models, stored, "execute", "workflow", event.workflow_id, event.workflow_id)


def _trigger(workflow_id: str, trigger_id: str) -> str:
    return f"{workflow_id}/{trigger_id}"


def rejected(models: ReadModels, stored: StoredEvent, event: WebhooksRejected) -> None:
    models.changes.rejections += [
        RejectionRow(stored.position, kept(reason), event.workflow_id, event.trigger_id, count, stored.recorded_at)
        for reason, count in event.reasons.items()
    ]


def quarantined(models: ReadModels, stored: StoredEvent, event: MessageQuarantined) -> None:
    """A message that could not be handled; or one that was retried, and again could not."""
    row = models.dead_letters.get(stored.stream_id)
    if row is None:
        row = models.dead_letters[stored.stream_id] = DeadLetterRow(
            stream_id=stored.stream_id,
            id=stored.event_id,
            first_position=stored.position,
            service=event.service,
            subject=kept(event.subject),
            body=kept(event.body),
            body_encoding=event.body_encoding,
            status="open",
            reason=kept(event.reason),
            deliveries=event.deliveries,
            quarantined_at=stored.recorded_at,
            position=stored.position,
            change=NEW,
        )
        models.changes.dead_letters.append(row)
        return
    row.status, row.reason, row.deliveries = "open", kept(event.reason), event.deliveries
    row.quarantined_at = stored.recorded_at
    row.failures += 1
    _touch_dead_letter(models, row, stored.position)


def retried(models: ReadModels, stored: StoredEvent, event: DeadLetterRetried) -> None:
    """Somebody had it handled once more."""
    row = models.dead_letters[stored.stream_id]
    row.status, row.retried_at, row.retried_by = "retried", stored.recorded_at, clean(stored.actor)
    row.retries += 1
    _touch_dead_letter(models, row, stored.position)
    audit(models, stored, "retry_dead_letter", "dead_letter", f"{event.service}/{row.id}")


def _touch_dead_letter(models: ReadModels, row: DeadLetterRow, position: int) -> None:
    row.position = position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.dead_letters.append(row)
