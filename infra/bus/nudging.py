"""Telling those who follow the log that it grew: a little later, many together, the last growth always."""

import asyncio
from collections.abc import Awaitable, Callable

NUDGED_AFTER_S = 0.01
"""Each nudge wakes every follower, which takes the processor from the run that the event is of: a short one is over then."""


class Nudges:
    """`tell` is given the last position; 0 where it is not known."""

    def __init__(self, tell: Callable[[int], Awaitable[None]]) -> None:
        self._tell = tell
        self._untold: int | None = None
        self._later: asyncio.Task[None] | None = None

    def grew(self, position: int) -> None:
        """The log ends at `position`: told soon, with what comes meanwhile."""
        self._untold = 0 if 0 in (position, self._untold) else max(position, self._untold or 0)
        if self._later is None:
            self._later = asyncio.create_task(self._tell_later())

    async def tell_rest(self) -> None:
        """Tell what is kept back, if anything is."""
        position, self._untold = self._untold, None
        if position is not None:
            await self._tell(position)

    async def _tell_later(self) -> None:
        await asyncio.sleep(NUDGED_AFTER_S)
        self._later = None
        await self.tell_rest()
