"""A task is over once it was told to end, though it forgot the first time."""

import asyncio
import contextlib

import pytest

from infra.bus.ending import end


async def test_a_task_that_forgets_a_cancel_is_cancelled_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("infra.bus.ending.CANCELLED_AGAIN_AFTER_S", 0.01)
    began = asyncio.Event()

    async def forgets() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            began.set()
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def fails() -> None:
        raise RuntimeError("by itself")

    tasks = [asyncio.create_task(forgets()), asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(60))]
    await began.wait()
    async with asyncio.timeout(5):
        await end(tasks)
    assert [task.cancelled() for task in tasks] == [True, False, True]
    assert isinstance(tasks[1].exception(), RuntimeError)
