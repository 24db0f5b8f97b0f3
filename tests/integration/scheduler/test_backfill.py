"""Backfills on real servers: previewed, logged first, each time once, whatever is asked again, dies or goes on beside."""

import asyncio
import os
import sys
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from flowforge.commands import BackfillSchedule
from flowforge.envelope import now
from flowforge.events import ScheduleFired, decode
from flowforge.identity import new_uuid
from nats.errors import Error as NatsError
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

from infra.bus.appending import UNAVAILABLE_WAIT_S
from infra.eventlog import EventLog
from infra.failpoints import KILLED_EXIT_STATUS
from services.scheduler.settings import BACKFILL_FIRINGS_MAX, BACKFILL_PAUSE, BACKFILL_PORTION_COUNT
from tests.answers_lost import AnswersLost
from tests.killing import points

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def ask(since: datetime, until: datetime | None, trigger_id: str = "t", **more: Any) -> BackfillSchedule:
    return BackfillSchedule(
        command_id=str(new_uuid()), workflow_id="w", trigger_id=trigger_id, since=since, until=until, **more
    )


async def facts(installation: Installation) -> list[ScheduleFired]:
    events = await installation.log.read(0, 20_000, types={"ScheduleFired"})
    found = [decode(event.type, event.data) for event in events]
    return [fact for fact in found if isinstance(fact, ScheduleFired)]


async def until_count_fired(installation: Installation, count: int) -> list[ScheduleFired]:
    async with asyncio.timeout(3 * WAIT_S):
        while len(found := await facts(installation)) < count:
            await asyncio.sleep(0.05)
    return found


async def test_a_preview_changes_nothing_and_a_backfill_asked_for_twice_fires_once(
    installation: Installation, clock: HeldClock, first: datetime
):
    await installation.start(clock)
    await save(installation, clock.now(), every())
    await until_armed(clock, first)
    clock.move_to(first)
    await until_fired(installation, first)
    await until_armed(clock, first + MINUTE)
    clock.move_to(first + MINUTE / 2)
    before = await installation.log.head()
    since, until = first - 3 * MINUTE, first + MINUTE
    preview = await installation.ask(ask(since, until, dry_run=True))
    assert [(item["state"], item["fires"]) for item in preview["items"]] == [("missing", True)] * 3 + [("fired", False)]
    assert (preview["count"], preview["fired"], preview["schedule"]["every_ms"]) == (3, 1, 60_000)
    assert preview["until"] == (first + MINUTE / 2).isoformat().replace("+00:00", "Z"), "it ends now"
    assert await installation.log.head() == before

    command = ask(since, until)
    granted = await installation.ask(command)
    assert granted["count"] == 3
    await until_fired(installation, *(first - n * MINUTE for n in range(4)))
    assert await installation.ask(command) == granted
    again = await installation.ask(ask(since, until))
    assert (again["count"], again["backfill_id"] != granted["backfill_id"]) == (0, True)
    made_up = [fact for fact in await facts(installation) if fact.backfill_id is not None]
    assert [fact.scheduled_at for fact in made_up] == [first - n * MINUTE for n in (3, 2, 1)], "in order"
    assert {str(fact.backfill_id) for fact in made_up} == {granted["backfill_id"]}
    repeated = await installation.ask(ask(since, until, repeat=True))
    assert repeated["count"] == 4
    await until_fired(installation, *[first - n * MINUTE for n in range(4)] * 2)
    logged = await installation.log.read(0, types={"BackfillRequested"})
    assert len(logged) == 3
    clock.move_to(first + MINUTE)
    await until_armed(clock, first + 2 * MINUTE)
    assert (await fired(installation))[-1] == first + MINUTE, "the clock goes on"


async def test_of_backfills_that_overlap_and_come_together_each_time_is_of_one(installation: Installation):
    await installation.start()
    await save(installation, now(), every(3_600_000))
    until = now()
    answers = await asyncio.gather(*(installation.ask(ask(until - n * 20 * HOUR, until)) for n in (1, 2, 3, 2)))
    counts = [answer["count"] for answer in answers]
    assert sum(counts) == 60
    found = await until_count_fired(installation, 60)
    assert len({fact.scheduled_at for fact in found}) == len(found) == 60
    for answer in answers:
        assert sum(str(fact.backfill_id) == answer["backfill_id"] for fact in found) == answer["count"]


@pytest.mark.parametrize(
    ("triggers", "trigger_id", "status", "says"),
    [
        ([], "t", 404, "there is no trigger of 'w' 't'"),
        ([every(enabled=False)], "t", 409, "disabled"),
        ([{"id": "e", "type": "event", "config": {"event_type": "a"}}], "e", 422, "no schedule but of type event"),
        ([{"id": "e", "type": "event", "config": {"event_type": "a"}}, every()], "e", 422, "no schedule"),
    ],
)
async def test_what_cannot_be_backfilled_is_refused_and_nothing_logged(
    installation: Installation, triggers: list[dict[str, Any]], trigger_id: str, status: int, says: str
):
    await installation.start()
    at = now()
    unknown = await installation.ask(ask(at - HOUR, at))
    assert (unknown["status"], unknown["detail"]) == (404, "there is no workflow 'w'")
    await save(installation, at, *triggers)
    for dry_run in (True, False):
        refused = await installation.ask(ask(at - HOUR, at, trigger_id, dry_run=dry_run))
        assert (refused["status"], says in refused["detail"]) == (status, True), refused
    assert await installation.log.read(0, types={"BackfillRequested"}) == []


async def test_a_schedule_is_backfilled_as_it_is_once_its_save_is_answered(installation: Installation):
    await installation.start()
    at = now()
    for version, every_ms in enumerate((3_600_000, 1_800_000, 900_000), 1):
        await save(installation, at, every(every_ms, enabled=True), version=version)
        told = await installation.ask(ask(at - 24 * HOUR, at, dry_run=True))
        assert (told["schedule"]["every_ms"], told["trigger_version"]) == (every_ms, version)
    await save(installation, at, every(900_000, enabled=False), version=4)
    assert (await installation.ask(ask(at - 24 * HOUR, at)))["status"] == 409


@pytest.mark.parametrize("lost", [1, 1 + len(UNAVAILABLE_WAIT_S)], ids=["one", "all of a turn"])
async def test_what_was_logged_is_carried_out_though_the_log_could_not_say_so(installation: Installation, lost: int):
    installation.log = cast("EventLog", AnswersLost(installation.log, "BackfillRequested", lost))
    await installation.start()
    at = now()
    await save(installation, at, every(3_600_000))
    command = ask(at - 3 * HOUR, at)
    granted = await installation.ask(command)
    if lost > 1:
        assert granted["status"] == 503
        granted = await installation.ask(command)
    assert granted["count"] == 3
    await until_count_fired(installation, 3)
    assert (await installation.ask(ask(at - 3 * HOUR, at)))["count"] == 0
    assert len(await facts(installation)) == 3


@pytest.mark.faults
@pytest.mark.parametrize("point", points("after_append", "before_append", "after_publish"))
@pytest.mark.parametrize("passes", [1, 3])
async def test_killed_in_the_middle_each_time_fires_once(
    installation: Installation, tmp_path: Path, point: str, passes: int
):
    await save(installation, now(), every(3_600_000))
    environment = {
        **os.environ,
        "FLOWFORGE_DATABASE_URL": installation.dsn,
        "FLOWFORGE_NATS_URL": installation.nats_url,
        "FLOWFORGE_NAMESPACE": installation.namespace,
        "FLOWFORGE_HOME": str(tmp_path),
        "FLOWFORGE_FAILPOINTS": f"scheduler.{point}=die@{passes}",
    }
    count, until = 4 * BACKFILL_PORTION_COUNT, now()
    command = ask(until - count * HOUR, until)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.scheduler", env=environment)
    dying = asyncio.ensure_future(process.wait())
    while not dying.done():  # as the gateway does: silence is answered by asking again
        asking = asyncio.ensure_future(_asked(installation, command))
        await asyncio.wait({asking, dying}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        await asyncio.wait({dying}, timeout=0.1)
    assert dying.result() == KILLED_EXIT_STATUS
    await installation.start()
    granted = await installation.ask(command)
    assert granted["count"] == count
    found = await until_count_fired(installation, count)
    assert [fact.scheduled_at for fact in found] == sorted({fact.scheduled_at for fact in found}), "once, and in order"
    assert {str(fact.backfill_id) for fact in found} == {granted["backfill_id"]}
    assert len(await installation.log.read(0, types={"BackfillRequested"})) == 1


async def _asked(installation: Installation, command: BackfillSchedule) -> None:
    try:
        await installation.ask(command)
    except (NatsError, TimeoutError):
        await asyncio.sleep(0.1)


async def test_one_that_has_ended_is_not_looked_at_again(installation: Installation):
    service = await installation.start()
    at = now()
    await save(installation, at, every(3_600_000))
    granted = await installation.ask(ask(at - 3 * HOUR, at))
    await until_count_fired(installation, 3)
    async with asyncio.timeout(WAIT_S):
        while await installation.log.get_cursor("backfills:scheduler") != granted["position"]:
            await service.tick()
    await installation.stop()
    service = await installation.start()
    assert (await installation.ask(ask(at - 3 * HOUR, at)))["count"] == 0
    assert service.backfills.book.under_way == {}
    assert len(await facts(installation)) == 3


async def test_a_large_backfill_fires_in_portions_and_others_between_them(installation: Installation):
    await installation.start()
    at = now()
    await save(installation, at, every(3_600_000), every(200, "beside", catch_up="all"))
    granted = await installation.ask(ask(at - BACKFILL_FIRINGS_MAX * HOUR, at))
    assert granted["count"] == BACKFILL_FIRINGS_MAX
    async with asyncio.timeout(6 * WAIT_S):
        while sum(fact.backfill_id is not None for fact in await facts(installation)) < BACKFILL_FIRINGS_MAX:
            await asyncio.sleep(0.1)
    portions, beside = Counter[datetime](), dict[datetime, datetime]()
    for event in await installation.log.read(granted["position"], 20_000, types={"ScheduleFired"}):
        fact = decode(event.type, event.data)
        assert isinstance(fact, ScheduleFired)
        if fact.backfill_id is not None:
            portions[event.recorded_at] += 1
        else:
            beside[fact.scheduled_at] = event.recorded_at
    assert set(portions.values()) == {BACKFILL_PORTION_COUNT}
    assert all(after - before >= BACKFILL_PAUSE for before, after in pairwise(sorted(portions)))
    assert all(after - before == timedelta(milliseconds=200) for before, after in pairwise(sorted(beside)))
    assert sum(min(portions) < fired_at < max(portions) for fired_at in beside.values()) > len(portions) / 4
