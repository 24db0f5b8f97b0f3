"""All slots: who holds one, who waits for one."""

from collections.abc import Collection
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import RetryRefused, SlotAwaited, SlotEvent, SlotRefused, TriggerDecided, decode

from infra.eventlog import EventLog, StoredEvent
from services.triggers.admission import SlotFact
from services.triggers.kept_up import KeptUp
from services.triggers.slots import Holder, Slots, evolve


class _Busy(msgspec.Struct, array_like=True):
    slot_id: UUID
    version: int
    holders: list[tuple[UUID, Holder]]
    waiting: list[tuple[int, SlotAwaited]]


class _Written(msgspec.Struct):
    busy: list[_Busy]
    idle: list[tuple[UUID, int]]


_state = msgspec.json.Decoder(_Written)


class SlotLedger(KeptUp):
    """Of slots that are all free only the version of their stream is kept."""

    stream_type = "slot"
    types = frozenset(kind.__name__ for kind in (*SlotEvent.__args__, TriggerDecided))
    shape = 2

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._drafts: dict[UUID, Slots] = {}
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._busy: dict[UUID, Slots] = {}
        self._idle: dict[UUID, int] = {}
        self._of_run: dict[UUID, UUID] = {}
        self._awaited: dict[str, dict[UUID, int]] = {}
        """Workflow → the slots that runs of it wait for, and how many do."""

    # --- deciding ---------------------------------------------------------------------------------------------------

    def draft(self, slot_id: UUID) -> Slots:
        """The slots, with what was decided and is not logged yet; whoever decides evolves them."""
        draft = self._drafts.get(slot_id)
        if draft is None:
            busy = self._busy.get(slot_id)
            draft = self._drafts[slot_id] = Slots(self._version(slot_id)) if busy is None else busy.copy()
        return draft

    def is_ahead(self, slot_id: UUID) -> bool:
        """Whether something was decided of them that is not logged yet."""
        return self.draft(slot_id).version != self._version(slot_id)

    def of_run(self, run_id: UUID) -> UUID | None:
        """The slots of which the run holds one, or waits for one."""
        return self._of_run.get(run_id)

    def awaited_by(self, workflow_id: str) -> Collection[UUID]:
        """The slots that runs of the workflow wait for."""
        return self._awaited.get(workflow_id, ())

    def _version(self, slot_id: UUID) -> int:
        busy = self._busy.get(slot_id)
        return self._idle.get(slot_id, 0) if busy is None else busy.version

    def _forget_drafts(self) -> None:
        self._drafts.clear()

    # --- what is logged ---------------------------------------------------------------------------------------------

    def doubt(self, slot_id: UUID, actual_version: int) -> None:
        """The log has the stream at that version; if it is another than here, somebody else was there."""
        if self._version(slot_id) != actual_version:
            self.is_stale = True

    def _fold(self, stored: StoredEvent) -> bool:
        slot_id = stored.stream_id
        if stored.version != self._version(slot_id) + 1:
            return False
        slots = self._busy.get(slot_id)
        if slots is None:
            slots = self._busy[slot_id] = Slots(self._idle.pop(slot_id, 0))
        event = cast("SlotFact", decode(stored.type, stored.data))
        if isinstance(event, TriggerDecided | SlotRefused | RetryRefused):
            evolve(slots, event)
        else:
            waited = event.run_id in slots.waiting
            evolve(slots, event)
            self._place(event.run_id, slot_id, slots)
            self._count(event.workflow_id, slot_id, (event.run_id in slots.waiting) - waited)
        if slots.is_idle:
            self._rest(slot_id, slots)
        return True

    def _place(self, run_id: UUID, slot_id: UUID, slots: Slots) -> None:
        if run_id in slots.holders or run_id in slots.waiting:
            self._of_run[run_id] = slot_id
        else:
            self._of_run.pop(run_id, None)

    def _count(self, workflow_id: str, slot_id: UUID, more: int) -> None:
        """`more` runs of the workflow wait for these slots."""
        if not more:
            return
        awaited = self._awaited.setdefault(workflow_id, {})
        awaited[slot_id] = awaited.get(slot_id, 0) + more
        if not awaited[slot_id]:
            del awaited[slot_id]
        if not awaited:
            del self._awaited[workflow_id]

    def _rest(self, slot_id: UUID, slots: Slots) -> None:
        del self._busy[slot_id]
        self._idle[slot_id] = slots.version
        if slot_id in self._drafts and self._drafts[slot_id].version == slots.version:
            del self._drafts[slot_id]

    # --- writing it down --------------------------------------------------------------------------------------------

    def _take(self, state: bytes) -> None:
        written = _state.decode(state)
        self._idle = dict(written.idle)
        for busy in written.busy:
            slots = self._busy[busy.slot_id] = Slots(busy.version)
            slots.holders = dict(busy.holders)
            for version, asked in busy.waiting:
                slots.wait(asked, version)
                self._count(asked.workflow_id, busy.slot_id, 1)
            self._of_run.update(dict.fromkeys((*slots.holders, *slots.waiting), busy.slot_id))

    def _written(self) -> bytes:
        busy = [
            _Busy(slot_id, slots.version, list(slots.holders.items()), slots.arrivals())
            for slot_id, slots in self._busy.items()
        ]
        return msgspec.json.encode(_Written(busy, list(self._idle.items())))

    def _size(self) -> int:
        return len(self._of_run) + len(self._idle)
