"""What went is in no file of Postgres either."""

import secrets
from pathlib import Path

import asyncpg

from infra.erasure.scrubbing import scrub
from tests.until import until

CURRENT = "select pg_walfile_name(pg_current_wal_insert_lsn())"


def files_with(folder: Path, text: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file() and text.encode() in path.read_bytes())


async def recycles(connection: asyncpg.Connection) -> bool:
    """Asked until it is so: the server tells its sessions of a setting after it has answered that it reads them anew."""
    return await connection.fetchval("show wal_recycle") == "on"


async def test_it_goes_from_the_files_that_the_write_ahead_log_has_taken_to_be_used_again(
    postgres_dsn: str, quick_home: Path
):
    canary, write_ahead = secrets.token_hex(12), quick_home / "postgres" / "pg_wal"
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(f"create table told as select '{canary}' as text")
        await connection.execute("drop table told")
        await connection.execute("select pg_switch_wal()")
        await connection.execute("checkpoint")
        current = await connection.fetchval(CURRENT)
        assert [name > current for name in files_with(write_ahead, canary)] == [True], (
            "it was not taken to be used again"
        )

        assert await scrub(connection, [])
        assert files_with(write_ahead, canary) == []
        await until(lambda: recycles(connection), "what was switched for it is as it was")
    finally:
        await connection.close()


async def test_what_a_replica_that_is_behind_keeps_is_told_and_nothing_is_left_switched(postgres_dsn: str):
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute("select pg_create_physical_replication_slot('behind', true)")
        try:
            assert not await scrub(connection, [])
        finally:
            await connection.execute("select pg_drop_replication_slot('behind')")
        assert await scrub(connection, [])
        await until(lambda: recycles(connection), "what was switched for it is as it was")
    finally:
        await connection.close()
