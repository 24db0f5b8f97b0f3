"""Which events a subscription means: the work of the service that takes long, done so that nobody waits for all of it."""

import asyncio
from collections.abc import Callable, Sequence

from services.subscriptions.recent import Told
from services.subscriptions.settings import CHOSEN_AT_ONCE_S


class Chooser:
    """One for all subscriptions. They choose one after the other, a slice of time at once: who asks the service for something
    waits for one slice, however many subscriptions there are."""

    def __init__(self) -> None:
        self._choosing = asyncio.Lock()

    async def first(self, events: Sequence[Told], means: Callable[[Told], bool], count_max: int) -> list[Told]:
        """The first of them that are meant, in their order, at most so many."""
        chosen: list[Told] = []
        clock = asyncio.get_running_loop().time
        async with self._choosing:
            until_s = clock() + CHOSEN_AT_ONCE_S
            for told in events:
                if clock() > until_s:
                    await asyncio.sleep(0)
                    until_s = clock() + CHOSEN_AT_ONCE_S
                if means(told):
                    chosen.append(told)
                    if len(chosen) == count_max:
                        break
        return chosen
