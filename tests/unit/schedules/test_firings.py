"""Intervals, spans, jitter, and what was missed."""

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from infra.schedules import (
    CatchUp,
    Firing,
    ScheduleSpec,
    between,
    compile_schedule,
    missed,
    next_after,
    upcoming,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURLY = compile_schedule(ScheduleSpec(cron="0 * * * *"), "hourly")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def hours_of(firings: list[Firing]) -> list[float]:
    return [(firing.scheduled_at - START) / timedelta(hours=1) for firing in firings]


def test_an_interval_counts_from_its_start():
    schedule = compile_schedule(ScheduleSpec(every_ms=7_200_000, start_at=at(0.5)))
    assert hours_of(upcoming(schedule, at(-10), 3)) == [0.5, 2.5, 4.5]
    first = next_after(schedule, at(0))
    assert first == Firing(scheduled_at=at(0.5), previous_at=None, next_at=at(2.5), due_at=at(0.5))


def test_an_interval_without_a_start_counts_from_1970():
    firing = next_after(compile_schedule(ScheduleSpec(every_ms=700)), START)
    assert firing is not None
    since = (firing.scheduled_at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)
    assert since % 700 == 0
    assert timedelta(0) < firing.scheduled_at - START <= timedelta(milliseconds=700)


@pytest.mark.parametrize("timezone", ["UTC", "America/St_Johns", "Europe/Berlin", "Pacific/Apia"])
def test_an_interval_leaves_out_dates_of_its_zone(timezone: str):
    zone, without = ZoneInfo(timezone), (date(2010, 11, 6), date(2010, 11, 7), date(2011, 12, 29), date(2010, 10, 31))
    schedule = compile_schedule(ScheduleSpec(every_ms=1_000_000, timezone=timezone, exclude_dates=without))
    whole = compile_schedule(ScheduleSpec(every_ms=1_000_000))
    for since in (
        datetime(2010, 10, 30, tzinfo=UTC),
        datetime(2010, 11, 5, tzinfo=UTC),
        datetime(2011, 12, 28, tzinfo=UTC),
    ):
        all_of_them = list(between(whole, since, since + timedelta(days=5), 1000))
        kept = [one.scheduled_at for one in all_of_them if one.scheduled_at.astimezone(zone).date() not in without]
        fired = list(between(schedule, since, since + timedelta(days=5), 1000))
        assert [one.scheduled_at for one in fired] == kept
        assert [one.next_at for one in fired[:-1]] == kept[1:]
        looked_back = [next_after(schedule, one - timedelta(microseconds=1)) for one in kept[1:]]
        assert [one and one.previous_at for one in looked_back] == kept[:-1]


def test_leaving_out_a_date_is_no_work_per_firing():
    spec = ScheduleSpec(every_ms=100, exclude_dates=tuple(START.date() + timedelta(days=days) for days in range(1000)))
    started = time.process_time()
    assert hours_of(upcoming(compile_schedule(spec), START, 1)) == [24_000]
    assert time.process_time() - started < 1


def test_a_span_has_its_beginning_and_not_its_end():
    assert hours_of(list(between(HOURLY, at(1), at(4), 10))) == [1, 2, 3]
    assert hours_of(list(between(HOURLY, at(1), at(4), 2))) == [1, 2]
    assert list(between(HOURLY, at(4), at(1), 10)) == []


def test_neighbours_in_a_span_are_those_of_the_schedule():
    for firing in between(HOURLY, at(1), at(4), 10):
        assert (firing.previous_at, firing.next_at) == (
            firing.scheduled_at - timedelta(hours=1),
            firing.scheduled_at + timedelta(hours=1),
        )


def test_jitter_is_spread_over_its_span_and_the_same_whoever_computes_it():
    spec = ScheduleSpec(cron="* * * * *", jitter_ms=3)
    fired = upcoming(compile_schedule(spec, "a"), START, 400)
    assert fired == upcoming(compile_schedule(spec, "a"), START, 400)
    assert fired != upcoming(compile_schedule(spec, "b"), START, 400)
    late = [(firing.due_at - firing.scheduled_at) // timedelta(milliseconds=1) for firing in fired]
    assert set(late) == {0, 1, 2, 3}
    assert min(late.count(milliseconds) for milliseconds in range(4)) > 60
    assert next_after(compile_schedule(spec, "a"), START) == fired[0]


def test_jitter_stays_the_same_from_version_to_version():
    firing = next_after(compile_schedule(ScheduleSpec(cron="0 0 * * *", jitter_ms=60_000), "workflow/nightly"), START)
    assert firing is not None
    assert firing.due_at - firing.scheduled_at == timedelta(milliseconds=3251)


@pytest.mark.parametrize(
    ("catch_up", "cap", "fire", "expired", "unlisted_until"),
    [
        ("none", 10, [], [1, 2, 3, 4], None),
        ("latest", 10, [4], [1, 2, 3], None),
        ("all", 10, [1, 2, 3, 4], [], None),
        ("all", 3, [2, 3, 4], [1], None),
        ("all", 2, [3, 4], [1, 2], None),
        ("all", 1, [4], [3], at(2)),
        ("none", 0, [], [], at(4)),
    ],
)
def test_catching_up(
    catch_up: CatchUp, cap: int, fire: list[float], expired: list[float], unlisted_until: datetime | None
):
    what = missed(HOURLY, at(0), at(4.5), catch_up, cap)
    assert (hours_of(what.fire), hours_of(what.expired), what.unlisted_until) == (fire, expired, unlisted_until)


def test_nothing_is_missed_where_nothing_was_nominal():
    assert missed(HOURLY, at(4), at(4.5), "all", 10) == ([], [], None)
    assert missed(HOURLY, at(4), at(2), "all", 10) == ([], [], None)  # a clock that went back fires nothing again


def test_what_is_not_late_is_not_missed():
    assert hours_of(missed(HOURLY, at(0), at(2), "none", 10, grace_ms=1).fire) == [2]
    assert hours_of(missed(HOURLY, at(0), at(2), "latest", 10, grace_ms=1).fire) == [1, 2]


def test_what_its_jitter_still_holds_back_is_not_missed():
    schedule = compile_schedule(ScheduleSpec(cron="* * * * *", jitter_ms=600_000), "held")
    now = at(3)
    what = missed(schedule, at(0), now, "none", 5)
    nominal = list(between(schedule, at(0) + timedelta(seconds=1), now + timedelta(seconds=1), 1000))
    assert what.fire == [firing for firing in nominal if firing.due_at > now]
    late = [firing for firing in nominal if firing.due_at <= now]
    assert (what.expired, what.unlisted_until) == (late[-5:], late[-6].scheduled_at)


def test_a_year_away_is_no_more_work_than_a_day():
    every_second = compile_schedule(ScheduleSpec(cron="* * * * * *"))
    started = time.process_time()
    what = missed(every_second, START, START + timedelta(days=365), "all", 100)
    assert (len(what.fire), len(what.expired)) == (100, 100)
    assert time.process_time() - started < 1


def test_ten_thousand_schedules_take_less_than_a_second():
    zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC", "Australia/Lord_Howe")
    crons = ("*/5 * * * *", "{} 2 * * *", "{} 9 * * MON-FRI", "{} 0 1 * *", "{} 12 L * *")
    specs = [
        ScheduleSpec(cron=crons[n % 5].format(n % 60), timezone=zones[n // 5 % 5], jitter_ms=1000)
        for n in range(10_000)
    ]
    schedules = [compile_schedule(spec, str(n)) for n, spec in enumerate(specs)]
    started = time.process_time()
    assert all(next_after(schedule, START) for schedule in schedules)
    assert time.process_time() - started < 1
