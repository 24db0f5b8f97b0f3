"""Reading runs: the list, and one run with its nodes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api import histories, nodes
from services.projections.api.causes import causes_of
from services.projections.api.reads import RUN_COLUMNS, Reads, graph_of_run, raw, run_row
from services.projections.api.shapes import CauseView, Progress, Run, TriggerView
from services.projections.api.slots import waiting_for
from services.projections.attempts import duration_ms
from services.projections.conditions import Conditions
from services.projections.graph import Graph

RunStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled", "partial"]
ACTIVE = ("pending", "running", "paused")
_RECENT_RUNS = 50
_RUNS = f"select {RUN_COLUMNS} from projections.runs"  # noqa: S608  constants
_PATHS = """
    select run_id, node_id, status from projections.node_runs
    where run_id = any($1) and started_position is not null order by started_position
"""
_USUAL_DURATION = """
    select avg(extract(epoch from completed_at - started_at)) * 1000 from (
        select * from projections.runs where workflow_id = $1 order by created_position desc limit $2
    ) recent where status = 'completed' and retries = 0
"""


@get("/", opt=VIEWER)
async def list_runs(
    reads: Reads,
    workflow_id: str | None = None,
    status: RunStatus | None = None,
    trigger_type: str | None = None,
    label: Annotated[str | None, Parameter(description="`name=value`", pattern="^[^=]+=")] = None,
    since: datetime | None = None,
    until: datetime | None = None,
    parent_run_id: UUID | None = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[Run]:
    """Runs, newest first; `since` and `until` are about when they were created."""
    cursors = await reads.cursors("runs", workflow_id, status, trigger_type, label, since, until, parent_run_id)
    conditions = Conditions().add("workflow_id = {}", workflow_id).add("status = {}", status)
    conditions.add("trigger_type = {}", trigger_type).add("parent_run_id = {}", parent_run_id)
    if label is not None:
        name, _, value = label.partition("=")
        conditions.add("labels <> '{{}}' and labels @> {}::jsonb", msgspec.json.encode({name: value}).decode())
    conditions.add("created_at >= {}", utc(since)).add("created_at < {}", utc(until))
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("created_position < {}", before[0])
    rows = await reads.pool.fetch(_RUNS + conditions.page("created_position desc", limit), *conditions.values)
    page = cursors.page(rows, limit, [[row["created_position"]] for row in rows])
    return Page(await _runs(reads, page.items), page.next_cursor)


async def active_runs(reads: Reads, workflow_id: str, limit: int, cursor: str | None) -> Page[Run]:
    """The runs of a workflow that have not ended, newest first."""
    cursors = await reads.cursors("active", workflow_id)
    conditions = Conditions().add("workflow_id = {}", workflow_id).add("status = any({})", ACTIVE)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("created_position < {}", before[0])
    rows = await reads.pool.fetch(_RUNS + conditions.page("created_position desc", limit), *conditions.values)
    page = cursors.page(rows, limit, [[row["created_position"]] for row in rows])
    return Page(await _runs(reads, page.items), page.next_cursor)


async def _runs(reads: Reads, rows: Sequence[Mapping[str, Any]]) -> list[Run]:
    paths: dict[UUID, list[tuple[str, str]]] = {row["run_id"]: [] for row in rows}
    for run_id, node_id, status in await reads.pool.fetch(_PATHS, list(paths)):
        paths[run_id].append((node_id, status))
    waiting = await waiting_for(reads, [row["run_id"] for row in rows if row["status"] == "pending"])
    runs = [_run(row, await graph_of_run(reads, row), paths[row["run_id"]]) for row in rows]
    for run in runs:
        run.waiting_for = waiting.get(run.run_id)
    return runs


def _run(row: Mapping[str, Any], graph: Graph, path: Sequence[tuple[str, str]]) -> Run:
    total = row["total_nodes"] or len(graph.nodes)
    running = [node_id for node_id, status in path if status in ("running", "waiting", "queued")]
    is_to_go_on = row["status"] == "pending"  # a retry that waits for its slot: what it ended as is no longer so
    completed_at = None if is_to_go_on else row["completed_at"]
    set_by_run = msgspec.json.decode(row["variables"], type=dict[str, msgspec.Raw])
    return Run(
        run_id=row["run_id"],
        workflow_id=row["workflow_id"],
        workflow_version=row["workflow_version"],
        status=row["status"],
        trigger=TriggerView(row["trigger_type"], row["trigger_id"]),
        cause=CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"]),
        parent_run_id=row["parent_run_id"],
        parent_node_id=row["parent_node_id"],
        parent_instance=row["parent_instance"],
        actor=row["actor"],
        labels=raw(row["labels"]),
        input_data=raw(row["input_data"]),
        variables=msgspec.Raw(msgspec.json.encode({**graph.variables, **set_by_run})),
        output_data=raw(None if is_to_go_on else row["output_data"]),
        error=raw(None if is_to_go_on else row["error"]),
        priority=row["priority"],
        depth=row["depth"],
        from_node=row["from_node"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=completed_at,
        duration_ms=duration_ms(row["started_at"] or row["created_at"], completed_at),
        progress=Progress(
            completed_nodes=row["completed_nodes"],
            total_nodes=total,
            percent=100 if row["status"] == "completed" else 100 * row["ended_nodes"] // total if total else 0,
            current_step=running[-1] if running and completed_at is None else None,
        ),
        estimated_time_remaining_ms=None,
        execution_path=[node_id for node_id, _ in path],
        breakpoints=raw(row["breakpoints"] or "[]"),
        paused_at=row["paused_at"],
        paused_before=raw(row["paused_before"] or "[]"),
        retries=row["retries"],
        sla_missed_at=row["sla_missed_at"],
        recovery_actions=raw(row["recovery_actions"] or "[]"),
        position=row["position"],
    )


@get("/{run_id:uuid}", opt=VIEWER)
async def read_run(reads: Reads, run_id: UUID) -> Run:
    """One run with one row per node of its workflow's graph."""
    row = await run_row(reads, run_id)
    graph = await graph_of_run(reads, row)
    rows = await reads.pool.fetch(nodes.NODES, run_id)
    started = sorted((node for node in rows if node["started_position"] is not None), key=_by_start)
    run = _run(row, graph, [(node["node_id"], node["status"]) for node in started])
    run.node_runs = nodes.node_runs(graph, row, rows)
    run.causes = await causes_of(reads, row)
    run.estimated_time_remaining_ms = await _remaining_ms(reads, run)
    if run.status == "pending":
        run.waiting_for = (await waiting_for(reads, [run_id])).get(run_id)
    return run


def _by_start(node: Mapping[str, Any]) -> int:
    return node["started_position"]


async def _remaining_ms(reads: Reads, run: Run) -> int | None:
    """From how long the workflow's last runs took."""
    if run.status != "running" or run.started_at is None:
        return None
    usual_ms = await reads.pool.fetchval(_USUAL_DURATION, run.workflow_id, _RECENT_RUNS)
    if usual_ms is None:
        return None
    elapsed_ms = (datetime.now(UTC) - run.started_at).total_seconds() * 1000
    return max(0, round(float(usual_ms) - elapsed_ms))


def utc(at: datetime | None) -> datetime | None:
    """A time without zone is taken as UTC."""
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


HANDLERS = [list_runs, read_run, nodes.read_node, *histories.HANDLERS]


def routers(*more: Any) -> list[Router]:
    """Under today's name and the older one."""
    handlers = [*HANDLERS, *more]
    return [
        Router("/api/runs", route_handlers=handlers, tags=["runs"]),
        Router("/api/workflow-executions", route_handlers=handlers, include_in_schema=False),
    ]
