"""Reading runs: the list, one run with its nodes, its jobs, history, lines, metrics and timeline."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.causes import causes_of
from services.projections.api.reads import Conditions, Reads, raw
from services.projections.api.shapes import (
    CauseView,
    LogLine,
    NodeInstance,
    NodeRun,
    NodeRunDetail,
    Progress,
    Run,
    TriggerView,
)
from services.projections.api.slots import waiting_for
from services.projections.attempts import Attempt, attempts_of, duration_ms
from services.projections.graph import Graph, GraphNode
from services.projections.metrics import Metrics, metrics_of
from services.projections.streams import LoggedEvent, logged_event

RunStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled", "partial"]
ACTIVE = ("pending", "running", "paused")
_RECENT_RUNS = 50
_RUN_COLUMNS = """
    run_id, workflow_id, workflow_version, trigger_type, trigger_id, cause_event_id, cause_type, cause_id, cause_source,
    parent_run_id, actor, labels, input_data, priority, depth, created_at, created_position, status, variables,
    output_data, error, started_at, completed_at, total_nodes, completed_nodes, ended_nodes, position
"""
_NODE_COLUMNS = """
    node_id, instance, status, attempt, skip_reason, progress, progress_message, input, input_from, output, error,
    job_id, job_type, queue, worker, instances_count, queued_at, started_at, completed_at, retry_at, started_position
"""
_RUNS = f"select {_RUN_COLUMNS} from projections.runs"  # noqa: S608  constants
_NODES = f"select {_NODE_COLUMNS} from projections.node_runs where run_id = $1"  # noqa: S608
_NODE = _NODES + " and node_id = $2"
_INSTANCES = f"select {_NODE_COLUMNS} from projections.node_instances"  # noqa: S608
_PATHS = """
    select run_id, node_id, status from projections.node_runs
    where run_id = any($1) and started_position is not null order by started_position
"""
_USUAL_DURATION = """
    select avg(extract(epoch from completed_at - started_at)) * 1000 from (
        select * from projections.runs where workflow_id = $1 order by created_position desc limit $2
    ) recent where status = 'completed'
"""
_LINES = """
    select run_id, node_id, instance, attempt, first_line, job_id, lines, logged_at from projections_kept.job_log_lines
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
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[Run]:
    """Runs, newest first; `since` and `until` are about when they were created."""
    cursors = await reads.cursors("runs", workflow_id, status, trigger_type, label, since, until)
    conditions = Conditions().add("workflow_id = {}", workflow_id).add("status = {}", status)
    conditions.add("trigger_type = {}", trigger_type)
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
    runs = [_run(row, await _graph(reads, row), paths[row["run_id"]]) for row in rows]
    for run in runs:
        run.waiting_for = waiting.get(run.run_id)
    return runs


async def _graph(reads: Reads, row: Mapping[str, Any]) -> Graph:
    graph = await reads.graph(row["workflow_id"], row["workflow_version"])
    return graph or Graph({}, [], {}, 1)


def _run(row: Mapping[str, Any], graph: Graph, path: Sequence[tuple[str, str]]) -> Run:
    total = row["total_nodes"] or len(graph.nodes)
    running = [node_id for node_id, status in path if status in ("running", "waiting", "queued")]
    set_by_run = msgspec.json.decode(row["variables"], type=dict[str, msgspec.Raw])
    return Run(
        run_id=row["run_id"],
        workflow_id=row["workflow_id"],
        workflow_version=row["workflow_version"],
        status=row["status"],
        trigger=TriggerView(row["trigger_type"], row["trigger_id"]),
        cause=CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"]),
        parent_run_id=row["parent_run_id"],
        actor=row["actor"],
        labels=raw(row["labels"]),
        input_data=raw(row["input_data"]),
        variables=msgspec.Raw(msgspec.json.encode({**graph.variables, **set_by_run})),
        output_data=raw(row["output_data"]),
        error=raw(row["error"]),
        priority=row["priority"],
        depth=row["depth"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration_ms=duration_ms(row["started_at"] or row["created_at"], row["completed_at"]),
        progress=Progress(
            completed_nodes=row["completed_nodes"],
            total_nodes=total,
            percent=100 if row["status"] == "completed" else 100 * row["ended_nodes"] // total if total else 0,
            current_step=running[-1] if running and row["completed_at"] is None else None,
        ),
        estimated_time_remaining_ms=None,
        execution_path=[node_id for node_id, _ in path],
        position=row["position"],
    )


@get("/{run_id:uuid}", opt=VIEWER)
async def read_run(reads: Reads, run_id: UUID) -> Run:
    """One run with one row per node of its workflow's graph."""
    row = await _run_row(reads, run_id)
    graph = await _graph(reads, row)
    rows = await reads.pool.fetch(_NODES, run_id)
    started = sorted((node for node in rows if node["started_position"] is not None), key=_by_start)
    run = _run(row, graph, [(node["node_id"], node["status"]) for node in started])
    run.node_runs = _node_runs(graph, row, rows)
    run.causes = await causes_of(reads, row)
    run.estimated_time_remaining_ms = await _remaining_ms(reads, run)
    if run.status == "pending":
        run.waiting_for = (await waiting_for(reads, [run_id])).get(run_id)
    return run


def _by_start(node: Mapping[str, Any]) -> int:
    return node["started_position"]


async def _run_row(reads: Reads, run_id: UUID) -> Mapping[str, Any]:
    row = await reads.pool.fetchrow(f"{_RUNS} where run_id = $1", run_id)
    if row is None:
        raise not_found("run", run_id)
    return row


async def _remaining_ms(reads: Reads, run: Run) -> int | None:
    """From how long the workflow's last runs took."""
    if run.status != "running" or run.started_at is None:
        return None
    usual_ms = await reads.pool.fetchval(_USUAL_DURATION, run.workflow_id, _RECENT_RUNS)
    if usual_ms is None:
        return None
    elapsed_ms = (datetime.now(UTC) - run.started_at).total_seconds() * 1000
    return max(0, round(float(usual_ms) - elapsed_ms))


def _node_runs(graph: Graph, run: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[NodeRun]:
    found = {row["node_id"]: row for row in rows}
    outputs = {node_id: row["output"] for node_id, row in found.items()}
    runs = [_node_run(node, found.get(node.node_id), run, outputs) for node in graph.nodes.values()]
    for node_id, row in found.items():
        if node_id not in graph.nodes:
            runs.append(_node_run(GraphNode(node_id, "unknown", "", [], [], 0), row, run, outputs))
    return runs


def _node_run(
    node: GraphNode, row: Mapping[str, Any] | None, run: Mapping[str, Any], outputs: Mapping[str, str]
) -> NodeRun:
    values = _IDLE if row is None else row
    return NodeRun(
        node_id=node.node_id,
        type=node.type,
        status=values["status"],
        skip_reason=values["skip_reason"],
        attempt=values["attempt"],
        progress=values["progress"],
        progress_message=values["progress_message"],
        input=_input(values, run, outputs),
        output=raw(values["output"]),
        error=raw(values["error"]),
        job_id=values["job_id"],
        job_type=values["job_type"],
        queue=values["queue"],
        worker=values["worker"],
        dependencies=node.dependencies,
        dependents=node.dependents,
        queued_at=values["queued_at"],
        started_at=values["started_at"],
        completed_at=values["completed_at"],
        retry_at=values["retry_at"],
        duration_ms=duration_ms(values["started_at"], values["completed_at"]),
        instances_count=values["instances_count"],
    )


_IDLE: Mapping[str, Any] = {
    **dict.fromkeys(name.strip() for name in _NODE_COLUMNS.split(",")),
    "status": "idle",
    "attempt": 0,
}


def _input(row: Mapping[str, Any], run: Mapping[str, Any], outputs: Mapping[str, str]) -> msgspec.Raw:
    """A node's input is logged, or it is the output of another node, or the run's input."""
    if row["input"] is not None or row["input_from"] is None:
        return raw(row["input"])
    return raw(outputs.get(row["input_from"])) if row["input_from"] else raw(run["input_data"])


@get("/{run_id:uuid}/nodes/{node_id:str}", opt=VIEWER)
async def read_node(
    reads: Reads,
    run_id: UUID,
    node_id: str,
    status: str | None = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> NodeRunDetail:
    """One node of a run, with its iterations in order."""
    run = await _run_row(reads, run_id)
    graph = await _graph(reads, run)
    row = await reads.pool.fetchrow(_NODE, run_id, node_id)
    node = graph.nodes.get(node_id)
    if node is None:
        raise not_found(f"node in run {run_id}", node_id)
    cursors = await reads.cursors("instances", run_id, node_id, status)
    conditions = Conditions().add("run_id = {}", run_id).add("node_id = {}", node_id).add("status = {}", status)
    if (last := cursors.read(cursor, str)) is not None:
        conditions.add("(length(instance), instance) > (length({0}), {0})", last[0])
    rows = await reads.pool.fetch(_INSTANCES + conditions.page("length(instance), instance", limit), *conditions.values)
    sources = {name for name in (values["input_from"] for values in (*rows, row or _IDLE)) if name}
    outputs = await _outputs(reads, run_id, sources)
    page = cursors.page(rows, limit, [[values["instance"]] for values in rows])
    instances = Page([_instance(values, run, outputs) for values in page.items], page.next_cursor)
    return NodeRunDetail(**msgspec.structs.asdict(_node_run(node, row, run, outputs)), instances=instances)


async def _outputs(reads: Reads, run_id: UUID, node_ids: set[str]) -> dict[str, str]:
    if not node_ids:
        return {}
    query = "select node_id, output from projections.node_runs where run_id = $1 and node_id = any($2)"
    return dict(await reads.pool.fetch(query, run_id, list(node_ids)))


def _instance(row: Mapping[str, Any], run: Mapping[str, Any], outputs: Mapping[str, str]) -> NodeInstance:
    return NodeInstance(
        node_id=row["node_id"],
        instance=row["instance"],
        status=row["status"],
        attempt=row["attempt"],
        progress=row["progress"],
        input=_input(row, run, outputs),
        output=raw(row["output"]),
        error=raw(row["error"]),
        job_id=row["job_id"],
        worker=row["worker"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration_ms=duration_ms(row["started_at"], row["completed_at"]),
    )


@get("/{run_id:uuid}/jobs", opt=VIEWER)
async def list_jobs(
    reads: Reads, run_id: UUID, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[Attempt]:
    """The jobs that the run handed to workers, each try one item, newest first."""
    await _run_row(reads, run_id)
    cursors = await reads.cursors("jobs", run_id)
    jobs = [attempt for attempt in attempts_of(await reads.log.read_stream(run_id)) if attempt.job_id is not None]
    jobs.reverse()
    if (last := cursors.read(cursor, int)) is not None:
        jobs = [job for job in jobs if job.position < last[0]]
    return cursors.page(jobs, limit, [[job.position] for job in jobs])


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
    node_id: str | None = None,
    instance: str | None = None,
    attempt: int | None = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[LogLine]:
    """The lines that the run's jobs wrote, oldest first, those of one attempt in order."""
    await _run_row(reads, run_id)
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
    run = await _run_row(reads, run_id)
    durations = {
        row["node_id"]: duration
        for row in await reads.pool.fetch(_NODES, run_id)
        if (duration := duration_ms(row["started_at"], row["completed_at"])) is not None
    }
    return metrics_of(await _graph(reads, run), durations, duration_ms(run["started_at"], run["completed_at"]))


class Timeline(msgspec.Struct):
    """Gantt data: every attempt of every node and iteration, in the order in which they began."""

    run_id: UUID
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    items: list[Attempt]


@get("/{run_id:uuid}/timeline", opt=VIEWER)
async def read_timeline(reads: Reads, run_id: UUID) -> Timeline:
    """When what ran, from the log."""
    run = await _run_row(reads, run_id)
    items = attempts_of(await reads.log.read_stream(run_id))
    return Timeline(run_id, run["created_at"], run["started_at"], run["completed_at"], items)


def utc(at: datetime | None) -> datetime | None:
    """A time without zone is taken as UTC."""
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


HANDLERS = [
    list_runs,
    read_run,
    read_node,
    list_jobs,
    list_events,
    list_lines,
    read_metrics,
    read_timeline,
]


def routers(*more: Any) -> list[Router]:
    """Under today's name and the older one."""
    handlers = [*HANDLERS, *more]
    return [
        Router("/api/runs", route_handlers=handlers, tags=["runs"]),
        Router("/api/workflow-executions", route_handlers=handlers, include_in_schema=False),
    ]
