"""What one job tells while it runs, and how much of it is kept while nobody takes it."""

import asyncio

import msgspec
import pytest
from flowforge import reporting
from flowforge.envelope import CloudEvent
from flowforge.identity import new_uuid
from flowforge.publisher import Publisher
from flowforge.reporting import Reporting
from flowforge.reports import JobProgressed, JobRequested
from nats.aio.client import Client


class Storing(Publisher):
    """A publisher whose messages are stored when the test says so."""

    def __init__(self) -> None:
        super().__init__(Client())
        self.told: list[bytes] = []
        self.stored: list[asyncio.Future[None]] = []

    async def publish(self, subject: str, body: bytes, message_id: str = "") -> asyncio.Future[None]:
        self.told.append(body)
        self.stored.append(await super().publish(subject, body, message_id))
        return self.stored[-1]

    @property
    def progress(self) -> list[float]:
        return [
            msgspec.json.decode(msgspec.json.decode(body, type=CloudEvent).data, type=JobProgressed).progress
            for body in self.told
        ]


@pytest.fixture
def publisher() -> Storing:
    return Storing()


@pytest.fixture
async def telling(publisher: Storing, monkeypatch: pytest.MonkeyPatch) -> Reporting:
    monkeypatch.setattr(reporting, "PROGRESS_INTERVAL_S", 0.0)
    job = JobRequested(
        job_id=new_uuid(), job_type="w", workflow_id="w", run_id=new_uuid(), node_id="n", attempt=1, idempotency_key="k"
    )
    cause = CloudEvent(id="1", source="/x", type="JobRequested")
    return Reporting(publisher, "reports.", job, cause, delivery=1, worker="w")


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_while_progress_is_not_stored_only_the_latest_is_kept(publisher: Storing, telling: Reporting) -> None:
    for number in range(50):
        telling.progress(number / 100, "")
        await turns()
    assert publisher.progress == [0.0]
    publisher.stored[0].set_result(None)
    await turns()
    assert publisher.progress == [0.0, 0.49]


async def test_progress_told_without_a_pause_costs_one_task(telling: Reporting) -> None:
    before = len(asyncio.all_tasks())
    for number in range(1000):
        telling.progress(number / 1000, "")
    most = before
    for _ in range(10):
        await asyncio.sleep(0)
        most = max(most, len(asyncio.all_tasks()))
    assert most <= before + 1


async def test_the_last_progress_is_told_before_the_end_though_the_one_before_is_not_stored(
    publisher: Storing, telling: Reporting
) -> None:
    telling.progress(0.1, "")
    await turns()
    telling.progress(0.9, "")
    await telling.tell_rest()
    assert publisher.progress == [0.1, 0.9]
    for stored in publisher.stored:
        stored.set_result(None)
    await turns()
    assert publisher.progress == [0.1, 0.9]
