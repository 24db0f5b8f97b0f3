"""What execution does, as far as a worker can tell: hands out jobs, hears reports, cancels."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

import msgspec
import nats
from flowforge import Worker, envelope
from flowforge.envelope import CloudEvent
from flowforge.identity import new_uuid
from flowforge.reports import REPORT_TYPES, JobRequested, Report
from flowforge.subjects import Subjects, job_consumer
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from infra.bus.topology import declare, streams

WAIT_S = 60.0
ENDINGS = ("JobCompleted", "JobFailed")


class Told(msgspec.Struct):
    """One report as it came."""

    event: CloudEvent
    kind: str
    report: Any
    job_id: UUID


class Execution:
    """Plays execution on one namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.jetstream = client.jetstream()
        self.subjects = Subjects(namespace)
        self.told: list[Told] = []
        self._news = asyncio.Condition()

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, url: str, namespace: str) -> AsyncGenerator["Execution"]:
        """Connected, its streams declared, hearing reports; the streams are deleted in the end."""
        client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_quiet)  # type: ignore[arg-type]
        execution = cls(client, namespace)
        await declare(client, namespace)
        await client.subscribe(f"{namespace}.reports.>", cb=execution._heard)
        try:
            yield execution
        finally:
            for name in [
                f"OBJ_{execution.subjects.blobs_bucket}",
                *(each.name or "" for each in streams(execution.subjects)),
            ]:
                with contextlib.suppress(NotFoundError):
                    await execution.jetstream.delete_stream(name)
            await client.close()

    async def hand_out(self, job_type: str = "work", *, message_id: str = "", **fields: Any) -> JobRequested:
        """Put a job on the queue."""
        job = requested(job_type, **fields)
        await self.put(job_type, body_of(job), message_id)
        return job

    async def put(self, job_type: str, body: bytes, message_id: str = "") -> None:
        headers = {"Nats-Msg-Id": message_id} if message_id else None
        await self.jetstream.publish(self.subjects.job("default", job_type), body, headers=headers)

    async def cancel(self, job: JobRequested, attempt: int | None = None) -> None:
        data = msgspec.Raw(msgspec.json.encode({} if attempt is None else {"attempt": attempt}))
        body = envelope.encode(CloudEvent(id=str(job.job_id), source="/execution", type="CancelJob", data=data))
        await self.client.publish(self.subjects.cancel(job.job_id), body)

    def of(self, job: JobRequested, *kinds: str) -> list[Told]:
        """The reports of a job so far."""
        return self.of_id(job.job_id, *kinds)

    def of_id(self, job_id: UUID, *kinds: str) -> list[Told]:
        return [told for told in self.told if told.job_id == job_id and (not kinds or told.kind in kinds)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until reports make the condition true."""
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(condition)

    async def ending(self, job: JobRequested) -> Told:
        """The report that ends the job."""
        return await self.report(job, *ENDINGS)

    async def report(self, job: JobRequested, *kinds: str, count: int = 1) -> Told:
        """The `count`-th report of one of these kinds."""
        await self.until(lambda: len(self.of(job, *kinds)) >= count)
        return self.of(job, *kinds)[count - 1]

    async def consumer(self, job_type: str = "work") -> ConsumerInfo:
        return await self.jetstream.consumer_info(self.subjects.jobs_stream, job_consumer("default", job_type))

    async def settled(self, job_type: str = "work") -> ConsumerInfo:
        """The consumer once nothing is left on its queue."""
        async with asyncio.timeout(WAIT_S):
            while (info := await self.consumer(job_type)).num_pending or info.num_ack_pending:
                await asyncio.sleep(0.01)
            return info

    async def _heard(self, message: Msg) -> None:
        event = envelope.decode(message.data)
        kind = message.subject.rpartition(".")[2]
        report: Report = msgspec.json.decode(event.data, type=REPORT_TYPES[kind])
        job_id = UUID(message.subject.split(".")[3])
        async with self._news:
            self.told.append(Told(event, kind, report, job_id))
            self._news.notify_all()


async def _quiet(_fault: Exception) -> None:
    return


@contextlib.asynccontextmanager
async def serving(worker: Worker) -> AsyncGenerator[asyncio.Task[None]]:
    """The worker at work until the block ends, then stopped in order."""
    task = asyncio.create_task(worker.run())
    ready = asyncio.create_task(worker.is_ready.wait())
    async with asyncio.timeout(WAIT_S):
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield task
    finally:
        ready.cancel()
        worker.stop()
        async with asyncio.timeout(WAIT_S):
            await task


def requested(job_type: str = "work", **fields: Any) -> JobRequested:
    """A job with ids of its own; `payload` and `input` are JSON data."""
    for name in ("payload", "input"):
        fields[name] = msgspec.Raw(msgspec.json.encode(fields.get(name)))
    job_id = new_uuid()
    given: dict[str, Any] = {
        "job_id": job_id, "run_id": new_uuid(), "workflow_id": "w", "node_id": "n", "attempt": 1,
        "idempotency_key": str(job_id), **fields,
    }  # fmt: skip
    return JobRequested(job_type=job_type, **given)


def body_of(job: JobRequested) -> bytes:
    """The job as it stands on the queue."""
    return envelope.encode(
        CloudEvent(
            id=f"e-{job.job_id}",
            source="/execution",
            type="JobRequested",
            time=datetime.now(UTC),
            data=msgspec.Raw(msgspec.json.encode(job)),
            correlationid="the-correlation",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
    )


async def run_script(execution: Execution, language: str, source: str, **fields: Any) -> Told:
    """The ending report of a script that the built-in worker runs; `script` has more of its payload."""
    payload = {"language": language, "source": source, **fields.pop("script", {})}
    return await execution.ending(await execution.hand_out("script", payload=payload, **fields))


def lines_of(execution: Execution, job_id: UUID) -> list[str]:
    """What a job has logged, complete and in order."""
    told = execution.of_id(job_id, "JobLogged")
    counted = accumulate((len(each.report.lines) for each in told), initial=0)
    assert [each.report.first_line for each in told] == list(counted)[:-1]
    return [line for each in told for line in each.report.lines]
