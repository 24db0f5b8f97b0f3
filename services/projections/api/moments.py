"""Time travel: runs, definitions and what was active, as they were at a past moment."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from flowforge.identity import named_stream
from litestar import get
from litestar.params import Parameter
from msgspec import structs

from infra.eventlog import Moment, StoredEvent, beyond, moment_of, until
from infra.http.authentication import VIEWER
from infra.http.problems import Problem, bad_request, not_found
from services.projections.api import nodes
from services.projections.api.lineage import causes_of
from services.projections.api.reads import RUN_COLUMNS, Reads, graph_of_run
from services.projections.api.run_views import path_of, run_view
from services.projections.api.shapes import AsOf, Run
from services.projections.conditions import Conditions
from services.projections.fold import RUN_ENDED
from services.projections.graph import Graph
from services.projections.past import folded
from services.projections.state import ReadModels, VersionRow, WorkflowRow

AT = Parameter(
    query="at",
    description="a position of the log, or an ISO 8601 time (UTC where it names no zone); without it, now",
)
At = Annotated[str | None, AT]
Row = Mapping[str, Any]
READ_AT_ONCE_COUNT = 20
"""Histories of so many runs are in memory together."""
CLOCKS_APART_MAX = timedelta(seconds=5)
"""So far the clocks of services may differ; what is asked for by position is found by time, and then looked at closely."""
SPANS_S = tuple(4**power for power in range(13))
SPAN = f"width_bucket(extract(epoch from completed_at - created_at)::float8, array{list(SPANS_S)}::float8[])"
"""The number of the first of `SPANS_S` that a run did not take so long as; an index of tables.sql is by it."""
_OPEN = "('pending', 'running', 'paused')"


async def past_moment(reads: Reads, at: str | None, name: str = "at") -> Moment:
    """The moment that was asked for. Raises a 400 `Problem` for what is none, or lies beyond what has happened."""
    head = await reads.log.head()
    if at is None:
        return head.position
    try:
        moment = moment_of(at.replace(" ", "+"))  # a plus of a zone that was not encoded
    except ValueError as fault:
        raise bad_request(f"query.{name}", str(fault)) from None
    if (reason := beyond(moment, head.position, datetime.now(UTC))) is not None:
        raise bad_request(f"query.{name}", reason)
    return moment


@get("/{run_id:uuid}/state", opt=VIEWER)
async def read_state(reads: Reads, run_id: UUID, at: At = None) -> Run:
    """A run with its nodes as it was read at a past moment; `as_of` is the last event that it had then."""
    moment = await past_moment(reads, at)
    return await run_at(reads, run_id, moment)


async def run_at(reads: Reads, run_id: UUID, moment: Moment) -> Run:
    """Raises a 404 `Problem` where there is no such run, or was none yet."""
    events = await reads.log.read_stream(run_id)
    if not events or events[0].stream_type != "run":
        raise not_found("run", run_id)
    past = until(events, moment)
    if not past:
        raise _not_yet(f"run {run_id}", events[0])
    row, rows = await _rows(run_id, past)
    graph = await graph_of_run(reads, row)
    run = _view(row, graph, rows, past[-1])
    run.node_runs = nodes.node_runs(graph, row, rows)
    run.causes = await causes_of(reads, row)
    return run


async def _rows(run_id: UUID, past: Sequence[StoredEvent]) -> tuple[Row, list[Row]]:
    """The row of the run as it was, and those of its nodes."""
    state = (await _folded(past)).runs[run_id]
    return structs.asdict(state.row), [structs.asdict(node) for (_, name), node in state.nodes.items() if not name]


def _view(row: Row, graph: Graph, rows: Sequence[Row], last: StoredEvent) -> Run:
    run = run_view(row, graph, path_of(rows))
    run.as_of = AsOf(last.position, last.recorded_at, last.type)
    return run


async def candidates(
    reads: Reads, conditions: Conditions, moment: Moment, limit: int, last: Sequence[Any] | None
) -> list[Row]:
    """Of the runs under these conditions those that may have been active then, newest first, one more than a page has.

    Each had begun; it has not ended, or did so later (a retry that waited for a slot and was refused is not looked for).
    Those that ended are looked for by how long they took: of runs that took less than a minute only those can have been
    active that began in the minute before. So few are passed over, whenever the moment was.
    """
    instant, slack, terms = moment, timedelta(0), Conditions.within(conditions)
    if isinstance(moment, int):
        terms.add("created_position <= {}", moment)
        event = await reads.log.read_position(moment)
        instant, slack = datetime.now(UTC) if event is None else event.recorded_at, CLOCKS_APART_MAX
    assert isinstance(instant, datetime)
    terms.add("created_at <= {}", instant + slack).after("created_at", "created_position", last, by_time=True)
    is_open = terms.where(f"status in {_OPEN}")  # with an end before it, where a retry waits for its slot
    terms.add("completed_at > {}", instant - slack)
    if isinstance(moment, int):
        terms.add("position > {}", moment)
    took = terms.where(f"{SPAN} = span", "created_at > begun_after", f"status not in {_OPEN}")
    spans, begun = terms.value(list(range(len(SPANS_S) + 1))), terms.value(_begun(instant - slack))
    newest = "order by created_at desc, created_position desc"
    limited = f"{newest} limit {terms.value(limit + 1)}"
    # `offset 0`: other indexes, such as that of a workflow, lead past all its runs
    rows = await reads.pool.fetch(
        f"""
        select * from (
            select {RUN_COLUMNS} from (select * from projections.runs {is_open} offset 0) runs {conditions.where()}
            union all
            select found.* from unnest({spans}::int[], {begun}::timestamptz[]) spans (span, begun_after)
            cross join lateral (
                select {RUN_COLUMNS} from (select * from projections.runs {took} {newest} offset 0) runs
                {conditions.where()} {limited}
            ) found
        ) runs {limited}
        """,  # noqa: S608  constants, and numbers of parameters
        *terms.values,
    )
    return list(rows)


def _begun(instant: datetime) -> list[datetime]:
    """After when runs began that were active then, by how long they took: see `SPAN`."""
    earliest = datetime.min.replace(tzinfo=UTC)
    since_s = (instant - earliest).total_seconds()
    return [*(instant - timedelta(seconds=min(most_s, since_s)) for most_s in SPANS_S), earliest]


async def active_then(reads: Reads, run_ids: Sequence[UUID], moment: Moment, status: str | None) -> list[Run]:
    """Those of these runs that had not ended, as they were; with `status`, that stood like this then."""
    found: list[Run] = []
    for at in range(0, len(run_ids), READ_AT_ONCE_COUNT):
        histories = await reads.log.read_streams(run_ids[at : at + READ_AT_ONCE_COUNT])
        for run_id in run_ids[at : at + READ_AT_ONCE_COUNT]:
            if past := until(histories[run_id], moment):
                row, rows = await _rows(run_id, past)
                if row["status"] not in RUN_ENDED and status in (None, row["status"]):
                    found.append(_view(row, await graph_of_run(reads, row), rows, past[-1]))
    return found


async def workflow_at(reads: Reads, workflow_id: str, at: str) -> tuple[WorkflowRow, VersionRow]:
    """A workflow, and the version that it was at. Raises a 404 `Problem` where there is no such, or was none yet."""
    moment = await past_moment(reads, at)
    events = await reads.log.read_stream(named_stream("workflow", workflow_id))
    if not events:
        raise not_found("workflow", workflow_id)
    past = until(events, moment)
    if not past:
        raise _not_yet(f"workflow '{workflow_id}'", events[0])
    models = await _folded(past)
    return models.workflows[workflow_id], models.changes.versions[-1]


async def _folded(events: Sequence[StoredEvent]) -> ReadModels:
    models = ReadModels()
    for models in folded(events):  # noqa: B007  the last is meant; meanwhile others have their turn
        await asyncio.sleep(0)
    return models


def _not_yet(what: str, first: StoredEvent) -> Problem:
    return Problem(
        404,
        f"{what} was not there yet: it began at position {first.position}, {first.recorded_at.isoformat()}",
        code="NOT_FOUND",
        extra={"began_position": first.position, "began_at": first.recorded_at.isoformat()},
    )


HANDLERS = [read_state]
