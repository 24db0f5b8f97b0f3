"""Every attempt of every node of a run, from its events: what the jobs list and the timeline show. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import (
    BreakerWait,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeStarted,
    NodeWaiting,
    PoolWait,
    decode,
)

from infra.eventlog import StoredEvent

_TYPES = frozenset(
    {"NodeQueued", "NodeStarted", "NodeWaiting", "NodeCompleted", "NodeFailed", "NodeRetried", "NodeCancelled"}
)
_BEGINNINGS = (NodeQueued, NodeStarted, NodeWaiting)
_AttemptEvent = NodeQueued | NodeStarted | NodeWaiting | NodeCompleted | NodeFailed | NodeRetried | NodeCancelled


class Attempt(msgspec.Struct):
    """One try of a node or of one of its instances; `position` is where it began in the log."""

    node_id: str
    instance: str
    attempt: int
    position: int
    status: str = "queued"
    job_id: UUID | None = None
    job_type: str | None = None
    queue: str | None = None
    worker: str | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    error: dict[str, Any] | None = None


def attempts_of(events: Iterable[StoredEvent]) -> list[Attempt]:
    """In the order in which they began."""
    attempts: dict[tuple[str, str, int], Attempt] = {}
    begun: list[Attempt] = []
    for stored in events:
        if stored.type not in _TYPES:
            continue
        event = decode(stored.type, stored.data)
        assert isinstance(event, _AttemptEvent)
        number = event.attempt - 1 if isinstance(event, NodeRetried) else event.attempt
        key = (event.node_id, event.instance, number)
        attempt = attempts.get(key)
        is_again = attempt is not None and attempt.completed_at is not None and isinstance(event, _BEGINNINGS)
        if attempt is None or is_again:  # again: a retry repeats the iteration of a loop, its attempts included
            attempt = attempts[key] = Attempt(event.node_id, event.instance, number, stored.position)
            begun.append(attempt)
        _evolve(attempt, stored.recorded_at, event)
    return begun


def _evolve(
    attempt: Attempt,
    at: datetime,
    event: _AttemptEvent,
) -> None:
    match event:
        case NodeQueued():
            attempt.status, attempt.queued_at = "queued", at
            attempt.job_id, attempt.job_type, attempt.queue = event.job_id, event.job_type or None, event.queue or None
        case NodeStarted():
            attempt.status, attempt.worker, attempt.started_at = "running", event.worker or None, at
            if event.at is not None and event.at.tzinfo is not None and attempt.queued_at is not None:
                attempt.started_at = min(max(event.at, attempt.queued_at), at)
        case NodeWaiting():
            attempt.status = "waiting"
            if attempt.started_at is None and not isinstance(event.wait, PoolWait | BreakerWait):
                attempt.started_at = at
        case NodeCompleted():
            attempt.status, attempt.completed_at = "completed", at
        case NodeFailed() | NodeRetried():
            attempt.status, attempt.completed_at = "failed", at
            attempt.error = msgspec.json.decode(msgspec.json.encode(event.error))
        case NodeCancelled():
            attempt.status, attempt.completed_at = "cancelled", at
    attempt.duration_ms = duration_ms(attempt.started_at, attempt.completed_at)


def duration_ms(started_at: datetime | None, completed_at: datetime | None) -> int | None:
    """Milliseconds between two instants, null while one is missing."""
    if started_at is None or completed_at is None:
        return None
    return round((completed_at - started_at).total_seconds() * 1000)
