"""A cron expression, and its nominal times: what a clock on the wall shows when it is due.

Wall-clock time is counted in seconds since 1970-01-01T00:00:00 on that wall, as if no clock were ever changed.
"""

from bisect import bisect_left
from datetime import date
from functools import lru_cache

import msgspec

from infra.schedules import fields
from infra.schedules.dates import DateRule, date_rule
from infra.schedules.faults import ScheduleFault
from infra.schedules.fields import read_field
from infra.schedules.limits import compiled_crons_count_max, cron_chars_max

DAY_S = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_ANY_LEAP_YEAR_ORDINAL = date(2000, 1, 1).toordinal()

_SHORTHANDS = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}
_FIVE = (fields.MINUTE, fields.HOUR, fields.DAY_OF_MONTH, fields.MONTH, fields.DAY_OF_WEEK)
_SIX = (fields.SECOND, *_FIVE)


class TimesOfDay(msgspec.Struct, frozen=True):
    """Hours, minutes and seconds, each ascending; every combination is meant."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    @property
    def earliest(self) -> int:
        return self.hours[0] * 3600 + self.minutes[0] * 60 + self.seconds[0]

    @property
    def latest(self) -> int:
        return self.hours[-1] * 3600 + self.minutes[-1] * 60 + self.seconds[-1]

    def first(self, second_of_day: int) -> int | None:
        """The first time at or after a second of the day."""
        hour, rest = divmod(second_of_day, 3600)
        minute, second = divmod(rest, 60)
        hours, minutes, seconds = self.hours, self.minutes, self.seconds
        h = bisect_left(hours, hour)
        if h < len(hours) and hours[h] == hour:
            m = bisect_left(minutes, minute)
            if m < len(minutes) and minutes[m] == minute:
                s = bisect_left(seconds, second)
                if s < len(seconds):
                    return hour * 3600 + minute * 60 + seconds[s]
                m += 1
            if m < len(minutes):
                return hour * 3600 + minutes[m] * 60 + seconds[0]
            h += 1
        return hours[h] * 3600 + minutes[0] * 60 + seconds[0] if h < len(hours) else None

    def mirrored(self) -> "TimesOfDay":
        """The same times on a clock that runs backwards from the day's last second."""
        return TimesOfDay(
            tuple(23 - hour for hour in reversed(self.hours)),
            tuple(59 - minute for minute in reversed(self.minutes)),
            tuple(59 - second for second in reversed(self.seconds)),
        )


class Cron(msgspec.Struct, frozen=True):
    """A compiled expression. `follows_elapsed_time`: its minute or hour is a wildcard, see `infra.schedules.instants`."""

    dates: DateRule
    times: TimesOfDay
    mirrored_times: TimesOfDay
    follows_elapsed_time: bool

    def first(self, wall_s: int, without: frozenset[int]) -> int | None:
        """The first nominal time at or after one, leaving out dates by ordinal; None if there is none."""
        day, second_of_day = divmod(wall_s, DAY_S)
        today = day + EPOCH_ORDINAL
        ordinal = self._first_date(today, without)
        if ordinal == today:
            time = self.times.first(second_of_day)
            if time is not None:
                return day * DAY_S + time
            ordinal = self._first_date(today + 1, without)
        if ordinal is None:
            return None
        return (ordinal - EPOCH_ORDINAL) * DAY_S + self.times.earliest

    def last(self, wall_s: int, without: frozenset[int]) -> int | None:
        """The last nominal time at or before one, leaving out dates by ordinal; None if there is none."""
        day, second_of_day = divmod(wall_s, DAY_S)
        today = day + EPOCH_ORDINAL
        ordinal = self._last_date(today, without)
        if ordinal == today:
            time = self.mirrored_times.first(DAY_S - 1 - second_of_day)
            if time is not None:
                return (day + 1) * DAY_S - 1 - time
            ordinal = self._last_date(today - 1, without)
        if ordinal is None:
            return None
        return (ordinal - EPOCH_ORDINAL) * DAY_S + self.times.latest

    def _first_date(self, ordinal: int, without: frozenset[int]) -> int | None:
        found = self.dates.first(ordinal)
        while found is not None and found in without:
            found = self.dates.first(found + 1)
        return found

    def _last_date(self, ordinal: int, without: frozenset[int]) -> int | None:
        found = self.dates.last(ordinal)
        while found is not None and found in without:
            found = self.dates.last(found - 1)
        return found


def compile_cron(expression: str) -> Cron:
    """An expression of 5 fields, of 6 with seconds first, or `@hourly` and its like. Raises ScheduleFault."""
    if len(expression) > cron_chars_max:
        raise ScheduleFault("cron", f"the expression is longer than {cron_chars_max} characters")
    return _compile(" ".join(expression.upper().split()))


@lru_cache(compiled_crons_count_max)
def _compile(expression: str) -> Cron:
    if expression.startswith("@") and expression not in _SHORTHANDS:
        known = ", ".join(name.lower() for name in _SHORTHANDS)
        mend = "for a fixed interval leave cron out and write every_ms" if expression.startswith("@EVERY") else ""
        raise ScheduleFault("cron", f"`{expression.lower()}` is not known; known are {known}", mend)
    if expression.startswith(("TZ=", "CRON_TZ=")):
        raise ScheduleFault("cron", "a time zone is no part of the expression", "write it as timezone, beside cron")
    texts = _SHORTHANDS.get(expression, expression).split()
    kinds = _SIX if len(texts) == len(_SIX) else _FIVE
    if len(texts) != len(kinds):
        raise ScheduleFault(
            "cron",
            f"the expression has {len(texts)} fields; it needs 5 (minute, hour, day of month, month, day of week), "
            "or 6 with the second before them",
        )
    read = [read_field(kind, text) for kind, text in zip(kinds, texts, strict=True)]
    minute, hour, day_of_month, month, day_of_week = read[-5:]
    times = TimesOfDay(hour.values, minute.values, read[0].values if kinds is _SIX else (0,))
    dates = date_rule(day_of_month, month, day_of_week)
    if dates.first(_ANY_LEAP_YEAR_ORDINAL) is None:
        raise ScheduleFault(
            "cron",
            f"the day of month field `{texts[-3]}` never fits the month field `{texts[-2]}`"
            + ("" if day_of_week.is_starred else f" and the day of week field `{texts[-1]}`")
            + ": no such date exists, it would never fire",
            "for the last day of a month write L as its day",
        )
    return Cron(dates, times, times.mirrored(), minute.is_starred or hour.is_starred)
