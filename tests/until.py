"""Waiting for a condition."""

import asyncio
from collections.abc import Awaitable, Callable

WAIT_S = 15.0


async def until(is_so: Callable[[], bool | Awaitable[bool]], what: str, within_s: float = WAIT_S) -> None:
    """Wait for a condition; the failure says which one."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                found = is_so()
                if found if isinstance(found, bool) else await found:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None
