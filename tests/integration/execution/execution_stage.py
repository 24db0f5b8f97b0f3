"""Execution on a real NATS and a log in memory, in this process, with its shell."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from flowforge.envelope import CloudEvent, now
from flowforge.envelope import encode as encode_envelope
from flowforge.events import Cause, Event, EventReceived, TriggerRef, WorkflowCreated, WorkflowTriggered, decode, encode
from flowforge.identity import named_stream, new_uuid, part_uuid
from flowforge.reports import JobCompleted
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.bus import Shell, envelope
from infra.eventlog import Answer, Append, Appended, MemoryEventLog, NewEvent, StoredEvent, StreamAppend, Unavailable
from services.execution.handlers import ExecutionService
from services.execution.outputs import Outputs
from services.execution.places import Limits
from services.execution.store import Kept, OutputStore
from tests.until import WAIT_S, until

E = TypeVar("E")


class Log(MemoryEventLog):
    """A log that can be asked to fail: the next `refused_count` appends, the answer of the next append that has one of
    `unanswered`, and reads of the stream `away`; while `awaited` is read for the first time `meanwhile` is done."""

    refused_count = 0
    unanswered: Collection[str] = ()
    away: UUID | None = None
    asked_count = 0
    awaited: UUID | None = None
    meanwhile: Callable[[], Awaitable[None]]

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        if self.refused_count:
            self.refused_count -= 1
            raise Unavailable("the log is away")
        answers = await super().append(groups)
        types = {event.type for group in groups for stream in group.streams for event in stream.events}
        if types & set(self.unanswered):
            self.unanswered = ()
            raise Unavailable("the answer was lost")
        return answers

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        if stream_id == self.awaited:
            self.awaited = None
            await self.meanwhile()
        if stream_id == self.away:
            self.asked_count += 1
            raise Unavailable("the log is away")
        return await super().read_stream(stream_id, after_version, limit)


class Store(OutputStore):
    """The table of outputs, in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Kept] = {}
        self.position = 0

    async def keep(self, outputs: Mapping[bytes, Kept]) -> None:
        self.rows |= outputs

    async def find(self, names: Collection[bytes]) -> dict[bytes, Kept]:
        return {name: self.rows[name] for name in names if name in self.rows}

    async def forget_before(self, at: datetime) -> None:
        self.rows = {name: kept for name, kept in self.rows.items() if kept[1] >= at}

    async def keep_read(self, position: int) -> None:
        self.position = position

    async def read(self) -> int:
        return self.position


class Installation:
    """A log and a NATS namespace; execution comes and goes."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.subjects = Subjects(namespace)
        self.log = Log()
        self.store = Store()
        self.shell: Shell | None = None

    async def start(self, **limits: Any) -> ExecutionService:
        service = ExecutionService(self.log, self.namespace, Outputs(self.log, self.store, None), Limits(**limits))
        self.shell = Shell(service, self.log, self.client, self.namespace, None)
        await self.shell.start()
        async with asyncio.timeout(WAIT_S):
            await self.shell.is_ready.wait()
        return service

    async def stop(self) -> None:
        if self.shell is not None:
            await self.shell.stop()

    async def define(self, *nodes: dict[str, Any], workflow_id: str = "wf", **definition: Any) -> None:
        whole = {"id": workflow_id, "name": workflow_id, "nodes": list(nodes), **definition}
        raw = msgspec.Raw(msgspec.json.encode(whole))
        await self.logged(
            "workflow", named_stream("workflow", workflow_id),
            WorkflowCreated(workflow_id=workflow_id, workflow_version=1, definition=raw),
        )  # fmt: skip

    async def triggered(self, workflow_id: str = "wf", input_data: Any = None, **triggered: Any) -> UUID:
        """A run begins: logged, and not said yet."""
        run_id = new_uuid()
        cause = Cause(event_id=run_id, type="RunRequested", id=str(run_id), source="/test", stream_id=run_id)
        first = WorkflowTriggered(
            run_id=run_id,
            workflow_id=workflow_id,
            workflow_version=1,
            trigger=TriggerRef(type="manual", id="manual"),
            trigger_version=1,
            cause=cause,
            input_data=msgspec.Raw(msgspec.json.encode(input_data)),
            **triggered,
        )
        await self.logged("run", run_id, first)
        return run_id

    async def run(self, workflow_id: str = "wf", input_data: Any = None) -> UUID:
        """A run begins, and execution hears of it."""
        run_id = await self.triggered(workflow_id, input_data)
        await self.say(run_id, workflow_id)
        return run_id

    async def say(self, run_id: UUID, workflow_id: str = "wf") -> None:
        """The first event of the run, on its stream."""
        await self.publish((await self.log.read_stream(run_id))[0], workflow_id)

    async def publish(self, stored: StoredEvent, workflow_id: str = "wf") -> None:
        """An event of a run, on the run's stream."""
        body = envelope(stored, self.namespace)
        await self.client.jetstream().publish(self.subjects.run(workflow_id, stored.stream_id, stored.type), body)

    async def tells(self, name: str, run_id: UUID, **fields: Any) -> dict[str, Any]:
        """What somebody asks of the run, and the answer."""
        data = {"command_id": str(new_uuid()), "actor": "ada", "run_id": str(run_id), **fields}
        raw = msgspec.Raw(msgspec.json.encode(data))
        event = CloudEvent(id=str(new_uuid()), source="/gateway", type=name, data=raw)
        inbox = self.client.new_inbox()
        answers = await self.client.subscribe(inbox, max_msgs=1)
        assert self.shell is not None
        await self.shell.command(self.subjects.command("execution", name), encode_envelope(event), inbox)
        return msgspec.json.decode((await answers.next_msg(timeout=WAIT_S)).data)

    async def completes(
        self, run_id: UUID, node_id: str, output: Any = None, attempt: int = 1, instance: str = "", event_id: str = ""
    ) -> None:
        """A worker reports that the job of the node is done."""
        job_id = part_uuid(run_id, "job", node_id, instance)
        said = JobCompleted(attempt=attempt, output=msgspec.Raw(msgspec.json.encode(output)))
        data = msgspec.Raw(msgspec.json.encode(said))
        event = CloudEvent(id=event_id or str(new_uuid()), source="/worker", type="JobCompleted", data=data)
        subject = self.subjects.report(run_id, job_id, "JobCompleted")
        await self.client.jetstream().publish(subject, encode_envelope(event))

    async def received(self, event_type: str) -> None:
        """An event from outside is in the log, and those who follow it are told."""
        event = EventReceived(id=str(new_uuid()), source="/shop", type=event_type, data=msgspec.Raw(b"{}"))
        await self.logged("inbox", new_uuid(), event)
        await self.client.publish(self.subjects.appended, b"0")

    async def logged(self, kind: str, stream_id: UUID, event: Event) -> None:
        version = len(await self.log.read_stream(stream_id))
        new = NewEvent(type(event).__name__, encode(event))
        answers = await self.log.append([Append([StreamAppend(kind, stream_id, version, [new])], now())])
        assert isinstance(answers[0], Appended)

    async def queued_count(self) -> int:
        """How many jobs are on the queue."""
        return (await self.client.jetstream().stream_info(self.subjects.jobs_stream)).state.messages

    async def kinds(self, run_id: UUID) -> list[str]:
        """The history of the run, as types."""
        return [stored.type for stored in (await self.log.read_streams([run_id]))[run_id]]

    async def events(self, run_id: UUID, kind: type[E]) -> list[E]:
        """Those of that type, in the history of the run."""
        history = (await self.log.read_streams([run_id]))[run_id]
        events = [decode(stored.type, stored.data) for stored in history]
        return [event for event in events if isinstance(event, kind)]

    async def until_logged(self, run_id: UUID, kind: str, count: int = 1) -> None:
        async def is_there() -> bool:
            return (await self.kinds(run_id)).count(kind) >= count

        await until(is_there, f"{count} {kind} of {run_id}")
