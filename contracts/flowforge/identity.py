"""Ids that derive from causes: whoever computes one, however often, computes the same.

Ids of runs, events and jobs are UUIDs in the layout of version 7 (RFC 9562, 5.7), so they sort by time; the bits that
RFC leaves to chance are a BLAKE2b hash of what the id stands for. Streams with a name (workflows) carry time zero, so
that they sort below everything that happened.
"""

import os
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID

_LASTING_AT = datetime(2000, 1, 1, tzinfo=UTC)
"""After time zero, where definitions are, and before everything that happens."""
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_MASK = ~((0xF << 76) | (0x3 << 62)) & ((1 << 80) - 1)


def _bits(at_ms: int, random_bits: int) -> int:
    return (at_ms & ((1 << 48) - 1)) << 80 | _VERSION_7 | _VARIANT | (random_bits & _RANDOM_MASK)


def _uuid(at_ms: int, random_bits: int) -> UUID:
    return UUID(int=_bits(at_ms, random_bits))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def derived_uuid(at: datetime, *parts: object) -> UUID:
    """The id of what `parts` name, of a cause recorded at `at` (aware; milliseconds count)."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=10).digest()
    return _uuid(_ms(at), int.from_bytes(digest))


def part_uuid(whole: UUID, *parts: object) -> UUID:
    """The id of a part of something that has a time-ordered id itself, such as a job of a run; it has the same time."""
    digest = blake2b("\x1f".join((whole.hex, *map(str, parts))).encode(), digest_size=10).digest()
    return _uuid(whole.int >> 80, int.from_bytes(digest))


def moment(of: UUID) -> tuple[UUID, UUID]:
    """The first and the last id of the same millisecond, the id of something and of its parts among them."""
    at = of.int >> 80 << 80
    return UUID(int=at), UUID(int=at | (1 << 80) - 1)


def event_id(stream_id: UUID, version: int, recorded_at: datetime) -> UUID:
    """The id of the event at `version` of a stream; not stored, always computed."""
    return UUID(int=_event_bits(stream_id, version, recorded_at))


def event_id_text(stream_id: UUID, version: int, recorded_at: datetime) -> str:
    """`str(event_id(…))`, at a third of its cost: every published message needs it."""
    digits = f"{_event_bits(stream_id, version, recorded_at):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _event_bits(stream_id: UUID, version: int, recorded_at: datetime) -> int:
    digest = blake2b(stream_id.bytes + version.to_bytes(8), digest_size=10).digest()
    return _bits(_ms(recorded_at), int.from_bytes(digest))


def named_stream(kind: str, name: str) -> UUID:
    """The stream of something that has a name rather than a time, `named_stream("workflow", "daily-report")`."""
    digest = blake2b(f"{kind}:{name}".encode(), digest_size=10).digest()
    return _uuid(0, int.from_bytes(digest))


def lasting_stream(kind: str, *parts: str) -> UUID:
    """The stream of something that lasts and has no time either, and is no definition: a trigger's memory, a slot."""
    return derived_uuid(_LASTING_AT, kind, *parts)


def identity_key(kind: str, *parts: str) -> bytes:
    """16 bytes under which the log registers what may be logged once only: a cause, a command."""
    return blake2b("\x1f".join((kind, *parts)).encode(), digest_size=16).digest()


def new_uuid(at: datetime | None = None) -> UUID:
    """A fresh id for something that has no cause yet, such as a command of a person."""
    return _uuid(_ms(at or datetime.now(UTC)), int.from_bytes(os.urandom(10)))
