"""A backup is one whole snapshot of everything; a new home made of it has the same log, under another incarnation."""

import asyncio
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from infra.archive import ArchivedEventLog
from infra.archive.moving import ArchivingBusy, archive, moving
from infra.backup import BackupDamaged, BackupFailed, Manifest, NotRestored, check, restore, write
from infra.backup.contents import FileContent, TableContent
from infra.embedded.account import make_traversable
from infra.embedded.cluster import Cluster
from infra.embedded.home import Credentials, Home, write_private
from infra.secrets.key import new_key_text
from infra.settings import Settings
from tests.conftest import Server

sys.path.insert(0, str(Path(__file__).parents[1] / "projections"))  # `histories`

ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the account of Postgres may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="flowforge-backup-"))
    make_traversable(folder / "any")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def settings(service_dsn: str, place: Path) -> Settings:
    home = place / "old"
    home.mkdir()
    write_private(home / "admin.key", secrets.token_hex(8).encode())
    write_private(home / "secrets.key", new_key_text().encode())
    passwords = Credentials(postgres={role: secrets.token_hex(8) for role in ("owner", "service", "reader")})
    write_private(home / "credentials.json", msgspec.json.encode(passwords))
    return Settings(database_url=service_dsn, home=home)


@pytest.fixture
async def log(service_dsn: str, settings: Settings) -> AsyncIterator[ArchivedEventLog]:
    """A log with twelve runs, of which some are archived, a blob and a line that a job wrote."""
    from histories import Clock, append_chain_runs, created

    async with await ArchivedEventLog.open(service_dsn, settings.archive_folder) as opened:
        await opened.append([created()])
        runs = await append_chain_runs(opened, Clock(), range(12))
        await opened.put_blob(bytes(range(256)))
        async with moving(service_dsn) as connection:
            await archive(connection, settings.archive_folder, runs[:5])
            await connection.execute(
                "insert into projections_kept.job_log_lines values ($1, 'a', '', 1, 0, $1, $2, now())",
                runs[0],
                ["a\tline \\ with 'all' sorts\nü", ""],
            )
        yield opened


@pytest.fixture
async def backup(log: ArchivedEventLog, service_dsn: str, settings: Settings, place: Path) -> Path:
    path, _ = await write(service_dsn, settings, place / "it.backup")
    return path


async def rows_of(dsn: str) -> dict[str, list[str]]:
    """Everything that a backup keeps, as text, but for the incarnation."""
    connection = await asyncpg.connect(dsn)
    try:
        found: dict[str, list[str]] = {}
        for table in (
            "eventlog.entries", "eventlog.archived_batches", "eventlog.identities", "eventlog.blobs", "eventlog.archives",
            "eventlog.archived_streams", "projections_kept.job_log_lines", "secrets.sealed", "gateway.idempotency",
        ):  # fmt: skip
            rows = await connection.fetch(f"select t::text from {table} t order by 1")
            found[table] = [row[0] for row in rows]
        found["head"] = [
            str(await connection.fetchrow("select position, hash, definitions_position from eventlog.head"))
        ]
        return found
    finally:
        await connection.close()


async def incarnation_of(dsn: str) -> UUID:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("select incarnation from eventlog.head")
    finally:
        await connection.close()


# --- writing and checking ---------------------------------------------------------------------------------------------


async def test_a_backup_is_whole_says_what_it_holds_and_is_ours_alone(backup: Path, log: ArchivedEventLog):
    manifest = check(backup)
    head = await log.head()
    assert (manifest.position, manifest.incarnation) == (head.position, head.incarnation)
    assert {"eventlog.entries", "secrets.sealed", "gateway.keys"} <= {table.name for table in manifest.tables}
    assert not {table.name for table in manifest.tables if table.name.startswith(("projections.", "pg_"))}
    assert [file.path for file in manifest.files] == [
        "credentials.json", "admin.key", "secrets.key", "archives/runs-000001.jsonl.gz"
    ]  # fmt: skip
    assert backup.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backup.parent.iterdir() if path.name.startswith(".")] == []


async def test_a_backup_is_of_one_moment_whatever_is_logged_meanwhile(
    log: ArchivedEventLog, service_dsn: str, settings: Settings, place: Path
):
    from histories import Clock, append_chain_runs

    position = (await log.head()).position
    entries = len((await rows_of(service_dsn))["eventlog.entries"])
    told: list[str] = []
    appending: list[asyncio.Task[list[UUID]]] = []

    def tell(what: str) -> None:
        told.append(what)
        appending.append(
            asyncio.ensure_future(append_chain_runs(log, Clock(), range(100 * len(told), 100 * len(told) + 5)))
        )

    _, manifest = await write(service_dsn, settings, place, tell)
    await asyncio.gather(*appending)
    assert manifest.position == position < (await log.head()).position
    rows = {table.name: table.rows_count for table in manifest.tables}
    assert rows["eventlog.entries"] == entries


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: content[:-10], "is cut off, or no backup"),
        (lambda content: content[: len(content) // 2], "is cut off, or no backup"),
        (lambda _: b"", "is cut off, or no backup"),
        (lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:], "is damaged|differs"),
    ],
)
async def test_a_damaged_backup_is_refused_with_its_place(
    backup: Path, place: Path, spoil: Callable[[bytes], bytes], says: str
):
    backup.write_bytes(spoil(backup.read_bytes()))
    with pytest.raises(BackupDamaged, match=says):
        check(backup)
    with pytest.raises(BackupDamaged, match=says):
        await restore(backup, Settings(home=place / "new"), ENVIRONMENT)
    assert not (place / "new").exists()


def rewritten(backup: Path, **fields: Any) -> None:
    """The same backup with another manifest."""
    with zipfile.ZipFile(backup) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    manifest = msgspec.json.decode(parts["manifest.json"], type=Manifest)
    parts["manifest.json"] = msgspec.json.encode(msgspec.structs.replace(manifest, **fields))
    with zipfile.ZipFile(backup, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)


async def test_a_backup_of_another_version_or_namespace_is_refused(backup: Path, place: Path):
    rewritten(backup, namespace="other")
    with pytest.raises(NotRestored, match="set FLOWFORGE_NAMESPACE=other"):
        await restore(backup, Settings(home=place / "new"), ENVIRONMENT)
    rewritten(backup, format_version=99)
    with pytest.raises(BackupDamaged, match="was written by a newer FlowForge"):
        check(backup)


@pytest.mark.parametrize(
    "path", ["../admin.key", "archives/../admin.key", "archives/.bashrc", "services.json", "archives/", "/etc/passwd"]
)
async def test_a_backup_brings_only_files_that_backups_have(backup: Path, place: Path, path: str):
    manifest = check(backup)
    content = b"strange"
    with zipfile.ZipFile(backup, "a") as out:
        out.writestr(f"home/{path}", content)
    digest = hashlib.sha256(content).hexdigest()
    rewritten(backup, files=[*manifest.files, FileContent(path, len(content), digest)])
    before = sorted(place.rglob("*"))
    with pytest.raises(NotRestored, match="a file at a strange place"):
        await restore(backup, Settings(home=place / "new"), ENVIRONMENT)
    assert sorted(place.rglob("*")) == before


async def test_the_archives_of_another_log_are_not_written_over(backup: Path, place: Path):
    folder = place / "shared"
    folder.mkdir()
    (folder / "runs-000001.jsonl.gz").write_bytes(b"of the other one")
    with pytest.raises(NotRestored, match=r"shared/runs-000001\.jsonl\.gz is there already"):
        await restore(backup, Settings(home=place / "new", archive_dir=folder), ENVIRONMENT)
    assert (folder / "runs-000001.jsonl.gz").read_bytes() == b"of the other one"


async def test_a_file_that_is_no_backup_is_refused(place: Path):
    with pytest.raises(BackupDamaged, match="there is no file"):
        check(place / "nothing")
    with zipfile.ZipFile(place / "photos.zip", "w") as other:
        other.writestr("a.jpg", b"")
    with pytest.raises(BackupDamaged, match=r"has no manifest\.json"):
        check(place / "photos.zip")


async def test_a_backup_overwrites_nothing_and_waits_for_nobody(
    backup: Path, service_dsn: str, settings: Settings, place: Path
):
    with pytest.raises(BackupFailed, match="is there already"):
        await write(service_dsn, settings, backup)
    with pytest.raises(BackupFailed, match="there is no folder"):
        await write(service_dsn, settings, place / "no" / "folder")
    async with moving(service_dsn):
        with pytest.raises(ArchivingBusy, match="try again"):
            await write(service_dsn, settings, place)


async def test_without_one_of_its_archives_no_backup_is_written(
    log: ArchivedEventLog, service_dsn: str, settings: Settings, place: Path
):
    (settings.archive_folder / "runs-000001.jsonl.gz").unlink()
    with pytest.raises(BackupFailed, match=r"runs-000001\.jsonl\.gz is not in"):
        await write(service_dsn, settings, place / "it.backup")
    assert not (place / "it.backup").exists()


# --- a new home -------------------------------------------------------------------------------------------------------


async def test_a_home_made_of_a_backup_has_every_row_and_another_incarnation(
    backup: Path, log: ArchivedEventLog, service_dsn: str, place: Path
):
    new = Settings(home=place / "new")
    manifest, report = await restore(backup, new, ENVIRONMENT)
    assert (report.ok, report.events) == (True, manifest.position)
    assert sorted(path.name for path in new.home.iterdir()) == [
        "admin.key", "archives", "credentials.json", "logs", "nats", "postgres", "secrets.key"
    ]  # fmt: skip
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(NotRestored, match="is not empty"):
        await restore(backup, new, ENVIRONMENT)
    async with Cluster(new.home, services=()) as cluster:
        password = msgspec.json.decode(Home(new.home).credentials_file.read_bytes(), type=Credentials).postgres["owner"]
        _, _, server = cluster.endpoints.database.rpartition("@")
        dsn = f"postgresql://flowforge_owner:{password}@{server}"
        assert await rows_of(dsn) == await rows_of(service_dsn)
        assert await incarnation_of(dsn) != manifest.incarnation


async def test_archives_that_have_a_folder_of_their_own_go_there(backup: Path, place: Path):
    new = Settings(home=place / "new", archive_dir=place / "shared")
    _, report = await restore(backup, new, ENVIRONMENT)
    assert report.ok
    assert [(path.name, path.stat().st_mode & 0o777) for path in (place / "shared").iterdir()] == [
        ("runs-000001.jsonl.gz", 0o600)
    ]
    assert not (new.home / "archives").exists()


async def test_tables_that_are_not_ours_are_not_touched(backup: Path, place: Path):
    manifest = check(backup)
    strange = TableContent(
        "pg_catalog.pg_class; drop table eventlog.events", ["a"], 0, 0, hashlib.sha256(b"").hexdigest()
    )
    with zipfile.ZipFile(backup, "a") as out:
        out.writestr(strange.entry, b"")
    rewritten(backup, tables=[*manifest.tables, strange])
    with pytest.raises(NotRestored, match="tables that this version does not know: pg_catalog"):
        await restore(backup, Settings(home=place / "new"), ENVIRONMENT)
    assert not (place / "new").exists()


async def test_a_database_that_has_events_is_not_restored_into(
    backup: Path, log: ArchivedEventLog, postgres_dsn: str, place: Path, postgres_server: Server
):
    before = await rows_of(postgres_dsn)
    new = Settings(home=place / "new", database_url=postgres_dsn)
    environment = {**ENVIRONMENT, "FLOWFORGE_DATABASE_URL": postgres_dsn}
    try:
        with pytest.raises(NotRestored, match="the database has events already"):
            await restore(backup, new, environment)
    finally:  # `up` has given the logins of all test databases the passwords of the backup
        connection = await asyncpg.connect(postgres_server.url)
        for login in ("flowforge_service", "flowforge_reader"):
            await connection.execute(f"alter role {login} password '{postgres_server.password}'")
        await connection.close()
    assert await rows_of(postgres_dsn) == before
    assert not new.home.exists()
