"""What all triggers remember, kept up with the log.

`Ledger` is built at start from what was last written down, and the events of triggers since; from then on this service is
the only one that adds to it. Decisions are made on a copy, so that those of a turn see one another; what is logged is folded
into the ledger itself, and once something was refused the copies are forgotten.
"""

import logging
from collections.abc import Collection
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import (
    AbsenceCounted,
    TriggerDecided,
    TriggerEvent,
    TriggerFired,
    TriggerTimerSet,
    decode,
)
from flowforge.identity import lasting_stream

from infra.eventlog import EventLog, Snapshot, StoredEvent
from services.triggers.index import RuleKey
from services.triggers.memory import Memory, evolve
from services.triggers.settings import LEDGER_KEPT_AFTER_COUNT, LEDGER_KEPT_AFTER_POSITIONS, LEDGER_PAGE_COUNT

STREAM_TYPE = "trigger"
_TYPES = frozenset(kind.__name__ for kind in (TriggerDecided, TriggerFired, AbsenceCounted, TriggerTimerSet))
_STREAM_TYPES = frozenset({STREAM_TYPE})
_KEPT = lasting_stream("ledger", "triggers")
_SHAPE = 1
"""Raised with every change of what is written down; an older one is not read, and the log is."""
_NOTHING = Memory()
_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    incarnation: UUID
    position: int
    memories: list[tuple[RuleKey, Memory]]


_kept = msgspec.json.Decoder(_Kept)


class Ledger:
    """`position`: everything that triggers have logged up to there is in."""

    def __init__(self, log: EventLog) -> None:
        self.position = 0
        self.is_stale = True
        self._log = log
        self._incarnation: UUID | None = None
        self._memories: dict[RuleKey, Memory] = {}
        self._of_workflow: dict[str, set[str]] = {}
        self._drafts: dict[RuleKey, Memory] = {}
        self._is_in_doubt = False
        self._since_kept = 0
        self._kept_position = 0

    async def refresh(self) -> None:
        """Read it from the log where it may not be the truth. May raise `Unavailable`."""
        if not self.is_stale:
            return
        head = await self._log.head()
        self._memories, self._of_workflow, self._drafts = {}, {}, {}
        self._incarnation, self.position, self._since_kept = head.incarnation, 0, 0
        snapshot = await self._log.get_snapshot(_KEPT)
        if snapshot is not None:
            self._take(snapshot, head.position)
        self._kept_position = self.position
        while True:
            page = await self._log.read(self.position, LEDGER_PAGE_COUNT, types=_TYPES, stream_types=_STREAM_TYPES)
            for stored in page:
                self.add(stored)
            if len(page) < LEDGER_PAGE_COUNT:
                break
        self.position = max(self.position, head.position)
        self.is_stale = False

    def _take(self, snapshot: Snapshot, head_position: int) -> None:
        if snapshot.schema_version != _SHAPE:
            return
        try:
            kept = _kept.decode(snapshot.data)
        except msgspec.DecodeError as fault:
            _log.warning("what triggers remember is read from the log, the copy cannot be read: %s", fault)
            return
        if kept.incarnation != self._incarnation or kept.position > head_position:
            return
        self.position = kept.position
        for key, memory in kept.memories:
            self._put(key, memory)

    def _put(self, key: RuleKey, memory: Memory) -> None:
        self._memories[key] = memory
        self._of_workflow.setdefault(key[0], set()).add(key[1])

    # --- deciding ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Where a decision was not logged, all that was decided on top of it is forgotten."""
        if self._is_in_doubt:
            self._drafts.clear()
            self._is_in_doubt = False

    def not_logged(self) -> None:
        """Something that was decided is not in the log."""
        self._is_in_doubt = True

    def draft(self, key: RuleKey) -> Memory:
        """What the trigger remembers, with what was decided and is not logged yet; it may be changed."""
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = self._memories.get(key, _NOTHING).copied()
        return draft

    def holds(self, key: RuleKey) -> bool:
        """Whether the trigger has something that its next answer depends on."""
        memory = self._drafts.get(key) or self._memories.get(key)
        return memory is not None and not memory.is_empty

    def known(self, workflow_id: str) -> Collection[str]:
        """Which triggers of the workflow ever had something to remember."""
        return self._of_workflow.get(workflow_id, ())

    # --- what is logged ---------------------------------------------------------------------------------------------

    def add(self, stored: StoredEvent) -> None:
        """One more event of a trigger's stream."""
        event = cast("TriggerEvent", decode(stored.type, stored.data))
        key = (event.workflow_id, event.trigger_id)
        memory = self._memories.get(key)
        if memory is None:
            memory = Memory()
            self._put(key, memory)
        if stored.version != memory.version + 1:
            self.is_stale = True
            return
        evolve(memory, event, stored.recorded_at)
        self._since_kept += 1
        self.passed(stored.position)

    def passed(self, position: int) -> None:
        """Everything that this service has logged up to there is in."""
        self.position = max(self.position, position)

    def doubt(self, key: RuleKey, actual_version: int) -> None:
        """The log has the trigger's stream at that version; if it is another than here, somebody else was there."""
        if self._memories.get(key, _NOTHING).version != actual_version:
            self.is_stale = True

    # --- writing it down --------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Write it down once so much has happened that a start would be slow. May raise `Unavailable`."""
        if self.is_stale or not self._is_worth_keeping():
            return
        position, self._since_kept = self.position, 0
        assert self._incarnation is not None
        kept = _Kept(self._incarnation, position, list(self._memories.items()))
        await self._log.put_snapshot(Snapshot(_KEPT, 1, _SHAPE, msgspec.json.encode(kept)))
        self._kept_position = position

    def _is_worth_keeping(self) -> bool:
        if self._since_kept >= max(LEDGER_KEPT_AFTER_COUNT, len(self._memories)):
            return True
        return self.position - self._kept_position >= LEDGER_KEPT_AFTER_POSITIONS
