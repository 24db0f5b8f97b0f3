"""A shell around the tally service, on a real nats-server."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import new_uuid
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.bus import Shell, topology
from infra.eventlog import MemoryEventLog

sys.path.insert(0, str(Path(__file__).parent))
from tally import Tally

from tests.until import WAIT_S


class Stage:
    """One namespace with its streams; shells come and go on the same log."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.subjects = Subjects(namespace)
        self.log = MemoryEventLog()
        self.heard: list[dict[str, Any]] = []
        self.shells: list[Shell] = []

    async def shell(self, service: Tally | None = None, log: Any = None) -> tuple[Shell, Tally]:
        """A shell that is ready, and its service."""
        log = log or self.log
        service = service or Tally(log, self.namespace)
        shell = Shell(service, log, self.client, self.namespace, None)
        self.shells.append(shell)
        await shell.start()
        async with asyncio.timeout(WAIT_S):
            await shell.is_ready.wait()
        return shell, service

    def body(self, word: str, seq: int, **more: Any) -> bytes:
        data = msgspec.Raw(msgspec.json.encode({"word": word, "seq": seq, **more}))
        return encode(CloudEvent(id=str(new_uuid()), source="/test", type="WorkflowTriggered", data=data))

    async def say(self, word: str, seq: int, **more: Any) -> None:
        """A message to the tally, on disk when this returns."""
        await self.publish(self.body(word, seq, **more))

    async def publish(self, body: bytes) -> None:
        await self.client.jetstream().publish(self.subjects.run("w", new_uuid(), "WorkflowTriggered"), body)

    async def counted(self) -> list[tuple[str, int]]:
        """What is in the log, in its order."""
        events = await self.log.read(0, 100_000, types={"Counted"})
        return [(said["word"], said["seq"]) for said in (msgspec.json.decode(event.data) for event in events)]

    async def quarantined(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(event.data) for event in await self.log.read(0, 1000, types={"MessageQuarantined"})]

    async def nothing_is_left(self) -> bool:
        info = await self.client.jetstream().consumer_info(self.subjects.runs_stream, "execution")
        return info.num_pending == 0 and info.num_ack_pending == 0


@pytest.fixture
async def stage(nats_url: str, namespace: str) -> AsyncIterator[Stage]:
    client = await nats.connect(nats_url)
    await topology.declare(client, namespace)
    stage = Stage(client, namespace)

    async def hear(message: Any) -> None:
        stage.heard.append(msgspec.json.decode(msgspec.json.decode(message.data, type=CloudEvent).data))

    await client.subscribe(f"{namespace}.workflows.>", cb=hear)
    yield stage
    for stream in topology.streams(stage.subjects):
        await client.jetstream().delete_stream(str(stream.name))
    await client.close()
