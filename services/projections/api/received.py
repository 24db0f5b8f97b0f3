"""Reading what came in from outside, and what each event led to."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.filters import Since, Until
from services.projections.api.reads import Reads, raw
from services.projections.api.shapes import CauseView, Effect, ReceivedEvent
from services.projections.conditions import Conditions, utc

_RECEIVED = """
    select position, event_id, id, source, type, subject, time, datacontenttype, data, extensions, received_at
    from projections.received_events
"""
_EFFECTS = """
    select cause_event_id, workflow_id, trigger_id, decision, run_id from projections.decisions
    where cause_event_id = any($1) order by position
"""
_ANSWERS = """
    select d.position, d.workflow_id, d.trigger_id, d.trigger_version, d.decision, d.reason, d.detail, d.run_id,
        r.status as run_status, d.decided_at, d.cause_event_id, d.cause_type, d.cause_id, d.cause_source
    from projections.decisions d left join projections.runs r on r.run_id = d.run_id
"""


class Answer(msgspec.Struct):
    """What one trigger said to an event; of one that fired, how its run stands."""

    position: int
    cause: CauseView
    workflow_id: str
    trigger_id: str
    trigger_version: int
    decision: str
    reason: str | None
    detail: str | None
    run_id: UUID | None
    run_status: str | None
    decided_at: datetime


@get("/", opt=VIEWER)
async def list_received(
    reads: Reads,
    type: Annotated[str | None, Parameter(description="only of this type")] = None,  # noqa: A002  a query parameter's name
    source: Annotated[str | None, Parameter(description="only from this source")] = None,
    id: Annotated[str | None, Parameter(description="only with this id, as its sender gave it")] = None,  # noqa: A002
    since: Since = None,
    until: Until = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[ReceivedEvent]:
    """Events of external systems, newest first, with every decision that each led to."""
    cursors = await reads.cursors("received", type, source, id, since, until)
    conditions = Conditions().add("type = {}", type).add("source = {}", source).add("id = {}", id)
    conditions.add("received_at >= {}", utc(since)).add("received_at < {}", utc(until))
    last, by_time = cursors.read(cursor, int, str), since is not None or until is not None
    clauses = conditions.newest_first("received_at", "position", limit, last, by_time=by_time)
    rows = await reads.pool.fetch(_RECEIVED + clauses, *conditions.values)
    page = cursors.page(rows, limit, [[row["position"], row["received_at"].isoformat()] for row in rows])
    return Page(await _with_effects(reads, page.items), page.next_cursor)


async def _with_effects(reads: Reads, rows: list[Mapping[str, Any]]) -> list[ReceivedEvent]:
    effects: dict[UUID, list[Effect]] = {row["event_id"]: [] for row in rows}
    for cause, *effect in await reads.pool.fetch(_EFFECTS, list(effects)):
        effects[cause].append(Effect(*effect))
    return [_received(row, effects[row["event_id"]]) for row in rows]


def _received(row: Mapping[str, Any], effects: list[Effect]) -> ReceivedEvent:
    fields = {**dict(row), "data": raw(row["data"]), "extensions": raw(row["extensions"]), "caused": effects}
    return ReceivedEvent(**cast("dict[str, Any]", fields))


@get("/{event_id:uuid}", opt=VIEWER)
async def read_received(reads: Reads, event_id: UUID) -> ReceivedEvent:
    """One event of an external system, by its id in the log (`event_id`)."""
    row = await reads.pool.fetchrow(f"{_RECEIVED} where event_id = $1", event_id)
    if row is None:
        raise not_found("received event", event_id)
    [event] = await _with_effects(reads, [row])
    return event


@get("/{event_id:uuid}/decisions", opt=VIEWER)
async def list_answers(
    reads: Reads, event_id: UUID, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[Answer]:
    """What every trigger that the event concerned said to it, newest first, whatever event it is: the end of a run and the
    moment of a schedule are causes as well. One that concerned no trigger has none.

    A trigger that an index ruled out by an equality in its filter has nothing on record: ask at its own
    `…/decisions?cause=`.
    """
    cursors = await reads.cursors("answers", event_id)
    conditions = Conditions().add("d.cause_event_id = {}", event_id)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("d.position < {}", before[0])
    rows = await reads.pool.fetch(_ANSWERS + conditions.page("d.position desc", limit), *conditions.values)
    return cursors.page([_answer(row) for row in rows], limit, [[row["position"]] for row in rows])


def _answer(row: Mapping[str, Any]) -> Answer:
    cause = CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"])
    return Answer(cause=cause, **{name: row[name] for name in Answer.__struct_fields__ if name != "cause"})


def routers() -> list[Router]:
    """Below /api/events."""
    handlers = [list_received, read_received, list_answers]
    return [Router("/api/events", route_handlers=handlers, tags=["events"])]
