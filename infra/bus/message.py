"""What comes in and what goes out of a turn."""

import base64
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast
from uuid import UUID

import msgspec
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import event_id_text

from infra.eventlog import Append, StoredEvent

Origin = Literal["stream", "command", "log"]


class Message:
    """One message of a turn, whatever way it came: from a stream, as a command that waits for its answer, or from the log.

    `tokens` are the subject's tokens; `deliveries` counts from 1; `reply_to` settles it (acknowledgement or answer).
    `dead_letter` is where a message that is retried was put aside: the stream, and its version.
    `is_settled`: it was put aside, or is to come again; the rest of the turn has nothing to do with it.
    """

    __slots__ = ("body", "dead_letter", "event", "is_settled", "origin", "reply_to", "subject")

    def __init__(self, subject: str, body: bytes, event: CloudEvent, origin: Origin, reply_to: str) -> None:
        self.subject = subject
        self.body = body
        self.event = event
        self.origin: Origin = origin
        self.reply_to = reply_to
        self.dead_letter: tuple[UUID, int] | None = None
        self.is_settled = False

    @property
    def tokens(self) -> list[str]:
        return self.subject.split(".")

    @property
    def deliveries(self) -> int:
        """How often the stream has delivered it (`$JS.ACK.<stream>.<consumer>.<deliveries>.…`)."""
        return int(self.reply_to.split(".")[4]) if self._is_delivered else 1

    @property
    def place(self) -> tuple[str, str, str] | None:
        """Its stream, its sequence there and when it came there (`$JS.ACK.<stream>.….<deliveries>.<sequence>.….<time>.…`):
        the same at every delivery."""
        if not self._is_delivered:
            return None
        tokens = self.reply_to.split(".")
        return tokens[2], tokens[5], tokens[7]

    @property
    def is_owed(self) -> bool:
        """Whether a stream waits for its acknowledgement; for that of one that is retried, none does."""
        return self._is_delivered and not self.is_settled

    @property
    def is_ours_alone(self) -> bool:
        """Whether nobody but this process can bring it again: it came from the log, or is retried."""
        return self.origin != "command" and not self._is_delivered and not self.is_settled

    @property
    def _is_delivered(self) -> bool:
        return self.origin == "stream" and bool(self.reply_to)


class Outgoing(msgspec.Struct, gc=False):
    """A message to publish. With `message_id` JetStream drops a repeat; without `is_kept` nobody need hear it.

    `is_covered`: it only repeats the log, on a stream that refuses nothing; the acknowledgement of the last such message
    of a publication stands for those before it, since a connection's messages are stored in order.
    """

    subject: str
    body: bytes
    message_id: str = ""
    is_kept: bool = True
    is_covered: bool = False


class Aside(NamedTuple):
    """A message to quarantine, and why. What has an `identity` is quarantined once, however often it comes."""

    message: Message
    reason: str
    identity: bytes | None = None


class Work(msgspec.Struct, gc=False):
    """What a service decided for one aggregate: what to log, and the answers to commands once that is logged.

    `aside` are messages that cannot mean anything, each with its cause: they are quarantined.
    `blobs` are payloads that the group refers to: kept before it is logged.
    `later` are messages that are decided once what this turn appends is in the log: a group has one actor and one cause,
    and that nothing follows is to be decided on what is the case.
    """

    append: Append | None = None
    answers: list[tuple[Message, bytes]] = []
    also_say: list[Outgoing] = []
    later: list[Message] = []
    aside: list[Aside] = []
    blobs: list[bytes] = []


Decode = Callable[[bytes], CloudEvent]


class Envelopes:
    """Logged events as everybody hears them. What the events of one group share is turned into text once."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._shared_key: tuple[object, ...] = ()
        self._head = ""
        self._tail = ""

    def of(self, stored: StoredEvent) -> tuple[str, bytes]:
        """The event's id and its message; `decode` of the message is `logged_event` (the tests hold them together)."""
        key = (
            stored.stream_id,
            stored.recorded_at,
            stored.correlation_id,
            stored.causation_id,
            stored.actor,
            stored.traceparent,
        )
        if key != self._shared_key:
            self._share(stored, key)
        name = event_id_text(stored.stream_id, stored.version, stored.recorded_at)
        start = f'{{"specversion":"1.0","id":"{name}","type":"{stored.type}"{self._head},"data":'
        end = f',"position":{stored.position},"streamversion":{stored.version}{self._tail}}}'
        return name, start.encode() + stored.data + end.encode()

    def _share(self, stored: StoredEvent, key: tuple[object, ...]) -> None:
        self._shared_key = key
        event = logged_event(stored, self._namespace)
        self._head = f',"source":"{event.source}","time":{_json(event.time)}'
        named = {name: getattr(event, name) for name in ("correlationid", "causationid", "traceparent", "actor")}
        self._tail = "".join(f',"{name}":{_json(value)}' for name, value in named.items() if value is not None)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def envelope(stored: StoredEvent, namespace: str) -> bytes:
    """One logged event as everybody hears it."""
    return encode(logged_event(stored, namespace))


def logged_event(stored: StoredEvent, namespace: str) -> CloudEvent:
    """The CloudEvent of a logged event."""
    return CloudEvent(
        id=str(stored.event_id),
        source=f"/{namespace}/{stored.stream_type}/{stored.stream_id}",
        type=stored.type,
        time=stored.recorded_at,
        data=msgspec.Raw(stored.data),
        correlationid=None if stored.correlation_id is None else str(stored.correlation_id),
        causationid=None if stored.causation_id is None else str(stored.causation_id),
        traceparent=stored.traceparent,
        position=stored.position,
        streamversion=stored.version,
        actor=stored.actor,
    )


def readable(body: bytes) -> tuple[str, Literal["text", "base64"]]:
    """Bytes as text where they are text, else in base64."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"
    return (text, "text") if "\x00" not in text else (base64.b64encode(body).decode(), "base64")


SECRET_FIELDS = frozenset({"secret", "definition_packed"})
"""Fields of commands that hold a secret, or may. The log must never hold one."""
WITHHELD = "***"


def without_secrets(body: bytes) -> bytes:
    """A command with `***` in place of the secrets in it; one that cannot be read is withheld as a whole."""
    try:
        return msgspec.json.encode(_masked(msgspec.json.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return WITHHELD.encode()


def _masked(value: object) -> object:
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return {name: WITHHELD if name in SECRET_FIELDS else _masked(item) for name, item in fields.items()}
