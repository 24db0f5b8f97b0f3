"""Every attempt of every node of a run, from its events: what the jobs list and the timeline show. Pure."""

from collections.abc import Callable, Iterable
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
_BEGINNINGS = frozenset({"NodeQueued", "NodeStarted", "NodeWaiting"})
_AttemptEvent = NodeQueued | NodeStarted | NodeWaiting | NodeCompleted | NodeFailed | NodeRetried | NodeCancelled


class _Place(msgspec.Struct):
    """What names an attempt in any of these events."""

    node_id: str
    instance: str = ""
    attempt: int = 1
    job_id: UUID | None = None


_place = msgspec.json.Decoder(_Place)


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


class _Begun:
    """An attempt that has begun: followed where it is shown, else only known to be there."""

    __slots__ = ("attempt", "has_ended", "has_job", "position")

    def __init__(self, position: int, attempt: Attempt | None) -> None:
        self.position = position
        self.attempt = attempt
        self.has_ended = False
        self.has_job = False


class Trace:
    """The attempts of a run, taken event by event from its first one on. Of the others than those that `shows` tells, by
    the position at which they began, next to nothing is read and nothing is kept but that they are there."""

    def __init__(self, shows: Callable[[int], bool]) -> None:
        self.shown: list[Attempt] = []
        self.job_positions: list[int] = []
        """Where the attempts that are jobs began, in the order in which they were queued."""
        self.open_count = 0
        """How many of those shown have not ended."""
        self._shows = shows
        self._begun: dict[tuple[str, str, int], _Begun] = {}

    def take(self, events: Iterable[StoredEvent]) -> None:
        """The next events of the run."""
        for stored in events:
            if stored.type in _TYPES:
                self._take(stored)

    def _take(self, stored: StoredEvent) -> None:
        place = _place.decode(stored.data)
        number = place.attempt - 1 if stored.type == "NodeRetried" else place.attempt
        key = (place.node_id, place.instance, number)
        begun = self._begun.get(key)
        # again: a retry repeats the iteration of a loop, its attempts included
        if begun is None or (begun.has_ended and stored.type in _BEGINNINGS):
            attempt = Attempt(*key, stored.position) if self._shows(stored.position) else None
            begun = self._begun[key] = _Begun(stored.position, attempt)
            if attempt is not None:
                self.shown.append(attempt)
                self.open_count += 1
        if place.job_id is not None and not begun.has_job:
            begun.has_job = True
            self.job_positions.append(begun.position)
        if begun.attempt is not None:
            event = decode(stored.type, stored.data)
            assert isinstance(event, _AttemptEvent)
            _evolve(begun.attempt, stored.recorded_at, event)
        if stored.type not in _BEGINNINGS and not begun.has_ended:
            begun.has_ended = True
            self.open_count -= begun.attempt is not None


def attempts_of(events: Iterable[StoredEvent]) -> list[Attempt]:
    """All of them, in the order in which they began."""
    trace = Trace(lambda _: True)
    trace.take(events)
    return trace.shown


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
