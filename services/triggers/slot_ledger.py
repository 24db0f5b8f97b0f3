"""All slots, kept up with the log as the ledger of triggers is: built at start from what was last written down and the
events of slots since, and from then on added to by this service alone.

Decisions are made on copies, so that those of a turn see one another; once something was refused the copies are forgotten.
"""

import logging
from collections.abc import Collection
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import SlotAwaited, SlotEvent, TriggerDecided, decode
from flowforge.identity import lasting_stream

from infra.eventlog import EventLog, Snapshot, StoredEvent
from services.triggers.admission import SlotFact
from services.triggers.settings import LEDGER_KEPT_AFTER_COUNT, LEDGER_KEPT_AFTER_POSITIONS, LEDGER_PAGE_COUNT
from services.triggers.slots import Holder, Slots, evolve

SLOT_STREAM = "slot"
_STREAM_TYPES = frozenset({SLOT_STREAM})
_TYPES = frozenset(kind.__name__ for kind in (*SlotEvent.__args__, TriggerDecided))
_KEPT = lasting_stream("ledger", "slots")
_SHAPE = 1
"""Raised with every change of what is written down; an older one is not read, and the log is."""
_log = logging.getLogger(__name__)


class _Busy(msgspec.Struct, array_like=True):
    slot_id: UUID
    version: int
    holders: list[tuple[UUID, Holder]]
    waiting: list[tuple[int, SlotAwaited]]


class _Kept(msgspec.Struct):
    incarnation: UUID
    position: int
    busy: list[_Busy]
    idle: list[tuple[UUID, int]]


_kept = msgspec.json.Decoder(_Kept)


class SlotLedger:
    """`position`: everything that triggers have logged up to there is in."""

    def __init__(self, log: EventLog) -> None:
        self.position = 0
        self.is_stale = True
        self._log = log
        self._incarnation: UUID | None = None
        self._busy: dict[UUID, Slots] = {}
        self._idle: dict[UUID, int] = {}
        """Versions of the streams whose slots are all free."""
        self._of_run: dict[UUID, UUID] = {}
        self._awaited: dict[str, dict[UUID, int]] = {}
        """Workflow → the slots that runs of it wait for, and how many do."""
        self._drafts: dict[UUID, Slots] = {}
        self._is_in_doubt = False
        self._since_kept = 0
        self._kept_position = 0

    async def refresh(self) -> None:
        """Read it from the log where it may not be the truth. May raise `Unavailable`."""
        if not self.is_stale:
            return
        head = await self._log.head()
        for part in (self._busy, self._idle, self._of_run, self._awaited, self._drafts):
            part.clear()
        self._incarnation, self.position, self._since_kept = head.incarnation, 0, 0
        snapshot = await self._log.get_snapshot(_KEPT)
        if snapshot is not None:
            self._take(snapshot, head.position)
        self._kept_position = self.position
        self.is_stale = False
        while True:
            page = await self._log.read(self.position, LEDGER_PAGE_COUNT, types=_TYPES, stream_types=_STREAM_TYPES)
            for stored in page:
                self.add(stored)
            if len(page) < LEDGER_PAGE_COUNT:
                break
        self.passed(head.position)

    def _take(self, snapshot: Snapshot, head_position: int) -> None:
        if snapshot.schema_version != _SHAPE:
            return
        try:
            kept = _kept.decode(snapshot.data)
        except msgspec.DecodeError as fault:
            _log.warning("slots are read from the log, the copy cannot be read: %s", fault)
            return
        if kept.incarnation != self._incarnation or kept.position > head_position:
            return
        self.position, self._idle = kept.position, dict(kept.idle)
        for busy in kept.busy:
            slots = self._busy[busy.slot_id] = Slots(busy.version)
            slots.holders = dict(busy.holders)
            for version, asked in busy.waiting:
                slots.wait(asked, version)
                self._count(asked.workflow_id, busy.slot_id, 1)
            self._of_run.update(dict.fromkeys((*slots.holders, *slots.waiting), busy.slot_id))

    # --- deciding ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Where a decision was not logged, all that was decided on top of it is forgotten."""
        if self._is_in_doubt:
            self._drafts.clear()
            self._is_in_doubt = False

    def not_logged(self) -> None:
        """Something that was decided is not in the log."""
        self._is_in_doubt = True

    def draft(self, slot_id: UUID) -> Slots:
        """The slots, with what was decided and is not logged yet; whoever decides evolves them."""
        draft = self._drafts.get(slot_id)
        if draft is None:
            busy = self._busy.get(slot_id)
            draft = self._drafts[slot_id] = Slots(self._idle.get(slot_id, 0)) if busy is None else busy.copy()
        return draft

    def of_run(self, run_id: UUID) -> UUID | None:
        """The slots of which the run holds one, or waits for one."""
        return self._of_run.get(run_id)

    def awaited_by(self, workflow_id: str) -> Collection[UUID]:
        """The slots that runs of the workflow wait for."""
        return self._awaited.get(workflow_id, ())

    # --- what is logged ---------------------------------------------------------------------------------------------

    def add(self, stored: StoredEvent) -> None:
        """One more event of a slot's stream."""
        slot_id = stored.stream_id
        slots = self._busy.get(slot_id)
        if slots is None:
            slots = self._busy[slot_id] = Slots(self._idle.pop(slot_id, 0))
        if stored.version != slots.version + 1:
            self.is_stale = True
            return
        event = cast("SlotFact", decode(stored.type, stored.data))
        waited = not isinstance(event, TriggerDecided) and event.run_id in slots.waiting
        evolve(slots, event)
        if not isinstance(event, TriggerDecided):
            self._place(event, slots, slot_id, (event.run_id in slots.waiting) - waited)
        if slots.is_idle:
            self._idle[slot_id] = self._busy.pop(slot_id).version
            if slot_id in self._drafts and self._drafts[slot_id].version == slots.version:
                del self._drafts[slot_id]
        self._since_kept += 1
        self.passed(stored.position)

    def _place(self, event: SlotEvent, slots: Slots, slot_id: UUID, more: int) -> None:
        """`more`: by how many the runs of this workflow that wait here have grown."""
        if event.run_id in slots.holders or event.run_id in slots.waiting:
            self._of_run[event.run_id] = slot_id
        else:
            self._of_run.pop(event.run_id, None)
        if more:
            self._count(event.workflow_id, slot_id, more)

    def _count(self, workflow_id: str, slot_id: UUID, more: int) -> None:
        awaited = self._awaited.setdefault(workflow_id, {})
        awaited[slot_id] = awaited.get(slot_id, 0) + more
        if not awaited[slot_id]:
            del awaited[slot_id]
        if not awaited:
            del self._awaited[workflow_id]

    def passed(self, position: int) -> None:
        """Everything that this service has logged up to there is in."""
        self.position = max(self.position, position)

    def doubt(self, slot_id: UUID, actual_version: int) -> None:
        """The log has the stream at that version; if it is another than here, somebody else was there."""
        busy = self._busy.get(slot_id)
        known = self._idle.get(slot_id, 0) if busy is None else busy.version
        if known != actual_version:
            self.is_stale = True

    # --- writing it down --------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Write it down once so much has happened that a start would be slow. May raise `Unavailable`."""
        if self.is_stale or not self._is_worth_keeping():
            return
        position, self._since_kept = self.position, 0
        assert self._incarnation is not None
        busy = [
            _Busy(slot_id, slots.version, list(slots.holders.items()), slots.arrivals())
            for slot_id, slots in self._busy.items()
        ]
        kept = _Kept(self._incarnation, position, busy, list(self._idle.items()))
        await self._log.put_snapshot(Snapshot(_KEPT, 1, _SHAPE, msgspec.json.encode(kept)))
        self._kept_position = position

    def _is_worth_keeping(self) -> bool:
        if self._since_kept >= max(LEDGER_KEPT_AFTER_COUNT, len(self._of_run) + len(self._idle)):
            return True
        return self.position - self._kept_position >= LEDGER_KEPT_AFTER_POSITIONS
