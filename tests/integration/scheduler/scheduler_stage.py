"""The scheduler on a real NATS and a real Postgres, in this process, and a clock that tests may hold."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import asyncpg
from flowforge.envelope import CloudEvent, decode, now
from flowforge.events import Cause, TimerSet, TriggerRef, WorkflowTriggered, encode
from flowforge.identity import new_uuid
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg

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
        await asyncio.wait_for(shell.is_ready.wait(), WAIT_S)
        return service

    async def stop(self) -> None:
        for shell, store in self._shells:
            await shell.stop()
            await store.close()
        self._shells.clear()

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
