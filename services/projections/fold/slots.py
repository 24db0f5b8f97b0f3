"""Slots of `concurrency`: who holds one, who waits."""

from flowforge.events import QueueLeft, RunAdmitted, RunDisplaced, SlotAwaited, SlotFreed, SlotTaken

from infra.eventlog import StoredEvent
from services.projections.fold.values import bounded, kept
from services.projections.state import CHANGED, CLEAN, NEW, ReadModels, SlotRow

_SLOT_STATES = {"SlotTaken": "holds", "SlotAwaited": "waits", "RunAdmitted": "holds"}


def asked_for_slot(models: ReadModels, stored: StoredEvent, event: SlotTaken | SlotAwaited) -> None:
    """A run that asks again has its row already."""
    before = models.slots.get(event.run_id)
    row = models.slots[event.run_id] = SlotRow(
        run_id=event.run_id,
        slot_id=stored.stream_id,
        workflow_id=event.workflow_id,
        pool=event.pool,
        key=kept(event.key),
        slot_limit=event.limit,
        state=_SLOT_STATES[stored.type],
        priority=bounded(event.priority) if isinstance(event, SlotAwaited) else 0,
        since_position=stored.position,
        position=stored.position,
        change=NEW if before is None or before.change == NEW else CHANGED,
    )
    if before is not None and before.change != CLEAN:
        models.changes.slots.remove(before)
    models.changes.slots.append(row)


def fold_slot(
    models: ReadModels, stored: StoredEvent, event: RunAdmitted | RunDisplaced | SlotFreed | QueueLeft
) -> None:
    row = models.slots[event.run_id]
    if not isinstance(event, RunDisplaced) or row.state == "waits":  # who holds a slot holds it until it has ended
        row.state = _SLOT_STATES.get(stored.type, "gone")
        row.since_position = stored.position
    row.position = stored.position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.slots.append(row)
