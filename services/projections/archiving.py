"""Which runs are archived: whole families that ended long ago, a run and all that came of it as children, oldest first."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from infra.archive.moving import Moved, archive, moving, portions
from services.projections.fold import RUN_ENDED

FAMILIES_PER_PAGE = 2_000
_FAMILIES = """
    with recursive first as (
        select run_id, created_position from projections.runs
        where parent_run_id is null and archive is null and created_position > $2 and status = any($3)
            and completed_at < $1
        order by created_position limit $4
    ), family as (
        select run_id as first_run_id, created_position as first_position, run_id, true as is_over from first
        union all
        select family.first_run_id, family.first_position, child.run_id,
            child.status = any($3) and child.completed_at < $1 and child.archive is null
        from family join projections.runs child on child.parent_run_id = family.run_id
    )
    select first_position, array_agg(run_id), bool_and(is_over) from family
    group by first_run_id, first_position order by first_position
"""
_SIZE = """
    select coalesce(sum(eventlog.events_in(salts)), 0), coalesce(sum(pg_column_size(e.*)), 0)
    from eventlog.entries e where stream_id = any($1)
"""
_LINES = "delete from projections_kept.job_log_lines where run_id = any($1)"


class ArchiveProgress(msgspec.Struct, frozen=True, tag="archived"):
    """One more file."""

    file: str
    runs_count: int
    events_count: int
    size: int


class Archived(msgspec.Struct, tag="archive"):
    """All that was archived, or with `dry_run` would have been. Of events left in the log `events_bytes` is their size
    there, of files `files_bytes`."""

    ended_before: datetime
    dry_run: bool
    runs_count: int = 0
    events_count: int = 0
    events_bytes: int = 0
    files_bytes: int = 0
    files: list[str] = []
    put_off_count: int = 0
    """Runs that went on while they were archived: they stay."""


Tell = Callable[[ArchiveProgress], None]


def _silent(_: ArchiveProgress) -> None:
    return


async def archive_older(
    dsn: str,
    folder: Path,
    ended_before: datetime,
    *,
    dry_run: bool = False,
    actor: str | None = None,
    tell: Tell = _silent,
) -> Archived:
    """Archive every family that ended before, one file after the other. Raises `ArchivingBusy`, `ArchiveDamaged`, OSError:
    what was archived until then is, and the next pass goes on from there."""
    done = Archived(ended_before, dry_run)
    async with moving(dsn) as connection:
        async for families in _pages_of_families(connection, ended_before):
            if dry_run:
                await _count(connection, families, done)
                continue
            async for portion in portions(connection, families):
                await _archive(connection, folder, portion, done, actor, tell)
    return done


async def _archive(
    connection: Any, folder: Path, portion: list[UUID], done: Archived, actor: str | None, tell: Tell
) -> None:
    try:
        moved = await archive(connection, folder, portion, ended_before=done.ended_before, actor=actor)
    except asyncpg.SerializationError:
        done.put_off_count += len(portion)
        return
    await connection.execute(_LINES, portion)
    _add(done, moved)
    tell(ArchiveProgress(moved.file, moved.runs_count, moved.events_count, moved.size))


def _add(done: Archived, moved: Moved) -> None:
    done.runs_count += moved.runs_count
    done.events_count += moved.events_count
    done.files_bytes += moved.size
    done.files = [*done.files, moved.file]


async def _count(connection: Any, families: list[list[UUID]], done: Archived) -> None:
    runs = [run_id for family in families for run_id in family]
    events, size = await connection.fetchrow(_SIZE, runs)
    done.runs_count += len(runs)
    done.events_count += events
    done.events_bytes += size


async def _pages_of_families(connection: Any, ended_before: datetime) -> AsyncIterator[list[list[UUID]]]:
    position = 0
    while page := await connection.fetch(_FAMILIES, ended_before, position, list(RUN_ENDED), FAMILIES_PER_PAGE):
        position = page[-1][0]
        if over := [list(run_ids) for _, run_ids, is_over in page if is_over]:
            yield over
