"""The one clock of the scheduler, so that tests control time."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from flowforge.envelope import now

LATE_S = 0.001
"""An alarm is set so much later: loops round to milliseconds, and one that rings early would have to ring again."""
SLEEP_S_MAX = 86_400.0


class Alarm(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Tells the wall-clock time, and calls back at a time."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def call_at(self, instant: datetime, ring: Callable[[], None]) -> Alarm:
        """Call `ring` once it is `instant`, or soon if that is past; it may ring early when the clock is changed."""
        ...


class WallClock:
    """The machine's clock. A clock that jumps is noticed by whoever looks at it, see `Scheduler.tick`."""

    def now(self) -> datetime:
        return now()

    def call_at(self, instant: datetime, ring: Callable[[], None]) -> Alarm:
        delay_s = (instant - now()).total_seconds()
        return asyncio.get_running_loop().call_later(min(max(delay_s, 0.0) + LATE_S, SLEEP_S_MAX), ring)
