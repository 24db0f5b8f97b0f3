"""What led to a run: its cause, the run whose end that was, what had caused that one, back to the first event of all."""

from collections.abc import Mapping
from typing import Any

from services.projections.api.reads import Reads
from services.projections.api.shapes import CausedRun, CauseView, TriggerView

_MAX = 33
"""A chain of causes is cut before (interface.md 2.1)."""
# depth counts the runs before: an external event that looks like the end of a run has none
_CHAIN = f"""
    with recursive chain as (
        select r.*, 1 as step from projections.runs r where r.run_id = $1
        union all
        select r.*, c.step + 1 from chain c
        join projections.runs r on r.run_id = substring(c.cause_source from '/run/([0-9a-f-]{{36}})$')::uuid
        where c.depth > 1 and c.step < {_MAX}
    )
    select run_id, workflow_id, trigger_type, trigger_id, cause_event_id, cause_type, cause_id, cause_source, created_at
    from chain order by step
"""  # noqa: S608  constants


async def causes_of(reads: Reads, run: Mapping[str, Any]) -> list[CausedRun]:
    """From the run itself to the one that the first event started."""
    rows = await reads.pool.fetch(_CHAIN, run["run_id"]) if run["depth"] > 1 else [run]
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
