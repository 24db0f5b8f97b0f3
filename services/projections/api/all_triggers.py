"""Reading the triggers of all workflows in one list: how each is set, what it last decided, when it fires next."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from flowforge.definition import ScheduleTrigger, Trigger
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.schedules import schedule_of, upcoming
from services.projections.api.filters import OfWorkflow
from services.projections.api.reads import Reads
from services.projections.conditions import Conditions

TriggerType = Literal["manual", "schedule", "dependency", "event", "webhook"]
_TRIGGERS = """
    select listed.*, d.decision, d.reason, d.detail, d.run_id, d.decided_at from (
        select w.id as workflow_id, w.name as workflow_name, w.status as workflow_status, w.version,
            t.place, t.definition, t.definition->>'id' as trigger_id
        from projections.workflows w
        join projections.workflow_versions v on v.workflow_id = w.id and v.version = w.version
        cross join lateral json_array_elements(v.definition->'triggers') with ordinality as t (definition, place)
"""
_LAST_DECISION = """
    ) listed left join lateral (
        select decision, reason, detail, run_id, decided_at from projections.decisions
        where workflow_id = listed.workflow_id and trigger_id = listed.trigger_id order by position desc limit 1
    ) d on true order by listed.workflow_id, listed.place
"""
_WORDS = "lower(concat_ws(' ', w.id, w.name, t.definition->>'id', t.definition->>'name'))"


class LastDecision(msgspec.Struct):
    """What a trigger said last."""

    decision: str
    reason: str | None
    detail: str | None
    run_id: UUID | None
    decided_at: datetime


class ListedTrigger(msgspec.Struct):
    """A trigger and its workflow. `definition` is the trigger as it was written; `next_at`, of a schedule that is in force,
    when it is due next."""

    workflow_id: str
    workflow_name: str
    workflow_status: str
    version: int
    id: str
    name: str
    type: str
    enabled: bool
    definition: dict[str, Any]
    last_decision: LastDecision | None
    next_at: datetime | None


_definition = msgspec.json.Decoder(dict[str, Any])
_typed = msgspec.json.Decoder(Trigger)


@get("/", opt=VIEWER)
async def list_all_triggers(
    reads: Reads,
    type: Annotated[TriggerType | None, Parameter(description="only of this type")] = None,  # noqa: A002  a query parameter's name
    search: Annotated[
        str | None, Parameter(max_length=200, description="only with this text in the id or name of it or its workflow")
    ] = None,
    workflow_id: OfWorkflow = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[ListedTrigger]:
    """The triggers of all workflows that are not archived, by workflow and in the order of its definition, each with its
    last decision. The job-type triggers, which every workflow has, are `trigger_configs` of the workflow."""
    cursors = await reads.cursors("all triggers", type, search, workflow_id)
    conditions = Conditions().require("w.status <> 'archived'").add("w.id = {}", workflow_id)
    conditions.add("t.definition->>'type' = {}", type)
    conditions.add(f"strpos({_WORDS}, {{}}) > 0", None if search is None else search.lower())
    if (last := cursors.read(cursor, str, int)) is not None:
        conditions.require(f"(w.id, t.place) > ({conditions.value(last[0])}, {conditions.value(last[1])}::bigint)")
    clauses = conditions.page("w.id, t.place", limit)
    rows = await reads.pool.fetch(_TRIGGERS + clauses + _LAST_DECISION, *conditions.values)
    now = datetime.now(UTC)
    page = cursors.page(rows, limit, [[row["workflow_id"], row["place"]] for row in rows])
    return Page([_listed(row, now) for row in page.items], page.next_cursor)


def _listed(row: Mapping[str, Any], now: datetime) -> ListedTrigger:
    definition = _definition.decode(row["definition"])
    answer = None if row["decision"] is None else LastDecision(*(row[name] for name in LastDecision.__struct_fields__))
    enabled = definition.get("enabled", True)
    return ListedTrigger(
        workflow_id=row["workflow_id"],
        workflow_name=row["workflow_name"],
        workflow_status=row["workflow_status"],
        version=row["version"],
        id=row["trigger_id"],
        name=definition.get("name", ""),
        type=definition["type"],
        enabled=enabled,
        definition=definition,
        last_decision=answer,
        next_at=_next_at(row, now) if enabled and row["workflow_status"] == "active" else None,
    )


def _next_at(row: Mapping[str, Any], now: datetime) -> datetime | None:
    trigger = _typed.decode(row["definition"])
    if not isinstance(trigger, ScheduleTrigger):
        return None
    firings = upcoming(schedule_of(trigger.config, row["workflow_id"], trigger.id), now, 1)
    return firings[0].due_at if firings else None


def routers() -> list[Router]:
    """Below /api/triggers."""
    return [Router("/api/triggers", route_handlers=[list_all_triggers], tags=["triggers"])]
