"""A new home, made of a backup. It is made beside its place and gets its name at the end: one that is there is whole.

The restored log is another incarnation: cursors, positions of streams and whatever else was remembered of the old one
beyond the moment of the backup is noticed, and starts afresh.
"""

import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import asyncpg
import msgspec

from infra.archive.erasing import is_name_of_archive
from infra.archive.file import digest_of
from infra.archive.moving import on_disk, put_in_place
from infra.archive.proof import ProvenArchives
from infra.backup.checking import check, opened
from infra.backup.contents import ARCHIVES, HOME_FILES, Manifest, tables_of
from infra.embedded import postgres
from infra.embedded.cluster import Cluster, ClusterError
from infra.embedded.home import Credentials, Home
from infra.eventlog.verify import Report, verify
from infra.settings import Settings

_KEPT_BY_TRIGGERS = frozenset({"eventlog.entries", "eventlog.archived_batches", "eventlog.identities"})
_HELD = "select position from eventlog.head"
_NEW_INCARNATION = "update eventlog.head set incarnation = gen_random_uuid()"
_OF_THE_MEANWHILE = ("services.json", "up.log", "up.lock")
Tell = Callable[[str], None]


class NotRestored(Exception):
    """There is no new home; the message says why and what to do. Nothing that was there has changed."""


def _silent(_: str) -> None:
    return


async def restore(
    backup: Path, settings: Settings, environment: Mapping[str, str], tell: Tell = _silent
) -> tuple[Manifest, Report]:
    """Make `settings.home`, which is empty or not there, of a backup, and prove its log. Servers run only meanwhile.

    With `settings.database_url` the rows go into that database, which has no events yet. Raises `NotRestored`, and
    `BackupDamaged` before anything is touched.
    """
    home = settings.home
    _require_empty(home)
    tell("checking the backup")
    manifest = check(backup)
    if manifest.namespace != settings.namespace:
        raise NotRestored(
            f"the backup is of the namespace {manifest.namespace}, the settings say {settings.namespace}: "
            f"set FLOWFORGE_NAMESPACE={manifest.namespace}"
        )
    _refuse_strange_files(manifest, settings)
    draft = home.with_name(f".{home.name}.restoring")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with opened(backup) as (archive, _):
            _put_files(archive, manifest, draft)
            report = await _with_servers(archive, manifest, draft, settings, environment, tell)
        for name in _OF_THE_MEANWHILE:
            (draft / name).unlink(missing_ok=True)
        if settings.archive_dir is not None:
            _hand_over(draft / ARCHIVES, settings.archive_dir)
        if home.exists():
            home.rmdir()
        on_disk(draft)
        draft.rename(home)
        on_disk(home.parent)
    except ClusterError as fault:
        raise NotRestored(f"the servers could not be started for it: {fault}") from fault
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest, report


def _require_empty(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise NotRestored(
            f"{home} is not empty: restore into another folder (FLOWFORGE_HOME or --home), or move it away"
        )


def _refuse_strange_files(manifest: Manifest, settings: Settings) -> None:
    """Only files that a backup has, each to its place; and none where another one is."""
    for content in manifest.files:
        folder, _, name = content.path.rpartition("/")
        if content.path not in HOME_FILES and not (folder == ARCHIVES and is_name_of_archive(name)):
            raise NotRestored(f"the backup has a file at a strange place: {content.path}")
        there = settings.archive_dir / name if folder == ARCHIVES and settings.archive_dir is not None else None
        if there is not None and there.exists() and digest_of(there).hex() != content.sha256:
            raise NotRestored(
                f"{there} is there already, and is not the file of the backup: set FLOWFORGE_ARCHIVE_DIR to a folder that "
                "the restored log has for itself"
            )


def _put_files(archive: zipfile.ZipFile, manifest: Manifest, draft: Path) -> None:
    draft.mkdir(parents=True, mode=0o700)
    for content in manifest.files:
        target = draft / content.path
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with archive.open(content.entry) as source:
            _write(target, source)
    for folder in (draft, draft / ARCHIVES):
        if folder.is_dir():
            on_disk(folder)


def _write(target: Path, source: IO[bytes]) -> None:
    """A new file that only we may read, on disk when this returns."""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        shutil.copyfileobj(source, out)
        out.flush()
        os.fsync(out.fileno())


def _hand_over(restored: Path, folder: Path) -> None:
    """The archives, proven, into the folder where this log is to have them; those that are there already stay."""
    if not restored.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in restored.iterdir():
        if not (folder / path.name).exists():
            draft = folder / f".{path.name}.draft"
            draft.unlink(missing_ok=True)
            with path.open("rb") as source:
                _write(draft, source)
            put_in_place(draft, folder / path.name)
    shutil.rmtree(restored)


async def _with_servers(
    archive: zipfile.ZipFile,
    manifest: Manifest,
    draft: Path,
    settings: Settings,
    environment: Mapping[str, str],
    tell: Tell,
) -> Report:
    tell("starting servers for a moment")
    env = {**environment, "FLOWFORGE_NATS_PORT": "0", "FLOWFORGE_HTTP_PORT": "0"}
    async with Cluster(draft, services=(), env=env) as cluster:
        dsn = _owner(settings, cluster)
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "flowforge restore"})
        try:
            async with connection.transaction():
                await _load(connection, archive, manifest, tell)
            await connection.execute("analyze")
        finally:
            await connection.close()
        tell("proving the log")
        report = await verify(dsn, await ProvenArchives.of(dsn, draft / ARCHIVES))
    if not report.ok:
        first = report.problems[0]
        raise NotRestored(
            f"the restored log does not verify, first at position {first.first_position}: {first.message}"
            + (
                ""
                if settings.database_url is None
                else "; its rows are in that database: empty it before you try again"
            )
        )
    return report


def _owner(settings: Settings, cluster: Cluster) -> str:
    if settings.database_url is not None:
        return settings.database_url
    credentials = msgspec.json.decode(Home(cluster.home.folder).credentials_file.read_bytes(), type=Credentials)
    port = int(cluster.endpoints.database.rpartition(":")[2].partition("/")[0])
    return postgres.login_url(port, postgres.OWNER, credentials.postgres["owner"])


async def _load(connection: Any, archive: zipfile.ZipFile, manifest: Manifest, tell: Tell) -> None:
    if await connection.fetchval(_HELD):
        raise NotRestored("the database has events already: restore into one that is empty (FLOWFORGE_DATABASE_URL)")
    if strange := {table.name for table in manifest.tables} - {name for name, _ in await tables_of(connection)}:
        raise NotRestored(f"the backup has tables that this version does not know: {', '.join(sorted(strange))}")
    for table in reversed(manifest.tables):
        if table.name not in _KEPT_BY_TRIGGERS:  # what a fresh database begins with
            await connection.execute(f"delete from {table.name}")  # noqa: S608  a name of the catalogue
    for table in manifest.tables:
        tell(table.name)
        schema, _, name = table.name.partition(".")
        with archive.open(table.entry) as rows:
            await connection.copy_to_table(
                name, schema_name=schema, columns=table.columns, source=rows, format="text", timeout=None
            )
    await connection.execute(_NEW_INCARNATION)
