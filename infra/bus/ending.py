"""Ending tasks that speak to NATS."""

import asyncio
from collections.abc import Iterable

CANCELLED_AGAIN_AFTER_S = 1.0


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until each has ended. Once is not enough: `asyncio.wait_for` of Python 3.11, which nats-py uses for every
    question, forgets a cancel that comes together with the answer, and the task goes on."""
    going_on = {task for task in tasks if not task.done()}
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=CANCELLED_AGAIN_AFTER_S)
