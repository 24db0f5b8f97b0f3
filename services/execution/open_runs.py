"""Which runs have not ended, and the position of the log below which none of them began.

Found once per process, from the log above the position that was kept; kept up with what is logged since.
"""

import time
from collections.abc import Sequence
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.events import RunEvent, RunRetryRequested

from infra.eventlog import EventLog, StoredEvent
from services.execution.settings import OPEN_RUNS_KEPT_EVERY_S
from services.execution.state import Run

_CURSOR = "open:execution"
_PAGE_COUNT = 5_000
_ENDED = facts.RUN_ENDINGS | {"RunRetryRefused"}
_KINDS = frozenset({"WorkflowTriggered", "RunRetryRequested", *_ENDED})


class _Version(msgspec.Struct):
    workflow_id: str
    workflow_version: int


_decode = msgspec.json.Decoder(_Version).decode


class OpenRuns(dict[UUID, int]):
    """Runs that have not ended, each with the position of the event that began it, or had it go on."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log
        self.is_known = False
        self.found: dict[UUID, tuple[str, int] | None] = {}
        """Those that were open before this process, with the version of their workflow, where that was read."""
        self._ended: set[UUID] = set()
        """Runs that ended while the open ones were being found: what was read of them may be from before."""
        self._kept = 0
        self._kept_at = 0.0

    def forget(self) -> None:
        """Start afresh: another owner may have been here."""
        self.clear()
        self.found.clear()
        self.is_known = False
        self._ended.clear()

    def note(self, run: Run, events: Sequence[RunEvent], position: int) -> None:
        """What was logged of a run, from `position` on."""
        if run.is_ended:
            self.pop(run.id, None)
            if not self.is_known:
                self._ended.add(run.id)
        elif run.id not in self:
            is_retried = any(isinstance(event, RunRetryRequested) for event in events)
            self[run.id] = position if is_retried else run.position

    async def find(self) -> None:
        """Once per process: every run that began, or was to go on, and has not ended, above the position kept for that."""
        if self.is_known:
            return
        position = await self._log.get_cursor(_CURSOR)
        found: dict[UUID, StoredEvent] = {}
        while page := await self._log.read(position, _PAGE_COUNT, types=_KINDS):
            for stored in page:
                if stored.type in _ENDED:
                    found.pop(stored.stream_id, None)
                else:
                    found[stored.stream_id] = stored
            position = page[-1].position
        if self.is_known:  # by somebody who asked at the same time, and what was logged since is noted
            return
        found = {run_id: stored for run_id, stored in found.items() if run_id not in self._ended}
        self.update({run_id: stored.position for run_id, stored in found.items()} | self)
        self.found = {run_id: _version(stored) for run_id, stored in found.items()}
        self.is_known = True
        self._ended.clear()

    async def keep_position(self, heard_position: int) -> None:
        """Below it no run is open, so that the next process need not look there."""
        now_s = time.monotonic()
        if not self.is_known or now_s < self._kept_at + OPEN_RUNS_KEPT_EVERY_S:
            return
        self._kept_at = now_s
        position = min(min(self.values(), default=2**62) - 1, heard_position)
        if position > self._kept:
            await self._log.set_cursor(_CURSOR, position)
            self._kept = position


def _version(stored: StoredEvent) -> tuple[str, int] | None:
    if stored.type != "WorkflowTriggered":
        return None
    told = _decode(stored.data)
    return told.workflow_id, told.workflow_version
