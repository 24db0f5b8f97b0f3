"""One event as it stands in an archive, and what the chain hashes of it."""

import hashlib
import re
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from infra.eventlog.types import StoredEvent

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT8, _INT4, _INT2, _TEXT, _UUID, _INSTANT, _BYTES = 20, 23, 21, 25, 2950, 1184, 17
"""How Postgres numbers the types of an event's columns (src/include/catalog/pg_type.dat)."""
_COLUMN = struct.Struct("!Ii")
_BLOB = re.compile(rb'"\$blob"\s*:\s*"([0-9a-f]{64})"')


class Record(msgspec.Struct, gc=False, omit_defaults=True):
    """A logged event, as text. `data` is the JSON text byte for byte. An erased payload has no salt, and in its place the
    digest of what was there; its data is what was left."""

    position: int
    stream_type: str
    stream_id: UUID
    version: int
    type: str
    schema_version: int
    recorded_at: datetime
    data: str | None = None
    salt: str | None = None
    digest: str | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    actor: str | None = None
    traceparent: str | None = None

    @property
    def payload_digest(self) -> bytes:
        """What the chain has of the payload."""
        if self.salt is None:
            return bytes.fromhex(self.digest or "")
        return hashlib.sha256(bytes.fromhex(self.salt) + (self.data or "null").encode()).digest()

    @property
    def header(self) -> bytes:
        """`eventlog.event_header` (append.sql): the row as Postgres sends it."""
        recorded_at = (self.recorded_at - _EPOCH) // _MICROSECOND
        columns = (
            (_INT8, self.position.to_bytes(8, signed=True)),
            (_UUID, self.stream_id.bytes),
            (_INT4, self.version.to_bytes(4, signed=True)),
            (_TEXT, self.stream_type.encode()),
            (_TEXT, self.type.encode()),
            (_INT2, self.schema_version.to_bytes(2, signed=True)),
            (_INSTANT, recorded_at.to_bytes(8, signed=True)),
            (_UUID, None if self.correlation_id is None else self.correlation_id.bytes),
            (_UUID, None if self.causation_id is None else self.causation_id.bytes),
            (_TEXT, None if self.traceparent is None else self.traceparent.encode()),
            (_TEXT, None if self.actor is None else self.actor.encode()),
            (_BYTES, self.payload_digest),
        )
        parts = [len(columns).to_bytes(4)]
        for kind, value in columns:
            if value is None:
                parts.append(_COLUMN.pack(kind, -1))
            else:
                parts += (_COLUMN.pack(kind, len(value)), value)
        return b"".join(parts)

    @property
    def blobs(self) -> list[str]:
        """The names of the blobs that the payload refers to."""
        return blobs_in(b"" if self.data is None else self.data.encode())

    def event(self) -> StoredEvent:
        """As the log gives it."""
        return StoredEvent(
            self.position,
            self.stream_type,
            self.stream_id,
            self.version,
            self.type,
            self.schema_version,
            b"null" if self.data is None else self.data.encode(),
            self.correlation_id,
            self.causation_id,
            self.actor,
            self.traceparent,
            self.recorded_at,
        )

    def erased(self, left: bytes) -> "Record":
        """The same event for the chain, with only this in it."""
        return msgspec.structs.replace(self, data=left.decode(), salt=None, digest=self.payload_digest.hex())


def blobs_in(data: bytes) -> list[str]:
    """The names of the blobs that a payload refers to."""
    return [name.decode() for name in _BLOB.findall(data)]
