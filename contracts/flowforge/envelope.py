"""The one envelope of every message: CloudEvents 1.0, structured JSON, with FlowForge's extensions.

Source: the CloudEvents specification 1.0.2 and its NATS binding (structured mode). `data` stays raw JSON until somebody
needs it. Messages of external systems may carry extensions of their own; `decode_external` keeps them.
"""

from datetime import UTC, datetime

import msgspec

from flowforge.raw import NULL

RESERVED_DATA_LIMIT_BYTES = 1024 * 1024
SPEC_VERSION = "1.0"


class CloudEvent(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One message. `position` and `streamversion` are set once it is in the log; `time` is when it was recorded."""

    id: str
    source: str
    type: str
    specversion: str = SPEC_VERSION
    subject: str | None = None
    time: datetime | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: msgspec.Raw = NULL
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    position: int | None = None
    streamversion: int | None = None
    actor: str | None = None

    def __post_init__(self) -> None:
        if self.specversion != SPEC_VERSION:
            raise ValueError(f"specversion must be '1.0', got '{self.specversion}'")


class NotAnEvent(ValueError):
    """The bytes are no CloudEvent; the message says why, in words for the person who sent them."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CloudEvent)
_external = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_REQUIRED = ("id", "source", "specversion", "type")
_OURS = frozenset({"position", "streamversion", "actor"})
"""Set by FlowForge alone; what an external system writes there counts for nothing."""
ATTRIBUTE_LENGTH_MAX = 512


def _always(event: CloudEvent) -> bytes:
    # `specversion` equals its default and would be omitted, but the specification requires it on the wire
    body = _encoder.encode(event)
    return b'{"specversion":"1.0",' + body[1:]


def encode(event: CloudEvent) -> bytes:
    """The message as it goes over the wire."""
    return _always(event)


def decode(body: bytes) -> CloudEvent:
    """A message of FlowForge's own parts. Raises `NotAnEvent`."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as fault:
        raise NotAnEvent(str(fault)) from fault


def decode_external(body: bytes) -> CloudEvent:
    """A message of an external system: required attributes checked one by one. Raises `NotAnEvent`."""
    try:
        attributes = _external.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise NotAnEvent(f"the message is no JSON object: {fault}") from fault
    missing = [name for name in _REQUIRED if name not in attributes]
    if missing:
        raise NotAnEvent(f"required CloudEvents attribute missing: {', '.join(missing)}")
    for name in _REQUIRED:
        try:
            value = _string.decode(attributes[name])
        except msgspec.DecodeError as fault:
            raise NotAnEvent(f"attribute '{name}' must be a string") from fault
        if not value or len(value) > ATTRIBUTE_LENGTH_MAX or "\x00" in value:
            raise NotAnEvent(f"attribute '{name}' must have 1 to {ATTRIBUTE_LENGTH_MAX} characters")
    if _OURS & attributes.keys():
        body = _encoder.encode({name: value for name, value in attributes.items() if name not in _OURS})
    return decode(body)


def now() -> datetime:
    """The wall clock of the shell; the pure core gets its time with the message."""
    return datetime.now(UTC)
