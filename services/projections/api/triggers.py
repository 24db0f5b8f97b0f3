"""Reading triggers: as they are set, why each fired or did not, and how often."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from flowforge.commands import ExplainDecision
from flowforge.definition import ScheduleTrigger, Trigger
from flowforge.events import Decision
from flowforge.identity import new_uuid
from flowforge.job_types import TRIGGER_IDS
from litestar import get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.described import gives
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import bad_request, not_found
from infra.schedules import schedule_of, upcoming
from services.projections.api import moments
from services.projections.api.reads import Reads
from services.projections.api.shapes import (
    CauseView,
    DecisionView,
    TriggerHour,
    TriggerList,
    TriggerStats,
    UpcomingView,
)
from services.projections.conditions import Conditions

_EXAMPLE: dict[str, Any] = {
    "id": "nightly",
    "name": "Nightly",
    "type": "schedule",
    "config": {"cron": "0 3 * * *"},
    "workflow_id": "daily-report",
    "version": 3,
}

_TRIGGERS = """
    select w.version, w.status, v.definition from projections.workflows w
    join projections.workflow_versions v on v.workflow_id = w.id and v.version = w.version where w.id = $1
"""
_DECISIONS = """
    select position, workflow_id, trigger_id, trigger_version, cause_event_id, cause_type, cause_id, cause_source,
           decision, reason, detail, consumed, run_id, decided_at
    from projections.decisions
"""
_STATS = """
    select decision, count(*), max(decided_at) from projections.decisions
    where workflow_id = $1 and trigger_id = $2 group by decision
"""
_SUPPRESSED = """
    select reason, count(*) from projections.decisions
    where workflow_id = $1 and trigger_id = $2 and decision = 'suppressed' group by reason
"""
_REJECTED = """
    select reason, sum(count)::bigint from projections.webhook_rejections
    where workflow_id = $1 and trigger_id = $2 group by reason
"""
_HOURS = """
    select date_trunc('hour', decided_at), decision, count(*) from projections.decisions
    where workflow_id = $1 and trigger_id = $2 and decided_at >= $3 group by 1, 2
"""
_HOURS_COUNT = 24
_UNDECIDED = """
    select position, event_id, type, id, source, received_at from projections.received_events e
    where (id = $3 or event_id = $5) and not exists (
        select from projections.decisions d
        where d.cause_event_id = e.event_id and d.workflow_id = $1 and d.trigger_id = $2
    ) order by position desc limit $4
"""
_HAS_DECISION = "select exists (select from projections.decisions where workflow_id = $1 and trigger_id = $2)"


class _Definition(msgspec.Struct):
    triggers: list[dict[str, Any]] = []


class _Typed(msgspec.Struct):
    triggers: list[Trigger] = []


_definition = msgspec.json.Decoder(_Definition)
_typed = msgspec.json.Decoder(_Typed)
UPCOMING_MAX = 1_000


@get("/{workflow_id:str}/triggers", opt=VIEWER | gives(TriggerList, {"items": [_EXAMPLE], "next_cursor": None}))
async def list_triggers(reads: Reads, workflow_id: str, at: moments.At = None) -> Page[dict[str, Any]]:
    """The triggers of the newest version, or of that of a past moment, in its order; their secrets are left out.

    The job-type triggers, which every workflow has, are `trigger_configs` of the workflow. Their decisions and counts are
    read as those of any trigger, under the type in either case: `train` or `TRAIN`.
    """
    if at is not None:
        _, then = await moments.workflow_at(reads, workflow_id, at)
        return Page(_shown(workflow_id, then.version, then.definition))
    return Page(await _triggers(reads, workflow_id))


async def _triggers(reads: Reads, workflow_id: str) -> list[dict[str, Any]]:
    row = await reads.pool.fetchrow(_TRIGGERS, workflow_id)
    if row is None:
        raise not_found("workflow", workflow_id)
    return _shown(workflow_id, row["version"], row["definition"])


def _shown(workflow_id: str, version: int, definition: str) -> list[dict[str, Any]]:
    return [
        {**trigger, "workflow_id": workflow_id, "version": version}
        for trigger in _definition.decode(definition).triggers
    ]


def _id_of(trigger_id: str) -> str:
    """Under which id the trigger's decisions stand."""
    return trigger_id.lower() if trigger_id in TRIGGER_IDS.values() else trigger_id


async def _check_trigger(reads: Reads, workflow_id: str, trigger_id: str) -> None:
    """One that was removed keeps its decisions, and so does a handler of failures that nobody has saved."""
    if await reads.pool.fetchval(_HAS_DECISION, workflow_id, trigger_id):
        return
    known = any(trigger.get("id") == trigger_id for trigger in await _triggers(reads, workflow_id))
    if not known and trigger_id not in TRIGGER_IDS:
        raise not_found(f"trigger of workflow '{workflow_id}'", trigger_id)


@get("/{workflow_id:str}/triggers/{trigger_id:str}/decisions", opt=VIEWER)
async def list_decisions(
    reads: Reads,
    workflow_id: str,
    trigger_id: str,
    cause: Annotated[
        str | None, Parameter(description="only about this event: its id in the log, or its sender's")
    ] = None,
    decision: Annotated[Decision | None, Parameter(description="only those that were decided so")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[DecisionView]:
    """Why it fired, why not, newest first; `cause` is the id of the event in the log, or the one its sender gave it.

    Where an index ruled the trigger out by an equality in its filter, nothing is on record: the answer to that `cause`
    is computed from the definition as it was then, and says `computed: true`.
    """
    trigger_id = _id_of(trigger_id)
    await _check_trigger(reads, workflow_id, trigger_id)
    cursors = await reads.cursors("decisions", workflow_id, trigger_id, cause, decision)
    conditions = Conditions().add("workflow_id = {}", workflow_id).add("trigger_id = {}", trigger_id)
    conditions.add("decision = {}", decision)
    if (event_id := _event_id(cause)) is None:
        conditions.add("cause_id = {}", cause)
    else:
        conditions.values.append(cause)
        conditions.add(f"(cause_id = ${len(conditions.values)} or cause_event_id = {{}})", event_id)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("position < {}", before[0])
    rows = await reads.pool.fetch(_DECISIONS + conditions.page("position desc", limit), *conditions.values)
    page = cursors.page([_decision(row) for row in rows], limit, [[row["position"]] for row in rows])
    if cause is not None and cursor is None and page.next_cursor is None:
        computed = await _computed(reads, workflow_id, trigger_id, cause)
        page.items += [item for item in computed if decision in {None, item.decision}][: limit - len(page.items)]
    return page


def _event_id(cause: str | None) -> UUID | None:
    """The event that is meant, where it is named by its id in the log."""
    try:
        return None if cause is None else UUID(cause)
    except ValueError:
        return None


async def _computed(reads: Reads, workflow_id: str, trigger_id: str, cause: str) -> list[DecisionView]:
    """What the trigger, as it was then, answers to events that an index ruled out: nothing of it is on record."""
    events = await reads.pool.fetch(
        _UNDECIDED, workflow_id, trigger_id, cause, reads.limits.explained_events_max, _event_id(cause)
    )
    found: list[DecisionView] = []
    for event in events:
        question = ExplainDecision(
            command_id=str(new_uuid()), workflow_id=workflow_id, trigger_id=trigger_id, position=event["position"]
        )
        answer = (await reads.ask(question))["decision"]
        if answer is not None:
            found.append(_explained(event, workflow_id, trigger_id, answer))
    return found


def _explained(event: Mapping[str, Any], workflow_id: str, trigger_id: str, answer: dict[str, Any]) -> DecisionView:
    return DecisionView(
        trigger_id=trigger_id,
        trigger_version=answer["trigger_version"],
        workflow_id=workflow_id,
        cause=CauseView(event["event_id"], event["type"], event["id"], event["source"]),
        decision=answer["decision"],
        reason=answer["reason"],
        detail=answer["detail"],
        consumed=[],
        run_id=None,
        decided_at=event["received_at"],
        position=event["position"],
        computed=True,
    )


def _decision(row: Mapping[str, Any]) -> DecisionView:
    return DecisionView(
        trigger_id=row["trigger_id"],
        trigger_version=row["trigger_version"],
        workflow_id=row["workflow_id"],
        cause=CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"]),
        decision=row["decision"],
        reason=row["reason"],
        detail=row["detail"],
        consumed=row["consumed"],
        run_id=row["run_id"],
        decided_at=row["decided_at"],
        position=row["position"],
    )


@get("/{workflow_id:str}/triggers/{trigger_id:str}/stats", opt=VIEWER)
async def read_stats(reads: Reads, workflow_id: str, trigger_id: str) -> TriggerStats:
    """How often it gave which answer: in all, `suppressed` by reason, and for each of the last 24 `hours` (UTC).

    Of a webhook also how many requests were `rejected`, and why: `headers`, `signature`, `timestamp` or `body`.
    """
    trigger_id = _id_of(trigger_id)
    await _check_trigger(reads, workflow_id, trigger_id)
    rows = await reads.pool.fetch(_STATS, workflow_id, trigger_id)
    counts = {decision: count for decision, count, _ in rows}
    latest = {decision: at for decision, _, at in rows}
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=ago) for ago in reversed(range(_HOURS_COUNT))]
    by_hour: dict[datetime, dict[str, int]] = {hour: {} for hour in hours}
    for hour, decision, count in await reads.pool.fetch(_HOURS, workflow_id, trigger_id, hours[0]):
        by_hour.setdefault(hour, {})[decision] = count
    return TriggerStats(
        workflow_id=workflow_id,
        trigger_id=trigger_id,
        total=sum(counts.values()),
        decisions=counts,
        suppressed=dict(await reads.pool.fetch(_SUPPRESSED, workflow_id, trigger_id)),
        rejected=dict(await reads.pool.fetch(_REJECTED, workflow_id, trigger_id)),
        hours=[TriggerHour(hour, sum(given.values()), given) for hour, given in by_hour.items()],
        last_decided_at=max(latest.values(), default=None),
        last_fired_at=latest.get("fired"),
    )


@get("/{workflow_id:str}/triggers/{trigger_id:str}/upcoming", opt=VIEWER)
async def list_upcoming(
    reads: Reads,
    workflow_id: str,
    trigger_id: str,
    count: Annotated[int, Parameter(ge=1, le=UPCOMING_MAX, description="so many")] = 10,
) -> Page[UpcomingView]:
    """When a schedule fires next, by the clock of the server; nothing while it or its workflow is not active."""
    row = await reads.pool.fetchrow(_TRIGGERS, workflow_id)
    if row is None:
        raise not_found("workflow", workflow_id)
    definition = _typed.decode(row["definition"])
    trigger = next((trigger for trigger in definition.triggers if trigger.id == trigger_id), None)
    if trigger is None and _id_of(trigger_id) not in TRIGGER_IDS:
        raise not_found(f"trigger of workflow '{workflow_id}'", trigger_id)
    if not isinstance(trigger, ScheduleTrigger):
        raise bad_request("path.trigger_id", f"'{trigger_id}' is no schedule: nobody knows when it fires")
    if not trigger.enabled or row["status"] != "active":
        return Page([])
    firings = upcoming(schedule_of(trigger.config, workflow_id, trigger_id), datetime.now(UTC), count)
    return Page([UpcomingView(firing.scheduled_at, firing.due_at) for firing in firings])


HANDLERS = [list_triggers, list_decisions, read_stats, list_upcoming]
