"""Reading what a run did: its jobs, events, lines, metrics and timeline."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, LIMIT_MAX, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.archived import node_rows
from services.projections.api.reads import Reads, graph_of_run, run_row
from services.projections.api.shapes import LogLine
from services.projections.attempts import Attempt, Trace, duration_ms
from services.projections.batches import LoggedEvent, logged_event
from services.projections.conditions import Conditions
from services.projections.metrics import Metrics, metrics_of

_LINES = """
    select run_id, node_id, instance, attempt, first_line, job_id, lines, logged_at from projections_kept.job_log_lines
"""
ATTEMPT_MAX = 2**31 - 1
_TRACED_COUNT = 2_000
"""So many events are read before others have their turn."""
# instances that are no maps or loops themselves
_INNER = """
    select node_id, sum(round(extract(epoch from completed_at - started_at) * 1000))::bigint
    from projections.node_instances where run_id = $1 and instances_count is null and completed_at >= started_at
    group by node_id
"""


@get("/{run_id:uuid}/jobs", opt=VIEWER)
async def list_jobs(
    reads: Reads, run_id: UUID, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[Attempt]:
    """The jobs that the run handed to workers, each try one item, newest first."""
    await run_row(reads, run_id)
    cursors = await reads.cursors("jobs", run_id)
    last = cursors.read(cursor, int)
    whole = await _traced(reads, run_id, Trace(lambda _: False))
    positions = [at for at in whole.job_positions if last is None or at < last[0]][-limit - 1 :]
    chosen = frozenset(positions)
    jobs = (await _traced(reads, run_id, Trace(chosen.__contains__), len(chosen))).shown
    jobs.sort(key=lambda job: job.position, reverse=True)
    return cursors.page(jobs, limit, [[job.position] for job in jobs])


async def _traced(reads: Reads, run_id: UUID, trace: Trace, shown_max: int | None = None) -> Trace:
    """The run's events taken page by page: to their end, or until so many attempts are shown and all of them have ended."""
    version = 0
    while shown_max is None or trace.open_count or len(trace.shown) < shown_max:
        events = await reads.log.read_stream(run_id, version, _TRACED_COUNT)
        trace.take(events)
        if len(events) < _TRACED_COUNT:
            break
        version = events[-1].version
    return trace


@get("/{run_id:uuid}/events", opt=VIEWER)
async def list_events(
    reads: Reads, run_id: UUID, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[LoggedEvent]:
    """The history of a run, oldest first."""
    cursors = await reads.cursors("run events", run_id)
    last = cursors.read(cursor, int)
    events = await reads.log.read_stream(run_id, last[0] if last else 0, limit + 1)
    if not events and last is None:
        raise not_found("run", run_id)
    return cursors.page([logged_event(event) for event in events], limit, [[event.version] for event in events])


@get("/{run_id:uuid}/logs", opt=VIEWER)
async def list_lines(
    reads: Reads,
    run_id: UUID,
    node_id: Annotated[str | None, Parameter(description="only of this node")] = None,
    instance: Annotated[str | None, Parameter(description="only of this instance, such as `3` or `3.0`")] = None,
    attempt: Annotated[int | None, Parameter(ge=1, le=ATTEMPT_MAX, description="only of this attempt")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[LogLine]:
    """The lines that the run's jobs wrote, oldest first, those of one attempt in order."""
    await run_row(reads, run_id)
    if cursor is None:
        await reads.lines_caught_up()
    cursors = await reads.cursors("lines", run_id, node_id, instance, attempt)
    conditions = Conditions().add("run_id = {}", run_id).add("node_id = {}", node_id).add("instance = {}", instance)
    conditions.add("attempt = {}", attempt)
    skipped = 0
    key = "(logged_at, node_id, instance, attempt, first_line)"
    if (last := cursors.read(cursor, str, str, str, int, int, int)) is not None:
        at, *rest, skipped = last
        conditions.values += [datetime.fromisoformat(at), *rest[:-1]]
        count = len(conditions.values)
        places = ", ".join(f"${number}" for number in range(count - 3, count + 1))
        conditions.add(f"{key} >= ({places}, {{}})", rest[-1])
    rows = await reads.pool.fetch(_LINES + conditions.page(key[1:-1], limit), *conditions.values)
    lines: list[LogLine] = []
    keys: list[list[Any]] = []
    for row in rows:
        for number, text in enumerate(row["lines"]):
            if number < skipped:
                continue
            lines.append(_line(row, number, text))
            keys.append([row["logged_at"].isoformat(), *(row[name] for name in _CHUNK), number + 1])
        skipped = 0
        if len(lines) > limit:
            break
    return cursors.page(lines, limit, keys)


_CHUNK = ("node_id", "instance", "attempt", "first_line")


def _line(row: Mapping[str, Any], number: int, text: str) -> LogLine:
    return LogLine(
        node_id=row["node_id"],
        instance=row["instance"],
        attempt=row["attempt"],
        line=row["first_line"] + number,
        text=text,
        job_id=row["job_id"],
        at=row["logged_at"],
    )


@get("/{run_id:uuid}/metrics", opt=VIEWER)
async def read_metrics(reads: Reads, run_id: UUID) -> Metrics:
    """What the run spent its time on."""
    run = await run_row(reads, run_id)
    durations = {
        row["node_id"]: duration
        for row in await node_rows(reads, run)
        if (duration := duration_ms(row["started_at"], row["completed_at"])) is not None
    }
    inner = dict(await reads.pool.fetch(_INNER, run_id))
    took_ms = duration_ms(run["started_at"], run["completed_at"])
    return metrics_of(await graph_of_run(reads, run), durations, took_ms, inner)


class Timeline(msgspec.Struct):
    """Gantt data: attempts of nodes, items and iterations, in the order in which they began; a page of them."""

    run_id: UUID
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    items: list[Attempt]
    next_cursor: str | None


@get("/{run_id:uuid}/timeline", opt=VIEWER)
async def read_timeline(reads: Reads, run_id: UUID, limit: Limit = LIMIT_MAX, cursor: CursorText = None) -> Timeline:
    """When what ran. Runs of more than 1,000 attempts are read page by page."""
    run = await run_row(reads, run_id)
    cursors = await reads.cursors("timeline", run_id)
    last = cursors.read(cursor, int)
    after = last[0] if last else 0
    trace = Trace(lambda position: position > after and len(trace.shown) <= limit)
    found = (await _traced(reads, run_id, trace, limit + 1)).shown
    page = cursors.page(found, limit, [[attempt.position] for attempt in found])
    return Timeline(run_id, run["created_at"], run["started_at"], run["completed_at"], page.items, page.next_cursor)


HANDLERS = [list_jobs, list_events, list_lines, read_metrics, read_timeline]
