"""The event log in memory, for tests: answers and refuses as the one in Postgres does, and outlives nothing."""

import hashlib
from collections.abc import Collection, Sequence
from uuid import UUID, uuid4

import msgspec
from flowforge.identity import moment

from infra.eventlog.checks import checked_streams
from infra.eventlog.types import (
    Answer,
    Append,
    Appended,
    Conflict,
    DefinitionsChanged,
    Duplicate,
    Head,
    Place,
    Snapshot,
    StoredEvent,
)
from infra.eventlog.upcast import UPCASTERS, Upcasters, upcast

NAMED_STREAMS_END = UUID("00000001-0000-0000-0000-000000000000")
"""Ids of named streams sort below it, ids of time-ordered ones do not."""


class MemoryEventLog:
    """An `EventLog` that forgets everything with the process. Its chain hash is its own, of the same length."""

    def __init__(self, *, upcasters: Upcasters = UPCASTERS) -> None:
        self._upcasters = upcasters
        self._events: list[StoredEvent] = []
        self._streams: dict[UUID, list[StoredEvent]] = {}
        self._identities: dict[bytes, int] = {}
        self._blobs: dict[str, bytes] = {}
        self._cursors: dict[str, int] = {}
        self._snapshots: dict[UUID, Snapshot] = {}
        self._incarnation = uuid4()
        self._definitions_position = 0
        self._hash = bytes(32)

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        """As promised by `EventLog`."""
        checked_streams(groups)
        for group in groups:
            _check_payloads(group)
        return [self._refusal(group) or self._insert(group) for group in groups]

    def _refusal(self, group: Append) -> Answer | None:
        for stream in group.streams:
            if stream.identity is not None and stream.identity in self._identities:
                return Duplicate(self._identities[stream.identity])
        for stream in group.streams:
            actual_version = len(self._streams.get(stream.stream_id, ()))
            if actual_version != stream.expected_version:
                return Conflict(stream.stream_id, actual_version)
        if group.definitions_position is not None and self._definitions_position > group.definitions_position:
            return DefinitionsChanged(self._definitions_position)
        return None

    def _insert(self, group: Append) -> Appended:
        positions: list[int] = []
        for stream in group.streams:
            positions.append(len(self._events) + 1)
            if stream.identity is not None:
                self._identities[stream.identity] = positions[-1]
            for version, event in enumerate(stream.events, stream.expected_version + 1):
                stored = StoredEvent(
                    position=len(self._events) + 1,
                    stream_type=stream.stream_type,
                    stream_id=stream.stream_id,
                    version=version,
                    type=event.type,
                    schema_version=event.schema_version,
                    data=event.data,
                    correlation_id=group.correlation_id,
                    causation_id=group.causation_id,
                    actor=group.actor,
                    traceparent=group.traceparent,
                    recorded_at=group.recorded_at,
                )
                self._events.append(stored)
                self._streams.setdefault(stream.stream_id, []).append(stored)
                self._hash = hashlib.sha256(self._hash + msgspec.json.encode(stored)).digest()
        if group.changes_definitions:
            self._definitions_position = len(self._events)
        return Appended(positions)

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        events = self._streams.get(stream_id, [])[max(after_version, 0) :]
        return self._as_read(events if limit is None else events[:limit])

    async def read_last(self, stream_id: UUID, types: Collection[str]) -> Place | None:
        """As promised by `EventLog`."""
        found = (event for event in reversed(self._streams.get(stream_id, [])) if event.type in types)
        return next((Place(event.position, event.type) for event in found), None)

    async def read_streams(self, stream_ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """As promised by `EventLog`."""
        return {stream_id: self._as_read(self._streams.get(stream_id, [])) for stream_id in stream_ids}

    async def read_of_moment(self, like: UUID, types: Collection[str], limit: int) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        first, last = moment(like)
        streams = [self._streams[stream_id] for stream_id in sorted(self._streams) if first <= stream_id <= last]
        return self._as_read([event for stream in streams for event in stream if event.type in types][:limit])

    async def read(
        self,
        after_position: int,
        limit: int = 1000,
        *,
        types: Collection[str] | None = None,
        stream_types: Collection[str] | None = None,
        named_only: bool = False,
        archived: bool = False,  # noqa: ARG002  nothing is
    ) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        found = [
            event
            for event in self._events[max(after_position, 0) :]
            if (types is None or event.type in types)
            and (stream_types is None or event.stream_type in stream_types)
            and (not named_only or event.stream_id < NAMED_STREAMS_END)
        ]
        return self._as_read(found[:limit])

    async def archived(self, stream_ids: Collection[UUID]) -> dict[UUID, str]:  # noqa: ARG002
        """As promised by `EventLog`."""
        return {}

    async def read_position(self, position: int) -> StoredEvent | None:
        """As promised by `EventLog`."""
        found = self._as_read(self._events[position - 1 : position]) if position > 0 else []
        return found[0] if found else None

    def _as_read(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        if not self._upcasters:
            return list(events)
        read: list[StoredEvent] = []
        for event in events:
            schema_version, data = upcast(self._upcasters, event.type, event.schema_version, event.data)
            read.append(msgspec.structs.replace(event, schema_version=schema_version, data=data))
        return read

    async def head(self) -> Head:
        """As promised by `EventLog`."""
        return Head(len(self._events), self._incarnation, self._definitions_position, self._hash)

    async def find_identities(self, keys: Collection[bytes]) -> dict[bytes, int]:
        """As promised by `EventLog`."""
        return {key: self._identities[key] for key in keys if key in self._identities}

    async def put_blob(self, data: bytes) -> str:
        """As promised by `EventLog`."""
        blob_hash = hashlib.sha256(data).hexdigest()
        self._blobs[blob_hash] = data
        return blob_hash

    async def get_blob(self, blob_hash: str) -> bytes | None:
        """As promised by `EventLog`."""
        return self._blobs.get(blob_hash)

    async def get_cursor(self, name: str) -> int:
        """As promised by `EventLog`."""
        return self._cursors.get(name, 0)

    async def set_cursor(self, name: str, position: int) -> None:
        """As promised by `EventLog`."""
        self._cursors[name] = position

    async def get_snapshot(self, stream_id: UUID) -> Snapshot | None:
        """As promised by `EventLog`."""
        return self._snapshots.get(stream_id)

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """As promised by `EventLog`."""
        self._snapshots[snapshot.stream_id] = snapshot

    async def drop_snapshots(self) -> None:
        """As promised by `EventLog`."""
        self._snapshots.clear()

    async def close(self) -> None:
        """As promised by `EventLog`."""


def _check_payloads(group: Append) -> None:
    for stream in group.streams:
        for event in stream.events:
            try:
                msgspec.json.decode(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"the data of a {event.type} is not JSON: {error}") from None
