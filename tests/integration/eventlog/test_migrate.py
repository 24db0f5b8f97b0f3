"""Migrating: again and again, at once, never backwards, with and without logins of its own."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from infra.eventlog import PostgresEventLog, UnsuitableServer
from infra.eventlog.migrate import SCHEMA_VERSION, migrate


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def empty_dsn(postgres_dsn: str, owner: asyncpg.Connection) -> AsyncIterator[str]:
    """The owner's URL of a database in which nothing is yet."""
    name = f"empty_{uuid4().hex[:12]}"
    await owner.execute(f"create database {name} template template0 strategy file_copy")
    yield postgres_dsn.rpartition("/")[0] + f"/{name}"
    await owner.execute(f"drop database {name} with (force)")


async def test_what_was_applied_is_applied_again_only_when_its_text_changed(
    empty_dsn: str,
):
    assert (await migrate(empty_dsn)).applied[:2] == ["eventlog/schema.sql", "eventlog/append.sql"]
    assert (await migrate(empty_dsn)).applied == []
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("update eventlog.migrations set checksum = '' where file = 'eventlog/schema.sql'")
    incarnation = await connection.fetchval("select incarnation from eventlog.head")
    assert (await migrate(empty_dsn)).applied == ["eventlog/schema.sql"]
    assert await connection.fetchval("select incarnation from eventlog.head") == incarnation
    await connection.close()


async def test_several_that_start_at_once_apply_it_once(empty_dsn: str):
    done = await asyncio.gather(*(migrate(empty_dsn) for _ in range(4)))
    assert sorted(len(migrated.applied) > 0 for migrated in done) == [False, False, False, True]


async def test_a_database_of_newer_code_is_refused(postgres_dsn: str, owner: asyncpg.Connection):
    await owner.execute("update eventlog.migrations set schema_version = $1", SCHEMA_VERSION + 1)
    with pytest.raises(UnsuitableServer, match="newer"):
        await migrate(postgres_dsn)


async def test_every_service_has_what_it_needs_in_its_own_schemas(owner: asyncpg.Connection):
    stores = await owner.fetch("select file from eventlog.migrations where file like '%/store.sql'")
    for (file,) in stores:
        schema = file.partition("/")[0]
        assert await owner.fetchval("select has_schema_privilege('flowforge_service', $1, 'create')", schema), file
        tables = await owner.fetch(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = $1", schema
        )
        for (table,) in tables:
            privileges = "insert, update, delete, truncate"
            assert await owner.fetchval("select has_table_privilege('flowforge_service', $1, $2)", table, privileges)
            may_read = await owner.fetchval("select has_table_privilege('flowforge_reader', $1, 'select')", table)
            assert may_read == (schema == "projections"), table


async def test_logins_are_named_by_the_namespace_and_get_new_passwords(empty_dsn: str, owner: asyncpg.Connection):
    namespace = f"other{uuid4().hex[:8]}"
    try:
        for password in ("it's 100% \\secret", "second"):
            assert (await migrate(empty_dsn, service_password=password, namespace=namespace)).has_own_logins
            host = empty_dsn.rpartition("@")[2]
            connection = await asyncpg.connect(f"postgresql://{host}", user=f"{namespace}_service", password=password)
            await connection.close()
    finally:
        connection = await asyncpg.connect(empty_dsn)
        await connection.execute(f"drop owned by {namespace}_service; drop role {namespace}_service")
        await connection.close()


async def test_an_owner_who_may_make_no_logins_serves_everybody_and_is_told_so(
    owner: asyncpg.Connection, postgres_dsn: str
):
    role, name = f"plain_{uuid4().hex[:8]}", f"plain_{uuid4().hex[:8]}"
    await owner.execute(f"create role {role} login password 'plain'")
    await owner.execute(f"create database {name} owner {role} template template0 strategy file_copy")
    host = postgres_dsn.rpartition("@")[2].partition("/")[0]
    dsn = f"postgresql://{role}:plain@{host}/{name}"
    try:
        migrated = await migrate(dsn, service_password="unused", reader_password="unused", namespace=role)
        assert not migrated.has_own_logins
        assert migrated.note is not None
        assert f"no login {role}_service" in migrated.note
        async with await PostgresEventLog.connect(dsn) as log:
            assert (await log.head()).position == 0
    finally:
        await owner.execute(f"drop database {name} with (force)")
        await owner.execute(f"drop role {role}")
