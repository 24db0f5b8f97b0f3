"""Telling those who follow the log that it grew: at once after a quiet while, seldom under load, the last growth always."""

import asyncio
import time
from collections.abc import Awaitable, Callable

NUDGE_INTERVAL_S = 0.02
"""Each nudge wakes every follower, which takes the processor from the run that the event is of."""


class Nudges:
    """`tell` is given the last position; 0 where it is not known."""

    def __init__(self, tell: Callable[[int], Awaitable[None]]) -> None:
        self._tell = tell
        self._told_at = 0.0
        self._untold: int | None = None
        self._later: asyncio.Task[None] | None = None

    async def grew(self, position: int) -> None:
        """The log ends at `position`: told now, or with what comes within the interval at its end."""
        self._untold = 0 if 0 in (position, self._untold) else max(position, self._untold or 0)
        if self._later is None:
            wait_s = self._told_at + NUDGE_INTERVAL_S - time.monotonic()
            if wait_s <= 0:
                await self.tell_rest()
            else:
                self._later = asyncio.create_task(self._tell_later(wait_s))

    async def tell_rest(self) -> None:
        """Tell what is kept back, if anything is."""
        position, self._untold = self._untold, None
        if position is not None:
            self._told_at = time.monotonic()
            await self._tell(position)

    async def _tell_later(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        self._later = None
        await self.tell_rest()
