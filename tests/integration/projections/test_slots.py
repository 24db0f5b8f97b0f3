"""What waits for a slot and why, and how full slots are; the same after a rebuild, whatever the batches were."""

from typing import Any
from uuid import UUID

from flowforge.events import (
    Event,
    RunAdmitted,
    RunCompleted,
    RunQueued,
    RunStarted,
    SlotAwaited,
    SlotFreed,
    SlotTaken,
    SlotWait,
    TriggerDecided,
    WorkflowTriggered,
)
from flowforge.identity import lasting_stream
from histories import Clock, created, new, received, triggered
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend
from services.projections.rebuild import verify

SLOT = lasting_stream("slot", "workflow", "chain", "eu")


class History:
    """Runs of `chain` that ask for the one slot under the key `eu`, as triggers and execution log them."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.clock = Clock()
        self.versions: dict[UUID, int] = {}

    async def append(self, *streams: tuple[str, UUID, list[Event]]) -> None:
        parts = [
            StreamAppend(kind, stream_id, self.versions.get(stream_id, 0), new(*events))
            for kind, stream_id, events in streams
        ]
        await self.log.append([Append(parts, recorded_at=self.clock())])
        for _, stream_id, events in streams:
            self.versions[stream_id] = self.versions.get(stream_id, 0) + len(events)

    async def takes(self, number: int) -> WorkflowTriggered:
        run = await self._run(number)
        taken = SlotTaken(run_id=run.run_id, workflow_id="chain", limit=1, key="eu")
        await self.append(("run", run.run_id, [run]), ("slot", SLOT, [taken]))
        await self.append(("run", run.run_id, [RunStarted(total_nodes=3)]))
        return run

    async def waits(self, number: int, behind: WorkflowTriggered, priority: int = 0) -> WorkflowTriggered:
        wait = SlotWait(slot_id=SLOT, limit=1, place=1, holders=[behind.run_id], key="eu")
        run = await self._run(number, waits=wait, priority=priority)
        asked = SlotAwaited(
            run_id=run.run_id,
            workflow_id="chain",
            limit=1,
            key="eu",
            priority=priority,
            trigger_id="on-order",
            trigger_version=1,
            cause=run.cause,
        )
        held = self.decided(run, "held", "concurrency")
        await self.append(("run", run.run_id, [run]), ("slot", SLOT, [asked, held]))
        await self.append(("run", run.run_id, [RunQueued(waits=wait)]))
        return run

    async def _run(self, number: int, **fields: Any) -> WorkflowTriggered:
        group, cause = received(number, self.clock())
        await self.log.append([group])
        return triggered(cause, self.clock(), **fields)

    def decided(self, run: WorkflowTriggered, decision: Any, reason: str = "") -> TriggerDecided:
        return TriggerDecided(
            trigger_id="on-order",
            trigger_version=1,
            workflow_id="chain",
            cause=run.cause,
            decision=decision,
            reason=reason,
            run_id=run.run_id,
        )


async def read(client: AsyncClient, log: EventLog, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params={"after": (await log.head()).position, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_run_that_waits_tells_for_whom_and_its_place_as_it_is_now(
    client: AsyncClient, log: EventLog, service_dsn: str
):
    await log.append([created()])
    history = History(log)
    first = await history.takes(1)
    second = await history.waits(2, first)
    urgent = await history.waits(3, first, priority=5)
    run = await read(client, log, f"/api/runs/{second.run_id}")
    assert run["status"] == "pending"
    assert run["waiting_for"] == {
        "reason": "concurrency",
        "pool": None,
        "key": "eu",
        "limit": 1,
        "position": 2,
        "in_use": 1,
        "holders": [str(first.run_id)],
    }
    active = await read(client, log, "/api/workflows/chain/active")
    assert [(item["run_id"], item["status"]) for item in active["items"]] == [
        (str(urgent.run_id), "pending"),
        (str(second.run_id), "pending"),
        (str(first.run_id), "running"),
    ]
    assert [item["waiting_for"] and item["waiting_for"]["position"] for item in active["items"]] == [1, 2, None]
    assert active["slots"] == [{"pool": None, "key": "eu", "limit": 1, "in_use": 1, "waiting": 2}]

    await history.append(("run", first.run_id, [RunCompleted()]))
    admitted = RunAdmitted(run_id=urgent.run_id, workflow_id="chain")
    freed = SlotFreed(run_id=first.run_id, workflow_id="chain")
    await history.append(("slot", SLOT, [freed, admitted, history.decided(urgent, "fired")]))
    await history.append(("run", urgent.run_id, [RunStarted(total_nodes=3)]))
    run = await read(client, log, f"/api/runs/{second.run_id}")
    assert (run["waiting_for"]["position"], run["waiting_for"]["holders"]) == (1, [str(urgent.run_id)])
    assert (await read(client, log, f"/api/runs/{urgent.run_id}"))["waiting_for"] is None
    active = await read(client, log, "/api/workflows/chain/active")
    assert active["slots"] == [{"pool": None, "key": "eu", "limit": 1, "in_use": 1, "waiting": 1}]

    path = "/api/workflows/chain/triggers/on-order/decisions"
    decisions = (await read(client, log, path, cause=str(urgent.cause.event_id)))["items"]
    assert [(each["decision"], each["reason"]) for each in decisions] == [("fired", None), ("held", "concurrency")]
    assert (await verify(log, service_dsn)).is_equal
