"""What triggers hand to the log, say on NATS and answer to commands, as bytes."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec
from flowforge.events import TriggerDecided, WorkflowTriggered, encode
from flowforge.refusals import Accepted, Refusal, Rejected
from flowforge.subjects import Subjects

from infra.bus import Outgoing, envelope
from infra.eventlog import NewEvent, StoredEvent, StreamAppend
from services.triggers.decide import Decided
from services.triggers.reading import Arrival

FIRED = WorkflowTriggered.__name__
_DECIDED = TriggerDecided.__name__
_encode = msgspec.json.encode


class Logged(msgspec.Struct, frozen=True):
    """Where a cause stands in the log."""

    event_id: UUID
    position: int
    recorded_at: datetime


def streams_of(decided: Decided, identity: bytes) -> list[StreamAppend]:
    """The cause's own stream, then one for each run that starts."""
    if decided.first is None:
        return _streams_after(decided, identity)
    events = [NewEvent(type(decided.first).__name__, encode(decided.first))]
    events += [NewEvent(_DECIDED, encode(decision)) for decision in decided.decisions]
    streams = [StreamAppend("cause", decided.stream_id, 0, events, identity)]
    streams += [StreamAppend("run", run.run_id, 0, [NewEvent(FIRED, encode(run))]) for run in decided.runs]
    return streams


def _streams_after(decided: Decided, identity: bytes) -> list[StreamAppend]:
    """What is decided of a cause that somebody else has logged: once, whatever is decided."""
    events = [NewEvent(_DECIDED, encode(decision)) for decision in decided.decisions]
    streams = [StreamAppend("schedule", decided.stream_id, 1, events)] if events else []
    streams += [StreamAppend("run", run.run_id, 0, [NewEvent(FIRED, encode(run))]) for run in decided.runs]
    streams[0].identity = identity
    return streams


def said(stored: StoredEvent, workflow_id: str, subjects: Subjects) -> Outgoing:
    """A run's first event, on its way."""
    subject = subjects.run(workflow_id, stored.stream_id, FIRED)
    return Outgoing(subject, envelope(stored, subjects.namespace), str(stored.event_id), is_covered=True)


def run_answer(run: WorkflowTriggered, position: int) -> bytes:
    """To `RequestRun`."""
    return _encode(
        Accepted(
            {
                "run_id": str(run.run_id),
                "position": position,
                "workflow_id": run.workflow_id,
                "workflow_version": run.workflow_version,
            }
        )
    )


def events_answer(arrivals: Iterable[Arrival], logged: dict[bytes, Logged], tried_at: frozenset[datetime]) -> bytes:
    """To `ReceiveEvents`: each event with its place; a duplicate is one that was logged before this command came."""
    seen: set[bytes] = set()
    items: list[dict[str, object]] = []
    for arrival in arrivals:
        place = logged[arrival.identity]
        items.append(
            {
                "id": arrival.event.id,
                "source": arrival.event.source,
                "event_id": str(place.event_id),
                "position": place.position,
                "duplicate": arrival.identity in seen or place.recorded_at not in tried_at,
            }
        )
        seen.add(arrival.identity)
    position = max(place.position for place in logged.values())
    return _encode(Accepted({"items": items, "position": position}))


def refusal_answer(refusal: Refusal) -> bytes:
    return _encode(Rejected(refusal))
