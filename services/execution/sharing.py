"""What runs share, on the shell's side: filled from the log, its events appended, and runs woken when it is their turn.

Places are counted from the open runs before anything is handed out; breakers and earlier outputs are loaded for the run
that asks, which has another turn then. After a start every run that may have asked for something has one.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.envelope import now
from flowforge.events import BreakerEvent
from flowforge.identity import lasting_stream

from infra.bus import Message, Work
from infra.eventlog import Append, EventLog, NewEvent, Snapshot, StreamAppend
from services.execution import breakers
from services.execution.around import BREAKER, OUTPUT, Around, Wanted
from services.execution.breakers import Breaker, BreakerTold
from services.execution.open_runs import OpenRuns
from services.execution.outputs import Outputs
from services.execution.places import Limits
from services.execution.runs import Runs
from services.execution.settings import (
    BREAKER_EVENTS_READ_MAX,
    INVITED_AGAIN_EVERY_S,
    RUNS_NUDGED_MAX,
    RUNS_PAGE_COUNT,
    WOKEN_BEFORE_BREAKER_MAX,
)
from services.execution.state import Run

_log = logging.getLogger(__name__)
_told = msgspec.json.Decoder(BreakerTold)
BREAKER_KEY = "breaker "


class RunWoken(msgspec.Struct):
    """To one run: there may be room, or what it asked for is there."""

    run_id: UUID


Put = Callable[[msgspec.Struct, str], None]
"""Puts a message into a later turn, under an id."""


class Sharing:
    """The one owner of places, breakers and earlier outputs."""

    def __init__(self, log: EventLog, outputs: Outputs, limits: Limits, put: Put) -> None:
        self._log = log
        self._outputs = outputs
        self._limits = limits
        self._put = put
        self.forget()

    def forget(self) -> None:
        """Start afresh: another owner may have been here."""
        self.around = Around(self._limits)
        self._are_places_known = False
        self._wanted: dict[UUID, set[Wanted]] = {}
        self._woken: set[UUID] = set()
        self._to_nudge: list[UUID] | None = None
        self._held: set[UUID] = set()
        self._invited_at = 0.0

    # --- the shell asks --------------------------------------------------------------------------------------------

    async def load(self, run_ids: Collection[UUID], told: Collection[str], runs: Runs, open_runs: OpenRuns) -> None:
        """What the steps of these runs may ask for, and the breakers that are told something."""
        if not self._are_places_known and self._limits.is_any:
            await self._count_places(runs, open_runs)
        for name in told:
            await self._load_breaker(name)
        for run_id in run_ids if self._wanted else ():
            for kind, name in (wanted := self._wanted.get(run_id, set())):
                if kind == BREAKER:
                    await self._load_breaker(name)
            outputs = [name for kind, name in wanted if kind == OUTPUT]
            if outputs:
                self.around.earlier[run_id] = await self._outputs.find(outputs)

    def read(self, run: Run) -> None:
        """A run was read from the log."""
        if self.around.concerns(run):
            self.around.read(run)

    def decided(self, run: Run, wanted: set[Wanted], *, is_step: bool) -> None:
        """A step of the run was decided; without `is_step` it came to nothing."""
        self._woken.discard(run.id)
        self._wanted.pop(run.id, None)
        self.around.earlier.pop(run.id, None)
        if wanted:
            self._wanted[run.id] = wanted
            self._wake([run.id])
        if not is_step:
            self.around.places.answered(run.id)

    def logged(self, run: Run) -> None:
        """The step counts: breakers are told, and who is invited has a turn."""
        for told in self.around.logged(run.id):
            self._put(told, f"{run.id}-{told.what}")
        self._wake(self.around.places.invitations())

    def refused(self, run_id: UUID) -> None:
        """The step is void; others may have been refused for it."""
        self.around.refused(run_id)
        self._woken.discard(run_id)
        self._wake(self.around.places.invitations())

    def holds(self, run_id: UUID) -> None:
        """Something in that run waits for a place or before a breaker, as was found at the start."""
        self._held.add(run_id)

    async def tick(self, runs: Runs, open_runs: OpenRuns) -> None:
        """Each second."""
        await self._nudge(runs, open_runs)
        self._wake(self.around.breakers.due(now(), WOKEN_BEFORE_BREAKER_MAX))
        now_s = time.monotonic()
        if now_s > self._invited_at + INVITED_AGAIN_EVERY_S:
            self._invited_at = now_s
            self._woken.clear()
            self._wake(self.around.places.invite_again())

    # --- breakers ----------------------------------------------------------------------------------------------------

    def decide_breaker(self, name: str, messages: Sequence[Message]) -> Work:
        """What becomes of a breaker, of all that it is told."""
        breaker = self.around.breakers.known[name]
        version = breaker.version
        decided: list[BreakerEvent] = []
        at: datetime | None = None
        for message in messages:
            told = _told.decode(message.event.data)
            at = told.at if at is None else max(at, told.at)
            for event in breakers.decide(breaker, told):
                breakers.evolve(breaker, event)
                decided.append(event)
        if not decided or at is None:
            return Work()
        new = [NewEvent(type(event).__name__, facts.encode(event)) for event in decided]
        return Work(append=Append([StreamAppend("breaker", breaker_stream(name), version, new)], recorded_at=at))

    def breaker_logged(self) -> None:
        """What waits before a breaker that has closed goes on."""
        self._wake(self.around.breakers.due(now(), WOKEN_BEFORE_BREAKER_MAX))

    def breaker_refused(self, name: str) -> None:
        """What is in memory is not the truth."""
        self.around.breakers.known.pop(name, None)

    async def _load_breaker(self, name: str) -> None:
        if name in self.around.breakers.known:
            return
        stream_id = breaker_stream(name)
        breaker, snapshot = Breaker(name), await self._log.get_snapshot(stream_id)
        if snapshot is not None and snapshot.schema_version == 1:  # every event says all that the breaker is
            breaker.version = snapshot.version
        history = await self._log.read_stream(stream_id, breaker.version)
        for stored in history:
            breakers.evolve(breaker, cast("BreakerEvent", facts.decode(stored.type, stored.data)))
        if len(history) > BREAKER_EVENTS_READ_MAX:
            await self._log.put_snapshot(Snapshot(stream_id, breaker.version - 1, 1, b"{}"))
        self.around.breakers.known[name] = breaker

    # --- after a start -------------------------------------------------------------------------------------------------

    async def _count_places(self, runs: Runs, open_runs: OpenRuns) -> None:
        await open_runs.find()
        waiting = [run_id for run_id in open_runs if runs.get(run_id) is None]
        for start in range(0, len(waiting), RUNS_PAGE_COUNT):
            await runs.read_readable(waiting[start : start + RUNS_PAGE_COUNT])
            runs.evict()
        self._are_places_known = True
        self._wake(self.around.places.invitations())

    async def _nudge(self, runs: Runs, open_runs: OpenRuns) -> None:
        """A run that had asked for something to be loaded when the process ended waits for nothing that would come."""
        if self._to_nudge is None:
            found = dict(open_runs.found)
            self._to_nudge = [run_id for run_id, version in found.items() if await _asks_around(version, runs)]
            open_runs.found.clear()
        if self._held:
            self._to_nudge += self._held
            self._held.clear()
        if self._to_nudge:
            self._wake(self._to_nudge[:RUNS_NUDGED_MAX])
            del self._to_nudge[:RUNS_NUDGED_MAX]

    def _wake(self, run_ids: Iterable[UUID]) -> None:
        for run_id in run_ids:
            if run_id not in self._woken:
                self._woken.add(run_id)
                self._put(RunWoken(run_id), f"{run_id}-woken")


async def _asks_around(version: tuple[str, int] | None, runs: Runs) -> bool:
    if version is None:
        return True
    try:
        return (await runs.plan(*version)).asks_around
    except LookupError:
        return False  # whoever needs it will say so


def breaker_stream(name: str) -> UUID:
    """The stream of a breaker."""
    return lasting_stream("breaker", name)
