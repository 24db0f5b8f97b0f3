"""Into a file and back: a file is on disk and proven before one transaction takes from the log what it has.

Killed anywhere, either the log has the events or a file has them that the log knows of. What was begun and not finished
is a draft, or a file that the log does not know; the next one under that number takes its place.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from flowforge.events import RunsArchived, RunsRestored, encode
from flowforge.identity import lasting_stream

from infra.archive import file as archive_file
from infra.archive.catalogue import ALL, Archive
from infra.archive.file import ArchiveDamaged, ArchiveFile, Footer, Header
from infra.archive.record import Record
from infra.eventlog.call import SALT_BYTES
from infra.eventlog.statements import PUT_BLOB
from infra.failpoints import failpoint

RUNS_PER_ARCHIVE_MAX = 2_000
EVENTS_PER_ARCHIVE_MAX = 100_000
PAYLOAD_BYTES_PER_ARCHIVE_MAX = 64 * 1024 * 1024
"""A family that has more alone still goes into one file. Blobs do not count: they pass through one by one."""
FAMILY_PAYLOAD_BYTES_MAX = 512 * 1024 * 1024
"""A larger one stays in the log: Postgres could not take it back in one statement."""
RETENTION_STREAM = lasting_stream("retention")
_LOCK = "select pg_try_advisory_lock(hashtext('flowforge.archive'))"
_NEXT = "select coalesce(max(number), 0) + 1 from eventlog.archives"
_VERSION = "select coalesce(max(version), 0) from eventlog.entries where stream_id = $1"
INCARNATION = "select incarnation from eventlog.head"
_SIZES = """
    select s.id, coalesce(sum(eventlog.events_in(c.salts)), 0)::bigint, coalesce(sum(octet_length(c.data)), 0)::bigint
    from unnest($1::uuid[]) as s (id) left join eventlog.entries c on c.stream_id = s.id group by 1
"""
_EVENTS = """
    select position, stream_type, stream_id, version, type, schema_version, recorded_at, data::text, encode(salt, 'hex'),
           encode(digest, 'hex'), correlation_id, causation_id, actor, traceparent
    from eventlog.events where stream_id = any ($1::uuid[]) order by position
"""
_BLOB = """
    select (select b.data from eventlog.blobs b where b.hash = $1),
           (select a.file from eventlog.archived_blobs b join eventlog.archives a on a.number = b.archive
            where b.hash = $1 and a.restored_at is null limit 1)
"""
_ARCHIVE = f"select eventlog.archive_runs({', '.join(f'${n}' for n in range(1, 19))})"
_RESTORE = f"select eventlog.restore_runs({', '.join(f'${n}' for n in range(1, 23))})"
_CONNECTION = {
    "application_name": "flowforge archive",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": "0",
    "enable_seqscan": "off",
    "plan_cache_mode": "force_custom_plan",
}
_log = logging.getLogger(__name__)


class ArchivingBusy(Exception):
    """Another process archives or restores; the message says what to do."""


class FolderTaken(OSError):
    """The folder of archives has files that are not of this log; the message names one."""


class NotRestorable(Exception):
    """This file cannot go back into this log; the message says why."""


class Moved(msgspec.Struct, frozen=True):
    """What was archived, or restored: the file, and where the log says so."""

    file: str
    runs_count: int
    events_count: int
    size: int
    position: int


@asynccontextmanager
async def moving(dsn: str) -> AsyncGenerator[Any]:
    """A connection of the one process that archives or restores. Raises `ArchivingBusy`."""
    connection = await asyncpg.connect(dsn, server_settings=_CONNECTION, command_timeout=None)
    try:
        if not await connection.fetchval(_LOCK):
            raise ArchivingBusy("another process is archiving or restoring: try again when it is done")
        yield connection
    finally:
        connection.terminate()


async def archives(connection: Any) -> list[Archive]:
    """All that were ever made, the restored ones too, by number."""
    return [Archive(*row) for row in await connection.fetch(ALL)]


async def portions(connection: Any, families: Sequence[Sequence[UUID]]) -> AsyncIterator[list[UUID]]:
    """Runs, for one file after the other; a family (a run and all that came of it as children) is never divided."""
    portion: list[UUID] = []
    events = size = 0
    for family in families:
        sizes = await connection.fetch(_SIZES, list(family))
        count, payload = sum(row[1] for row in sizes), sum(row[2] for row in sizes)
        if payload > FAMILY_PAYLOAD_BYTES_MAX:
            _log.warning(
                "run %s with its children has %d bytes: too large for an archive, it stays", family[0], payload
            )
            continue
        if portion and (
            len(portion) + len(family) > RUNS_PER_ARCHIVE_MAX
            or events + count > EVENTS_PER_ARCHIVE_MAX
            or size + payload > PAYLOAD_BYTES_PER_ARCHIVE_MAX
        ):
            yield portion
            portion, events, size = [], 0, 0
        portion += [row[0] for row in sizes if row[1]]
        events += count
        size += payload
    if portion:
        yield portion


async def archive(
    connection: Any,
    folder: Path,
    run_ids: Collection[UUID],
    *,
    ended_before: datetime | None = None,
    actor: str | None = None,
) -> Moved:
    """Move the events of these runs, which have ended, into a file. `connection` is from `moving`.

    Raises asyncpg.SerializationError where one of them has gone on meanwhile, and `FolderTaken`: then nothing has
    happened.
    """
    number = await connection.fetchval(_NEXT)
    name = f"runs-{number:06}.jsonl.gz"
    path = folder / name
    header = Header(
        archive_file.FORMAT, archive_file.FORMAT_VERSION, await connection.fetchval(INCARNATION), number, name
    )
    await asyncio.to_thread(_make_room, path, header.incarnation)
    rows = await connection.fetch(_EVENTS, list(run_ids))
    records = await asyncio.to_thread(lambda: [Record(*row) for row in rows])  # others of this process go on
    blobs = _blobs(connection, asyncio.get_running_loop(), folder, records)
    footer, sha256, size = await asyncio.to_thread(_write_and_prove, path, header, blobs, records)
    failpoint("archive.after_file")
    event = RunsArchived(
        archive=name,
        sha256=sha256.hex(),
        runs=sorted(stream.stream_id for stream in footer.streams),
        events_count=footer.events_count,
        first_position=footer.first_position,
        last_position=footer.last_position,
    )
    position = await connection.fetchval(
        _ARCHIVE, number, name, sha256, size, bytes.fromhex(footer.content_hash), ended_before,
        *_streams(footer), [bytes.fromhex(blob) for blob in footer.blobs],
        *await _said(connection, event), os.urandom(SALT_BYTES), datetime.now(UTC), actor,
    )  # fmt: skip
    failpoint("archive.after_commit")
    return Moved(name, len(footer.streams), footer.events_count, size, position)


def _make_room(path: Path, incarnation: UUID) -> None:
    """Remove a file of this name that a kill has left behind: the log does not know it. Any other one stays.

    The folder is on disk before a file in it counts. Raises `FolderTaken`.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        on_disk(path.parent.parent)
    if not path.exists():
        return
    try:
        writer: object = ArchiveFile.open(path).header.incarnation
    except ArchiveDamaged as fault:
        writer = fault
    if writer != incarnation:
        raise FolderTaken(
            f"{path} is there already, and is not of this log ({writer}): move it away, or set FLOWFORGE_ARCHIVE_DIR to a "
            "folder that this log has for itself"
        )
    path.unlink()


def _blobs(
    connection: Any, loop: asyncio.AbstractEventLoop, folder: Path, records: Sequence[Record]
) -> Iterator[tuple[str, bytes]]:
    """What the events refer to, one by one, for a thread: out of the database, or of the archive that has it now, as a run
    that was forked from an archived one may refer to what is only there."""
    for name in sorted({blob for record in records for blob in record.blobs}):
        asked = asyncio.run_coroutine_threadsafe(connection.fetchrow(_BLOB, bytes.fromhex(name)), loop)
        data, file = asked.result()
        if data is None and file is not None:
            data = ArchiveFile.open(folder / file).blob(name)
        if data is not None:
            yield name, data


def _streams(footer: Footer) -> tuple[list[Any], ...]:
    return (
        [stream.stream_id for stream in footer.streams],
        [stream.version for stream in footer.streams],
        [stream.first_position for stream in footer.streams],
        [stream.last_position for stream in footer.streams],
    )


async def _said(connection: Any, event: RunsArchived | RunsRestored) -> tuple[str, bytes, UUID, int]:
    """The event as the functions take it: type, data, stream, and the version that the stream has."""
    version = await connection.fetchval(_VERSION, RETENTION_STREAM)
    return type(event).__name__, encode(event), RETENTION_STREAM, version


def _write_and_prove(
    path: Path, header: Header, blobs: Iterator[tuple[str, bytes]], records: Sequence[Record]
) -> tuple[Footer, bytes, int]:
    """The file under its name, on disk, read back: its footer, its SHA-256 and its size in bytes."""
    draft = path.with_name(f".{path.name}.draft")
    written = archive_file.write(draft, header, blobs, records)
    read_back = ArchiveFile.open(draft)
    if read_back.footer != written or any(a != b for a, b in zip(read_back.records(), records, strict=True)):
        raise ArchiveDamaged(
            f"{draft}: what was read back is not what was written: look at the disk; nothing was removed"
        )
    read_back.check()
    sha256 = archive_file.digest_of(draft)
    put_in_place(draft, path)
    return written, sha256, path.stat().st_size


def put_in_place(draft: Path, path: Path) -> None:
    """Give a file its name, so that it has it after a crash too. Raises FileExistsError for a name that is in use: by one
    who archives since our connection was lost, and with it the right to do so."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise
        draft.rename(path)
    draft.unlink(missing_ok=True)
    on_disk(path.parent)


def on_disk(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- and back ---------------------------------------------------------------------------------------------------------


async def restore(connection: Any, path: Path, *, actor: str | None = None) -> Moved:
    """Put the events of this file back into the log, where they were. `connection` is from `moving`.

    Raises `NotRestorable` for a file of another log, one that this log does not know or has restored already, and
    `ArchiveDamaged` for one that is not what was archived. Then nothing has happened.
    """
    try:
        opened = await asyncio.to_thread(ArchiveFile.open, path)
    except FileNotFoundError:
        raise NotRestorable(f"there is no file {path}: give the name of an archive, or the path of its file") from None
    known = await _known(connection, opened)
    await asyncio.to_thread(opened.check, known.sha256)
    records = await asyncio.to_thread(lambda: list(opened.records()))
    for name in opened.footer.blobs:  # before their events: if these do not come, the sweep takes them away again
        data = await asyncio.to_thread(opened.blob, name)
        assert data is not None
        await connection.execute(PUT_BLOB, bytes.fromhex(name), len(data), data)
    event = RunsRestored(archive=known.file, runs=sorted(stream.stream_id for stream in opened.footer.streams))
    failpoint("archive.before_restore")
    position = await connection.fetchval(
        _RESTORE, known.number, *_columns(records),
        *await _said(connection, event), os.urandom(SALT_BYTES), datetime.now(UTC), actor,
    )  # fmt: skip
    return Moved(known.file, len(opened.footer.streams), len(records), known.size, position)


async def _known(connection: Any, opened: ArchiveFile) -> Archive:
    incarnation = await connection.fetchval(INCARNATION)
    header = opened.header
    known = next((each for each in await archives(connection) if each.number == header.number), None)
    if known is None or known.content_hash.hex() != opened.footer.content_hash:
        other = f"this log is {incarnation}, the file was written by {header.incarnation}"
        raise NotRestorable(
            f"{opened.path.name} is not an archive of this log ({other}): use the log that it came from"
        )
    if known.restored_at is not None:
        raise NotRestorable(
            f"{known.file} was restored already, at {known.restored_at.isoformat()}: its runs are in the log"
        )
    return known


def _columns(records: Sequence[Record]) -> Iterator[list[Any]]:
    yield [record.position for record in records]
    yield [record.stream_id for record in records]
    yield [record.version for record in records]
    yield [record.stream_type for record in records]
    yield [record.type for record in records]
    yield [record.schema_version for record in records]
    yield [None if record.data is None else record.data.encode() for record in records]
    yield [None if record.salt is None else bytes.fromhex(record.salt) for record in records]
    yield [None if record.digest is None else bytes.fromhex(record.digest) for record in records]
    yield [record.correlation_id for record in records]
    yield [record.causation_id for record in records]
    yield [record.actor for record in records]
    yield [record.traceparent for record in records]
    yield [record.recorded_at for record in records]
