"""What is told at save: every fault by the field it is in, with what is allowed there and a next step."""

from datetime import UTC, date, datetime

import msgspec
import pytest

from infra.schedules import ScheduleFault, ScheduleSpec, compile_schedule, next_after, upcoming


def fault(**spec: object) -> ScheduleFault:
    with pytest.raises(ScheduleFault) as raised:
        compile_schedule(msgspec.convert(spec, ScheduleSpec))
    return raised.value


@pytest.mark.parametrize(
    ("cron", "message", "suggestion"),
    [
        ("60 * * * *", "the minute field `60`: 60 is out of range; allowed are 0 to 59", ""),
        ("0 25 * * *", "the hour field `25`: 25 is out of range; allowed are 0 to 23", ""),
        ("0 0 0 * *", "the day of month field `0`: 0 is out of range; allowed are 1 to 31, L (last day)", ""),
        ("0 0 * FOO *", "the month field `FOO`: `FOO` is no value; allowed are 1 to 12 and JAN to DEC", ""),
        ("0 0 * * 8", "the day of week field `8`: 8 is out of range; allowed are 0 to 7 (0 and 7 are Sunday)", ""),
        ("61 0 0 * * *", "the second field `61`: 61 is out of range", ""),
        ("0 0 * * ?", "the day of week field `?`: `?` is no value", "write * for any value"),
        ("*/0 * * * *", "the minute field `*/0`: the step after `/` is a whole number from 1 on, not `0`", ""),
        ("0 1, * * *", "the hour field `1,`: a value is missing", ""),
        ("0 -1 * * *", "the hour field `-1`: a value is missing", ""),
        ("0 22-2 * * *", "the hour field `22-2`: the range `22-2` runs backwards", "write it as 22-23,0-2"),
        ("0 0 * * fri-sun", "the day of week field `FRI-SUN`: the range", "write it as FRI-SAT,SUN"),
        ("0 0 * * MON#6", "the day of week field `MON#6`: after `#` comes a number from 1 to 5, not `6`", ""),
        ("0 ٣ * * *", "the hour field `٣`: `٣` is no value", ""),
        ("0 0 * *", "the expression has 4 fields; it needs 5", ""),
        ("", "the expression has 0 fields; it needs 5", ""),
        ("@reboot", "`@reboot` is not known; known are @yearly", ""),
        ("@every 5m", "`@every 5m` is not known", "write every_ms"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "a time zone is no part of the expression", "write it as timezone"),
        ("0," * 600 + "0 * * * *", "the expression is longer than 1000 characters", ""),
        ("0 0 31 2 *", "the day of month field `31` never fits the month field `2`: no such date exists", "write L"),
        ("0 0 31 4,6,9,11 *", "the day of month field `31` never fits the month field `4,6,9,11`", ""),
    ],
)
def test_a_bad_cron_names_the_field_within_the_expression(cron: str, message: str, suggestion: str):
    raised = fault(cron=cron)
    assert raised.field == "cron"
    assert raised.message.startswith(message)
    assert suggestion in raised.suggestion


@pytest.mark.parametrize(
    ("timezone", "nearest"),
    [
        ("Europe/Berlinn", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("PST", "America/Los_Angeles"),
        ("ET", "America/New_York"),
        ("UTC+2", "Etc/GMT-2"),
        ("+02:00", "Etc/GMT-2"),
        ("GMT-05", "Etc/GMT+5"),
        ("utc+99", "UTC"),
        ("Europe", "Europe/"),
        ("../../etc/passwd", "UTC"),
        ("localtime", "UTC"),
        ("", "UTC"),
    ],
)
def test_an_unknown_timezone_suggests_the_nearest(timezone: str, nearest: str):
    raised = fault(cron="0 0 * * *", timezone=timezone)
    assert raised.field == "timezone"
    assert raised.suggestion.startswith(f"did you mean {nearest}")


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"every_ms": 99}, "every_ms", "99 is out of range: 100 to"),
        ({"every_ms": 10**30}, "every_ms", "is out of range"),
        ({"every_ms": 100, "cron": "* * * * *"}, "every_ms", "cron or every_ms, not both"),
        ({}, "cron", "needs cron or every_ms"),
        ({"every_ms": 100, "jitter_ms": -1}, "jitter_ms", "-1 is out of range: 0 to 86400000"),
        (
            {"every_ms": 100, "start_at": "2026-01-02T00:00:00Z", "end_at": "2026-01-01T00:00:00Z"},
            "end_at",
            "is before",
        ),
        ({"every_ms": 100, "end_at": "0001-01-01T00:00:00Z"}, "end_at", "the year 1 is out of range"),
        (
            {"cron": "0 0 29 2 *", "start_at": "2025-01-01T00:00:00Z", "end_at": "2027-01-01T00:00:00Z"},
            "end_at",
            "nothing fires between start_at and end_at",
        ),
        ({"every_ms": 100, "exclude_dates": ["2026-01-01"] * 1001}, "exclude_dates", "at most 1000 dates"),
    ],
)
def test_a_bad_specification_names_its_member(spec: dict[str, object], field: str, message: str):
    raised = fault(**spec)
    assert raised.field == field
    assert message in raised.message
    assert str(raised).startswith(f"{field}: ")


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("@hourly", "2026-01-01T13:00:00"),
        ("@daily", "2026-01-02T00:00:00"),
        ("@midnight", "2026-01-02T00:00:00"),
        ("@weekly", "2026-01-04T00:00:00"),
        ("@Monthly", "2026-02-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@annually", "2027-01-01T00:00:00"),
        ("0 0 * jul mon", "2026-07-06T00:00:00"),
        ("  0\t0 L   * *  ", "2026-01-31T00:00:00"),
        ("0 0 LW * *", "2026-01-30T00:00:00"),
        ("0 0 * * 5L", "2026-01-30T00:00:00"),
        ("0 0 * * MON#2", "2026-01-12T00:00:00"),
        ("0 0 13 * FRI", "2026-01-02T00:00:00"),  # the 13th, or any Friday
        ("0 0 */2 * FRI", "2026-01-09T00:00:00"),  # an odd day that is a Friday
        ("0 0 30 2 FRI", "2026-02-06T00:00:00"),  # a date that is none leaves the Fridays
        ("0 0 */1 2 MON#5", "2044-02-29T00:00:00"),  # the next February of five Mondays
        ("*/20 * * * * *", "2026-01-01T12:00:20"),
        ("50/5 0 0 1 2 *", "2026-02-01T00:00:50"),
    ],
)
def test_what_an_expression_means(cron: str, expected: str):
    firing = next_after(compile_schedule(ScheduleSpec(cron=cron)), NOON)
    assert firing is not None
    assert firing.scheduled_at.isoformat() == f"{expected}+00:00"


def test_both_bounds_belong_to_the_schedule():
    schedule = compile_schedule(
        ScheduleSpec(
            cron="0 9 * * *",
            timezone="Europe/Berlin",
            start_at=datetime(2026, 1, 2, 9),  # noqa: DTZ001  # without an offset: as the clocks in Berlin show it
            end_at=datetime(2026, 1, 4, 8, tzinfo=UTC),
        )
    )
    fired = upcoming(schedule, NOON, 10)
    assert [firing.scheduled_at.day for firing in fired] == [2, 3, 4]
    assert (fired[0].previous_at, fired[-1].next_at) == (None, None)
    assert next_after(schedule, fired[-1].scheduled_at) is None


def test_excluded_dates_are_those_of_the_nominal_time():
    spec = ScheduleSpec(cron="30 23 * * *", timezone="America/Los_Angeles", exclude_dates=(date(2026, 1, 2),))
    fired = upcoming(compile_schedule(spec), NOON, 2)
    assert [firing.scheduled_at.isoformat() for firing in fired] == [
        "2026-01-02T07:30:00+00:00",  # the evening of the 1st
        "2026-01-04T07:30:00+00:00",
    ]
    assert fired[1].previous_at == fired[0].scheduled_at


def test_the_calendar_ends_without_a_fault():
    schedule = compile_schedule(ScheduleSpec(cron="0 0 29 2 *", timezone="Pacific/Kiritimati"))
    assert next_after(schedule, datetime(9997, 1, 1, tzinfo=UTC)) is None
    for spec in (ScheduleSpec(cron="* * * * *", timezone="Pacific/Kiritimati"), ScheduleSpec(every_ms=100)):
        assert next_after(compile_schedule(spec), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)) is None
        assert next_after(compile_schedule(spec), datetime(9998, 12, 30, 23, 59, tzinfo=UTC)) is not None
        first = next_after(compile_schedule(spec), datetime(1, 1, 1, tzinfo=UTC))
        assert first is not None
        assert first.previous_at is None
