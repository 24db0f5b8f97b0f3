"""Schedules on real servers: each nominal time fires once, never early, and what was missed is caught up or recorded."""

import asyncio
import itertools
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from flowforge.envelope import now
from flowforge.events import (
    ScheduleFired,
    ScheduleMissed,
    WorkflowUpdated,
    decode,
    encode,
)
from flowforge.identity import named_stream
from scheduler_stage import (
    WAIT_S,
    HeldClock,
    Installation,
    every,
    fired,
    save,
    until_armed,
    until_fired,
)

from infra.eventlog import Append, EventLog, Head, NewEvent, StoredEvent, StreamAppend, Unavailable
from infra.failpoints import KILLED_EXIT_STATUS
from services.scheduler import definitions
from services.scheduler.definitions import WORKFLOW_TYPES, Schedules
from services.scheduler.store import TimerStore
from tests.answers_lost import AnswersLost
from tests.killing import points

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


async def missed(installation: Installation) -> list[ScheduleMissed]:
    events = await installation.log.read(0, types={"ScheduleMissed"})
    facts = [decode(event.type, event.data) for event in events]
    return [fact for fact in facts if isinstance(fact, ScheduleMissed)]


async def test_it_fires_at_its_time_and_not_before(installation: Installation, clock: HeldClock, first: datetime):
    await installation.start(clock)
    await save(installation, clock.now(), every())
    await until_armed(clock, first)
    clock.move_to(first - SECOND)
    assert installation.fired.empty()
    clock.move_to(first)
    event, _ = await installation.next_fired()
    fact = decode(event.type, event.data)
    assert fact == ScheduleFired(
        workflow_id="w", trigger_id="t", trigger_version=1, scheduled_at=first, previous_at=first - MINUTE,
        next_at=first + MINUTE, due_at=first,
    )  # fmt: skip
    await until_armed(clock, first + MINUTE)


@pytest.mark.parametrize(
    ("catch_up", "fires", "gives_up"), [("latest", [4], [0, 3, 4]), ("none", [], [0, 4, 5]), ("all", range(5), None)]
)
async def test_what_was_missed_while_nobody_was_there(
    installation: Installation, clock: HeldClock, first: datetime, catch_up: str, fires: Any, gives_up: Any
):
    await save(installation, clock.now(), every(catch_up=catch_up))
    clock.move_to(first + 4 * MINUTE + 10 * SECOND)
    await installation.start(clock)
    await until_armed(clock, first + 5 * MINUTE)
    await until_fired(installation, *(first + n * MINUTE for n in fires))
    found = [(fact.first_at, fact.last_at, fact.count) for fact in await missed(installation)]
    assert found == ([(first + gives_up[0] * MINUTE, first + gives_up[1] * MINUTE, gives_up[2])] if gives_up else [])
    await installation.stop()
    await installation.start(clock)
    clock.move_to(first + 5 * MINUTE)
    await until_fired(installation, *(first + n * MINUTE for n in fires), first + 5 * MINUTE)
    assert len(await missed(installation)) == len(found)


@pytest.mark.parametrize(("catch_up", "fires"), [("latest", [3]), ("none", []), ("all", [1, 2, 3])])
async def test_a_clock_that_jumps_ahead_catches_up_and_one_put_back_fires_nothing_twice(
    installation: Installation, clock: HeldClock, first: datetime, catch_up: str, fires: list[int]
):
    service = await installation.start(clock)
    await save(installation, clock.now(), every(catch_up=catch_up))
    await until_armed(clock, first)
    clock.move_to(first)
    await until_armed(clock, first + MINUTE)
    clock.move_to(first + 3 * MINUTE + 10 * SECOND)
    await until_armed(clock, first + 4 * MINUTE)
    caught_up = [first, *(first + n * MINUTE for n in fires)]
    await until_fired(installation, *caught_up)
    await service.tick()
    clock.move_to(first - SECOND)
    await service.tick()
    await until_armed(clock, first)
    clock.move_to(first)
    await until_armed(clock, first + MINUTE)
    assert await fired(installation) == caught_up


async def test_a_pause_makes_no_burst_and_a_change_voids_the_old_times(
    installation: Installation, clock: HeldClock, first: datetime
):
    await installation.start(clock)
    await save(installation, clock.now(), every(catch_up="all"))
    await until_armed(clock, first)
    await save(installation, clock.now(), every(catch_up="all", enabled=False), version=2)
    async with asyncio.timeout(WAIT_S):
        while clock.next_alarm_at == first:
            clock.move_to(clock.now())
            await asyncio.sleep(0.01)
    clock.move_to(first + 5 * MINUTE + SECOND)
    await save(installation, clock.now(), every(catch_up="all"), version=3)
    await until_armed(clock, first + 6 * MINUTE)
    await save(installation, clock.now(), every(catch_up="all", every_ms=90_000, start_at=first.isoformat()), version=4)
    await until_armed(clock, first + 6 * MINUTE)
    clock.move_to(first + 6 * MINUTE)
    await until_armed(clock, first + 7.5 * MINUTE)
    assert await fired(installation) == [first + 6 * MINUTE]
    assert await missed(installation) == []


async def test_a_resume_that_comes_while_the_definitions_are_read_makes_no_burst(
    installation: Installation, clock: HeldClock, first: datetime
):
    resumed_at = first + 5 * MINUTE + SECOND

    class BusyLog:
        """The log, of which a read takes long: meanwhile five minutes pass, and the schedule is enabled again."""

        def __getattr__(self, name: str) -> Any:
            return getattr(installation.log, name)

        async def head(self) -> Head:
            head = await installation.log.head()
            if clock.now() < resumed_at:
                clock.move_to(resumed_at)
                await save(installation, resumed_at, every(100, catch_up="all"), version=3)
            return head

    await save(installation, clock.now(), every(100, catch_up="all"))
    await save(installation, clock.now(), every(100, catch_up="all", enabled=False), version=2)
    store = TimerStore(installation.dsn)
    schedules = Schedules(cast("EventLog", BusyLog()), store)
    await schedules.refresh(clock)
    await store.close()
    entry = schedules.calendar.entries["w", "t"]
    assert entry.seen_until == resumed_at
    assert entry.next_at() == resumed_at + timedelta(milliseconds=100)


async def test_a_log_that_falls_silent_while_the_definitions_are_read_costs_no_schedule(
    installation: Installation, clock: HeldClock, first: datetime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(definitions, "DEFINITIONS_PAGE_COUNT", 1)
    is_silent = False

    class SilentLog:
        """The log, which does not answer once the first page of definitions is read, until it is asked again."""

        def __getattr__(self, name: str) -> Any:
            return getattr(installation.log, name)

        async def read(self, after_position: int, limit: int, **filters: Any) -> list[StoredEvent]:
            nonlocal is_silent
            if filters.get("types") == WORKFLOW_TYPES and after_position and not is_silent:
                is_silent = True
                raise Unavailable("no answer")
            return await installation.log.read(after_position, limit, **filters)

    await save(installation, clock.now(), every(), workflow_id="read-before")
    await save(installation, clock.now(), every(), workflow_id="read-after")
    store = TimerStore(installation.dsn)
    schedules = Schedules(cast("EventLog", SilentLog()), store)
    with pytest.raises(Unavailable):
        await schedules.refresh(clock)
    await schedules.refresh(clock)
    await store.close()
    assert set(schedules.calendar.entries) == {("read-before", "t"), ("read-after", "t")}
    assert schedules.calendar.next_at() == first


async def test_a_change_that_nobody_told_voids_the_old_times_all_the_same(
    installation: Installation, clock: HeldClock, first: datetime
):
    await installation.start(clock)
    await save(installation, clock.now(), every())
    await until_armed(clock, first)
    document = {"id": "w", "name": "w", "nodes": [], "triggers": [every(enabled=False)]}
    fact = WorkflowUpdated(workflow_id="w", workflow_version=2, definition=msgspec.Raw(json.dumps(document).encode()))
    stream = StreamAppend("workflow", named_stream("workflow", "w"), 1, [NewEvent("WorkflowUpdated", encode(fact))])
    await installation.log.append([Append([stream], clock.now(), changes_definitions=True)])
    clock.move_to(first)
    async with asyncio.timeout(WAIT_S):
        while clock.next_alarm_at is None or clock.next_alarm_at <= first:
            await asyncio.sleep(0.01)
    assert await fired(installation) == []


@pytest.mark.parametrize("lost", ["ScheduleFired", "ScheduleMissed"])
async def test_what_was_logged_though_its_answer_was_lost_is_not_told_as_missed_later(
    installation: Installation, clock: HeldClock, first: datetime, lost: str
):
    log, beside = installation.log, every(60_000, "beside", start_at=(first + 15 * SECOND).isoformat())
    installation.log = cast("EventLog", AnswersLost(log, lost))
    service = await installation.start(clock)
    catch_up, on_time = ("latest", [first]) if lost == "ScheduleFired" else ("none", [])
    await save(installation, clock.now(), every(catch_up=catch_up))
    await save(installation, clock.now(), beside, workflow_id="other")
    await until_armed(clock, first)
    clock.move_to(first if on_time else first + 10 * SECOND)
    await until_armed(clock, first + 15 * SECOND)
    clock.move_to(first + 15 * SECOND)
    async with asyncio.timeout(WAIT_S):
        while not (beside_fired := await installation.log.read(0, types={"ScheduleFired"}))[len(on_time) :]:
            await asyncio.sleep(0.02)
        while await installation.log.get_cursor("schedules:scheduler") < beside_fired[-1].position:
            await service.tick()
    await installation.stop()
    clock.move_to(first + 3 * MINUTE + 10 * SECOND)
    await installation.start(clock)
    await until_armed(clock, first + 3 * MINUTE + 15 * SECOND)
    told = [(fact.first_at, fact.last_at) for fact in await missed(installation) if fact.workflow_id == "w"]
    if on_time:
        assert told == [(first + MINUTE, first + 2 * MINUTE)]
    else:
        assert told == [(first, first), (first + MINUTE, first + 3 * MINUTE)]


@pytest.mark.faults
@pytest.mark.parametrize("point", points("after_append", "before_append", "after_publish"))
async def test_killed_around_a_firing_each_time_fires_once(installation: Installation, tmp_path: Path, point: str):
    await save(installation, now(), every(200, catch_up="all"))
    environment = {
        **os.environ,
        "FLOWFORGE_DATABASE_URL": installation.dsn,
        "FLOWFORGE_NATS_URL": installation.nats_url,
        "FLOWFORGE_NAMESPACE": installation.namespace,
        "FLOWFORGE_HOME": str(tmp_path),
        "FLOWFORGE_FAILPOINTS": f"scheduler.{point}=die@4",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.scheduler", env=environment)
    assert await asyncio.wait_for(process.wait(), 30) == KILLED_EXIT_STATUS
    await installation.start()
    count = len(await fired(installation))
    async with asyncio.timeout(WAIT_S):
        while len(times := await fired(installation)) < count + 5:
            await asyncio.sleep(0.05)
    times.sort()
    assert [b - a for a, b in itertools.pairwise(times)] == [timedelta(milliseconds=200)] * (len(times) - 1)


@pytest.mark.bench
async def test_ten_thousand_schedules_of_one_second_all_fire_once_within_ten(installation: Installation):
    count, names = 10_000, 100
    due_at = (now() + 25 * SECOND).replace(microsecond=0)
    start_at = due_at.isoformat()
    for number in range(count // names):
        triggers = [every(3_600_000, f"t{name}", start_at=start_at) for name in range(names)]
        await save(installation, now(), *triggers, workflow_id=f"w{number}")
    assert now() < due_at - 10 * SECOND, "the machine is too slow to save them in time"
    await installation.start()
    async with asyncio.timeout(60):
        while len(await fired(installation)) < count:
            await asyncio.sleep(0.5)
    events = await installation.log.read(0, 20_000, types={"ScheduleFired"})
    assert len(events) == len({event.stream_id for event in events}) == count
    last_s = (max(event.recorded_at for event in events) - due_at).total_seconds()
    print(f"{count:,} schedules due at one instant: the last fired after {last_s:.2f} s")
    assert last_s < 10
