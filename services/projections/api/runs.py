"""Reading runs: the list, and one run with its nodes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api import histories, lineage, moments, nodes
from services.projections.api.archived import node_rows
from services.projections.api.comparing import RunDiff, difference
from services.projections.api.filters import OfWorkflow, Since, Until
from services.projections.api.lineage import causes_of
from services.projections.api.reads import RUN_COLUMNS, Reads, graph_of_run, run_row
from services.projections.api.run_views import path_of, run_view
from services.projections.api.shapes import Run
from services.projections.api.slots import waiting_for
from services.projections.api.statistics import usual_of
from services.projections.conditions import Conditions, utc
from services.projections.estimating import NodeStands, estimate
from services.projections.graph import Graph
from services.projections.labelled import newest_runs, with_labels

RunStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled", "partial"]
ACTIVE = ("pending", "running", "paused")
_RUNS = f"select {RUN_COLUMNS} from projections.runs"  # noqa: S608  constants
_PATHS = """
    select run_id, node_id, status, started_at, started_position from projections.node_runs
    where run_id = any($1) and (started_position is not null or status = 'skipped') order by started_position
"""


@get("/", opt=VIEWER)
async def list_runs(
    reads: Reads,
    workflow_id: OfWorkflow = None,
    status: Annotated[RunStatus | None, Parameter(description="only those that stand so")] = None,
    trigger_type: Annotated[
        str | None, Parameter(description="only those that a trigger of this type started, such as `schedule`")
    ] = None,
    label: Annotated[
        str | None, Parameter(description="only those with this label, `name=value`", pattern="^[^=]+=")
    ] = None,
    since: Since = None,
    until: Until = None,
    parent_run_id: Annotated[UUID | None, Parameter(description="only the children of this run")] = None,
    shadow: Annotated[bool | None, Parameter(description="only shadow runs, or none of them")] = None,
    active_at: Annotated[str | None, Parameter(description="what had not ended then: a position or a time")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[Run]:
    """Runs, newest first; `since` and `until` are about when they were created. With `active_at`, the runs that had not
    ended at that moment, each as it was then; a page may then have fewer runs than asked for, and another after it."""
    cursors = await reads.cursors(
        "runs", workflow_id, status, trigger_type, label, since, until, parent_run_id, active_at, shadow
    )
    conditions = Conditions().add("workflow_id = {}", workflow_id)
    conditions.add("status = {}", status if active_at is None else None)
    conditions.add("trigger_type = {}", trigger_type).add("parent_run_id = {}", parent_run_id)
    if shadow is not None:
        conditions.require("is_shadow" if shadow else "not is_shadow")
    conditions.add("created_at >= {}", utc(since)).add("created_at < {}", utc(until))
    last = cursors.read(cursor, int, str)
    name, _, value = (label or "").partition("=")
    labels = {name: value} if label else {}
    moment = None if active_at is None else await moments.past_moment(reads, active_at, "active_at")
    if moment is None:
        by_time = not (since is None and until is None and workflow_id is None)
        query = newest_runs(
            RUN_COLUMNS, conditions, labels, workflow_id=workflow_id, limit=limit, last=last, by_time=by_time
        )
        rows = await reads.pool.fetch(query, *conditions.values)
    else:
        with_labels(conditions, labels)
        rows = await moments.candidates(reads, conditions, moment, limit, last)
    page = cursors.page(rows, limit, [[row["created_position"], row["created_at"].isoformat()] for row in rows])
    if moment is not None:
        run_ids = [row["run_id"] for row in page.items]
        return Page(await moments.active_then(reads, run_ids, moment, status), page.next_cursor)
    return Page(await _runs(reads, page.items), page.next_cursor)


async def active_runs(reads: Reads, workflow_id: str, limit: int, cursor: str | None) -> Page[Run]:
    """The runs of a workflow that have not ended, newest first."""
    cursors = await reads.cursors("active", workflow_id)
    conditions = Conditions().add("workflow_id = {}", workflow_id).add("status = any({})", ACTIVE)
    last = cursors.read(cursor, int, str)
    clauses = conditions.newest_first("created_at", "created_position", limit, last, by_time=True)
    rows = await reads.pool.fetch(_RUNS + clauses, *conditions.values)
    page = cursors.page(rows, limit, [[row["created_position"], row["created_at"].isoformat()] for row in rows])
    return Page(await _runs(reads, page.items), page.next_cursor)


async def _runs(reads: Reads, rows: Sequence[Mapping[str, Any]]) -> list[Run]:
    found: dict[UUID, list[Mapping[str, Any]]] = {row["run_id"]: [] for row in rows}
    for node in await reads.pool.fetch(_PATHS, list(found)):
        found[node["run_id"]].append(node)
    waiting = await waiting_for(reads, [row["run_id"] for row in rows if row["status"] == "pending"])
    await reads.have_graphs({(row["workflow_id"], row["workflow_version"]) for row in rows})
    told: list[tuple[Run, Graph, Mapping[str, NodeStands]]] = []
    for row in rows:
        graph = await graph_of_run(reads, row)
        nodes_found = found[row["run_id"]]
        told.append((run_view(row, graph, path_of(nodes_found)), graph, _stands(nodes_found)))
    await _estimate(reads, told)
    for run, _, _ in told:
        run.waiting_for = waiting.get(run.run_id)
    return [run for run, _, _ in told]


def _stands(rows: Iterable[Mapping[str, Any]]) -> dict[str, NodeStands]:
    return {row["node_id"]: NodeStands(row["status"], row["started_at"]) for row in rows}


@get("/{run_id:uuid}", opt=VIEWER)
async def read_run(reads: Reads, run_id: UUID) -> Run:
    """One run with one row per node of its workflow's graph."""
    return await _whole(reads, run_id)


async def _whole(reads: Reads, run_id: UUID) -> Run:
    row = await run_row(reads, run_id)
    graph = await graph_of_run(reads, row)
    rows = await node_rows(reads, row)
    run = run_view(row, graph, path_of(rows))
    run.node_runs = nodes.node_runs(graph, row, rows)
    run.causes = await causes_of(reads, row)
    await _estimate(reads, [(run, graph, _stands(rows))])
    if run.status == "pending":
        run.waiting_for = (await waiting_for(reads, [run_id])).get(run_id)
    return run


async def _estimate(reads: Reads, found: Sequence[tuple[Run, Graph, Mapping[str, NodeStands]]]) -> None:
    """How long those that run will still take, from how long their workflows' nodes took before."""
    running = [each for each in found if each[0].status == "running"]
    usual = await usual_of(reads, {run.workflow_id for run, _, _ in running})
    now = datetime.now(UTC)
    for run, graph, stands in running:
        run.estimate = estimate(graph, stands, usual[run.workflow_id], now)
        run.estimated_time_remaining_ms = None if run.estimate is None else run.estimate.remaining_ms


@get("/{run_id:uuid}/diff", opt=VIEWER)
async def read_run_diff(
    reads: Reads,
    run_id: UUID,
    other: Annotated[UUID, Parameter(query="with", description="the run to compare it with")],
) -> RunDiff:
    """What differs from this run to another, such as a fork of it: of the runs as such, and node by node."""
    return difference(await _whole(reads, run_id), await _whole(reads, other))


HANDLERS = [
    list_runs,
    read_run,
    read_run_diff,
    nodes.read_node,
    *histories.HANDLERS,
    *moments.HANDLERS,
    *lineage.HANDLERS,
]


def routers(*more: Any) -> list[Router]:
    """Under today's name and the older one."""
    handlers = [*HANDLERS, *more]
    return [
        Router("/api/runs", route_handlers=handlers, tags=["runs"]),
        Router("/api/workflow-executions", route_handlers=handlers, include_in_schema=False),
    ]
