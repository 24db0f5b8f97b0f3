"""Which archives a log has, as its database says, and their files: opened once, the last blocks kept in memory."""

import heapq
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from infra.archive.file import ArchiveDamaged, ArchiveFile
from infra.archive.record import Record
from infra.eventlog.types import PartUnavailable

BLOCKS_CACHED_MAX = 24
"""Of about 1,000 events each."""
FILES_OPEN_MAX = 256
"""Archives whose tables of contents are kept in memory."""
_ARCHIVES = """
    select number, file, sha256, size, content_hash, streams_count, events_count, first_position, last_position,
           ended_before, archived_at, restored_at
    from eventlog.archives
"""
NOT_RESTORED = f"{_ARCHIVES} where restored_at is null order by first_position"
ALL = f"{_ARCHIVES} order by number"


class ArchiveUnreadable(PartUnavailable):
    """An archive that the log needs is missing or damaged; the message names it, and what is in it."""


class Archive(msgspec.Struct, frozen=True, gc=False):
    """One archive as the database has it."""

    number: int
    file: str
    sha256: bytes
    size: int
    content_hash: bytes
    streams_count: int
    events_count: int
    first_position: int
    last_position: int
    ended_before: Any
    archived_at: Any
    restored_at: Any


class Catalogue:
    """Reads what is in the files of a folder. Methods that read files are called from threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archives: dict[int, Archive] = {}
        self.last_position = 0
        """No position above it is in an archive, as far as is known."""
        self._files: OrderedDict[str, ArchiveFile] = OrderedDict()
        self._blocks: OrderedDict[tuple[str, int], list[Record]] = OrderedDict()

    async def refresh(self, connection: Any) -> None:
        """Have what the database says now."""
        rows = [Archive(*row) for row in await connection.fetch(NOT_RESTORED)]
        self.archives = {archive.number: archive for archive in rows}
        self.last_position = max((archive.last_position for archive in rows), default=0)

    def after(self, position: int, limit: int, wanted: Callable[[Record], bool] | None = None) -> list[Record]:
        """The first `limit` events above `position` in all archives, in order. Raises `ArchiveUnreadable`."""
        found: list[Record] = []
        for first_position, records in self._runs_of_blocks(position):
            if len(found) >= limit and found[limit - 1].position < first_position:
                break
            found += (
                record for record in records() if record.position > position and (wanted is None or wanted(record))
            )
            found.sort(key=_position)
        return found[:limit]

    def _runs_of_blocks(self, position: int) -> Iterator[tuple[int, Callable[[], list[Record]]]]:
        """Blocks with events above that position, in the order in which they begin."""
        archives = self.archives
        waiting = [archive for archive in archives.values() if archive.last_position > position]
        waiting.sort(key=lambda archive: archive.first_position, reverse=True)
        heap: list[tuple[int, int, int]] = []
        while heap or waiting:
            while waiting and (not heap or waiting[-1].first_position <= heap[0][0]):
                archive = waiting.pop()
                yield archive.first_position, list  # who has enough does not open it
                blocks = self.file(archive).footer.blocks
                at = bisect_right(blocks, position, key=lambda block: block.last_position)
                if at < len(blocks):
                    heapq.heappush(heap, (blocks[at].first_position, archive.number, at))
            if not heap:
                return
            first, number, at = heapq.heappop(heap)
            archive = archives[number]
            blocks = self.file(archive).footer.blocks
            yield first, lambda archive=archive, at=at: self._block(archive, at)
            if at + 1 < len(blocks):
                heapq.heappush(heap, (blocks[at + 1].first_position, number, at + 1))

    def between(self, archive: Archive, first_position: int, last_position: int) -> Iterator[Record]:
        """The events of one archive at these positions. Raises `ArchiveUnreadable`."""
        blocks = self.file(archive).footer.blocks
        at = bisect_right(blocks, first_position - 1, key=lambda block: block.last_position)
        for number in range(at, len(blocks)):
            if blocks[number].first_position > last_position:
                return
            yield from (r for r in self._block(archive, number) if first_position <= r.position <= last_position)

    def of_stream(
        self,
        archive: Archive,
        stream_id: UUID,
        first_position: int,
        last_position: int,
        after_version: int = 0,
        limit: int | None = None,
    ) -> list[Record]:
        """The events of a stream above that version, by version; at most `limit`."""
        of_it = (r for r in self.between(archive, first_position, last_position) if r.stream_id == stream_id)
        return list(islice((record for record in of_it if record.version > after_version), limit))

    def last_of_stream(
        self, archive: Archive, stream_id: UUID, last_position: int, types: Collection[str]
    ) -> Record | None:
        """The last event of a stream that is of one of these types; blocks are looked at from the end."""
        blocks = self.file(archive).footer.blocks
        at = bisect_right(blocks, last_position, key=lambda block: block.first_position)
        for number in reversed(range(at)):
            for record in reversed(self._block(archive, number)):
                if record.stream_id == stream_id and record.type in types:
                    return record
        return None

    def at(self, position: int) -> Record | None:
        """The event at that position, where an archive has it."""
        for archive in list(self.archives.values()):
            if archive.first_position <= position <= archive.last_position:
                for record in self.between(archive, position, position):
                    return record
        return None

    def blob(self, archive: Archive, name: str) -> bytes | None:
        """A blob of an archive."""
        try:
            return self.file(archive).blob(name)
        except (OSError, ArchiveDamaged) as fault:
            raise self._unreadable(archive, fault) from fault

    def file(self, archive: Archive) -> ArchiveFile:
        """The opened file. Raises `ArchiveUnreadable` where it is missing, or not that archive."""
        known = self._files.get(archive.file)
        if known is None or not known.path.exists():  # erased from, perhaps: another file has come in its place
            try:
                known = ArchiveFile.open(self.folder / archive.file)
            except (OSError, ArchiveDamaged) as fault:
                raise self._unreadable(archive, fault) from fault
            if known.footer.content_hash != archive.content_hash.hex():
                raise self._unreadable(archive, "it has other events than were archived")
            known.footer = msgspec.structs.replace(
                known.footer, streams=[]
            )  # the database knows them; here they are many
            self._files[archive.file] = known
            while len(self._files) > FILES_OPEN_MAX:
                self._files.popitem(last=False)
        return known

    def _block(self, archive: Archive, at: int) -> list[Record]:
        key = archive.file, at
        file = self.file(archive)
        records = self._blocks.get(key)
        if records is None:
            try:
                records = file.block(file.footer.blocks[at])
            except (OSError, ArchiveDamaged) as fault:
                raise self._unreadable(archive, fault) from fault
            self._blocks[key] = records
            while len(self._blocks) > BLOCKS_CACHED_MAX:
                self._blocks.popitem(last=False)
        return records

    def _unreadable(self, archive: Archive, fault: object) -> ArchiveUnreadable:
        self._files.pop(archive.file, None)
        why = "it is not there" if isinstance(fault, FileNotFoundError) else str(fault)
        return ArchiveUnreadable(
            f"archive {archive.file} cannot be read: {why}. It has {archive.events_count:,} events of "
            f"positions {archive.first_position:,} to {archive.last_position:,}; put it back into "
            "FLOWFORGE_ARCHIVE_DIR from a backup"
        )


def _position(record: Record) -> int:
    return record.position
