"""All slots: who holds one, who waits for one."""

from collections import OrderedDict
from collections.abc import Collection
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import RetryRefused, SlotAwaited, SlotEvent, SlotRefused, TriggerDecided, decode

from infra.eventlog import EventLog, StoredEvent
from services.triggers.admission import SlotFact
from services.triggers.kept_up import KeptUp
from services.triggers.settings import IDLE_SLOTS_KEPT_COUNT_MAX
from services.triggers.slots import Holder, Slots, evolve


class _Busy(msgspec.Struct, array_like=True):
    slot_id: UUID
    version: int
    holders: list[tuple[UUID, Holder]]
    waiting: list[tuple[int, SlotAwaited]]


class _Written(msgspec.Struct):
    busy: list[_Busy]
    idle: list[tuple[UUID, int]]
    has_forgotten: bool = False


_state = msgspec.json.Decoder(_Written)


class SlotLedger(KeptUp):
    """Of slots that are all free only the version of their stream is kept, and of those used last."""

    stream_type = "slot"
    types = frozenset(kind.__name__ for kind in (*SlotEvent.__args__, TriggerDecided))
    shape = 2

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._drafts: dict[UUID, Slots] = {}
        self._doubted: set[UUID] = set()
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._busy: dict[UUID, Slots] = {}
        self._idle: OrderedDict[UUID, int] = OrderedDict()
        """Those that came to rest last are last."""
        self._has_forgotten = False
        self._doubted.clear()
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

    @property
    def idle_count(self) -> int:
        """Of how many free slots it is known where their stream stands."""
        return len(self._idle)

    def _version(self, slot_id: UUID) -> int:
        busy = self._busy.get(slot_id)
        return self._idle.get(slot_id, 0) if busy is None else busy.version

    def _forget_drafts(self) -> None:
        self._drafts.clear()

    # --- what is logged ---------------------------------------------------------------------------------------------

    def doubt(self, slot_id: UUID, actual_version: int) -> None:
        """The log has the stream at that version; if it is another than here, these slots were forgotten, or somebody else
        was there."""
        version = self._version(slot_id)
        if version == 0 and self._has_forgotten:
            self._doubted.add(slot_id)
        elif version != actual_version:
            self.is_stale = True

    async def refresh(self) -> None:
        """Read what may not be the truth, all of it or some slots. May raise `Unavailable`."""
        await super().refresh()
        if not self._doubted:
            return
        for slot_id, events in (await self._log.read_streams(self._doubted)).items():
            for stored in events[self._version(slot_id) :]:
                self._fold(stored)
        self._doubted.clear()

    def _take_in(self, stored: StoredEvent) -> bool:
        """Only what is logged pushes others out: what was looked up stays until it is decided on."""
        is_next = super()._take_in(stored)
        while len(self._idle) > IDLE_SLOTS_KEPT_COUNT_MAX:
            self._idle.popitem(last=False)
            self._has_forgotten = True
        return is_next

    def _fold(self, stored: StoredEvent) -> bool:
        slot_id, version = stored.stream_id, self._version(stored.stream_id)
        is_forgotten = self._has_forgotten and version == 0  # whatever its version was, all were free
        if stored.version != version + 1 and not is_forgotten:
            return False
        slots = self._busy.get(slot_id)
        if slots is None:
            self._idle.pop(slot_id, None)
            slots = self._busy[slot_id] = Slots(stored.version - 1)
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
        self._idle, self._has_forgotten = OrderedDict(written.idle), written.has_forgotten
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
        return msgspec.json.encode(_Written(busy, list(self._idle.items()), self._has_forgotten))

    def _size(self) -> int:
        return len(self._of_run) + len(self._idle)
