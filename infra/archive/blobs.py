"""Payloads beside the log that no event refers to any more.

Marked and swept: everything that the log refers to is looked for, what it refers to nowhere is noted, and removed a day
later if that is still so. Who puts or reads a blob meanwhile, perhaps in order to refer to it, takes the note away
(infra/eventlog/statements.py, archive.sql), and writers put a blob before they log its name: so none is removed that an
event comes to have. Blobs of archived runs are in the file with them.
"""

from datetime import timedelta
from typing import Any

from infra.archive.record import blobs_in

CREATED_BEFORE_S = 3_600
"""Younger ones are not even looked at."""
_PAGE_COUNT = 1_000
_IS_ANY = """
    select clock_timestamp() - make_interval(secs => $1),
           exists (select from eventlog.blobs where created_at < clock_timestamp() - make_interval(secs => $1))
"""
_REFERRING = """
    select convert_to(data, 'UTF8') from eventlog.entries where strpos(data, '"$blob"') > 0
"""
_SWEEP = "select removed_count, removed_bytes from eventlog.sweep_blobs($1, $2, $3)"


async def sweep_blobs(connection: Any, grace_s: float, created_before_s: float = CREATED_BEFORE_S) -> tuple[int, int]:
    """How many were removed, and their bytes. Looks at every event of the log once, if there are blobs at all."""
    seen_until, is_any = await connection.fetchrow(_IS_ANY, created_before_s)
    if not is_any:
        return 0, 0
    referred: set[str] = set()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(_REFERRING)
        while rows := await cursor.fetch(_PAGE_COUNT):
            for (data,) in rows:
                referred.update(blobs_in(data))
    names = [bytes.fromhex(name) for name in referred]
    return tuple(await connection.fetchrow(_SWEEP, names, seen_until, timedelta(seconds=grace_s)))
