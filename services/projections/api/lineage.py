"""What led to a run, back to the first event of all, and what came of it: children, forks, runs that its end or a job of it
caused, and theirs in turn."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import get

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api.reads import Reads, run_row
from services.projections.api.shapes import CausedRun, CauseView, TriggerView

CHAIN_MAX = 1_000
"""Triggers cut a chain of causes before its 33rd run; forks of forks and children may go on longer."""
EFFECTS_MAX = 10_000
"""So many runs that one led to are found, in the order in which they were created."""
_COLUMNS = """
    run_id, workflow_id, trigger_type, trigger_id, cause_event_id, cause_type, cause_id, cause_source, created_at,
    created_position, caused_by_run_id, parent_run_id, forked_from is not null as is_fork, status
"""
_CAUSES = f"""
    with recursive chain as (
        select r.*, 1 as step from projections.runs r where r.run_id = $1
        union all
        select r.*, c.step + 1 from chain c join projections.runs r on r.run_id = c.caused_by_run_id
        where c.step < {CHAIN_MAX}
    )
    select {_COLUMNS} from chain order by step
"""  # noqa: S608  constants
# Breadth first; a run comes after the one that caused it, so that the first ones by position are found first.
_EFFECTS = f"""
    with recursive found as (
        (select {_COLUMNS}, 1 as step from projections.runs where caused_by_run_id = $1
         order by created_position limit {EFFECTS_MAX})
        union all
        (select r.run_id, r.workflow_id, r.trigger_type, r.trigger_id, r.cause_event_id, r.cause_type, r.cause_id,
            r.cause_source, r.created_at, r.created_position, r.caused_by_run_id, r.parent_run_id,
            r.forked_from is not null, r.status, found.step + 1
         from found join projections.runs r on r.caused_by_run_id = found.run_id where found.step < {CHAIN_MAX})
    )
    select * from (select * from found limit {EFFECTS_MAX}) effects
    where $2::bigint is null or created_position > $2 order by created_position limit $3
"""  # noqa: S608  constants


class EffectRun(msgspec.Struct):
    """A run that another one led to. `relation` to `caused_by_run_id`: `child`, `fork`, or `trigger` (its end or one of its
    jobs was the cause); `step` is how many causes lie between, 1 for a direct one."""

    run_id: UUID
    workflow_id: str
    status: str
    relation: str
    step: int
    caused_by_run_id: UUID
    trigger: TriggerView
    cause: CauseView
    created_at: datetime


async def causes_of(reads: Reads, run: Mapping[str, Any]) -> list[CausedRun]:
    """From the run itself to the one that the first event started."""
    rows = [run] if run["caused_by_run_id"] is None else await reads.pool.fetch(_CAUSES, run["run_id"])
    return [
        CausedRun(
            run_id=row["run_id"],
            workflow_id=row["workflow_id"],
            trigger=TriggerView(row["trigger_type"], row["trigger_id"]),
            cause=CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"]),
            created_at=row["created_at"],
        )
        for row in rows
    ]


@get("/{run_id:uuid}/causes", opt=VIEWER)
async def list_causes(reads: Reads, run_id: UUID) -> Page[CausedRun]:
    """What led to the run: itself first, and the run that the first event of all started last."""
    return Page(await causes_of(reads, await run_row(reads, run_id)))


@get("/{run_id:uuid}/effects", opt=VIEWER)
async def list_effects(
    reads: Reads, run_id: UUID, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[EffectRun]:
    """The runs that this one led to, directly or through others, in the order in which they were created."""
    await run_row(reads, run_id)
    cursors = await reads.cursors("effects", run_id)
    last = cursors.read(cursor, int)
    rows = await reads.pool.fetch(_EFFECTS, run_id, last[0] if last else None, limit + 1)
    return cursors.page([_effect(row) for row in rows], limit, [[row["created_position"]] for row in rows])


def _effect(row: Mapping[str, Any]) -> EffectRun:
    relation = "child" if row["parent_run_id"] is not None else "fork" if row["is_fork"] else "trigger"
    return EffectRun(
        run_id=row["run_id"],
        workflow_id=row["workflow_id"],
        status=row["status"],
        relation=relation,
        step=row["step"],
        caused_by_run_id=row["caused_by_run_id"],
        trigger=TriggerView(row["trigger_type"], row["trigger_id"]),
        cause=CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"]),
        created_at=row["created_at"],
    )


HANDLERS = [list_causes, list_effects]
