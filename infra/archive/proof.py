"""The chain over what is in archives, for `verify` of the log: every file is read, and what is wrong with one is named."""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg

from infra.archive.catalogue import Archive, ArchiveUnreadable, Catalogue
from infra.archive.file import digest_of
from infra.eventlog.verify import Headers, Problem


class ProvenArchives:
    """The archives of a folder, as far as they are what the database says."""

    def __init__(self, dsn: str, catalogue: Catalogue) -> None:
        self._dsn = dsn
        self._catalogue = catalogue
        self._bad: dict[int, Archive] = {}
        self._looked_at: set[int] = set()
        self._erased: dict[int, str] = {}

    @classmethod
    async def of(cls, dsn: str, folder: Path) -> "ProvenArchives":
        """Those of the log at that address; any login that may SELECT it will do."""
        proven = cls(dsn, Catalogue(folder))
        await proven._refresh()
        return proven

    async def _refresh(self) -> None:
        connection = await asyncpg.connect(self._dsn, server_settings={"application_name": "flowforge verify"})
        try:
            await self._catalogue.refresh(connection)
        finally:
            await connection.close()

    async def headers(self, first_position: int, last_position: int, problems: list[Problem]) -> Headers:
        """As `Elsewhere` of infra/eventlog/verify.py has it."""
        await self._refresh()
        found: dict[int, bytes] = {}
        for archive in self._catalogue.archives.values():
            if archive.last_position < first_position or archive.first_position > last_position:
                continue
            if archive.number not in self._looked_at:
                self._looked_at.add(archive.number)
                await asyncio.to_thread(self._look_at, archive, problems)
            if archive.number not in self._bad:
                found |= await asyncio.to_thread(self._read, archive, first_position, last_position, problems)
        return found

    def is_lost(self, first_position: int, last_position: int) -> bool:
        """As `Elsewhere` of infra/eventlog/verify.py has it."""
        return any(
            archive.first_position <= last_position and first_position <= archive.last_position
            for archive in self._bad.values()
        )

    def erased(self) -> Mapping[int, str]:
        """As `Elsewhere` of infra/eventlog/verify.py has it."""
        return self._erased

    def _look_at(self, archive: Archive, problems: list[Problem]) -> None:
        try:
            self._catalogue.file(archive)
            if digest_of(self._catalogue.folder / archive.file) != archive.sha256:
                message = f"archive {archive.file} is not the file that was written: its SHA-256 differs"
                problems.append(Problem("archive", archive.first_position, archive.last_position, message))
        except (ArchiveUnreadable, OSError) as fault:
            self._give_up(archive, archive.first_position, fault, problems)

    def _read(self, archive: Archive, first: int, last: int, problems: list[Problem]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        try:
            for record in self._catalogue.between(archive, first, last):
                found[record.position] = record.header
                if record.salt is None:
                    self._erased[record.position] = hashlib.sha256((record.data or "null").encode()).hexdigest()
        except ArchiveUnreadable as fault:
            self._give_up(archive, max(first, archive.first_position), fault, problems)
        return found

    def _give_up(self, archive: Archive, first_position: int, fault: Any, problems: list[Problem]) -> None:
        """One problem for the file; that its events are missing needs no saying for each batch."""
        self._bad[archive.number] = archive
        problems.append(Problem("archive", first_position, archive.last_position, str(fault)))
