"""What all triggers remember."""

from collections.abc import Collection
from typing import cast

import msgspec
from flowforge.events import (
    AbsenceCounted,
    TriggerDecided,
    TriggerEvent,
    TriggerFired,
    TriggerTimerSet,
    decode,
)

from infra.eventlog import EventLog, StoredEvent
from services.triggers.index import RuleKey
from services.triggers.kept_up import KeptUp
from services.triggers.memory import Memory, evolve

_NOTHING = Memory()
_state = msgspec.json.Decoder(list[tuple[RuleKey, Memory]])


class Ledger(KeptUp):
    """The memories of triggers, by workflow and trigger."""

    stream_type = "trigger"
    types = frozenset(kind.__name__ for kind in (TriggerDecided, TriggerFired, AbsenceCounted, TriggerTimerSet))
    shape = 3

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._drafts: dict[RuleKey, Memory] = {}
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._memories: dict[RuleKey, Memory] = {}
        self._of_workflow: dict[str, set[str]] = {}

    def _put(self, key: RuleKey, memory: Memory) -> None:
        self._memories[key] = memory
        self._of_workflow.setdefault(key[0], set()).add(key[1])

    # --- deciding ---------------------------------------------------------------------------------------------------

    def draft(self, key: RuleKey) -> Memory:
        """What the trigger remembers, with what was decided and is not logged yet; it may be changed."""
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = self._memories.get(key, _NOTHING).copied()
        return draft

    def is_ahead(self, key: RuleKey) -> bool:
        """Whether something was decided about the trigger that is not logged yet."""
        draft = self._drafts.get(key)
        return draft is not None and draft.version != self._memories.get(key, _NOTHING).version

    def holds(self, key: RuleKey) -> bool:
        """Whether the trigger has something that its next answer depends on."""
        memory = self._drafts.get(key) or self._memories.get(key)
        return memory is not None and not memory.is_empty

    def known(self, workflow_id: str) -> Collection[str]:
        """Which triggers of the workflow ever had something to remember."""
        return self._of_workflow.get(workflow_id, ())

    def memories(self) -> Collection[tuple[RuleKey, Memory]]:
        """What each trigger remembers of what is logged."""
        return self._memories.items()

    def _forget_drafts(self) -> None:
        self._drafts.clear()

    # --- what is logged ---------------------------------------------------------------------------------------------

    def doubt(self, key: RuleKey, actual_version: int) -> None:
        """The log has the trigger's stream at that version; if it is another than here, somebody else was there."""
        if self._memories.get(key, _NOTHING).version != actual_version:
            self.is_stale = True

    def _fold(self, stored: StoredEvent) -> bool:
        event = cast("TriggerEvent", decode(stored.type, stored.data))
        key = (event.workflow_id, event.trigger_id)
        memory = self._memories.get(key)
        if memory is None:
            memory = Memory()
            self._put(key, memory)
        if stored.version != memory.version + 1:
            return False
        evolve(memory, event, stored.recorded_at)
        return True

    # --- writing it down --------------------------------------------------------------------------------------------

    def _take(self, state: bytes) -> None:
        for key, memory in _state.decode(state):
            self._put(key, memory)

    def _written(self) -> bytes:
        return msgspec.json.encode(list(self.memories()))

    def _size(self) -> int:
        return len(self._memories)
