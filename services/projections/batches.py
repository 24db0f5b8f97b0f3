"""Logged events as they are read over HTTP, and as messages of a live stream: written once, whoever hears them."""

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
from flowforge.people import PEOPLE

from infra.eventlog import StoredEvent


class LoggedEvent(msgspec.Struct):
    """An event as it is read over HTTP."""

    position: int
    event_id: UUID
    type: str
    stream: str
    version: int
    recorded_at: object
    data: msgspec.Raw
    correlation_id: UUID | None
    causation_id: UUID | None
    actor: str | None


def logged_event(stored: StoredEvent) -> LoggedEvent:
    """The public form of a logged event; `stream` is `<type>/<id>`."""
    return LoggedEvent(
        position=stored.position,
        event_id=stored.event_id,
        type=stored.type,
        stream=f"{stored.stream_type}/{stored.stream_id}",
        version=stored.version,
        recorded_at=stored.recorded_at,
        data=msgspec.Raw(stored.data),
        correlation_id=stored.correlation_id,
        causation_id=stored.causation_id,
        actor=stored.actor,
    )


_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def message(event: StoredEvent) -> bytes:
    """The event as one server-sent message. JSON has line ends only where it may have blanks."""
    data = msgspec.json.encode(logged_event(event)).translate(_NO_LINE_ENDS)
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.type.encode(), event.position, data)


class Batch:
    """Events in order of position, each written once for all who are told of it."""

    __slots__ = ("_text", "events", "has_people", "messages", "size_bytes")

    def __init__(self, events: Sequence[StoredEvent], messages: Sequence[bytes] | None = None) -> None:
        self.events = events
        self.messages = [message(event) for event in events] if messages is None else messages
        self.has_people = any(event.stream_type == PEOPLE for event in events)
        """Whether something of it is for administrators."""
        self.size_bytes = sum(map(len, self.messages))
        self._text: bytes | None = None

    @property
    def text(self) -> bytes:
        """All of them, one after the other."""
        if self._text is None:
            self._text = b"".join(self.messages)
        return self._text

    def where(self, is_wanted: Callable[[StoredEvent], bool]) -> "Batch":
        """Those that are wanted; itself where all are."""
        pairs = [pair for pair in zip(self.events, self.messages, strict=True) if is_wanted(pair[0])]
        if len(pairs) == len(self.events):
            return self
        return Batch([event for event, _ in pairs], [text for _, text in pairs])

    def after(self, position: int) -> "Batch":
        """Those above a position."""
        if self.events and self.events[0].position > position:
            return self
        return self.where(lambda event: event.position > position)
