"""The triggers service on a real NATS and a real Postgres, in this process, with its shell."""

import asyncio
import json
from typing import Any

import msgspec
from flowforge.envelope import CloudEvent, decode, encode, now
from flowforge.events import WorkflowCreated, WorkflowUpdated
from flowforge.events import encode as encode_event
from flowforge.identity import named_stream, new_uuid
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.bus import Shell
from infra.eventlog import Append, Appended, EventLog, NewEvent, StoredEvent, StreamAppend
from services.triggers.handlers import Triggers

WAIT_S = 10


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

    async def stop(self) -> None:
        for shell in self._shells:
            await shell.stop()

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

    async def inbox_is_empty(self) -> bool:
        info = await self.client.jetstream().stream_info(self.subjects.inbox_stream)
        return info.state.messages == 0

    async def until_inbox_is_empty(self) -> None:
        """Every event that was published is dealt with."""
        async with asyncio.timeout(WAIT_S):
            while not await self.inbox_is_empty():
                await asyncio.sleep(0.01)


def on_event(trigger_id: str = "t", event_type: str = "file.arrived", **config: Any) -> dict[str, Any]:
    return {"id": trigger_id, "type": "event", "config": {"event_type": event_type, **config}}
