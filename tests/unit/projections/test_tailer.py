"""The one reader of the log for all live streams."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from infra.eventlog import Append, MemoryEventLog, NewEvent, StreamAppend
from services.projections.places import Places
from services.projections.settings import ReadSettings
from services.projections.streams import Listener, Tailer

RUN = UUID("019ca945-2b5d-764f-be2e-79b6b73f502e")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_read_models_that_do_not_answer_once_end_no_live_stream():
    log, settings = MemoryEventLog(), ReadSettings(stream_poll_s=0.01)
    first = NewEvent("WorkflowTriggered", b'{"workflow_id": "daily"}')
    await log.append([Append([StreamAppend("run", RUN, 0, [first])], AT)])
    asked = 0

    async def place_runs(_: Sequence[UUID]) -> dict[UUID, str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise asyncpg.UndefinedTableError("the read models are being exchanged")
        return {RUN: "daily"}

    tailer = Tailer(log, Places(log, place_runs, 10), settings)
    listener = Listener(None, "daily", settings)
    await tailer.add(listener)
    running = asyncio.create_task(tailer.run())
    await log.append([Append([StreamAppend("run", RUN, 1, [NewEvent("RunStarted", b"{}")])], AT)])
    batch = await listener.next(5)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert batch is not None
    assert [event.type for event in batch.events] == ["RunStarted"]
