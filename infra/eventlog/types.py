"""The words of the event log: what is appended, what is answered, what is read, and the promise that both logs keep.

The one error a caller handles is :class:`Unavailable`; a ``ValueError`` from ``append`` is a bug of the caller.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
from flowforge.identity import event_id


class Unavailable(Exception):
    """The log did not answer. What was being appended may or may not be logged: read back, or append again."""


class PartUnavailable(Unavailable):
    """Some streams cannot be read, and will not be before somebody has mended that; all others can. The message says both."""


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event to be logged. `data` is one JSON value as UTF-8 text, kept byte for byte."""

    type: str
    data: bytes
    schema_version: int = 1


class StreamAppend(msgspec.Struct, gc=False):
    """Events for one stream, in order, the first of which gets the version `expected_version + 1`.

    `identity` (16 bytes) names a cause or a command that may be logged once only; it is kept with the position of the
    first of these events.
    """

    stream_type: str
    stream_id: UUID
    expected_version: int
    events: list[NewEvent]
    identity: bytes | None = None


class Append(msgspec.Struct, gc=False):
    """A group: all its streams are appended, or none. `recorded_at` is aware and shared by all its events.

    With `definitions_position` the group is refused if a definition changed after that position.
    `changes_definitions` makes the group's last position the one of the latest definition change.
    """

    streams: list[StreamAppend]
    recorded_at: datetime
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    actor: str | None = None
    traceparent: str | None = None
    definitions_position: int | None = None
    changes_definitions: bool = False


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The group is logged. `positions` holds the first position of each of its streams, in their order."""

    positions: list[int]


class Conflict(msgspec.Struct, frozen=True, gc=False):
    """Somebody appended first: the stream, the first of the group that does not fit, is at `actual_version`.

    A stream that is in an archive takes nothing more; the version that it has there is given as a negative number.
    """

    stream_id: UUID
    actual_version: int


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """The identity, of several known ones that of the group's first stream, is known; the event at `position` holds it.

    It does not matter whether the log knew it before the call, or an earlier group of the call took it.
    """

    position: int


class DefinitionsChanged(msgspec.Struct, frozen=True, gc=False):
    """A definition changed at `position`, after what the decision had seen: decide again."""

    position: int


Answer = Appended | Conflict | Duplicate | DefinitionsChanged
"""When several apply: Duplicate before Conflict before DefinitionsChanged."""


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as logged, upcast to the newest shape of its type. `recorded_at` is UTC, microseconds."""

    position: int
    stream_type: str
    stream_id: UUID
    version: int
    type: str
    schema_version: int
    data: bytes
    correlation_id: UUID | None
    causation_id: UUID | None
    actor: str | None
    traceparent: str | None
    recorded_at: datetime

    @property
    def event_id(self) -> UUID:
        """The time-ordered id that the event has everywhere outside the log."""
        return event_id(self.stream_id, self.version, self.recorded_at)


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an event is in the log, and of which type, without what is in it."""

    position: int
    type: str


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where the log ends. Another `incarnation` is another log: positions remembered from before mean nothing in it."""

    position: int
    incarnation: UUID
    definitions_position: int
    hash: bytes


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A disposable copy of a stream's state at `version`; a reader ignores one of another `schema_version`."""

    stream_id: UUID
    version: int
    schema_version: int
    data: bytes


class EventLog(Protocol):
    """What `PostgresEventLog` and `MemoryEventLog` both promise. Every method may raise `Unavailable`."""

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        """Append each group whole or not at all, in one transaction; one answer per group, in order.

        Groups are taken in order, so the second of two with the same identity answers `Duplicate`, and the second that
        names a stream expects the version that the first one leaves. No group names a stream twice. Raises ValueError for
        a call that no log could take; then nothing of it is logged.
        """
        ...

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """The stream's events above `after_version` in order of version; none for an unknown stream."""
        ...

    async def read_last(self, stream_id: UUID, types: Collection[str]) -> Place | None:
        """Where the stream's last event of one of these types is. No payload is read."""
        ...

    async def read_streams(self, stream_ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """Whole streams; every id asked for is a key, an unknown one with an empty list."""
        ...

    async def read_of_moment(self, like: UUID, types: Collection[str], limit: int) -> list[StoredEvent]:
        """Events of these types in all streams whose ids carry the same millisecond as `like`, by stream and version."""
        ...

    async def read(
        self,
        after_position: int,
        limit: int = 1000,
        *,
        types: Collection[str] | None = None,
        stream_types: Collection[str] | None = None,
        named_only: bool = False,
        archived: bool = False,
    ) -> list[StoredEvent]:
        """Up to `limit` events above `after_position` in order of position, without gaps but for the filters.

        `named_only` looks at named streams only (workflows), and costs nothing for all the others. With filters, what is
        in archives is left out unless it is asked for: it is all of runs that ended long ago, and takes long to look at.
        """
        ...

    async def archived(self, stream_ids: Collection[UUID]) -> dict[UUID, str]:
        """Those of these streams that are in an archive, with its name. They are read as all others, and take no more."""
        ...

    async def read_position(self, position: int) -> StoredEvent | None:
        """The event at that position."""
        ...

    async def head(self) -> Head:
        """Where the log ends now."""
        ...

    async def find_identities(self, keys: Collection[bytes]) -> dict[bytes, int]:
        """Which of these identities are known, each with the position of the event that holds it."""
        ...

    async def put_blob(self, data: bytes) -> str:
        """Keep a payload beside the log; its name is its SHA-256 in hex. Keeping it twice keeps it once."""
        ...

    async def get_blob(self, blob_hash: str) -> bytes | None:
        """The payload of that name."""
        ...

    async def get_cursor(self, name: str) -> int:
        """The position last kept under that name, else 0."""
        ...

    async def set_cursor(self, name: str, position: int) -> None:
        """Keep a position, higher or lower than before. A crash of the server may lose the last second of these."""
        ...

    async def get_snapshot(self, stream_id: UUID) -> Snapshot | None:
        """The stream's snapshot, if one is kept."""
        ...

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep this snapshot in place of the stream's last one. A crash of the server may lose it."""
        ...

    async def drop_snapshots(self) -> None:
        """Forget all snapshots; nothing but time is lost."""
        ...

    async def close(self) -> None:
        """Let go of connections; appends that are under way are finished first."""
        ...
