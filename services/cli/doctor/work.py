"""Work that does not get on: jobs nobody takes, runs that wait or are paused, dead letters, open breakers, missed firings."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from services.cli.connect import Session
from services.cli.doctor import Check, ago_s, several
from services.cli.doctor.servers import database

if TYPE_CHECKING:
    import asyncpg

QUEUED_S_MAX = 30.0
WAITING_S_MAX = 60.0
PAUSED_S_MAX = 86_400.0
MISSED_WITHIN = timedelta(days=1)
ACTIVE_RUNS_MAX = 10_000
"""Of more than these the newest are looked at."""
DECISIONS_MAX = 100_000
_ACTIVE = """
    with active as (
        select run_id from projections.runs where status = 'running' order by created_position desc limit $1
    ), nodes as (
        select run_id, node_id, status, job_type, queue, queued_at, waiting_for from projections.node_runs
        where run_id in (select run_id from active) and status in ('queued', 'waiting')
        union all
        select run_id, node_id, status, job_type, queue, queued_at, waiting_for from projections.node_instances
        where run_id in (select run_id from active) and status in ('queued', 'waiting')
    )
"""
_QUEUED = """
    select queue, job_type, count(*) jobs, count(distinct run_id) runs, min(queued_at) since,
        (array_agg(run_id order by queued_at))[1] run_id,
        coalesce(bool_or(waiting_for ->> 'for' = 'worker'), false) is_awaited
    from nodes where status = 'queued' group by queue, job_type order by min(queued_at) limit 50
"""
_HELD = """
    select waiting_for ->> 'for' kind, coalesce(waiting_for ->> 'pool', waiting_for ->> 'breaker', '') name,
        count(*) nodes, (array_agg(run_id))[1] run_id
    from nodes where status = 'waiting' and waiting_for is not null group by 1, 2 order by 3 desc limit 20
"""
_SLOTS = """
    select coalesce(slots.pool, slots.workflow_id) "of", max(slot_limit) slot_limit,
        count(*) filter (where state = 'holds') held, count(*) filter (where state = 'waits') waits,
        min(created_at) filter (where state = 'waits') since
    from projections.slots join projections.runs using (run_id) where state <> 'gone'
    group by 1 having count(*) filter (where state = 'waits') > 0 order by 5 limit 20
"""
_PAUSED = """
    select count(*), min(paused_at), (array_agg(run_id order by paused_at))[1] from projections.runs where status = 'paused'
"""
_LETTERS = """
    select service, count(*), min(quarantined_at), (array_agg(reason order by quarantined_at desc))[1]
    from projections.dead_letters where status = 'open' group by 1 order by 2 desc
"""
_BREAKERS = (
    "select breaker, status, since, until, error from projections.breakers where status <> 'closed' order by since"
)
_MISSED = """
    select workflow_id, trigger_id, count(*), min(decided_at) from (
        select * from projections.decisions order by position desc limit $2
    ) recent
    where cause_type = 'ScheduleMissed' and decision = 'expired' and decided_at > $1 group by 1, 2 order by 3 desc limit 20
"""


async def work(session: Session) -> list[Check]:
    """All of it, as the read models have it."""
    async with database(session) as connection:
        if connection is None or await connection.fetchval("select to_regclass('projections.breakers')") is None:
            return []
        looks = (_jobs, _waiting, _slots, _paused, _dead_letters, _breakers, _missed)
        return [check for look in looks for check in await look(connection)]


async def _jobs(connection: "asyncpg.Connection") -> list[Check]:
    """Those of which execution told that nobody serves their type, and those that wait for workers who have others."""
    rows = await connection.fetch(_ACTIVE + _QUEUED, ACTIVE_RUNS_MAX)
    found = [row for row in rows if row["is_awaited"] or (row["since"] and ago_s(row["since"]) > QUEUED_S_MAX)]
    return [_untaken(row) for row in found] or [Check(name="jobs", verdict="ok", seen="none waits long for a worker")]


def _untaken(row: Any) -> Check:
    what = f"{several(row['jobs'], 'job')} of type {row['job_type']} on queue {row['queue']}"
    step = f"start a worker that serves '{row['job_type']}' on this queue: flowforge worker MODULE:worker"
    if not row["is_awaited"]:
        step = "start more workers, or give the ones there are more `concurrency`"
    return Check(
        name="jobs", verdict="warning", since=row["since"], next_step=step,
        seen=f"{what}: no worker asks for them" if row["is_awaited"] else f"{what}: the workers have others in hand",
        why=f"{several(row['runs'], 'run')} cannot go on, such as {row['run_id']}",
    )  # fmt: skip


async def _waiting(connection: "asyncpg.Connection") -> list[Check]:
    """Nodes before a full pool; those before a breaker are told with it, others wait for what they are meant to."""
    rows = [row for row in await connection.fetch(_ACTIVE + _HELD, ACTIVE_RUNS_MAX) if row["kind"] == "pool"]
    return [
        Check(
            name="pools", verdict="warning", seen=f"{several(row['nodes'], 'node')} before the full pool {row['name']}",
            why=f"runs wait for others to leave it, such as {row['run_id']}",
            next_step="wait, or raise its limit in FLOWFORGE_POOLS and start anew",
        )
        for row in rows
    ]  # fmt: skip


async def _slots(connection: "asyncpg.Connection") -> list[Check]:
    rows = [row for row in await connection.fetch(_SLOTS) if row["since"] and ago_s(row["since"]) > WAITING_S_MAX]
    return [
        Check(
            name="slots", verdict="warning", since=row["since"],
            seen=f"{several(row['waits'], 'run')} of {row['of']} waiting, {row['held']} of {row['slot_limit']} slots taken",
            why="they start when one of those that hold a slot ends",
            next_step=f"see who holds them: flowforge runs --workflow {row['of']} --status running",
        )
        for row in rows
    ]  # fmt: skip


async def _paused(connection: "asyncpg.Connection") -> list[Check]:
    row: Any = await connection.fetchrow(_PAUSED)
    count, since, run_id = row
    if not count:
        return []
    is_long = since is not None and ago_s(since) > PAUSED_S_MAX
    return [Check(
        name="paused", verdict="warning" if is_long else "ok", seen=f"{several(count, 'run')} paused", since=since,
        why="nothing of them starts until somebody lets them go on" if is_long else "",
        next_step=f"flowforge resume {run_id}" if is_long else "",
    )]  # fmt: skip


async def _dead_letters(connection: "asyncpg.Connection") -> list[Check]:
    rows = await connection.fetch(_LETTERS)
    checks = [
        Check(
            name="dead letters", verdict="warning", since=since, seen=f"{several(count, 'message')} put aside by {service}",
            why=f"what they were to bring about did not happen; the last: {reason.splitlines()[0][:200]}",
            next_step="flowforge dead-letters list, then: flowforge dead-letters retry ID",
        )
        for service, count, since, reason in rows
    ]  # fmt: skip
    return checks or [Check(name="dead letters", verdict="ok", seen="none")]


async def _breakers(connection: "asyncpg.Connection") -> list[Check]:
    rows = await connection.fetch(_BREAKERS)
    checks = [
        Check(
            name="breakers", verdict="warning", since=row["since"],
            seen=f"{row['breaker']} is {row['status'].replace('_', ' ')}{_until(row['until'])}",
            why="attempts before it wait, or fail at once" + (f"; last: {_first(row['error'])}" if row["error"] else ""),
            next_step="mend what it calls: it lets one attempt through by itself, and closes when that succeeds",
        )
        for row in rows
    ]  # fmt: skip
    return checks or [Check(name="breakers", verdict="ok", seen="all closed")]


async def _missed(connection: "asyncpg.Connection") -> list[Check]:
    rows = await connection.fetch(_MISSED, datetime.now(UTC) - MISSED_WITHIN, DECISIONS_MAX)
    return [
        Check(
            name="schedules", verdict="warning", since=row[3],
            seen=f"{row[0]}/{row[1]} missed {several(row[2], 'time')} while nothing ran, and did not catch up",
            why="its catch_up says so; these runs did not happen",
            next_step=f"flowforge backfill {row[0]} {row[1]}, or catch_up: all in the trigger",
        )
        for row in rows
    ]  # fmt: skip


def _until(until: datetime | None) -> str:
    return "" if until is None else f" until {until:%H:%M:%S} UTC"


def _first(error: object) -> str:
    """The message of an error, as text or as JSON."""
    try:
        told: Any = json.loads(str(error))
    except ValueError:
        return str(error)[:200]
    return str(told.get("message", told) if isinstance(told, dict) else told)[:200]  # pyright: ignore[reportUnknownMemberType]
