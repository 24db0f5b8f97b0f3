"""What triggers hand to the log, say on NATS and answer to commands, as bytes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from flowforge.events import (
    ChildRunRefused,
    Event,
    EventReceived,
    RetryRefused,
    RunAdmitted,
    RunDisplaced,
    TriggerTimerSet,
    WorkflowTriggered,
    encode,
)
from flowforge.refusals import Accepted, Refusal, Rejected
from flowforge.subjects import Subjects

from infra.bus import Outgoing, envelope
from infra.eventlog import NewEvent, StoredEvent, StreamAppend
from services.triggers.cause import received, same_event
from services.triggers.decide import Decided
from services.triggers.reading import Arrival
from services.triggers.recalling import chain_stream

FIRED, TIMER_SET = WorkflowTriggered.__name__, TriggerTimerSet.__name__
OF_RUNS = frozenset({RunAdmitted.__name__, RunDisplaced.__name__, RetryRefused.__name__})
"""What is said of a run that is there already."""
CHILD_REFUSED = ChildRunRefused.__name__
"""What is said to the parent."""
_encode = msgspec.json.encode


class Logged(msgspec.Struct, frozen=True):
    """Where a cause stands in the log, and what it says."""

    event_id: UUID
    position: int
    recorded_at: datetime
    fact: EventReceived


def streams_of_all(decided: Mapping[bytes | None, Decided]) -> list[StreamAppend]:
    """The streams of what is decided together, each once: a trigger may remember something of several causes."""
    streams: dict[UUID, StreamAppend] = {}
    for identity, one in decided.items():
        for stream in _streams_of(one, identity):
            there = streams.setdefault(stream.stream_id, stream)
            if there is not stream:
                there.events += stream.events
    return list(streams.values())


def _streams_of(decided: Decided, identity: bytes | None) -> list[StreamAppend]:
    """The cause's own stream, those of triggers that remember, then one for each run that starts."""
    facts: list[Event] = [] if decided.first is None else [decided.first]
    facts += decided.decisions
    streams: list[StreamAppend] = []
    if facts:
        streams.append(_stream(decided.stream_type, decided.stream_id, decided.stream_version, facts))
    streams += [_stream("trigger", one.stream_id, one.version, one.facts) for one in decided.remembered]
    streams += [_stream("chain", chain_stream(one.first_event_id), one.count, one.facts) for one in decided.grown]
    if decided.refused is not None:
        streams.append(_stream("child", decided.refused.child_run_id, 0, [decided.refused]))
    for run in decided.runs:
        streams.append(_stream("run", run.run_id, 0, [run]))
        streams[-1].identity = decided.identities.get(run.run_id)
    streams += [_stream("slot", one.slot_id, one.version, one.facts) for one in decided.slotted]
    if identity is not None:
        streams[0].identity = identity
    return streams


def _stream(kind: str, stream_id: UUID, version: int, facts: Sequence[Event]) -> StreamAppend:
    return StreamAppend(kind, stream_id, version, [NewEvent(type(fact).__name__, encode(fact)) for fact in facts])


class _Place(msgspec.Struct):
    workflow_id: str = ""
    run_id: UUID | None = None
    parent_workflow_id: str = ""
    parent_run_id: UUID | None = None


_place = msgspec.json.Decoder(_Place)


def said(stored: StoredEvent, subjects: Subjects) -> Outgoing:
    """A run's first event, what becomes of one that waits, or a timer that a trigger sets, on its way."""
    place = _place.decode(stored.data)
    body, name, workflow_id = envelope(stored, subjects.namespace), str(stored.event_id), place.workflow_id
    if stored.type == TIMER_SET:
        return Outgoing(subjects.trigger_timer_set(workflow_id), body, name)
    if stored.type in OF_RUNS:
        return Outgoing(subjects.run(workflow_id, place.run_id, stored.type), body, name, is_covered=True)
    if stored.type == CHILD_REFUSED:
        subject = subjects.run(place.parent_workflow_id, place.parent_run_id, CHILD_REFUSED)
        return Outgoing(subject, body, name, is_covered=True)
    return Outgoing(subjects.run(workflow_id, stored.stream_id, FIRED), body, name, is_covered=True)


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


def events_answer(
    arrivals: Iterable[Arrival], logged: dict[bytes, Logged], tried_at: frozenset[datetime], *, is_one: bool = False
) -> bytes:
    """To `ReceiveEvents`: each event with its place; a duplicate is one that was logged before this command came, and it
    differs where it says something else than what was logged. The one delivery of `ReceiveWebhook` is the answer by
    itself."""
    seen: set[bytes] = set()
    items: list[dict[str, object]] = []
    for arrival in arrivals:
        place = logged[arrival.identity]
        is_duplicate = arrival.identity in seen or place.recorded_at not in tried_at
        items.append(
            {
                "id": arrival.event.id,
                "source": arrival.event.source,
                "event_id": str(place.event_id),
                "position": place.position,
                "duplicate": is_duplicate,
                "differs": is_duplicate and differs(place.fact, arrival),
            }
        )
        seen.add(arrival.identity)
    if is_one:
        return _encode(Accepted(items[0]))
    position = max(place.position for place in logged.values())
    return _encode(Accepted({"items": items, "position": position}))


def differs(first: EventReceived, again: Arrival) -> bool:
    """Whether an event came again with other content; the first one counts."""
    return not same_event(first, received(again.event, again.body, again.addressee))


def count_answer(position: int) -> bytes:
    """To `CountRejections`."""
    return _encode(Accepted({"position": position}))


def refusal_answer(refusal: Refusal) -> bytes:
    return _encode(Rejected(refusal))
