"""What is kept for how long: once a day one process archives runs, and removes blobs that nothing refers to any more.

Each pass leaves one event that says what it did. A second process waits for nobody: whoever has the lock does it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from flowforge.events import RetentionApplied, encode

from infra.archive.blobs import sweep_blobs
from infra.archive.file import ArchiveDamaged
from infra.archive.moving import RETENTION_STREAM, ArchivingBusy, moving
from infra.eventlog import Append, Appended, EventLog, NewEvent, StreamAppend, Unavailable
from services.projections.archiving import archive_older
from services.projections.settings import RetentionSettings

_SINCE = """
    select coalesce((select recorded_at from eventlog.events where stream_id = $1 and type = 'RetentionApplied'
                     order by version desc limit 1),
                    (select recorded_at from eventlog.entries order by position limit 1))
"""
_LAST_BEFORE = """
    select greatest((select max(position) from projections.decisions where decided_at < $1),
                    (select max(position) from projections.received_events where received_at < $1))
"""
_CHANGED_TRIES_MAX = 5
_log = logging.getLogger(__name__)
_MAY_PASS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    Unavailable,
    ArchivingBusy,
    ArchiveDamaged,
)


class Retention:
    """Passes, one a day, until cancelled."""

    def __init__(self, log: EventLog, dsn: str, folder: Path, settings: RetentionSettings) -> None:
        self._event_log = log
        self._dsn = dsn
        self._folder = folder
        self._settings = settings

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.look_interval_s)
            try:
                if await self._is_due():
                    await self.apply()
            except _MAY_PASS as fault:
                _log.warning("retention is put off: %s: %s", type(fault).__name__, fault)

    async def _is_due(self) -> bool:
        """A day after the last pass, or after the log began; and where the clock was ahead then, now."""
        async with _connected(self._dsn) as connection:
            since = await connection.fetchval(_SINCE, RETENTION_STREAM)
        if since is None:
            return False
        now = datetime.now(UTC)
        return since > now or now - since >= timedelta(seconds=self._settings.interval_s)

    async def apply(self) -> RetentionApplied:
        """One pass. Raises `ArchivingBusy` where another process is at it, `ArchiveDamaged` and OSError where a file cannot
        be written: what was done until then is done."""
        settings, now = self._settings, datetime.now(UTC)
        ended_before = None if settings.runs_days is None else now - timedelta(days=settings.runs_days)
        runs_count = 0
        if ended_before is not None:
            runs_count = (await archive_older(self._dsn, self._folder, ended_before, actor="retention")).runs_count
        async with moving(self._dsn), _connected(self._dsn) as connection:
            last = None
            if settings.decisions_days is not None:
                last = await connection.fetchval(_LAST_BEFORE, now - timedelta(days=settings.decisions_days))
            removed, removed_bytes = await sweep_blobs(connection, settings.blobs_grace_s)
            applied = RetentionApplied(
                runs_ended_before=ended_before,
                runs_archived_count=runs_count,
                decisions_before_position=0 if last is None else last + 1,
                blobs_removed_count=removed,
                blobs_removed_bytes=removed_bytes,
            )
            await self._say(applied)
        return applied

    async def _say(self, applied: RetentionApplied) -> None:
        event = NewEvent(type=RetentionApplied.__name__, data=encode(applied))
        for _ in range(_CHANGED_TRIES_MAX):
            version = len(await self._event_log.read_stream(RETENTION_STREAM))
            stream = StreamAppend("retention", RETENTION_STREAM, version, [event])
            [answer] = await self._event_log.append([Append([stream], datetime.now(UTC), actor="retention")])
            if isinstance(answer, Appended):
                return


@asynccontextmanager
async def _connected(dsn: str) -> AsyncGenerator[Any]:
    connection = await asyncpg.connect(
        dsn, server_settings={"application_name": "flowforge retention", "timezone": "UTC", "statement_timeout": "0"}
    )
    try:
        yield connection
    finally:
        connection.terminate()
