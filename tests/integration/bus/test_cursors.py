"""Positions that a shell keeps: never beyond what it has yet to handle."""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any

import pytest
from flowforge.envelope import now
from flowforge.identity import new_uuid

from infra.bus import Message, Work, envelope, shell
from infra.eventlog import Answer, Append, EventLog, MemoryEventLog, NewEvent, StoredEvent, StreamAppend
from tests.integration.bus.conftest import Stage
from tests.integration.bus.tally import Tally
from tests.until import until


class Stuck(MemoryEventLog):
    """A log whose appends of counts wait while it is stuck."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        if groups[0].streams[0].stream_type == "word":
            await self.goes_on.wait()
        return await super().append(groups)


class Hearing(Tally):
    hears = frozenset({"WorkflowTriggered"})


async def test_what_was_handled_before_nats_was_away_is_no_proof_for_what_it_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage.log = log = Stuck()
    hearing, _ = await stage.shell(Hearing(log, stage.namespace), log)
    for seq in (1, 2):
        event = NewEvent("WorkflowTriggered", b'{"word":"a","seq":%d}' % seq)
        await log.append([Append([StreamAppend("run", new_uuid(), 0, [event])], now())])
    await stage.publish(envelope((await log.read(1))[0], stage.namespace))  # the first never came, or was lost
    await until(lambda: stage.heard == [{"word": "a", "seq": 2}], "the second is handled")
    log.goes_on.clear()
    hearing.reconnected()
    await until(lambda: hearing.turn.is_busy, "the first is taken from the log")
    monkeypatch.setattr(shell, "HEARD_LAG_S", 0)
    monkeypatch.setattr(shell, "TICK_S", 0.01)
    await asyncio.wait({asyncio.create_task(log.goes_on.wait())}, timeout=1.5)
    assert await log.get_cursor("heard:execution") == 0
    log.goes_on.set()
    await until(lambda: {"word": "a", "seq": 1} in stage.heard, "the first is handled")
    await hearing.stop()


class Slow(MemoryEventLog):
    """Its readers wait, once it is told to be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.readers_count = 0

    async def read(self, *asked: Any, **more: Any) -> list[StoredEvent]:
        self.readers_count += not self.goes_on.is_set()
        await self.goes_on.wait()
        return await super().read(*asked, **more)


class Ordered(Hearing):
    def __init__(self, log: EventLog, namespace: str) -> None:
        super().__init__(log, namespace)
        self.order: list[str] = []

    async def nats_was_away(self) -> None:
        self.order.append("told")

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        self.order.append("decided")
        return super().decide(key, messages)


async def test_a_service_is_told_that_nats_was_away_before_it_hears_anything_again(stage: Stage):
    stage.log = log = Slow()
    service = Ordered(log, stage.namespace)
    hearing, _ = await stage.shell(service, log)
    log.goes_on.clear()
    hearing.reconnected()
    await until(lambda: log.readers_count > 0, "the shell looks at what was said or heard")
    await stage.say("a", 1)
    await until(lambda: "decided" in service.order, "a message is decided")
    assert service.order == ["told", "decided"]
    log.goes_on.set()
    await hearing.stop()
