"""Which workflow an event belongs to, with a memory that forgets."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from infra.eventlog import Append, MemoryEventLog, NewEvent, StreamAppend
from services.projections.places import Places

OLD, NEW = UUID("019ca945-2b5d-764f-be2e-79b6b73f502e"), UUID("019ca945-2b5d-764f-be2e-79b6b73f502f")


AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def begun(run_id: UUID, workflow_id: str) -> Append:
    data = msgspec.json.encode({"workflow_id": workflow_id})
    return Append([StreamAppend("run", run_id, 0, [NewEvent("WorkflowTriggered", data)])], recorded_at=AT)


async def test_a_run_that_is_forgotten_for_another_one_on_the_same_page_is_told_all_the_same():
    log = MemoryEventLog()

    async def nothing_projected(_: object) -> dict[UUID, str]:
        return {}

    places = Places(log, nothing_projected, runs_max=1)
    await log.append([begun(OLD, "daily")])
    assert await places.of_workflow(await log.read(0), "daily")
    started = Append([StreamAppend("run", OLD, 1, [NewEvent("RunStarted", b"{}")])], recorded_at=AT)
    await log.append([started, begun(NEW, "other")])
    page = await log.read(1)
    assert [event.type for event in await places.of_workflow(page, "daily")] == ["RunStarted"]
