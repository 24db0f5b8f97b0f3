"""Named cases of changed clocks. Instants are written as the clocks of the place show them, with their offset."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from infra.schedules import ScheduleSpec, between, compile_schedule, next_after


def shown(cron: str, timezone: str, since: str, until: str) -> list[str]:
    """Firings from `since` up to `until` (ISO, on the clocks of the zone) as the clocks show them."""
    zone = ZoneInfo(timezone)
    schedule = compile_schedule(ScheduleSpec(cron=cron, timezone=timezone))
    start, end = (datetime.fromisoformat(bound).replace(tzinfo=zone).astimezone(UTC) for bound in (since, until))
    firings = between(schedule, start, end, 10_000)
    return [f"{firing.scheduled_at.astimezone(zone):%m-%d %H:%M%z}" for firing in firings]


@pytest.mark.parametrize(
    ("cron", "timezone", "since", "until", "expected"),
    [
        # spring and autumn in Europe and the US
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12", "2026-03-30T12", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12", "2026-10-26T12", ["10-25 02:30+0200", "10-26 02:30+0100"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12", "2026-11-02T12", ["11-01 01:30-0400", "11-02 01:30-0500"]),
        ("30 2 * * *", "America/New_York", "2026-03-08T00", "2026-03-08T12", ["03-08 03:00-0400"]),
        # nominal times that fall on one instant fire once
        ("0,15,45 2,3 * * *", "Europe/Berlin", "2026-03-29T00", "2026-03-29T12",
         ["03-29 03:00+0200", "03-29 03:15+0200", "03-29 03:45+0200"]),
        # a wildcard follows elapsed time
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T01", "2026-03-29T03:31",
         ["03-29 01:00+0100", "03-29 01:30+0100", "03-29 03:00+0200", "03-29 03:30+0200"]),
        ("0 * * * *", "Europe/Berlin", "2026-10-25T01", "2026-10-25T04",
         ["10-25 01:00+0200", "10-25 02:00+0200", "10-25 02:00+0100", "10-25 03:00+0100"]),
        ("@hourly", "Europe/Berlin", "2026-10-25T02", "2026-10-25T03:01",
         ["10-25 02:00+0200", "10-25 02:00+0100", "10-25 03:00+0100"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29T00", "2026-03-29T12", []),
        # a range that covers all is no wildcard
        ("0 0-23 * * *", "Europe/Berlin", "2026-10-25T01", "2026-10-25T04",
         ["10-25 01:00+0200", "10-25 02:00+0200", "10-25 03:00+0100"]),
        # Lord Howe changes by half an hour
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04T00", "2026-10-04T12", ["10-04 02:30+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05T00", "2026-04-05T12", ["04-05 01:45+1100"]),
        ("*/15 * * * *", "Australia/Lord_Howe", "2026-04-05T01:30", "2026-04-05T02:01",
         ["04-05 01:30+1100", "04-05 01:45+1100", "04-05 01:30+1030", "04-05 01:45+1030", "04-05 02:00+1030"]),
        ("40 * * * *", "Australia/Lord_Howe", "2026-10-04T01", "2026-10-04T04",
         ["10-04 01:40+1030", "10-04 02:40+1100", "10-04 03:40+1100"]),
        # Apia had no 30 December 2011
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T00", "2012-01-01T00",
         ["12-29 12:00-1000", "12-31 00:00+1400", "12-31 12:00+1400"]),
        ("0 */12 * * *", "Pacific/Apia", "2011-12-29T00", "2012-01-01T00",
         ["12-29 00:00-1000", "12-29 12:00-1000", "12-31 00:00+1400", "12-31 12:00+1400"]),
        ("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00", "2012-01-31T00", ["12-31 00:00+1400"]),
        # Sao Paulo skipped midnight
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12", "2018-11-05T12", ["11-04 01:00-0200", "11-05 00:00-0200"]),
        ("30 23 * * *", "America/Sao_Paulo", "2018-02-17T12", "2018-02-18T23", ["02-17 23:30-0200"]),
        ("*/30 0 * * *", "America/Sao_Paulo", "2018-11-04T00", "2018-11-05T00:01", ["11-05 00:00-0200"]),
        # St. John's changed at one minute past midnight, back into the day before
        ("0 0 * * *", "America/St_Johns", "2010-11-06T12", "2010-11-08T00:01", ["11-07 00:00-0230", "11-08 00:00-0330"]),
        ("*/30 * * * *", "America/St_Johns", "2010-11-06T23:30", "2010-11-07T00:31",
         ["11-06 23:30-0230", "11-07 00:00-0230", "11-06 23:30-0330", "11-07 00:00-0330", "11-07 00:30-0330"]),
        # Troll changes by two hours
        ("30 1 * * *", "Antarctica/Troll", "2026-03-29T00", "2026-03-29T12", ["03-29 03:00+0200"]),
        ("30 2 * * *", "Antarctica/Troll", "2026-10-25T00", "2026-10-25T12", ["10-25 02:30+0200"]),
        ("30 * * * *", "Antarctica/Troll", "2026-10-25T00:30", "2026-10-25T03:31",
         ["10-25 00:30+0200", "10-25 01:30+0200", "10-25 02:30+0200",
          "10-25 01:30+0000", "10-25 02:30+0000", "10-25 03:30+0000"]),
        # Dublin's winter time is the one that is "saved"
        ("30 1 * * *", "Europe/Dublin", "2026-10-24T12", "2026-10-26T12", ["10-25 01:30+0100", "10-26 01:30+0000"]),
        ("30 1 * * *", "Europe/Dublin", "2026-03-28T12", "2026-03-30T12", ["03-29 02:00+0100", "03-30 01:30+0100"]),
        # Casablanca leaves its summer time for Ramadan
        ("30 2 * * *", "Africa/Casablanca", "2026-02-14T12", "2026-02-16T12", ["02-15 02:30+0100", "02-16 02:30+0000"]),
        # years and leap days
        ("59 23 31 12 *", "Asia/Tokyo", "2026-12-01T00", "2028-01-01T00", ["12-31 23:59+0900", "12-31 23:59+0900"]),
        ("0 0 1 1 *", "Asia/Kathmandu", "2026-12-31T00", "2027-01-02T00", ["01-01 00:00+0545"]),
        ("0 12 29 2 *", "Europe/Paris", "2023-01-01T00", "2033-01-01T00", ["02-29 12:00+0100"] * 3),
        ("0 12 29 2 *", "UTC", "2096-03-01T00", "2105-01-01T00", ["02-29 12:00+0000"]),
    ],
)  # fmt: skip
def test_firings_through_a_change(cron: str, timezone: str, since: str, until: str, expected: list[str]):
    assert shown(cron, timezone, since, until) == expected


def test_seconds_follow_the_same_rules():
    schedule = compile_schedule(ScheduleSpec(cron="15 30 2 * * *", timezone="Europe/Berlin"))
    firing = next_after(schedule, datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert firing is not None
    assert firing.scheduled_at == datetime(2026, 3, 29, 1, tzinfo=UTC)  # the very instant of the change: 03:00:00


def test_in_a_repeated_hour_a_fixed_time_does_not_fire_again_whenever_one_asks():
    schedule = compile_schedule(ScheduleSpec(cron="0-59 2 * * *", timezone="Europe/Berlin"))
    repeated_at = datetime(2026, 10, 25, 1, tzinfo=UTC)
    for minutes in range(-1, 60, 7):
        firing = next_after(schedule, repeated_at + timedelta(minutes=minutes))
        assert firing is not None
        assert firing.scheduled_at == datetime(2026, 10, 26, 1, tzinfo=UTC)
        assert firing.previous_at == datetime(2026, 10, 25, 0, 59, tzinfo=UTC)


def test_an_interval_takes_no_notice_of_the_clocks():
    schedule = compile_schedule(ScheduleSpec(every_ms=3_600_000, timezone="Europe/Berlin"))
    since = datetime(2026, 10, 25, tzinfo=UTC)
    fired = [firing.scheduled_at for firing in between(schedule, since, since + timedelta(hours=4), 10)]
    assert fired == [since + timedelta(hours=hours) for hours in range(4)]
