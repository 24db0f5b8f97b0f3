"""Whether a backup is whole: everything that its manifest names is there, byte for byte."""

import hashlib
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra.backup.contents import FORMAT_VERSION, MANIFEST, FileContent, Manifest, TableContent
from infra.eventlog.migrate import SCHEMA_VERSION

PIECE_BYTES = 1024 * 1024


class BackupDamaged(Exception):
    """The file is not a whole backup that this version can read; the message says what is wrong and where."""


@contextmanager
def opened(path: Path) -> Generator[tuple[zipfile.ZipFile, Manifest]]:
    """A backup and its manifest. Raises `BackupDamaged`."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BackupDamaged(f"there is no file {path}") from None
    except (zipfile.BadZipFile, OSError) as fault:
        raise BackupDamaged(f"{path} is cut off, or no backup of FlowForge: {fault}") from fault
    with archive:
        yield archive, _manifest(path, archive)


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except KeyError:
        raise BackupDamaged(f"{path} is no backup of FlowForge: it has no {MANIFEST}") from None
    except (msgspec.DecodeError, zipfile.BadZipFile, zlib.error) as fault:
        raise BackupDamaged(f"{path}: {MANIFEST} cannot be read: {fault}") from fault
    if manifest.format_version > FORMAT_VERSION or manifest.schema_version > SCHEMA_VERSION:
        raise BackupDamaged(
            f"{path} was written by a newer FlowForge (format {manifest.format_version}, schema "
            f"{manifest.schema_version}; this one knows {FORMAT_VERSION} and {SCHEMA_VERSION}): use that one"
        )
    return manifest


def check(path: Path) -> Manifest:
    """Read all of it. Raises `BackupDamaged` naming the first part that is wrong."""
    with opened(path) as (archive, manifest):
        for content in manifest.contents:
            _check(path, archive, content)
    return manifest


def _check(path: Path, archive: zipfile.ZipFile, content: TableContent | FileContent) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(content.entry) as entry:
            while piece := entry.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
    except KeyError:
        raise BackupDamaged(f"{path}: {content.entry} is missing") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as fault:
        raise BackupDamaged(f"{path}: {content.entry} is damaged: {fault}") from fault
    if (size, digest.hexdigest()) != (content.size, content.sha256):
        raise BackupDamaged(f"{path}: {content.entry} is not what was written: its SHA-256 differs")
