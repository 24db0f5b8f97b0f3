"""Every IANA zone around changes of its clocks: against `cronsim`, and against a daemon that looks at every tick.

FLOWFORGE_TEST_ZONE_ROUNDS is how many changes and expressions are drawn for each zone (default 1; 100 takes minutes).
"""

import os
import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from infra.schedules import Schedule, ScheduleFault, ScheduleSpec, between, compile_schedule, next_after
from tests.unit.schedules.changes import one_change, zone_names
from tests.unit.schedules.expressions import Meaning, expression, watched_firings

ROUNDS = int(os.environ.get("FLOWFORGE_TEST_ZONE_ROUNDS", "1"))
SPANS_H = (8, 8, 8, 27)  # looked at before and after a change
SECONDS_AROUND = timedelta(minutes=70)
FIRINGS_MAX = 10_000
HOUR = timedelta(hours=1)


def compiled(meaning: Meaning, name: str) -> Schedule | None:
    try:
        return compile_schedule(ScheduleSpec(cron=meaning.text, timezone=name))
    except ScheduleFault:  # a date that does not exist: the test counts how often
        return None


def firings(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    return [firing.scheduled_at for firing in between(schedule, since, until, FIRINGS_MAX)]


def cronsim_firings(expression: str, zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    for local in CronSim(expression, (since - timedelta(seconds=1)).astimezone(zone)):
        if local.astimezone(UTC) >= until:
            break
        found.append(local.astimezone(UTC))
    return found


def cronsim_is_sound(meaning: Meaning, zone: ZoneInfo, change: datetime) -> bool:
    """Whether cronsim keeps its own rule at a change of the clocks.

    For wildcards it counts whole hours from where it is and begins each day at 00:00. So it loses firings when clocks
    are changed by part of an hour, or not at a full hour, and when they have no midnight.
    """
    if not meaning.has_wildcard:
        return True
    stopped_at = (change - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None) + timedelta(seconds=1)
    resumed_at = change.astimezone(zone).replace(tzinfo=None)
    midnight = stopped_at - timedelta(hours=stopped_at.hour, minutes=stopped_at.minute)
    skips_midnight = stopped_at <= midnight < resumed_at or midnight + timedelta(days=1) < resumed_at
    return not skips_midnight and resumed_at.minute == stopped_at.minute == 0


def test_every_zone_fires_as_a_daemon_that_watches_its_clocks_and_as_cronsim():
    dice = random.Random(random.getrandbits(64))
    compared_with_cronsim = compared = 0
    for name in zone_names() * ROUNDS:
        zone, change, meaning = ZoneInfo(name), one_change(name, dice), expression(dice)
        since, until = change - dice.choice(SPANS_H) * HOUR, change + dice.choice(SPANS_H) * HOUR
        schedule = compiled(meaning, name)
        if schedule is None:
            continue
        fired = firings(schedule, since, until)
        told = f"{meaning.text} in {name} around {change}"
        assert fired == watched_firings(meaning, zone, since, until), told
        compared += 1
        if cronsim_is_sound(meaning, zone, change):
            assert fired == cronsim_firings(meaning.text, zone, since, until), told
            compared_with_cronsim += 1
        neighbours_are_told_from_any_instant(schedule, fired, dice, since, until, told)
    assert compared > 0.9 * len(zone_names()) * ROUNDS
    assert compared_with_cronsim > 0.7 * compared


def neighbours_are_told_from_any_instant(
    schedule: Schedule, fired: list[datetime], dice: random.Random, since: datetime, until: datetime, told: str
) -> None:
    for _ in range(3):
        instant = since + (until - since) * dice.random()
        place = bisect_right(fired, instant)
        if 0 < place < len(fired) - 1:
            firing = next_after(schedule, instant)
            assert firing is not None
            seen = (firing.previous_at, firing.scheduled_at, firing.next_at)
            assert seen == tuple(fired[place - 1 : place + 2]), f"{told} after {instant}"


def test_expressions_with_seconds_fire_as_a_daemon_that_watches_its_clocks():
    dice = random.Random(random.getrandbits(64))
    for name in dice.sample(zone_names(), 20) * ROUNDS:
        zone, change, meaning = ZoneInfo(name), one_change(name, dice), expression(dice, seconds=True)
        since, until = change - SECONDS_AROUND, change + SECONDS_AROUND
        schedule = compiled(meaning, name)
        if schedule is not None:
            expected = watched_firings(meaning, zone, since, until, tick_s=1)
            assert firings(schedule, since, until) == expected, f"{meaning.text} in {name} around {change}"
