"""Workflows as a list for people needs them: without their nodes, with their last runs and what comes next."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api.reads import Reads
from services.projections.api.statistics import RunCounts, counts_of
from services.projections.api.workflows import WorkflowStatus
from services.projections.attempts import duration_ms
from services.projections.conditions import Conditions
from services.projections.outlines import NO_OUTLINE, Outline
from services.projections.statistics import hour_of

RUNS_COUNT = 16
"""So many of the last runs are told of each workflow."""
PERIOD = timedelta(days=7)
_SEARCH_LENGTH_MAX = 200
_NOTHING = counts_of(0, 0, 0, 0, 0)
_WORKFLOWS = """
    select w.id, w.version, w.name, w.status, w.experiment_id, w.tags, w.created_position, w.updated_at
    from projections.workflows w
"""
_LAST_RUNS = """
    select wanted.id, r.run_id, r.status, r.created_at, r.started_at, r.completed_at
    from unnest($1::text[]) wanted (id) cross join lateral (
        select * from projections.runs r where r.workflow_id = wanted.id and not r.is_shadow
        order by r.created_at desc, r.created_position desc limit $2
    ) r order by wanted.id, r.created_at, r.created_position
"""
_COUNTS = """
    select workflow_id, sum(created)::bigint, sum(completed)::bigint, sum(failed)::bigint, sum(cancelled)::bigint,
        sum(partial)::bigint
    from projections.run_hours where workflow_id = any($1) and hour >= $2 group by workflow_id
"""
_ACTIVE = """
    select workflow_id, count(*) from projections.runs
    where status in ('pending', 'running', 'paused') and workflow_id = any($1) group by workflow_id
"""


class LastRun(msgspec.Struct):
    """One of the last runs; `duration_ms` is null until it ends."""

    run_id: UUID
    status: str
    created_at: datetime
    duration_ms: int | None


class NextFiring(msgspec.Struct):
    """The schedule that is due first."""

    trigger_id: str
    due_at: datetime


class WorkflowActivity(msgspec.Struct):
    """A workflow without its nodes. `last_runs`: the oldest first, shadow runs left out; `counts`: of the last 7 days;
    `active_runs`: those that have not ended; `next_firing`: null where no schedule is to fire."""

    workflow_id: str
    version: int
    name: str
    description: str
    status: str
    experiment_id: str | None
    tags: list[str]
    updated_at: datetime
    triggers_count: int
    triggers_enabled_count: int
    active_runs: int
    counts: RunCounts
    last_runs: list[LastRun]
    next_firing: NextFiring | None


@get("/", opt=VIEWER)
async def list_activity(
    reads: Reads,
    search: Annotated[
        str | None,
        Parameter(max_length=_SEARCH_LENGTH_MAX, description="only those with this text in their id or name"),
    ] = None,
    experiment_id: Annotated[str | None, Parameter(description="only of this experiment")] = None,
    tag: Annotated[str | None, Parameter(description="only with this tag")] = None,
    status: Annotated[WorkflowStatus | None, Parameter(description="only those that stand so")] = None,
    archived: Annotated[bool, Parameter(description="without a status: whether archived ones are told too")] = True,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[WorkflowActivity]:
    """Workflows with their last runs, how many succeeded, and what fires next; the newest created first."""
    cursors = await reads.cursors("workflow activity", search, experiment_id, tag, status, archived)
    conditions = Conditions().add("w.experiment_id = {}", experiment_id).add("{} = any(w.tags)", tag)
    conditions.add("w.status = {}", status).add("w.status <> {}", None if archived or status else "archived")
    conditions.add("strpos(lower(w.id || ' ' || w.name), lower({})) > 0", search)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("w.created_position < {}", before[0])
    rows = await reads.pool.fetch(_WORKFLOWS + conditions.page("w.created_position desc", limit), *conditions.values)
    page = cursors.page(rows, limit, [[row["created_position"]] for row in rows])
    ids = [row["id"] for row in page.items]
    outlines = await reads.outlines_of([(row["id"], row["version"]) for row in page.items])
    active = dict(await reads.pool.fetch(_ACTIVE, ids))
    since = hour_of(datetime.now(UTC) - PERIOD)
    counts = {workflow_id: counts_of(*each) for workflow_id, *each in await reads.pool.fetch(_COUNTS, ids, since)}
    runs = await _last_runs(reads, ids)
    items = [_activity(row, outlines.get(row["id"], NO_OUTLINE), counts, active, runs) for row in page.items]
    return Page(items, page.next_cursor)


def _activity(
    row: Mapping[str, Any],
    outline: Outline,
    counts: Mapping[str, RunCounts],
    active: Mapping[str, int],
    runs: Mapping[str, list[LastRun]],
) -> WorkflowActivity:
    return WorkflowActivity(
        workflow_id=row["id"],
        version=row["version"],
        name=row["name"],
        description=outline.description,
        status=row["status"],
        experiment_id=row["experiment_id"],
        tags=row["tags"],
        updated_at=row["updated_at"],
        triggers_count=outline.triggers_count,
        triggers_enabled_count=outline.enabled_count,
        active_runs=active.get(row["id"], 0),
        counts=counts.get(row["id"], _NOTHING),
        last_runs=runs[row["id"]],
        next_firing=_next(outline) if row["status"] == "active" else None,
    )


async def _last_runs(reads: Reads, ids: Sequence[str]) -> dict[str, list[LastRun]]:
    runs: dict[str, list[LastRun]] = {workflow_id: [] for workflow_id in ids}
    for row in await reads.pool.fetch(_LAST_RUNS, ids, RUNS_COUNT):
        has_ended = row["completed_at"] is not None and row["status"] != "pending"
        took_ms = duration_ms(row["started_at"] or row["created_at"], row["completed_at"]) if has_ended else None
        runs[row["id"]].append(LastRun(row["run_id"], row["status"], row["created_at"], took_ms))
    return runs


def _next(outline: Outline) -> NextFiring | None:
    found = outline.next_after(datetime.now(UTC))
    return None if found is None else NextFiring(found[0].trigger_id, found[1].due_at)


def routers() -> list[Router]:
    """Beside `/api/workflows`, where this name could be a workflow's."""
    return [Router("/api/workflow-activity", route_handlers=[list_activity], tags=["workflows"])]
