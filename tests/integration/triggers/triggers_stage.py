"""The triggers service on a real NATS and a real Postgres, in this process, with its shell."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from flowforge.envelope import CloudEvent, decode, encode, now
from flowforge.events import (
    AnyEvent,
    Cause,
    RunCompleted,
    TriggerDecided,
    TriggerRef,
    WorkflowCreated,
    WorkflowTriggered,
    WorkflowUpdated,
)
from flowforge.events import decode as decode_event
from flowforge.events import encode as encode_event
from flowforge.identity import named_stream, new_uuid
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.bus import Shell, envelope
from infra.eventlog import Append, Appended, EventLog, NewEvent, StoredEvent, StreamAppend
from services.scheduler.clock import WallClock
from services.scheduler.handlers import Scheduler
from services.scheduler.store import TimerStore
from services.triggers.handlers import Triggers

WAIT_S = 10
DIES_WITHIN_S = 60
Decision = tuple[str, str]


class Installation:
    """A log and a NATS namespace, and what a test does with them; services come and go."""

    def __init__(self, client: Client, log: EventLog, namespace: str, dsn: str, nats_url: str) -> None:
        self.client = client
        self.log = log
        self.namespace = namespace
        self.dsn = dsn
        self.nats_url = nats_url
        self.subjects = Subjects(namespace)
        self.runs: asyncio.Queue[CloudEvent] = asyncio.Queue()
        self._shells: list[Shell] = []
        self._schedulers: list[tuple[Shell, TimerStore]] = []

    async def listen(self) -> None:
        """Hear what is said of runs."""

        async def heard(message: Msg) -> None:
            self.runs.put_nowait(decode(message.data))

        await self.client.subscribe(f"{self.namespace}.runs.>", cb=heard)

    async def start(self) -> Shell:
        """A triggers service that turns."""
        shell = Shell(Triggers(self.log, self.namespace), self.log, self.client, self.namespace, self.dsn)

        async def command(message: Msg) -> None:
            if not message.subject.endswith(".Health"):
                await shell.command(message.subject, message.data, message.reply)

        await self.client.subscribe(self.subjects.command("triggers", "*"), cb=command)
        await shell.start()
        await asyncio.wait_for(shell.is_ready.wait(), WAIT_S)
        self._shells.append(shell)
        return shell

    async def start_scheduler(self) -> None:
        """Timers fire from now on."""
        store = TimerStore(self.dsn)
        service = Scheduler(self.log, store, self.namespace, WallClock())
        shell = Shell(service, self.log, self.client, self.namespace, self.dsn)
        await shell.start()
        self._schedulers.append((shell, store))
        await asyncio.wait_for(shell.is_ready.wait(), WAIT_S)

    async def stop_triggers(self) -> None:
        """In order."""
        for shell in self._shells:
            await shell.stop()
        self._shells.clear()

    async def stop(self) -> None:
        await self.stop_triggers()
        for shell, store in self._schedulers:
            await shell.stop()
            await store.close()

    async def dies_at(self, point: str, home: Path) -> int:
        """A triggers process that works until it passes the point; its exit status."""
        environment = {
            **os.environ,
            "FLOWFORGE_DATABASE_URL": self.dsn,
            "FLOWFORGE_NATS_URL": self.nats_url,
            "FLOWFORGE_NAMESPACE": self.namespace,
            "FLOWFORGE_HOME": str(home),
            "FLOWFORGE_FAILPOINTS": f"{point}=die",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.triggers", env=environment)
        try:
            return await asyncio.wait_for(process.wait(), DIES_WITHIN_S)
        finally:
            if process.returncode is None:
                process.kill()

    async def save(self, workflow_id: str, *triggers: dict[str, Any], version: int = 1, **fields: Any) -> int:
        """What catalog does for a save; answers the position."""
        kind = WorkflowCreated if version == 1 else WorkflowUpdated
        document = {"id": workflow_id, "name": workflow_id, "nodes": [], "triggers": list(triggers), **fields}
        definition = msgspec.Raw(json.dumps(document).encode())
        fact = kind(workflow_id=workflow_id, workflow_version=version, definition=definition)
        stream = StreamAppend(
            "workflow",
            named_stream("workflow", workflow_id),
            version - 1,
            [NewEvent(kind.__name__, encode_event(fact))],
        )
        [answer] = await self.log.append([Append([stream], now(), changes_definitions=True)])
        assert isinstance(answer, Appended)
        return answer.positions[0]

    async def save_and_tell(self, workflow_id: str, *triggers: dict[str, Any], version: int = 1, **fields: Any) -> None:
        """The whole of what catalog does, in its order; it answers then."""
        position = await self.save(workflow_id, *triggers, version=version, **fields)
        await self.client.publish(self.subjects.defined, b"%d" % position)
        [stored] = await self.log.read_stream(named_stream("workflow", workflow_id), version - 1)
        await self._say(self.subjects.workflow(workflow_id, stored.type), stored)

    async def run(self, workflow_id: str, **labels: str) -> UUID:
        """A run that has begun."""
        run_id = new_uuid()
        fact = WorkflowTriggered(
            run_id=run_id, workflow_id=workflow_id, workflow_version=1, trigger=TriggerRef("event", "t"), trigger_version=1,
            cause=Cause(event_id=run_id, type="t", id="i", source="s", stream_id=run_id), labels=dict(labels),
        )  # fmt: skip
        await self._append(run_id, 0, fact)
        return run_id

    async def run_ends(self, workflow_id: str, run_id: UUID, output: Any = None) -> StoredEvent:
        """What execution logs and says of a run that is completed."""
        await self._append(run_id, 1, RunCompleted(output=msgspec.Raw(json.dumps(output).encode())))
        [stored] = await self.log.read_stream(run_id, 1)
        await self._say(self.subjects.run(workflow_id, run_id, stored.type), stored)
        return stored

    async def run_says(self, workflow_id: str, run_id: UUID, fact: AnyEvent, *, is_said: bool = True) -> StoredEvent:
        """What execution logs, and says, of a run."""
        version = len(await self.log.read_stream(run_id))
        await self._append(run_id, version, fact)
        [stored] = await self.log.read_stream(run_id, version)
        if is_said:
            await self._say(self.subjects.run(workflow_id, run_id, stored.type), stored)
        return stored

    async def _append(self, run_id: UUID, version: int, fact: AnyEvent) -> None:
        stream = StreamAppend("run", run_id, version, [NewEvent(type(fact).__name__, encode_event(fact))])
        [answer] = await self.log.append([Append([stream], now())])
        assert isinstance(answer, Appended)

    async def _say(self, subject: str, stored: StoredEvent) -> None:
        await self.client.jetstream().publish(subject, envelope(stored, self.namespace), timeout=WAIT_S)

    async def publish(self, event_id: str, event_type: str = "file.arrived", data: Any = None, **more: Any) -> None:
        """What an external system does; returns once the event is on disk."""
        event = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": event_type, "data": data, **more}
        await self.publish_bytes(json.dumps(event).encode())

    async def publish_bytes(self, body: bytes) -> None:
        await self.client.jetstream().publish(self.subjects.inbox(), body, timeout=WAIT_S)

    async def command(self, name: str, **data: Any) -> dict[str, Any]:
        """What the gateway does."""
        event = CloudEvent(
            id=str(new_uuid()), source="/gateway", type=name, data=msgspec.Raw(json.dumps(data).encode())
        )
        answer = await self.client.request(self.subjects.command("triggers", name), encode(event), timeout=WAIT_S)
        return json.loads(answer.data)

    async def next_run(self) -> CloudEvent:
        return await asyncio.wait_for(self.runs.get(), WAIT_S)

    async def logged(self, *types: str) -> list[StoredEvent]:
        return await self.log.read(0, types=set(types) or None)

    async def decisions(self, workflow_id: str = "w") -> dict[str, list[Decision]]:
        """By cause, in the order of the log: the decisions of the workflow's triggers."""
        found: dict[str, list[Decision]] = {}
        for stored in await self.logged(WorkflowTriggered.__name__, TriggerDecided.__name__):
            fact = decode_event(stored.type, stored.data)
            if isinstance(fact, WorkflowTriggered) and fact.workflow_id == workflow_id:
                found.setdefault(fact.cause.id, []).append(("fired", ""))
            elif isinstance(fact, TriggerDecided) and fact.workflow_id == workflow_id:
                found.setdefault(fact.cause.id, []).append((fact.decision, fact.reason))
        return found

    async def until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while not await is_so():
            assert asyncio.get_running_loop().time() < deadline, f"not within {WAIT_S} s: {what}"
            await asyncio.sleep(0.02)

    async def until_runs(self, count: int, workflow_id: str = "w") -> list[WorkflowTriggered]:
        """The runs of the workflow, once there are so many."""
        runs: list[WorkflowTriggered] = []

        async def are_there() -> bool:
            facts = [decode_event(one.type, one.data) for one in await self.logged(WorkflowTriggered.__name__)]
            runs[:] = [one for one in facts if isinstance(one, WorkflowTriggered) and one.workflow_id == workflow_id]
            return len(runs) >= count

        await self.until(are_there, f"{count} runs of {workflow_id}")
        return runs

    async def until_all_is_heard(self) -> None:
        """Nothing that triggers would hear is left, and nothing is held."""
        await self.until(self._is_quiet, "everything is heard and decided")

    async def _is_quiet(self) -> bool:
        jetstream = self.client.jetstream()
        for stream in (self.subjects.inbox_stream, self.subjects.timers_stream, self.subjects.runs_stream):
            info = await jetstream.consumer_info(stream, "triggers")
            if info.num_pending or info.num_ack_pending:
                return False
        return all(made[-1][0] != "held" for made in (await self.decisions()).values())

    async def inbox_is_empty(self) -> bool:
        info = await self.client.jetstream().stream_info(self.subjects.inbox_stream)
        return info.state.messages == 0

    async def until_inbox_is_empty(self) -> None:
        """Every event that was published is dealt with."""
        async with asyncio.timeout(WAIT_S):
            while not await self.inbox_is_empty():
                await asyncio.sleep(0.01)


def waiting(trigger: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The trigger with `delay_ms` and the like."""
    return {**trigger, **settings}


def on_upstreams(*names: str, **config: Any) -> dict[str, Any]:
    upstreams = [{"workflow_id": name, "condition": "on_success"} for name in names]
    return {"id": "t", "type": "dependency", "config": {"upstreams": upstreams, **config}}


def on_event(trigger_id: str = "t", event_type: str = "file.arrived", **config: Any) -> dict[str, Any]:
    return {"id": trigger_id, "type": "event", "config": {"event_type": event_type, **config}}
