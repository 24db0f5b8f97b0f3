"""The event log of which parts are in archives: read as if all of it were in the database.

What is in the database is asked first, and only what is missing there is looked for in files: a gap in the positions,
a stream without events. So a log without archives, and all that is of today, costs nothing more.
"""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self
from uuid import UUID

import msgspec
from flowforge.identity import moment

from infra.archive.catalogue import Archive, ArchiveUnreadable, Catalogue
from infra.archive.record import Record
from infra.eventlog.postgres import PostgresEventLog
from infra.eventlog.types import Place, StoredEvent, Unavailable
from infra.eventlog.upcast import UPCASTERS, Upcasters, upcast

TRIES_MAX = 3
"""A read that met an archive being made, or restored, is done again."""
_PLACES = """
    select stream_id, archive, first_position, last_position from eventlog.archived_streams
    where stream_id = any ($1::uuid[])
"""
_PLACES_OR_BACK = """
    select stream_id, archive, first_position, last_position from eventlog.archived_streams
    where stream_id = any ($1::uuid[])
    union all
    select stream_id, null, null, null from eventlog.events where stream_id = any ($1::uuid[]) and version = 1
"""
"""Those too that have been put back since they were not found in the log: one statement sees them here or there."""
_PLACES_OF_MOMENT = """
    select stream_id from eventlog.archived_streams where stream_id between $1 and $2 order by stream_id limit $3
"""
_BLOB = "select archive from eventlog.archived_blobs where hash = $1"


class ArchivedEventLog(PostgresEventLog):
    """An `EventLog` in a migrated database, and in the archives of a folder. Reads may raise `ArchiveUnreadable`."""

    _catalogue: Catalogue

    @classmethod
    async def open(
        cls, dsn: str, folder: Path, *, application_name: str = "flowforge", upcasters: Upcasters = UPCASTERS
    ) -> Self:
        """The log at that address with the archives in that folder, which need not exist. Raises as `connect` does."""
        log = await cls.connect(dsn, application_name=application_name, upcasters=upcasters)
        await log.look_into(folder)
        return log

    async def look_into(self, folder: Path) -> None:
        """From now on the archives of that folder are part of the log."""
        self._catalogue = Catalogue(folder)
        await self._refresh()

    async def _refresh(self) -> None:
        async with self._reader() as connection:
            await self._catalogue.refresh(connection)

    async def archived_until(self) -> int:
        """No position above it is in an archive; 0 where none is."""
        await self._refresh()
        return self._catalogue.last_position

    def _events(self, records: Sequence[Record]) -> list[StoredEvent]:
        events = [record.event() for record in records]
        return [self._upcast_event(event) for event in events] if self._upcasters else events

    def _upcast_event(self, event: StoredEvent) -> StoredEvent:
        schema_version, data = upcast(self._upcasters, event.type, event.schema_version, event.data)
        return msgspec.structs.replace(event, schema_version=schema_version, data=data)

    # --- by position --------------------------------------------------------------------------------------------------

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
        """As promised by `EventLog`."""
        if types is None and stream_types is None and not named_only:
            return await self._read_all(after_position, limit)
        if not archived or named_only:
            return await super().read(
                after_position, limit, types=types, stream_types=stream_types, named_only=named_only
            )
        found = await self._read_while_nothing_moves(after_position, limit, types, stream_types)
        if after_position >= self._catalogue.last_position:
            return found

        def is_wanted(record: Record) -> bool:
            return (types is None or record.type in types) and (
                stream_types is None or record.stream_type in stream_types
            )

        records = await asyncio.to_thread(self._catalogue.after, after_position, limit, is_wanted)
        return _merged(found, self._events(records), limit)

    async def _read_while_nothing_moves(
        self, after_position: int, limit: int, types: Collection[str] | None, stream_types: Collection[str] | None
    ) -> list[StoredEvent]:
        """What of it is in the database, while the catalogue knows what is not."""
        await self._refresh()
        for _ in range(TRIES_MAX):
            before = self._catalogue.archives
            found = await super().read(after_position, limit, types=types, stream_types=stream_types)
            await self._refresh()
            if self._catalogue.archives == before:
                return found
        raise _all_moves(after_position)

    async def _read_all(self, after_position: int, limit: int) -> list[StoredEvent]:
        for _ in range(TRIES_MAX):
            before = self._catalogue.archives
            events = await super().read(after_position, limit)
            if _is_whole(events, after_position):
                return events
            if after_position >= self._catalogue.last_position:
                await self._refresh()
            try:
                records = await asyncio.to_thread(self._catalogue.after, after_position, limit)
            except ArchiveUnreadable:
                await self._refresh()  # restored meanwhile, perhaps, and removed
                records = await asyncio.to_thread(self._catalogue.after, after_position, limit)
            merged = _merged(events, self._events(records), limit)
            if _is_whole(merged, after_position):
                return merged
            await self._refresh()
            if self._catalogue.archives == before:  # nothing has moved: it is the log that has a gap
                return merged
        raise _all_moves(after_position)

    async def read_position(self, position: int) -> StoredEvent | None:
        """As promised by `EventLog`."""
        found = await super().read_position(position)
        if found is not None or position < 1:
            return found
        await self._refresh()
        record = await asyncio.to_thread(self._catalogue.at, position)
        return await super().read_position(position) if record is None else self._events([record])[0]

    # --- by stream ----------------------------------------------------------------------------------------------------

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        events = await super().read_stream(stream_id, after_version, limit)
        if events:
            return events
        places = _PLACES if after_version else _PLACES_OR_BACK
        found = await self._archived_streams([stream_id], places, after_version, limit)
        return found.get(stream_id, [])

    async def read_last(self, stream_id: UUID, types: Collection[str]) -> Place | None:
        """As promised by `EventLog`."""
        found = await super().read_last(stream_id, types)
        if found is not None:
            return found
        async with self._reader() as connection:
            places = await connection.fetch(_PLACES_OR_BACK, [stream_id])
        for _, number, _, last_position in places:
            archive = None if number is None else await self._archive(number)
            if archive is None:  # restored since
                return await super().read_last(stream_id, types)
            record = await asyncio.to_thread(self._catalogue.last_of_stream, archive, stream_id, last_position, types)
            return None if record is None else Place(record.position, record.type)
        return None

    async def read_streams(self, stream_ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """As promised by `EventLog`."""
        streams = await super().read_streams(stream_ids)
        missing = [stream_id for stream_id, events in streams.items() if not events]
        return streams | await self._archived_streams(missing) if missing else streams

    async def read_of_moment(self, like: UUID, types: Collection[str], limit: int) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        events = await super().read_of_moment(like, types, limit)
        async with self._reader() as connection:
            ids = [row[0] for row in await connection.fetch(_PLACES_OF_MOMENT, *moment(like), limit)]
        if not ids:
            return events
        streams = await self._archived_streams(ids)
        events += [event for stream in streams.values() for event in stream if event.type in types]
        return sorted(events, key=lambda event: (event.stream_id, event.version))[:limit]

    async def _archived_streams(
        self,
        stream_ids: Collection[UUID],
        places: str = _PLACES_OR_BACK,
        after_version: int = 0,
        limit: int | None = None,
    ) -> dict[UUID, list[StoredEvent]]:
        """Those of these streams that are in archives, or were until just now; of each at most `limit` events above the
        version."""
        async with self._reader() as connection:
            found = await connection.fetch(places, list(stream_ids))
        streams: dict[UUID, list[StoredEvent]] = {}
        for stream_id, number, first_position, last_position in found:
            archive = None if number is None else await self._archive(number)
            if archive is None:  # restored since
                streams[stream_id] = await super().read_stream(stream_id, after_version, limit)
                continue
            records = await asyncio.to_thread(
                self._catalogue.of_stream, archive, stream_id, first_position, last_position, after_version, limit
            )
            streams[stream_id] = self._events(records)
        return streams

    async def _archive(self, number: int) -> Archive | None:
        known = self._catalogue.archives.get(number)
        if known is None or not (self._catalogue.folder / known.file).exists():
            await self._refresh()
            known = self._catalogue.archives.get(number)
        return known

    # --- blobs --------------------------------------------------------------------------------------------------------

    async def get_blob(self, blob_hash: str) -> bytes | None:
        """As promised by `EventLog`."""
        found = await super().get_blob(blob_hash)
        if found is not None:
            return found
        try:
            digest = bytes.fromhex(blob_hash)
        except ValueError:
            return None
        async with self._reader() as connection:
            number = await connection.fetchval(_BLOB, digest)
        archive = None if number is None else await self._archive(number)
        return None if archive is None else await asyncio.to_thread(self._catalogue.blob, archive, blob_hash)


def _all_moves(after_position: int) -> Unavailable:
    return Unavailable(
        f"events after position {after_position} moved into archives or back at each of {TRIES_MAX} tries to read them: "
        "try again"
    )


def _is_whole(events: Sequence[StoredEvent], after_position: int) -> bool:
    return not events or events[-1].position == after_position + len(events)


def _merged(kept: Sequence[StoredEvent], archived: Sequence[StoredEvent], limit: int) -> list[StoredEvent]:
    """The first `limit` of both in order of position; what is in both counts once."""
    by_position = {event.position: event for event in (*archived, *kept)}
    return [by_position[position] for position in sorted(by_position)[:limit]]
