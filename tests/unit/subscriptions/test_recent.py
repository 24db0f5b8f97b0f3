"""The end of the log as subscriptions read it, several at once."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from infra.eventlog import Append, MemoryEventLog, NewEvent, StreamAppend
from services.subscriptions import recent
from services.subscriptions.recent import Recent

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUNS = [UUID(int=0x019CA9452B5D764FBE2E79B6B73F5000 + number) for number in range(4)]


class YieldingLog(MemoryEventLog):
    """Lets others go on while it reads, as a database does."""

    async def read_stream(self, stream_id, after_version=0, limit=None):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0)
        return await super().read_stream(stream_id, after_version, limit)


async def test_readers_at_once_do_not_forget_each_others_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recent, "RUNS_KNOWN_MAX", 1)
    log = YieldingLog()
    first = NewEvent("WorkflowTriggered", b'{"workflow_id": "daily"}')
    await log.append([Append([StreamAppend("run", run_id, 0, [first])], recorded_at=AT) for run_id in RUNS])
    begun = (await log.head()).position
    following = NewEvent("RunStarted", b"{}")
    await log.append([Append([StreamAppend("run", run_id, 1, [following])], recorded_at=AT) for run_id in RUNS])
    known = Recent(log)
    await known.after(begun + 2, {"RunStarted"})
    pages = await asyncio.gather(*(known.after(begun + back, {"RunStarted"}) for back in (3, 2, 1, 0)))
    assert [len(page.events) for page in pages] == [1, 2, 3, 4]
    assert {told.run.workflow_id for page in pages for told in page.events} == {"daily"}
