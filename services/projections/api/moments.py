"""Time travel: runs, definitions and what was active, as they were at a past moment."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from flowforge.identity import named_stream
from litestar import get
from litestar.params import Parameter
from msgspec import UNSET, structs

from infra.eventlog import StoredEvent
from infra.http.authentication import VIEWER
from infra.http.problems import Problem, bad_request, not_found
from services.projections.api import nodes
from services.projections.api.lineage import causes_of
from services.projections.api.reads import Reads, graph_of_run
from services.projections.api.run_views import path_of, run_view
from services.projections.api.shapes import AsOf, Run
from services.projections.conditions import Conditions
from services.projections.fold import RUN_ENDED
from services.projections.past import Moment, folded, until
from services.projections.state import ReadModels, RunState, VersionRow, WorkflowRow

AT = Parameter(
    query="at",
    description="a position of the log, or an ISO 8601 time (UTC where it names no zone); without it, now",
)
At = Annotated[str | None, AT]
_POSITION_DIGITS_MAX = 18


async def moment_of(reads: Reads, at: str | None, name: str = "at") -> Moment:
    """The moment that was asked for. Raises a 400 `Problem` for what is none, or lies beyond what has happened."""
    head = await reads.log.head()
    if at is None:
        return head.position
    if at.isascii() and at.isdigit() and len(at) <= _POSITION_DIGITS_MAX:
        position = int(at)
        if position > head.position:
            raise bad_request(f"query.{name}", f"{position} lies beyond the end of this log ({head.position})")
        return position
    try:
        instant = datetime.fromisoformat(at.replace(" ", "+"))
    except ValueError:
        raise bad_request(
            f"query.{name}", f"'{at[:40]}' is neither a position of the log nor a time such as 2026-01-31T12:00:00Z"
        ) from None
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    if instant > datetime.now(UTC):
        raise bad_request(f"query.{name}", f"{instant.isoformat()} lies in the future: what will be is not known")
    return instant


@get("/{run_id:uuid}/state", opt=VIEWER)
async def read_state(reads: Reads, run_id: UUID, at: At = None) -> Run:
    """A run with its nodes as it was read at a past moment; `as_of` is the last event that it had then."""
    moment = await moment_of(reads, at)
    return await run_at(reads, run_id, moment)


async def run_at(reads: Reads, run_id: UUID, moment: Moment) -> Run:
    """Raises a 404 `Problem` where there is no such run, or was none yet."""
    events = await reads.log.read_stream(run_id)
    if not events or events[0].stream_type != "run":
        raise not_found("run", run_id)
    past = until(events, moment)
    if not past:
        raise _not_yet(f"run {run_id}", events[0])
    state = (await _folded(past)).runs[run_id]
    return await _shown(reads, state, past[-1])


async def _shown(reads: Reads, state: RunState, last: StoredEvent) -> Run:
    row = structs.asdict(state.row)
    rows = [structs.asdict(node) for (_, instance), node in state.nodes.items() if not instance]
    graph = await graph_of_run(reads, row)
    run = run_view(row, graph, path_of(rows))
    run.node_runs = nodes.node_runs(graph, row, rows)
    run.causes = await causes_of(reads, row)
    run.as_of = AsOf(last.position, last.recorded_at, last.type)
    return run


async def only_active(reads: Reads, conditions: Conditions, moment: Moment) -> None:
    """Of all runs, those that may have been active then. One that was retried may have ended before and after."""
    if isinstance(moment, int):
        conditions.add("created_position <= {}", moment)
        last = await reads.log.read_position(moment)
        instant = None if last is None else last.recorded_at
    else:
        instant = moment
        conditions.add("created_at <= {}", moment)
    conditions.add("(completed_at is null or completed_at >= {} or retries > 0)", instant)


async def active_then(reads: Reads, rows: Sequence[Mapping[str, Any]], moment: Moment) -> list[Run]:
    """Those of these runs that had not ended, as they were."""
    found: list[Run] = []
    for row in rows:
        run = await run_at(reads, row["run_id"], moment)
        if run.status not in RUN_ENDED:
            run.node_runs = run.causes = UNSET
            found.append(run)
    return found


async def workflow_at(reads: Reads, workflow_id: str, at: str) -> tuple[WorkflowRow, VersionRow]:
    """A workflow, and the version that it was at. Raises a 404 `Problem` where there is no such, or was none yet."""
    moment = await moment_of(reads, at)
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
