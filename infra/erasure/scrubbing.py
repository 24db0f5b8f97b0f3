"""Off the disks of Postgres: a row that went stays as bytes in its table's file, and in the write-ahead log, until the
server needs the room."""

from collections.abc import Sequence
from typing import Any

import asyncpg

KEEPING_COPIES = (
    "eventlog.blobs", "eventlog.snapshots", "execution.outputs", "gateway.idempotency", "projections_kept.job_log_lines",
    "subscriptions.deliveries",
)  # fmt: skip
"""Tables beside the log that `erase_copies` and `erase` take rows from."""
_PARTS = """
    select distinct entry.part from unnest($1::bigint[]) as p (position)
    cross join lateral (
        select c.tableoid::regclass::text as part from eventlog.entries c
        where c.position >= p.position order by c.position limit 1
    ) entry order by 1
"""
_SEGMENTS = "select name from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'"
_HERE = "select pg_walfile_name(pg_logical_emit_message(false, 'scrub', ''))"
"""The segment that is written to; something is, since one with nothing in it is not left."""
_ROUNDS_MAX = 10


async def scrub(connection: Any, positions: Sequence[int]) -> bool:
    """Write the tables anew that had something of it, and have the write-ahead log leave its files: whoever uses one of these
    tables waits meanwhile, appends too. False where the latter may not be done by this login, or something keeps the files;
    then the tables are done."""
    parts = [row["part"] for row in await connection.fetch(_PARTS, positions)] if positions else []
    for table in (*parts, *KEEPING_COPIES):
        if await connection.fetchval("select to_regclass($1) is not null", table):
            await connection.execute(f"vacuum (full) {table}")  # a name of ours or of the catalogue, quoted there
    try:
        await connection.execute("alter system set wal_recycle = off")
        try:
            await connection.execute("select pg_reload_conf()")
            return await _leave_segments(connection)
        finally:
            await connection.execute("alter system reset wal_recycle")
            await connection.execute("select pg_reload_conf()")
    except asyncpg.InsufficientPrivilegeError:
        return False


async def _leave_segments(connection: Any) -> bool:
    """Have no segment stay that there is now: what is left of one is written over with zeros, those behind are removed, and
    so are those that were written once and wait, with what they had, under the name of one to come. False where something
    keeps them, such as a replica that is behind."""
    for _ in range(_ROUNDS_MAX):
        last = max(row["name"] for row in await connection.fetch(_SEGMENTS))
        while (here := await connection.fetchval(_HERE)) <= last:
            await connection.execute("select pg_switch_wal()")
        await connection.execute("checkpoint")
        if all(last < row["name"] <= here for row in await connection.fetch(_SEGMENTS)):
            return True
    return False
