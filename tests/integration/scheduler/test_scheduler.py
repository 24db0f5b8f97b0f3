"""Durable timers, on real servers."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from flowforge.envelope import CloudEvent, now
from flowforge.events import TimerFired, decode
from scheduler_stage import HeldClock, Installation

from infra.failpoints import KILLED_EXIT_STATUS

SECOND = timedelta(seconds=1)


def fired(event: CloudEvent) -> TimerFired:
    fact = decode("TimerFired", event.data)
    assert isinstance(fact, TimerFired)
    return fact


async def test_a_timer_fires_when_it_is_due_and_its_row_goes(installation: Installation):
    await installation.start()
    due_at = now() + timedelta(milliseconds=200)
    [timer_id] = await installation.set([due_at], workflow_id="daily")
    event, heard_at = await installation.next_fired()
    fact = fired(event)
    assert (fact.timer_id, fact.workflow_id, fact.node_id, fact.attempt) == (timer_id, "daily", "n", 2)
    assert event.time is not None
    assert due_at <= event.time <= heard_at
    [stored] = await installation.log.read_stream(timer_id)
    [cause] = await installation.log.read(0, types={"TimerSet"})
    assert (stored.stream_type, stored.causation_id) == ("timer", cause.event_id)
    assert stored.correlation_id == cause.correlation_id
    await installation.until_rows_count_is(0)


async def test_nothing_fires_early_and_one_wake_serves_an_instant(installation: Installation, held_clock: HeldClock):
    start = held_clock.now()
    await installation.start(held_clock)
    timer_ids = await installation.set([start + n * SECOND for n in (3, 1, 2, 2)])
    await held_clock.until_alarm_is_at(start + SECOND)  # a row is there before its timer is
    held_clock.move_to(start + 0.999 * SECOND)
    rings_count = held_clock.rings_count
    assert held_clock.next_alarm_at == start + SECOND
    for n in (1, 2, 3):
        held_clock.move_to(start + n * SECOND)
        for _ in range(2 if n == 2 else 1):
            assert fired((await installation.next_fired())[0]).due_at == start + n * SECOND
    assert held_clock.rings_count == rings_count + 3
    assert installation.fired.empty()
    assert len(await installation.log.read(0, types={"TimerFired"})) == len(timer_ids)


async def test_a_timer_that_is_set_twice_fires_once(installation: Installation):
    await installation.start()
    [timer_id] = await installation.set([now() - SECOND])
    await installation.next_fired()
    [stored] = await installation.log.read(0, types={"TimerSet"})
    for _ in range(3):
        await installation.say(stored, "w")
    await installation.set([now() - SECOND])
    assert fired((await installation.next_fired())[0]).timer_id != timer_id
    assert len(await installation.log.read(0, types={"TimerFired"})) == 2
    await installation.until_rows_count_is(0)


async def test_what_came_due_while_nobody_was_there_fires_at_once(installation: Installation, held_clock: HeldClock):
    await installation.start(held_clock)
    timer_ids = await installation.set([held_clock.now() + SECOND] * 5)
    await installation.until_rows_count_is(5)
    await installation.stop()
    held_clock.move_to(held_clock.now() + 100 * SECOND)
    assert installation.fired.empty()
    await installation.start(held_clock)
    assert {fired((await installation.next_fired())[0]).timer_id for _ in timer_ids} == set(timer_ids)


async def test_timers_that_nats_never_told_are_caught_up_from_the_log(installation: Installation):
    due_at = now() + 0.3 * SECOND
    [timer_id] = await installation.set([due_at], workflow_id="other", is_said=False)
    await installation.start()
    fact = fired((await installation.next_fired())[0])
    assert (fact.timer_id, fact.workflow_id) == (timer_id, "other")


async def test_an_empty_table_is_filled_from_the_log(installation: Installation, held_clock: HeldClock):
    start = held_clock.now()
    await installation.start(held_clock)
    timer_ids = await installation.set([start + SECOND, start + 2 * SECOND, start + 50_000 * SECOND])
    await installation.until_rows_count_is(3)
    held_clock.move_to(start + SECOND)
    await installation.next_fired()
    await installation.stop()
    await installation.forget_table()
    # as if the log's cursor had been ahead: nothing is caught up
    await installation.log.set_cursor("heard:scheduler", (await installation.log.head()).position)
    await installation.start(held_clock)
    await installation.until_rows_count_is(2)
    held_clock.move_to(start + 2 * SECOND)
    assert fired((await installation.next_fired())[0]).timer_id == timer_ids[1]
    assert installation.fired.empty()


async def test_a_timer_beyond_the_window_fires_too(installation: Installation, held_clock: HeldClock):
    start = held_clock.now()
    service = await installation.start(held_clock)
    timer_ids = await installation.set([start + 7_500 * SECOND, start + 1_000_000 * SECOND])
    await installation.until_rows_count_is(2)
    assert len(service.timetable) == 0
    while held_clock.now() < start + 7_500 * SECOND:
        next_at = held_clock.next_alarm_at
        if next_at is None:
            await asyncio.sleep(0.01)
            continue
        held_clock.move_to(next_at)
    assert fired((await installation.next_fired())[0]).timer_id == timer_ids[0]
    assert held_clock.now() == start + 7_500 * SECOND


async def test_killed_after_the_append_the_next_owner_says_the_firing_once(installation: Installation, tmp_path: Path):
    await installation.set([now() - SECOND])
    environment = {
        **os.environ,
        "FLOWFORGE_DATABASE_URL": installation.dsn,
        "FLOWFORGE_NATS_URL": installation.nats_url,
        "FLOWFORGE_NAMESPACE": installation.namespace,
        "FLOWFORGE_HOME": str(tmp_path),
        "FLOWFORGE_FAILPOINTS": "scheduler.after_append=die",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.scheduler", env=environment)
    assert await asyncio.wait_for(process.wait(), 30) == KILLED_EXIT_STATUS
    assert len(await installation.log.read(0, types={"TimerFired"})) == 1
    assert installation.fired.empty()
    await installation.start()
    await installation.next_fired()
    await installation.until_rows_count_is(0)
    assert len(await installation.log.read(0, types={"TimerFired"})) == 1
    assert installation.fired.empty()


async def test_firings_are_hardly_late(installation: Installation):
    await installation.start()
    start = now() + 0.5 * SECOND
    count = 100
    await installation.set([start + n * 0.01 * SECOND for n in range(count)])
    late: list[float] = []
    for _ in range(count):
        event, heard_at = await installation.next_fired()
        due_at = fired(event).due_at
        assert event.time is not None
        assert event.time >= due_at
        late.append((heard_at - due_at) / SECOND)
    late.sort()
    print(f"late: p50 {late[count // 2] * 1000:.1f} ms, p99 {late[-2] * 1000:.1f} ms")
    assert late[count // 2] < 0.1
