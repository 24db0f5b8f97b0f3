"""Payloads out of archives: the file is written anew without them, and the chain over it stays what it was.

The new file is proven and on disk under a name of its own before the database refers to it; then the old one goes. What a
kill has left behind goes with the next erasure, and so do files of archives that were restored (`sweep_leftovers`): nobody
erases from those.
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from infra.archive import file as archive_file
from infra.archive.catalogue import Archive
from infra.archive.file import ArchiveDamaged, ArchiveFile, Footer
from infra.archive.moving import INCARNATION, archives, on_disk, put_in_place
from infra.archive.record import Record
from infra.eventlog.statements import PUT_BLOB
from infra.failpoints import failpoint

_OURS = re.compile(r"\.?runs-(\d{6,})(?:\.e(\d+))?\.jsonl\.gz(?:\.draft)?")
_OF_STREAMS = "select distinct archive from eventlog.archived_streams where stream_id = any ($1::uuid[])"
_IS_NEEDED = "select exists (select from eventlog.entries where strpos(data, $1) > 0)"
_REWRITE = "select eventlog.rewrite_archive($1, $2, $3, $4, $5, $6)"


class Erased(msgspec.Struct, frozen=True):
    """One archive that was written anew: how many of its events have lost their payload, and its new name."""

    archive: str
    events_count: int


async def find_in_archives(
    connection: Any, folder: Path, *, streams: Collection[UUID] = (), texts: Collection[str] = ()
) -> list[Record]:
    """The archived events of these streams, and those with one of these texts in their payload or in a blob that it refers
    to. With texts every archive is read. Raises `ArchiveDamaged` and OSError."""
    kept = [each for each in await archives(connection) if each.restored_at is None]
    if not texts:
        numbers = {row[0] for row in await connection.fetch(_OF_STREAMS, list(streams))}
        kept = [each for each in kept if each.number in numbers]
    wanted = frozenset(streams)
    found: list[Record] = []
    for archive in kept:
        found += await asyncio.to_thread(_found, folder / archive.file, wanted, tuple(texts))
    return found


def _found(path: Path, streams: Collection[UUID], texts: tuple[str, ...]) -> list[Record]:
    opened = ArchiveFile.open(path)
    encoded = [text.encode() for text in texts]

    def has_text(name: str) -> bool:
        content = opened.blob(name) or b""
        return any(text in content for text in encoded)

    blobs = {name for name in opened.footer.blobs if has_text(name)} if texts else set[str]()

    def is_wanted(record: Record) -> bool:
        data = record.data or ""
        return (
            record.stream_id in streams
            or any(text in data for text in texts)
            or (bool(blobs) and not blobs.isdisjoint(record.blobs))
        )

    return [record for record in opened.records() if is_wanted(record)]


async def erase_from_archive(connection: Any, folder: Path, left: Mapping[int, bytes]) -> list[Erased]:
    """Take the payloads of the events at these positions out of the archives that have them, and the salts with which one
    could try what they were; what is `left` of each (JSON) takes their place, and the digest stays for the chain. Blobs of
    the file that none of its payloads refers to any more go too; one that the log still needs is put into it before.
    Positions that no archive has are passed over.

    Done twice, it changes nothing the second time. `connection` is from `moving`. Raises `ArchiveDamaged` and OSError: what
    was written anew until then is.
    """
    await sweep_leftovers(connection, folder)
    erased: list[Erased] = []
    for archive in await archives(connection):
        mine = {at: rest for at, rest in left.items() if archive.first_position <= at <= archive.last_position}
        if mine and archive.restored_at is None:
            erased += await _rewrite(connection, folder, archive, mine)
    return erased


async def _rewrite(connection: Any, folder: Path, archive: Archive, left: Mapping[int, bytes]) -> list[Erased]:
    path = folder / archive.file
    written = await asyncio.to_thread(_written_anew, path, archive, left)
    if written is None:
        return []
    new_path, footer, count = written
    failpoint("archive.after_rewritten_file")
    await _keep_needed(connection, path, footer)
    size, sha256 = await asyncio.to_thread(lambda: (new_path.stat().st_size, archive_file.digest_of(new_path)))
    blobs = [bytes.fromhex(name) for name in footer.blobs]
    if not await connection.fetchval(_REWRITE, archive.number, archive.sha256, new_path.name, sha256, size, blobs):
        raise asyncpg.SerializationError(f"archive {archive.file} was changed or restored meanwhile: erase again")
    failpoint("archive.after_rewrite")
    await asyncio.to_thread(path.unlink)
    return [Erased(new_path.name, count)]


async def _keep_needed(connection: Any, path: Path, footer: Footer) -> None:
    """Into the database with blobs that leave the file and that runs in the log refer to, as forks of an archived one do."""
    opened = await asyncio.to_thread(ArchiveFile.open, path)
    for name in opened.footer.blobs.keys() - footer.blobs.keys():
        if await connection.fetchval(_IS_NEEDED, name):
            data = await asyncio.to_thread(opened.blob, name)
            assert data is not None
            await connection.execute(PUT_BLOB, bytes.fromhex(name), len(data), data)


def _written_anew(path: Path, archive: Archive, left: Mapping[int, bytes]) -> tuple[Path, Footer, int] | None:
    """The new file, proven, under its name; None where nothing is to be erased."""
    opened = ArchiveFile.open(path)
    opened.check()
    if opened.footer.content_hash != archive.content_hash.hex():
        raise ArchiveDamaged(f"{path.name} has other events than were archived")
    records, count = list[Record](), 0
    for record in opened.records():
        rest = left.get(record.position)
        is_due = rest is not None and (record.salt is not None or record.data != rest.decode())
        count += is_due
        records.append(record.erased(rest) if rest is not None and is_due else record)
    if not count:
        return None
    still = {name for record in records for name in record.blobs}
    blobs = ((name, opened.blob(name) or b"") for name in opened.footer.blobs if name in still)
    new_path = path.with_name(_next_name(path.name))
    draft = path.with_name(f".{new_path.name}.draft")
    header = msgspec.structs.replace(opened.header, file=new_path.name)
    footer = archive_file.write(draft, header, blobs, records)
    written = ArchiveFile.open(draft)
    written.check()
    if written.footer.content_hash != opened.footer.content_hash:
        raise ArchiveDamaged(
            f"{draft}: what was read back is not what was written: look at the disk; nothing was changed"
        )
    put_in_place(draft, new_path)
    return new_path, footer, count


def _next_name(name: str) -> str:
    """`runs-000001.jsonl.gz` is followed by `runs-000001.e1.jsonl.gz`, and so on."""
    named = _OURS.fullmatch(name)
    if named is None:
        raise ArchiveDamaged(f"{name} is no name of an archive")
    return f"runs-{named[1]}.e{int(named[2] or 0) + 1}.jsonl.gz"


def is_name_of_archive(name: str) -> bool:
    """Whether we give such names to files of archives."""
    return _OURS.fullmatch(name) is not None and not name.startswith(".") and not name.endswith(".draft")


async def sweep_leftovers(connection: Any, folder: Path) -> list[str]:
    """Remove drafts, files in whose place another one has come, those of restored archives, and those that were written
    and never became archives. Files of another log stay. `connection` is from `moving`; the names."""
    named = {each.number: each for each in await archives(connection)}
    return await asyncio.to_thread(_sweep, folder, named, await connection.fetchval(INCARNATION))


def _sweep(folder: Path, named: Mapping[int, Archive], incarnation: UUID) -> list[str]:
    gone: list[str] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        ours = _OURS.fullmatch(path.name)
        if ours is None:
            continue
        known = named.get(int(ours[1]))
        is_kept = known is not None and known.restored_at is None and known.file == path.name
        if not is_kept and (path.name.endswith(".draft") or _is_of(path, known, incarnation)):
            path.unlink()
            gone.append(path.name)
    if gone:
        on_disk(folder)
    return gone


def _is_of(path: Path, known: Archive | None, incarnation: UUID) -> bool:
    """Whether this log has written the file: before it was a restored backup, too, as far as it knows of the archive."""
    try:
        opened = ArchiveFile.open(path)
    except (ArchiveDamaged, OSError):
        return False
    if known is not None and opened.footer.content_hash == known.content_hash.hex():
        return True
    return opened.header.incarnation == incarnation
