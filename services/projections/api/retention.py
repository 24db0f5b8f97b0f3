"""Reading what is kept for how long, and which archives there are."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Router, get

from infra.archive.moving import RETENTION_STREAM
from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api.reads import Reads
from services.projections.conditions import Conditions
from services.projections.settings import job_log_settings, retention_settings

_ARCHIVES = """
    select number, file, streams_count, events_count, size, first_position, last_position, ended_before, archived_at,
        restored_at, encode(sha256, 'hex') as sha256
    from eventlog.archives
"""
_TOTALS = """
    select count(*), coalesce(sum(streams_count), 0)::bigint, coalesce(sum(events_count), 0)::bigint,
        coalesce(sum(size), 0)::bigint
    from eventlog.archives where restored_at is null
"""
_LAST = """
    select recorded_at, data from eventlog.events where stream_id = $1 and type = 'RetentionApplied'
    order by version desc limit 1
"""


class ArchiveView(msgspec.Struct):
    """One archive: a file, and the runs whose events are in it; once `restored_at`, they are in the log again."""

    archive: str
    runs_count: int
    events_count: int
    size: int
    first_position: int
    last_position: int
    ended_before: datetime | None
    archived_at: datetime
    restored_at: datetime | None
    sha256: str


class RetentionView(msgspec.Struct):
    """What is kept for how many days (null: for ever), what is in archives now, and what the last daily pass did."""

    runs_days: int | None
    log_lines_days: int
    decisions_days: int | None
    archives_count: int
    archived_runs_count: int
    archived_events_count: int
    archives_size: int
    last_pass_at: datetime | None
    last_pass: dict[str, Any] | None


@get("/archives", opt=VIEWER)
async def list_archives(reads: Reads, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None) -> Page[ArchiveView]:
    """The archives that were ever made, newest first, the restored ones too."""
    cursors = await reads.cursors("archives")
    conditions = Conditions()
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("number < {}", before[0])
    rows = await reads.pool.fetch(_ARCHIVES + conditions.page("number desc", limit), *conditions.values)
    return cursors.page([ArchiveView(*list(row)[1:]) for row in rows], limit, [[row["number"]] for row in rows])


@get("/retention", opt=VIEWER)
async def read_retention(reads: Reads) -> RetentionView:
    """What is kept for how long."""
    settings = retention_settings(reads.settings)
    lines = job_log_settings(retention_days=reads.settings.retention_log_lines_days)
    totals = await reads.pool.fetchrow(_TOTALS)
    last = await reads.pool.fetchrow(_LAST, RETENTION_STREAM)
    return RetentionView(
        settings.runs_days,
        lines.retention_days,
        settings.decisions_days,
        *totals,
        last_pass_at=None if last is None else last[0],
        last_pass=None if last is None else msgspec.json.decode(last[1]),
    )


def routers() -> list[Router]:
    """All under /api."""
    return [Router("/api", route_handlers=[list_archives, read_retention], tags=["retention"])]
