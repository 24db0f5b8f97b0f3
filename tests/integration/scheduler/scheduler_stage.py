"""The scheduler on a real NATS and a real Postgres, in this process, a clock that tests may hold, and saves."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from flowforge.commands import Command
from flowforge.envelope import CloudEvent, decode, now
from flowforge.envelope import encode as encode_event
from flowforge.events import (
    Cause,
    ScheduleFired,
    TimerSet,
    TriggerRef,
    WorkflowCreated,
    WorkflowTriggered,
    WorkflowUpdated,
    encode,
)
from flowforge.events import decode as decode_event
from flowforge.identity import named_stream, new_uuid
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from infra.bus import Outgoing, Shell, envelope
from infra.eventlog import Append, Appended, EventLog, NewEvent, StoredEvent, StreamAppend
from services.scheduler.clock import Alarm, Clock, WallClock
from services.scheduler.handlers import Scheduler
from services.scheduler.store import TimerStore

WAIT_S = 10


class HeldAlarm:
    def __init__(self, instant: datetime, ring: Callable[[], None]) -> None:
        self.instant = instant
        self.ring = ring
        self.is_set = True

    def cancel(self) -> None:
        self.is_set = False


class HeldClock:
    """Stands still until it is moved; counts how often it rang."""

    def __init__(self, instant: datetime) -> None:
        self._instant = instant
        self._alarms: list[HeldAlarm] = []
        self.rings_count = 0

    def now(self) -> datetime:
        return self._instant

    def call_at(self, instant: datetime, ring: Callable[[], None]) -> Alarm:
        alarm = HeldAlarm(instant, ring)
        if instant <= self._instant:
            asyncio.get_running_loop().call_soon(self._ring, alarm)
        self._alarms.append(alarm)
        return alarm

    @property
    def next_alarm_at(self) -> datetime | None:
        return min((alarm.instant for alarm in self._alarms if alarm.is_set), default=None)

    async def until_alarm_is_at(self, instant: datetime) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.next_alarm_at != instant:
                await asyncio.sleep(0.01)

    def move_to(self, instant: datetime) -> None:
        self._instant = instant
        for alarm in [alarm for alarm in self._alarms if alarm.instant <= instant]:
            self._ring(alarm)

    def _ring(self, alarm: HeldAlarm) -> None:
        if alarm.is_set:
            alarm.is_set = False
            self._alarms.remove(alarm)
            self.rings_count += 1
            alarm.ring()


class Installation:
    """A log, a table and a NATS namespace; schedulers come and go."""

    def __init__(self, client: Client, log: EventLog, namespace: str, dsn: str, nats_url: str) -> None:
        self.client = client
        self.log = log
        self.namespace = namespace
        self.dsn = dsn
        self.nats_url = nats_url
        self.subjects = Subjects(namespace)
        self.fired: asyncio.Queue[tuple[CloudEvent, datetime]] = asyncio.Queue()
        self._shells: list[tuple[Shell, TimerStore]] = []
        self._commands: list[Subscription] = []

    async def listen(self) -> None:
        async def heard(message: Msg) -> None:
            self.fired.put_nowait((decode(message.data), now()))

        await self.client.subscribe(f"{self.namespace}.timers.>", cb=heard)

    async def start(self, clock: Clock | None = None) -> Scheduler:
        store = TimerStore(self.dsn)
        service = Scheduler(self.log, store, self.namespace, clock or WallClock())
        shell = Shell(service, self.log, self.client, self.namespace, self.dsn)
        await shell.start()
        self._shells.append((shell, store))

        async def command(message: Msg) -> None:
            await shell.command(message.subject, message.data, message.reply)

        subject = self.subjects.command(service.name, "BackfillSchedule")
        self._commands.append(await self.client.subscribe(subject, cb=command))
        await asyncio.wait_for(shell.is_ready.wait(), WAIT_S)
        return service

    async def stop(self) -> None:
        for subscription in self._commands:
            await subscription.unsubscribe()
        self._commands.clear()
        for shell, store in self._shells:
            await shell.stop()
            await store.close()
        self._shells.clear()

    async def ask(self, command: Command) -> dict[str, Any]:
        """A command and its answer: what was carried out, or the refusal."""
        kind = type(command).__name__
        event = CloudEvent(
            id=command.command_id, source="/gateway", type=kind, data=msgspec.Raw(msgspec.json.encode(command))
        )
        answer = await self.client.request(
            self.subjects.command("scheduler", kind), encode_event(event), timeout=WAIT_S
        )
        told = json.loads(answer.data)
        return told["ok"] if "ok" in told else told["refused"]

    async def run(self, workflow_id: str = "w") -> UUID:
        """A run that has begun."""
        run_id = new_uuid()
        cause = Cause(event_id=run_id, type="t", id="i", source="s", stream_id=run_id)
        fact = WorkflowTriggered(
            run_id=run_id,
            workflow_id=workflow_id,
            workflow_version=1,
            trigger=TriggerRef("event", "t"),
            trigger_version=1,
            cause=cause,
        )
        stream = StreamAppend("run", run_id, 0, [NewEvent("WorkflowTriggered", encode(fact))])
        await self.log.append([Append([stream], now())])
        return run_id

    async def set(self, due_at: list[datetime], *, workflow_id: str = "w", is_said: bool = True) -> list[UUID]:
        """What execution does: log the timers of one run, and say them."""
        run_id, timer_ids = await self.run(workflow_id), [new_uuid() for _ in due_at]
        facts = [
            TimerSet(timer_id=timer_id, due_at=at, purpose="retry", node_id="n", attempt=2)
            for timer_id, at in zip(timer_ids, due_at, strict=True)
        ]
        append = Append(
            [StreamAppend("run", run_id, 1, [NewEvent("TimerSet", encode(fact)) for fact in facts])],
            now(),
            correlation_id=run_id,
        )
        [answer] = await self.log.append([append])
        assert isinstance(answer, Appended)
        if is_said:
            for stored in await self.log.read_stream(run_id, 1):
                await self.say(stored, workflow_id)
        return timer_ids

    async def say(self, stored: StoredEvent, workflow_id: str) -> None:
        out = Outgoing(self.subjects.run(workflow_id, stored.stream_id, stored.type), envelope(stored, self.namespace))
        await self.client.jetstream().publish(out.subject, out.body, timeout=WAIT_S)

    async def next_fired(self) -> tuple[CloudEvent, datetime]:
        return await asyncio.wait_for(self.fired.get(), WAIT_S)

    async def rows_count(self) -> int:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval("select count(*) from scheduler.timers")
        finally:
            await connection.close()

    async def forget_table(self) -> None:
        connection = await asyncpg.connect(self.dsn)
        await connection.execute("delete from scheduler.timers")
        await connection.close()

    async def until_rows_count_is(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while await self.rows_count() != count:
                await asyncio.sleep(0.02)


def every(every_ms: int = 60_000, trigger_id: str = "t", *, enabled: bool = True, **config: Any) -> dict[str, Any]:
    return {"id": trigger_id, "type": "schedule", "enabled": enabled, "config": {"every_ms": every_ms, **config}}


async def save(
    installation: Installation, at: datetime, *triggers: dict[str, Any], version: int = 1, workflow_id: str = "w"
) -> None:
    """What catalog does for a save."""
    kind = WorkflowCreated if version == 1 else WorkflowUpdated
    document = {"id": workflow_id, "name": workflow_id, "nodes": [], "triggers": list(triggers)}
    fact = kind(
        workflow_id=workflow_id, workflow_version=version, definition=msgspec.Raw(json.dumps(document).encode())
    )
    stream_id = named_stream("workflow", workflow_id)
    stream = StreamAppend("workflow", stream_id, version - 1, [NewEvent(kind.__name__, encode(fact))])
    [answer] = await installation.log.append([Append([stream], at, changes_definitions=True)])
    assert isinstance(answer, Appended)
    [stored] = await installation.log.read_stream(stream_id, version - 1)
    subject = installation.subjects.workflow(workflow_id, kind.__name__)
    await installation.client.jetstream().publish(subject, envelope(stored, installation.namespace), timeout=WAIT_S)


async def fired(installation: Installation) -> list[datetime]:
    events = await installation.log.read(0, 20_000, types={"ScheduleFired"})
    facts = [decode_event(event.type, event.data) for event in events]
    for event, fact in zip(events, facts, strict=True):
        assert isinstance(fact, ScheduleFired)
        assert event.recorded_at >= fact.due_at
    return [fact.scheduled_at for fact in facts if isinstance(fact, ScheduleFired)]


async def until_fired(installation: Installation, *expected: datetime) -> None:
    async with asyncio.timeout(WAIT_S):
        while sorted(await fired(installation)) != sorted(expected):
            await asyncio.sleep(0.02)


async def until_armed(clock: HeldClock, at: datetime) -> None:
    """Everything so far is dealt with, and the next thing is due then."""
    async with asyncio.timeout(WAIT_S):
        while clock.next_alarm_at != at:
            await asyncio.sleep(0.01)
