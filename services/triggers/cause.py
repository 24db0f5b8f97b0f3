"""A cause as rules and expressions see it (pure)."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Protocol, Self, cast
from uuid import UUID

import msgspec
from flowforge.envelope import NULL, SPEC_VERSION, CloudEvent
from flowforge.events import Cause, Chain, EventReceived, TriggerTimerFired, WebhookReceived
from flowforge.identity import derived_uuid, event_id

from infra.expressions import EvaluationFault
from services.triggers.settings import PAYLOAD_INLINE_BYTES_MAX

EMPTY_INPUT = msgspec.Raw(b"{}")
NO_LABELS: Mapping[str, str] = MappingProxyType({})
_FACT_ATTRIBUTES = frozenset({"id", "source", "type", "specversion", "subject", "time", "datacontenttype", "data"})
_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MADE_ANEW = frozenset({"traceparent", "tracestate", "correlationid", "causationid"})
"""Extensions that say how a message came about, and nothing of the event."""
_encode = msgspec.json.encode
_encode_in_order = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.decode


class AnyCause(Protocol):
    """What evaluating a trigger needs of a cause. Ids of runs derive from `recorded_at`; `depth` counts runs before it;
    its runs carry its `labels`.
    """

    cause: Cause
    data: msgspec.Raw
    recorded_at: datetime
    stream_id: UUID
    depth: int
    chain: Chain | None
    labels: Mapping[str, str]

    @property
    def bindings(self) -> Mapping[str, object]:
        """`event`, `events` and `now` for expressions. Raises EvaluationFault."""
        ...


class OwnCause:
    """An event of FlowForge's own as a cause: a firing of a schedule, the end of a run, an absence."""

    __slots__ = ("cause", "chain", "data", "depth", "labels", "recorded_at", "stream_id")

    def __init__(
        self,
        cause: Cause,
        data: msgspec.Raw,
        recorded_at: datetime,
        depth: int = 0,
        chain: Chain | None = None,
        labels: Mapping[str, str] = NO_LABELS,
    ) -> None:
        self.cause = cause
        self.data = data
        self.recorded_at = recorded_at
        self.stream_id = cause.stream_id
        self.depth = depth
        self.chain = chain
        self.labels = labels

    @property
    def bindings(self) -> Mapping[str, object]:
        event: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.cause.id,
            "source": self.cause.source,
            "type": self.cause.type,
            "time": str(msgspec.to_builtins(self.recorded_at)),
            "data": json_value("event.data", self.data),
        }
        return {"event": event, "events": [event], "now": self.recorded_at}


def absence_cause(fact: TriggerTimerFired, event_id: UUID, namespace: str) -> OwnCause:
    """The timer that says that nothing came; its data is `{due_at}`."""
    cause = Cause(
        event_id=event_id,
        type=type(fact).__name__,
        id=str(event_id),
        source=f"/{namespace}/triggers/{fact.workflow_id}/{fact.trigger_id}",
        stream_id=fact.timer_id,
    )
    return OwnCause(cause, msgspec.Raw(msgspec.json.encode({"due_at": fact.due_at})), fact.due_at)


class ReceivedCause:
    """An event of an external system, about to be logged at `recorded_at`. `data` is whole, however large."""

    __slots__ = ("_bindings", "cause", "data", "fact", "recorded_at", "stream_id")
    depth: int = 0
    chain: Chain | None = None
    labels: Mapping[str, str] = NO_LABELS

    def __init__(
        self,
        event: CloudEvent,
        body: bytes | msgspec.Raw,
        recorded_at: datetime,
        addressee: tuple[str, str] | None = None,
    ) -> None:
        """`addressee`: workflow and trigger of a delivery to a webhook."""
        self.fact = received(event, body, addressee)
        self.data = event.data
        self.recorded_at = recorded_at
        kind = "cause" if addressee is None else "webhook"  # what others publish is never taken for a delivery
        self.stream_id = derived_uuid(recorded_at, kind, event.source, event.id)
        self.cause = Cause(
            event_id=event_id(self.stream_id, 1, recorded_at),
            type=event.type,
            id=event.id,
            source=event.source,
            stream_id=self.stream_id,
        )
        self._bindings: dict[str, object] | None = None

    @classmethod
    def recalled(cls, fact: EventReceived, stream_id: UUID, recorded_at: datetime, data: msgspec.Raw) -> Self:
        """The same cause once it is logged; `data` is whole."""
        cause = cls.__new__(cls)
        cause.fact, cause.data, cause.recorded_at, cause.stream_id = fact, data, recorded_at, stream_id
        cause.cause = Cause(
            event_id=event_id(stream_id, 1, recorded_at),
            type=fact.type,
            id=fact.id,
            source=fact.source,
            stream_id=stream_id,
        )
        cause._bindings = None  # noqa: SLF001  its own
        return cause

    @property
    def bindings(self) -> Mapping[str, object]:
        """`event`, `events` and `now` for expressions; built when first asked for. Raises EvaluationFault."""
        if self._bindings is None:
            event = seen(self.fact, self.data)
            self._bindings = {"event": event, "events": [event], "now": self.recorded_at}
        return self._bindings


def received(event: CloudEvent, body: bytes | msgspec.Raw, addressee: tuple[str, str] | None = None) -> EventReceived:
    """The fact to log: every attribute as it came, the data in full (see `kept_small`)."""
    if addressee is not None:
        workflow_id, trigger_id = addressee
        return WebhookReceived(
            id=event.id,
            source=event.source,
            type=event.type,
            subject=event.subject,
            data=kept_small(event.data),
            workflow_id=workflow_id,
            trigger_id=trigger_id,
        )
    attributes = _attributes.decode(body)
    return EventReceived(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=event.time,
        datacontenttype=event.datacontenttype,
        data=kept_small(event.data),
        extensions={}
        if attributes.keys() <= _FACT_ATTRIBUTES
        else {name: value for name, value in attributes.items() if name not in _FACT_ATTRIBUTES},
    )


def seen(fact: EventReceived, data: bytes | msgspec.Raw) -> dict[str, Any]:
    """The event as `event` in expressions. Raises EvaluationFault for numbers that no expression could hold."""
    event: dict[str, Any] = {"specversion": SPEC_VERSION, "id": fact.id, "source": fact.source, "type": fact.type}
    if fact.subject is not None:
        event["subject"] = fact.subject
    if fact.time is not None:
        event["time"] = _decode(_encode(fact.time))
    if fact.datacontenttype is not None:
        event["datacontenttype"] = fact.datacontenttype
    for name, value in fact.extensions.items():
        event[name] = json_value("event." + name, value)
    event["data"] = json_value("event.data", data)
    return event


def json_value(name: str, raw: bytes | msgspec.Raw) -> Any:
    """Raw JSON as plain data. Raises EvaluationFault where it cannot be held, such as 1e999."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise EvaluationFault(name, f"{name} cannot be read: {problem}", name) from None


def kept_small(payload: msgspec.Raw) -> msgspec.Raw:
    """The payload, or the reference under which `blobs_of` has it kept."""
    size = len(cast("bytes", payload))
    if size <= PAYLOAD_INLINE_BYTES_MAX:
        return payload
    return msgspec.Raw(b'{"$blob":"%s","size":%d}' % (sha256(payload).hexdigest().encode(), size))


def is_large(payload: msgspec.Raw) -> bool:
    return len(cast("bytes", payload)) > PAYLOAD_INLINE_BYTES_MAX


def is_null(payload: msgspec.Raw) -> bool:
    return payload == NULL


def same_event(one: EventReceived, other: EventReceived) -> bool:
    """Whether two events with one identity say the same. Spaces and the order of keys do not count, nor does what a
    sender who repeats itself makes anew: the time and the trace."""
    if bytes(one.data) == bytes(other.data) and _about(one) == _about(other):
        return True
    return content(one) == content(other)


def content(fact: EventReceived) -> bytes:
    """What an event says, the same bytes however it is written (see `same_event`)."""
    return _encode_in_order([_about(fact), _plain(fact.data)])


def _about(fact: EventReceived) -> list[object]:
    extensions = {name: _plain(value) for name, value in fact.extensions.items() if name not in _MADE_ANEW}
    return [fact.type, fact.subject, fact.datacontenttype, extensions]


def _plain(raw: msgspec.Raw) -> object:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(raw)


def run_id(recorded_at: datetime, workflow_id: str, trigger_id: str, cause_stream_id: UUID) -> UUID:
    """The one id of the run that this trigger starts for this cause."""
    return derived_uuid(recorded_at, "run", workflow_id, trigger_id, cause_stream_id)
