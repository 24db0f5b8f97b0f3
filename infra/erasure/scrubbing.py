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
_WRITE_AHEAD = (
    "alter system set wal_recycle = off", "select pg_reload_conf()",
    "checkpoint", "select pg_switch_wal()", "checkpoint",
    "alter system reset wal_recycle", "select pg_reload_conf()",
)  # fmt: skip
"""Old files are removed rather than used again."""


async def scrub(connection: Any, positions: Sequence[int]) -> bool:
    """Write the tables anew that had something of it, and have the write-ahead log leave its files: whoever uses one of these
    tables waits meanwhile, appends too. False where this login may not do the latter; then the tables are done."""
    parts = [row["part"] for row in await connection.fetch(_PARTS, positions)] if positions else []
    for table in (*parts, *KEEPING_COPIES):
        if await connection.fetchval("select to_regclass($1) is not null", table):
            await connection.execute(f"vacuum (full) {table}")  # a name of ours or of the catalogue, quoted there
    try:
        for statement in _WRITE_AHEAD:
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True
