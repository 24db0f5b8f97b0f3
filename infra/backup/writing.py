"""A backup is one snapshot of the database, whatever goes on meanwhile, and the files that belong to it."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from infra.archive.catalogue import NOT_RESTORED, Archive
from infra.archive.moving import moving, on_disk
from infra.backup.contents import (
    ARCHIVES,
    FORMAT,
    FORMAT_VERSION,
    HOME_FILES,
    MANIFEST,
    FileContent,
    Manifest,
    TableContent,
    tables_of,
)
from infra.eventlog.migrate import SCHEMA_VERSION
from infra.settings import Settings

PIECE_BYTES = 1024 * 1024
_COMPRESSION = 3
_HEAD = "select incarnation, position, hash from eventlog.head"
Tell = Callable[[str], None]


class BackupFailed(Exception):
    """No backup was written; the message says why and what to do."""


def _silent(_: str) -> None:
    return


async def write(dsn: str, settings: Settings, target: Path, tell: Tell = _silent) -> tuple[Path, Manifest]:
    """Write a backup of the log at that address and of the home to `target`, a new file or a folder that is there.

    `tell` is told what is being written. Everything goes on meanwhile; only archiving, restoring and erasing wait. Raises
    `BackupFailed`, `ArchivingBusy` and OSError: then there is no file of that name.
    """
    path = _path(target)
    draft = path.with_name(f".{path.name}.draft")
    try:
        async with moving(dsn) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            with zipfile.ZipFile(_private(draft), "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as out:
                manifest = await _contents(connection, settings, out, tell)
                out.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        _keep(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path, manifest


def _path(target: Path) -> Path:
    path = target / f"flowforge-{datetime.now(UTC):%Y%m%d-%H%M%S}.backup" if target.is_dir() else target
    if path.exists():
        raise BackupFailed(f"{path} is there already: choose another name, or a folder")
    if not path.parent.is_dir():
        raise BackupFailed(f"there is no folder {path.parent}: make it first")
    return path


def _private(draft: Path) -> Path:
    """An empty file that only we may read: a backup holds keys."""
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return draft


def _keep(draft: Path, path: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(path)
    on_disk(path.parent)


async def _contents(connection: Any, settings: Settings, out: zipfile.ZipFile, tell: Tell) -> Manifest:
    incarnation, position, head_hash = await connection.fetchrow(_HEAD)
    tables = [await _table(connection, out, name, columns, tell) for name, columns in await tables_of(connection)]
    archives = [Archive(*row) for row in await connection.fetch(NOT_RESTORED)]
    files: list[FileContent] = []
    for name, path in _files(settings, archives):
        tell(name)
        try:
            files.append(_file(out, name, path))
        except FileNotFoundError:
            if name in HOME_FILES:
                continue
            raise BackupFailed(
                f"archive {path.name} is not in {path.parent}, and a backup without it would not be whole: "
                "see what is missing with: flowforge verify"
            ) from None
    return Manifest(
        FORMAT, FORMAT_VERSION, datetime.now(UTC), SCHEMA_VERSION, settings.namespace, incarnation, position,
        head_hash.hex(), tables, files,
    )  # fmt: skip


def _files(settings: Settings, archives: list[Archive]) -> Iterator[tuple[str, Path]]:
    for name in HOME_FILES:
        yield name, settings.home / name
    for archive in archives:
        yield f"{ARCHIVES}/{archive.file}", settings.archive_folder / archive.file


async def _table(connection: Any, out: zipfile.ZipFile, name: str, columns: list[str], tell: Tell) -> TableContent:
    tell(name)
    digest, size = hashlib.sha256(), 0
    listed = ", ".join(f'"{column}"' for column in columns)
    with out.open(f"tables/{name}.copy", "w", force_zip64=True) as entry:

        async def take(piece: bytes) -> None:
            nonlocal size
            digest.update(piece)
            size += len(piece)
            entry.write(piece)

        # names are those of the catalogue
        said = await connection.copy_from_query(f"select {listed} from {name}", output=take, format="text")  # noqa: S608
    return TableContent(name, columns, int(said.rpartition(" ")[2]), size, digest.hexdigest())


def _file(out: zipfile.ZipFile, name: str, path: Path) -> FileContent:
    digest, size = hashlib.sha256(), 0
    # archives are compressed already
    how = zipfile.ZIP_STORED if name.startswith(ARCHIVES) else zipfile.ZIP_DEFLATED
    with path.open("rb") as file:
        about = zipfile.ZipInfo(f"home/{name}")
        about.compress_type = how
        with out.open(about, "w", force_zip64=True) as entry:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                entry.write(piece)
    return FileContent(name, size, digest.hexdigest())
