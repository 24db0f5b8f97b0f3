"""What a step may ask beyond its own run: is there room, does a circuit breaker let it through, was it done before. Pure.

Filled and emptied by the shell's side of it (`sharing`). What is not in memory raises `NotLoaded`; the step goes on with
what else there is to decide, and the run has another turn once it was loaded.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import BreakerWait, EarlierOutput, PoolWait, RunEvent

from services.execution.breakers import Breakers, BreakerTold, NotLoaded
from services.execution.places import Limits, Places
from services.execution.state import Run, Unit

BREAKER, OUTPUT = "breaker", "output"
Wanted = tuple[str, str]
"""What has to be loaded: a breaker by its name, an earlier output by the name of its key."""


class Earlier(msgspec.Struct, frozen=True):
    """An output that may be used again, and whose it is. What travels by reference is there as `value` too."""

    whose: EarlierOutput
    output: msgspec.Raw
    reference: str | None = None
    value: Any = None


class Around:
    """The places, breakers and earlier outputs that all runs share."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._is_limited = limits.is_any
        self.places = Places(limits)
        self.breakers = Breakers()
        self.earlier: dict[UUID, dict[str, Earlier | None]] = {}
        """What was found for the runs that asked."""

    def concerns(self, run: Run) -> bool:
        """Whether any step of the run may have to ask."""
        return self._is_limited or run.plan.asks_around or bool(run.held)

    # --- a step asks -----------------------------------------------------------------------------------------------

    def place_lacking(self, run: Run, unit: Unit, now: datetime) -> PoolWait | None:
        """What an attempt has to wait for."""
        return self.places.lacking(run, unit, now) if self._is_limited else None

    def breaker_closed_to(self, name: str, run: Run, unit: Unit, attempt: int, now: datetime) -> BreakerWait | None:
        """What an attempt has to wait for. Raises `NotLoaded`."""
        try:
            return self.breakers.closed_to(name, run, unit, attempt, now)
        except NotLoaded:
            raise NotLoaded((BREAKER, name)) from None

    def earlier_output(self, run: Run, key: str) -> Earlier | None:
        """The newest output under that key, which is the name of what the key stands for. Raises `NotLoaded`."""
        found = self.earlier.get(run.id, {})
        if key not in found:
            raise NotLoaded((OUTPUT, key))
        return found[key]

    def noted(self, run: Run, event: RunEvent, now: datetime) -> None:
        """A step decided on this, and it is folded."""
        if self._is_limited:
            self.places.noted(run, event, now)
        self.breakers.noted(run, event, now)

    # --- what became of a step ---------------------------------------------------------------------------------------

    def logged(self, run_id: UUID) -> list[BreakerTold]:
        """The step counts; what breakers have to be told of it."""
        self.places.logged(run_id)
        return self.breakers.logged(run_id)

    def refused(self, run_id: UUID) -> None:
        """The step is void."""
        self.places.refused(run_id)
        self.breakers.refused(run_id)

    def read(self, run: Run) -> None:
        """A run as the log has it; whatever was known of it counts no more."""
        if self._is_limited:
            self.places.read(run)
        if run.plan.asks_around or run.held:
            self.breakers.read(run)
