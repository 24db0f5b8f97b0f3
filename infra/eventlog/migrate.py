"""Bringing a database up to this version of the code: the log's tables, every service's own, and who may do what.

Each .sql file is written so that it may be applied again (`if not exists`, `or replace`); it is when its text changed.
The `store.sql` of a service or of another room of `infra` is found on disk and creates a schema of its own; it is not
known here what is in it.
"""

import hashlib
import importlib.util
import logging
import re
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from infra.eventlog.connections import UnsuitableServer

SCHEMA_VERSION = 2
"""Raise it with every change to a .sql file that code of before could not live with."""
POSTGRES_VERSION_MIN = 160000
LOG_FILES = ("schema.sql", "append.sql", "erase.sql", "partitions.sql", "archive.sql")
STORE_PACKAGES = ("infra", "services")

_logger = logging.getLogger(__name__)
_CREATED_SCHEMA = re.compile(
    r"^\s*create\s+schema\s+if\s+not\s+exists\s+([a-z_][a-z0-9_]*)", re.IGNORECASE | re.MULTILINE
)


class Migrated(msgspec.Struct, frozen=True):
    """What was done. Without `has_own_logins` the services use the owner's login, so that only the triggers keep the
    log from being changed; `note` says why.
    """

    applied: list[str]
    has_own_logins: bool
    note: str | None = None


class _SqlFile(msgspec.Struct, frozen=True):
    name: str
    text: str

    @property
    def checksum(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def schemas(self) -> list[str]:
        return _CREATED_SCHEMA.findall(self.text)


async def migrate(
    owner_dsn: str,
    *,
    service_password: str | None = None,
    reader_password: str | None = None,
    namespace: str = "flowforge",
) -> Migrated:
    """Apply what changed, in one transaction; several that start at once wait for one another.

    With passwords, the logins `<namespace>_service` and `<namespace>_reader` are made, or get these passwords, where
    the owner may do that; logins of these names that somebody else made get their privileges too. Raises
    UnsuitableServer for a server too old and for a database that newer code has migrated.
    """
    connection = await asyncpg.connect(owner_dsn, server_settings={"application_name": "flowforge migrate"})
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('eventlog.migrate'))")
            await _check_version(connection)
            files = _log_files() + _store_files()
            applied = await _apply(connection, files)
            await _make_partitions(connection)
            schemas = [schema for file in files for schema in file.schemas if schema != "eventlog"]
            service, reader = f"{namespace}_service", f"{namespace}_reader"
            has_service = await _has_login(connection, service, service_password)
            has_reader = await _has_login(connection, reader, reader_password)
            if has_service:
                await _grant_to_service(connection, service, schemas)
            if has_reader:
                await _grant_to_reader(connection, reader, schemas, service if has_service else None)
    finally:
        await connection.close()
    note = None if has_service else f"no login {service}: the services use the owner's, which may also insert by hand"
    if note:
        _logger.warning(note)
    return Migrated(applied, has_service, note)


async def _make_partitions(connection: Any) -> None:
    """Where a long reader is in the way it is left to the daily pass: nothing needs them yet."""
    try:
        async with connection.transaction():
            await connection.execute("select eventlog.make_partitions()")
    except asyncpg.LockNotAvailableError as fault:
        _logger.warning("no partitions made yet: %s", fault)


async def _check_version(connection: Any) -> None:
    if int(await connection.fetchval("show server_version_num")) < POSTGRES_VERSION_MIN:
        raise UnsuitableServer(f"Postgres {POSTGRES_VERSION_MIN // 10000} or newer is needed")
    if await connection.fetchval("select to_regclass('eventlog.migrations')") is None:
        return
    found = await connection.fetchval("select max(schema_version) from eventlog.migrations")
    if found is not None and found > SCHEMA_VERSION:
        raise UnsuitableServer(
            f"the database has schema version {found}, this code knows {SCHEMA_VERSION}: use the newer FlowForge"
        )


def schemas() -> list[str]:
    """Every schema that the migrations make, the log's own first."""
    return list(dict.fromkeys(schema for file in _log_files() + _store_files() for schema in file.schemas))


def _log_files() -> list[_SqlFile]:
    folder = Path(__file__).parent
    return [_SqlFile(f"eventlog/{name}", (folder / name).read_text(encoding="utf-8")) for name in LOG_FILES]


def _store_files() -> list[_SqlFile]:
    found = [importlib.util.find_spec(name) for name in STORE_PACKAGES]
    folders = [
        folder for package in found if package is not None for folder in package.submodule_search_locations or []
    ]
    paths = sorted(path for folder in folders for path in Path(folder).glob("*/store.sql"))
    return [_SqlFile(f"{path.parent.name}/{path.name}", path.read_text(encoding="utf-8")) for path in paths]


async def _apply(connection: Any, files: list[_SqlFile]) -> list[str]:
    known: dict[str, bytes] = {}
    if await connection.fetchval("select to_regclass('eventlog.migrations')") is not None:
        known = dict(await connection.fetch("select file, checksum from eventlog.migrations"))
    changed = [file for file in files if known.get(file.name) != file.checksum]
    for file in changed:
        try:
            await connection.execute(file.text)
        except asyncpg.PostgresError as error:
            error.add_note(f"while {file.name} was applied")
            raise
        await connection.execute(
            """
            insert into eventlog.migrations (file, checksum, schema_version) values ($1, $2, $3)
            on conflict (file) do update
            set checksum = excluded.checksum, schema_version = excluded.schema_version, applied_at = now()
            """,
            file.name,
            file.checksum,
            SCHEMA_VERSION,
        )
    return [file.name for file in changed]


async def _has_login(connection: Any, role: str, password: str | None) -> bool:
    """Whether the role is there; it is made, and its password set, where one is given and the owner may do so."""
    exists = await connection.fetchval("select exists (select from pg_roles where rolname = $1)", role)
    may_create = await connection.fetchval(
        "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
    )
    if password is None or not may_create:
        return exists
    await connection.execute("set local password_encryption = 'scram-sha-256'")
    await _execute(connection, f"{'alter' if exists else 'create'} role %I login password %L", role, password)
    return True


async def _execute(connection: Any, template: str, *names: str) -> None:
    """Run a statement whose names and literals Postgres itself has quoted (`format`: %I, %L)."""
    arguments = "".join(f", ${number}::text" for number in range(2, len(names) + 2))
    await connection.execute(await connection.fetchval(f"select format($1{arguments})", template, *names))


async def _grant_to_service(connection: Any, role: str, schemas: list[str]) -> None:
    for privilege in (
        "usage on schema eventlog",
        "execute on function eventlog.append, eventlog.append_one, eventlog.make_partitions",
        "execute on function eventlog.archive_runs, eventlog.restore_runs, eventlog.rewrite_archive",
        "execute on function eventlog.sweep_blobs",
        "select on all tables in schema eventlog",
        "insert, update (unreferred_since) on eventlog.blobs",
        "insert, update, delete on eventlog.cursors, eventlog.snapshots",
    ):
        await _execute(connection, f"grant {privilege} to %I", role)
    for schema in schemas:
        await _execute(connection, "grant all on schema %I to %I", schema, role)
        for kind in ("tables", "sequences", "functions"):
            await _execute(connection, f"grant all on all {kind} in schema %I to %I", schema, role)


async def _grant_to_reader(connection: Any, role: str, schemas: list[str], service: str | None) -> None:
    await _execute(connection, "grant usage on schema eventlog to %I", role)
    await _execute(
        connection,
        "grant select on eventlog.events, eventlog.entries, eventlog.events_named, eventlog.events_timed, eventlog.head, "
        "eventlog.log_batches, eventlog.archived_batches, eventlog.identities, eventlog.blobs, eventlog.archives, "
        "eventlog.archived_streams to %I",
        role,
    )
    if "projections" not in schemas:
        return
    await _execute(connection, "grant usage on schema projections to %I", role)
    await _execute(connection, "grant select on all tables in schema projections to %I", role)
    await _execute(connection, "alter default privileges in schema projections grant select on tables to %I", role)
    if service is not None:
        await _execute(
            connection,
            "alter default privileges for role %I in schema projections grant select on tables to %I",
            service,
            role,
        )
