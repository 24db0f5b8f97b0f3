"""Reading nodes of runs: one row of each, and below it the items of a map or the iterations of a loop."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import bad_request, not_found
from services.projections.api.archived import folded_rows
from services.projections.api.reads import Reads, graph_of_run, raw, run_row
from services.projections.api.shapes import NodeInstance, NodeRun, NodeRunDetail
from services.projections.attempts import duration_ms
from services.projections.graph import Graph, GraphNode

_COLUMNS = """
    node_id, instance, status, attempt, skip_reason, progress, progress_message, input, input_from, output, error,
    job_id, job_type, queue, worker, instances_count, queued_at, started_at, completed_at, retry_at, waiting_for,
    child_run_id, isolation, usage, cached_from, by_hand, instance_counts, instances_since_position, started_position
"""
_NODE = f"select {_COLUMNS} from projections.node_runs where run_id = $1 and node_id = $2"  # noqa: S608  constants
_PATH = "string_to_array(instance, '.')::int[]"
_INSTANCE = f"""
    select {_COLUMNS} from projections.node_instances
    where run_id = $1 and node_id = $2 and {_PATH} = string_to_array($3::text, '.')::int[]
"""  # noqa: S608  constants
# From the place ($4, $5) where the last page ended to the path $6, at the depth $7. Each node's rows come from an index in
# their order, and no more of them than a page has.
_BELOW = f"""
    select found.*, wanted.place from unnest($2::text[]) with ordinality wanted (id, place) cross join lateral (
        select {_COLUMNS}, {_PATH} as path from projections.node_instances
        where run_id = $1 and node_id = wanted.id and position >= $3
            and {_PATH} >= $4::int[] and {_PATH} < $6::int[] and ({_PATH} > $4::int[] or wanted.place > $5)
            and cardinality({_PATH}) = $7 and ($8::text is null or status = $8)
        order by {_PATH} limit $9
    ) found order by found.path, wanted.place limit $9
"""  # noqa: S608  constants
_COUNTED = f"""
    select status, count(*) from projections.node_instances
    where run_id = $1 and node_id = $2 and position >= $3 and cardinality({_PATH}) = $4 group by status
"""  # noqa: S608  constants
_OUTPUTS = "select node_id, '' as instance, output from projections.node_runs where run_id = $1 and node_id = any($2)"
_INSTANCE_OUTPUTS = f"""
    select node_id, instance, output
    from unnest($2::text[], $3::text[]) wanted (id, name) join projections.node_instances
    on run_id = $1 and node_id = wanted.id and {_PATH} = string_to_array(wanted.name, '.')::int[]
"""  # noqa: S608  constants
_INSTANCE_NAME = re.compile(r"\d{1,9}(\.\d{1,9}){0,30}")
_NUMBER_MAX = 2**31 - 1
NodeStatus = Literal["idle", "queued", "running", "waiting", "completed", "failed", "cancelled", "skipped"]
_IDLE: Mapping[str, Any] = {
    **dict.fromkeys(name.strip() for name in _COLUMNS.split(",")),
    "instance": "",
    "status": "idle",
    "attempt": 0,
}
Outputs = Mapping[tuple[str, str], str]


# --- rows -------------------------------------------------------------------------------------------------------------


def node_runs(graph: Graph, run: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[NodeRun]:
    """One row per node of the workflow's own graph; those that are idle have none in the tables."""
    found = {row["node_id"]: row for row in rows}
    outputs = {(node_id, ""): row["output"] for node_id, row in found.items()}
    runs = [_node_run(node, found.get(node.node_id), run, graph, outputs) for node in graph.nodes.values()]
    for node_id, row in found.items():
        if node_id not in graph.nodes:
            runs.append(_node_run(GraphNode(node_id, "unknown", "", [], [], 0), row, run, graph, outputs))
    return runs


def _node_run(
    node: GraphNode, row: Mapping[str, Any] | None, run: Mapping[str, Any], graph: Graph, outputs: Outputs
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
        input=_input(values, run, graph, outputs),
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
        waiting_for=raw(values["waiting_for"]),
        child_run_id=values["child_run_id"],
        isolation=raw(values["isolation"]),
        usage=raw(values["usage"]),
        cached_from=raw(values["cached_from"]),
        by_hand=raw(values["by_hand"]),
        instances_count=values["instances_count"],
        instance_counts=raw(values["instance_counts"]),
    )


def _instance(row: Mapping[str, Any], run: Mapping[str, Any], graph: Graph, outputs: Outputs) -> NodeInstance:
    return NodeInstance(
        node_id=row["node_id"],
        instance=row["instance"],
        status=row["status"],
        skip_reason=row["skip_reason"],
        attempt=row["attempt"],
        progress=row["progress"],
        input=_input(row, run, graph, outputs),
        output=raw(row["output"]),
        error=raw(row["error"]),
        job_id=row["job_id"],
        worker=row["worker"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration_ms=duration_ms(row["started_at"], row["completed_at"]),
        waiting_for=raw(row["waiting_for"]),
        child_run_id=row["child_run_id"],
        usage=raw(row["usage"]),
        cached_from=raw(row["cached_from"]),
        instances_count=row["instances_count"],
        instance_counts=raw(row["instance_counts"]),
    )


# --- inputs that are the outputs of others ----------------------------------------------------------------------------


def _input(row: Mapping[str, Any], run: Mapping[str, Any], graph: Graph, outputs: Outputs) -> msgspec.Raw:
    """A node's input is logged, or it is the output of another node, or the run's input."""
    if row["input"] is not None or row["input_from"] is None:
        return raw(row["input"])
    if not row["input_from"]:
        return raw(run["input_data"])
    return raw(outputs.get(_source(row, graph)))


def _source(row: Mapping[str, Any], graph: Graph) -> tuple[str, str]:
    """The node whose output is the input of this row, in the same iterations as far as both stand in them."""
    numbers = row["instance"].split(".") if row["instance"] else []
    return row["input_from"], ".".join(numbers[: graph.depth(row["input_from"])])


async def _outputs(reads: Reads, run_id: UUID, graph: Graph, rows: Sequence[Mapping[str, Any]]) -> Outputs:
    wanted = {_source(row, graph) for row in rows if row["input_from"]}
    if not wanted:
        return {}
    own = [node_id for node_id, instance in wanted if not instance]
    others = [(node_id, instance) for node_id, instance in wanted if instance]
    found = list(await reads.pool.fetch(_OUTPUTS, run_id, own))
    if others:
        names, instances = zip(*others, strict=True)
        found += await reads.pool.fetch(_INSTANCE_OUTPUTS, run_id, list(names), list(instances))
    return {(row["node_id"], row["instance"]): row["output"] for row in found}


# --- one node ---------------------------------------------------------------------------------------------------------


@get("/{run_id:uuid}/nodes/{node_id:str}", opt=VIEWER)
async def read_node(
    reads: Reads,
    run_id: UUID,
    node_id: str,
    instance: Annotated[str | None, Parameter(description="of a node inside of loops: `3`, or `3.0`")] = None,
    status: Annotated[
        NodeStatus | None, Parameter(description="only of what lies below it: those that stand so")
    ] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> NodeRunDetail:
    """One node of a run, with what lies below it, in order: the items of a map, or of a loop the nodes of its body in each
    iteration. Of a node inside of a loop, its runs in all iterations; with `instance`, that one and what lies below it."""
    run = await run_row(reads, run_id)
    graph = await graph_of_run(reads, run)
    node = graph.find(node_id)
    if node is None:
        raise not_found(f"node in run {run_id}", node_id)
    archived = None if run["archive"] is None else await folded_rows(reads, run)
    address = await _address(_finder(reads, run_id, archived), run_id, graph, node, instance)
    page = await _below(reads, run_id, address, status, limit, cursor, archived)
    rows = [*page.items, address.row or _IDLE]
    if archived is not None:
        outputs: Outputs = {(row["node_id"], row["instance"]): row["output"] for row in archived}
    else:
        outputs = await _outputs(reads, run_id, graph, rows)
    whole = _node_run(node, address.row, run, graph, outputs)
    if not instance and node.loop_id is not None:
        await _sum_up(reads, run_id, whole, address, archived)
    items = [_instance(row, run, graph, outputs) for row in page.items]
    return NodeRunDetail(**msgspec.structs.asdict(whole), instances=Page(items, page.next_cursor))


class _Address(msgspec.Struct):
    """What was asked for: its row, and where what lies below it is found: whose rows, below which path, at which depth,
    written since which position."""

    row: Mapping[str, Any] | None
    below: list[str]
    path: list[int]
    depth: int
    since_position: int


Row = Mapping[str, Any]
Find = Callable[[str, str], Awaitable[Row | None]]
"""A node's row, or that of an instance of it."""


def _finder(reads: Reads, run_id: UUID, archived: Sequence[Row] | None) -> Find:
    async def find(node_id: str, instance: str) -> Row | None:
        if archived is not None:
            return next((r for r in archived if (r["node_id"], r["instance"]) == (node_id, instance)), None)
        if instance:
            return await reads.pool.fetchrow(_INSTANCE, run_id, node_id, instance)
        return await reads.pool.fetchrow(_NODE, run_id, node_id)

    return find


async def _address(find: Find, run_id: UUID, graph: Graph, node: GraphNode, instance: str | None) -> _Address:
    """Raises a 400 `Problem` for an instance that no node can have, 404 for one that this node does not have."""
    if instance is not None and not _INSTANCE_NAME.fullmatch(instance):
        raise bad_request("query.instance", "an instance is named by numbers: `3`, or `3.0` inside of two loops")
    depth = graph.depth(node.node_id)
    outermost = graph.around(node.node_id)[-1].node_id if node.loop_id is not None else node.node_id
    own = await find(outermost, "")
    since: int = 0 if own is None else own["instances_since_position"] or 0
    if instance is None and node.loop_id is not None:  # in all iterations
        return _Address(None, [node.node_id], [], depth, since)
    row, path = own, list[int]()
    if instance is not None:
        row = await find(node.node_id, instance)
        if row is None:
            raise not_found(f"instance of node '{node.node_id}' in run {run_id}", instance)
        path = [int(number) for number in instance.split(".")]
        since = max(since, row["instances_since_position"] or 0)
    is_item = len(path) > depth
    if node.type == "loop" and (is_item or not node.is_map):
        body = graph.bodies.get(node.node_id)
        names = [each.node_id for each in body.nodes] if body is not None else []
        return _Address(row, names, path, len(path) + 1, since)
    return _Address(row, [] if is_item else [node.node_id], path, len(path) + 1, since)


async def _below(
    reads: Reads,
    run_id: UUID,
    address: _Address,
    status: str | None,
    limit: int,
    cursor: str | None,
    archived: Sequence[Row] | None,
) -> Page[Row]:
    cursors = await reads.cursors("instances", run_id, address.below, address.path, status)
    first = cursors.read(cursor, list[int], int) or [address.path, 0]
    until = [*address.path[:-1], address.path[-1] + 1] if address.path else [_NUMBER_MAX]
    if archived is None:
        rows = await reads.pool.fetch(
            _BELOW, run_id, address.below, address.since_position, *first, until, address.depth, status, limit + 1
        )
    else:
        found = (row for row in _instances(archived, address) if status is None or row["status"] == status)
        places = ((row["path"], row["place"], row) for row in found if [row["path"], row["place"]] > first)
        rows = [row for path, _, row in sorted(places, key=_in_order) if path < until][: limit + 1]
    return cursors.page(rows, limit, [[row["path"], row["place"]] for row in rows])


def _instances(archived: Sequence[Row], address: _Address) -> Iterator[Row]:
    """Those that lie below an address, each with its path and the place of its node."""
    places = {node_id: place for place, node_id in enumerate(address.below, 1)}
    for row in archived:
        if row["instance"] and row["node_id"] in places and row["position"] >= address.since_position:
            path = [int(number) for number in row["instance"].split(".")]
            if len(path) == address.depth:
                yield {**row, "path": path, "place": places[row["node_id"]]}


def _in_order(found: tuple[list[int], int, Row]) -> tuple[list[int], int]:
    return found[0], found[1]


async def _sum_up(
    reads: Reads, run_id: UUID, whole: NodeRun, address: _Address, archived: Sequence[Row] | None
) -> None:
    """A node inside of loops as a whole: how many runs of it stand how."""
    if archived is not None:
        counts = Counter[str](row["status"] for row in _instances(archived, address))
    else:
        rows = await reads.pool.fetch(_COUNTED, run_id, whole.node_id, address.since_position, address.depth)
        counts = Counter(dict(rows))
    whole.instances_count = counts.total()
    whole.instance_counts = msgspec.Raw(msgspec.json.encode(dict(counts)))
    whole.status = next((status for status in _TELLING if counts[status]), "idle")


_TELLING = ("running", "waiting", "queued", "failed", "cancelled", "completed", "skipped")
"""The first of these that some run of a node has is how the node stands as a whole."""
