"""Acknowledging what is dealt with: a little later, many together.

A work queue whose last message is acknowledged gives up its file and makes another (nats-server 2.15, `removeMsgBlock` of
its filestore.go): of a lone run that was a sixth of nats-server's work, in the middle of the run's hops. Nobody waits for
an acknowledgement; what is not acknowledged when a process dies comes again and meets its own past.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.bus.message import Message

ACKNOWLEDGED_AFTER_S = 0.02
ACKNOWLEDGED_TOGETHER_MAX = 500
"""So many messages wait for nothing."""


class Acknowledgements:
    """`tell` acknowledges, and raises nothing."""

    def __init__(self, tell: Callable[[Sequence[Message]], Awaitable[None]]) -> None:
        self._tell = tell
        self._due: list[Message] = []
        self._later: asyncio.Task[None] | None = None

    async def due(self, messages: Sequence[Message]) -> None:
        """These are dealt with."""
        self._due += messages
        if len(self._due) >= ACKNOWLEDGED_TOGETHER_MAX:
            await self.tell_rest()
        elif self._later is None:
            self._later = asyncio.create_task(self._tell_later())

    async def tell_rest(self) -> None:
        """Acknowledge what waits, if anything does."""
        messages, self._due = self._due, []
        if messages:
            await self._tell(messages)

    async def _tell_later(self) -> None:
        await asyncio.sleep(ACKNOWLEDGED_AFTER_S)
        self._later = None
        await self.tell_rest()
