"""Reading slots of `concurrency`: what a run waits for, and how full the slots of a workflow are."""

from collections.abc import Collection
from uuid import UUID

from services.projections.api.reads import Reads
from services.projections.api.shapes import SlotUse, WaitingFor

_HOLDERS_SHOWN_MAX = 10
_PLACES = """
    with mine as (select * from projections.slots where run_id = any($1) and state = 'waits')
    select queue.run_id, queue.pool, queue.key, queue.slot_limit, queue.place,
        (select count(*) from projections.slots held where held.slot_id = queue.slot_id and held.state = 'holds') in_use,
        array(
            select held.run_id from projections.slots held
            where held.slot_id = queue.slot_id and held.state = 'holds' order by held.since_position limit $2
        ) holders
    from (
        select slots.*, row_number() over (partition by slot_id order by priority desc, since_position) place
        from projections.slots where state = 'waits' and slot_id in (select slot_id from mine)
    ) queue where queue.run_id in (select run_id from mine)
"""
_USE = """
    select (array_agg(pool))[1] pool, (array_agg(key))[1] key, (array_agg(slot_limit order by position desc))[1] slot_limit,
        count(*) filter (where state = 'holds') in_use, count(*) filter (where state = 'waits') waiting
    from projections.slots
    where state <> 'gone' and slot_id in (
        select slot_id from projections.slots where workflow_id = $1 and state <> 'gone'
    ) group by slot_id order by count(*) desc, slot_id limit $2
"""


async def waiting_for(reads: Reads, run_ids: Collection[UUID]) -> dict[UUID, WaitingFor]:
    """Why these runs do not start, each with its place in the queue as it is now; those that do not wait are left out."""
    if not run_ids:
        return {}
    rows = await reads.pool.fetch(_PLACES, list(run_ids), _HOLDERS_SHOWN_MAX)
    return {
        row["run_id"]: WaitingFor(
            reason="concurrency",
            pool=row["pool"],
            key=row["key"],
            limit=row["slot_limit"],
            position=row["place"],
            in_use=row["in_use"],
            holders=row["holders"],
        )
        for row in rows
    }


async def slots_of(reads: Reads, workflow_id: str, limit: int) -> list[SlotUse]:
    """The slots that runs of the workflow hold or wait for, the fullest first; a pool counts for all its workflows."""
    return [SlotUse(*row) for row in await reads.pool.fetch(_USE, workflow_id, limit)]
