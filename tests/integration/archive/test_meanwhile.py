"""Who reads while events move into an archive, or back, overlooks nothing."""

from collections.abc import Collection
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from infra.archive import ArchivedEventLog
from infra.archive.moving import moving, restore
from infra.eventlog import PostgresEventLog, StoredEvent, Unavailable
from tests.integration.archive.test_moving import moved


async def test_a_stream_that_is_put_back_between_two_looks_is_found(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    before = await log.read_streams(runs[:3])
    said = await moved(service_dsn, folder, runs[:3])
    look = PostgresEventLog.read_streams

    async def look_and_be_late(self: PostgresEventLog, stream_ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        found = await look(self, stream_ids)
        async with moving(service_dsn) as connection:
            await restore(connection, folder / said.file)
        return found

    monkeypatch.setattr(PostgresEventLog, "read_streams", look_and_be_late)
    assert await log.read_streams(runs[:3]) == before


async def test_a_page_of_what_moves_all_the_time_is_refused_and_never_has_a_gap(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    await moved(service_dsn, folder, runs[:1])
    waiting = [[run] for run in runs[1:5]]
    look = PostgresEventLog.read

    async def look_and_be_late(self: PostgresEventLog, *given: Any, **named: Any) -> list[StoredEvent]:
        if waiting:
            await moved(service_dsn, folder, waiting.pop())
        return await look(self, *given, **named)

    monkeypatch.setattr(PostgresEventLog, "read", look_and_be_late)
    with pytest.raises(Unavailable, match="moved into archives or back"):
        await log.read(0, 1000, types={"RunCompleted"}, archived=True)
    assert len(await log.read(0, 1000, types={"RunCompleted"}, archived=True)) == len(runs)


async def test_a_gap_of_the_log_itself_stays_to_be_seen(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, postgres_dsn: str, folder: Path
):
    await moved(service_dsn, folder, runs[:3])
    head = (await log.head()).position
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute("set eventlog.archiving = 'on'")
    await owner.execute("delete from eventlog.events where position = $1", head - 5)
    await owner.close()
    found = [event.position for event in await log.read(0, 1000)]
    assert found == [position for position in range(1, head + 1) if position != head - 5]
