"""Which dates an expression means. A month is one number whose bit `d` is set if its day `d` is meant."""

from calendar import isleap
from datetime import date

import msgspec

from infra.schedules.fields import FieldValues
from infra.schedules.limits import latest_year, rarest_date_months_max

_MONTH_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EVERY_SEVENTH = sum(1 << days for days in range(0, 35, 7))
_WEEK = 0b1111111
_MONDAY_TO_FRIDAY = (1, 2, 3, 4, 5)
_FEBRUARY, _DECEMBER = 2, 12


class DateRule(msgspec.Struct, frozen=True):
    """The dates that fit a day of month, a month and a day of week.

    As in Debian's cron, both days must fit if one of their fields begins with `*`; otherwise it is enough that one
    does. `weekdays[f]` are the days meant by their weekday in a month whose first day is weekday `f` (0 is Monday).
    """

    is_every_day: bool
    months: frozenset[int]
    days: int
    last_day: bool
    last_working_day: bool
    weekdays: tuple[int, ...]
    last_weekdays: tuple[int, ...]
    needs_both: bool

    def first(self, ordinal: int) -> int | None:
        """The first date at or after a proleptic ordinal (as `date.toordinal`), None if no such date exists."""
        if self.is_every_day:
            return ordinal
        day = date.fromordinal(ordinal)
        year, month, lowest = day.year, day.month, day.day
        before = ordinal - lowest  # the ordinal of the month's day "0"
        for _ in range(rarest_date_months_max + 1):
            if month in self.months:
                meant = self.days_of(year, month, before) >> lowest
                if meant:
                    return before + lowest + (meant & -meant).bit_length() - 1
            before += _length(year, month)
            lowest = 1
            year, month = (year, month + 1) if month < _DECEMBER else (year + 1, 1)
            if year > latest_year:
                return None
        return None

    def last(self, ordinal: int) -> int | None:
        """The last date at or before an ordinal, None if no such date exists."""
        if self.is_every_day:
            return ordinal
        day = date.fromordinal(ordinal)
        year, month, highest = day.year, day.month, day.day
        before = ordinal - highest
        for _ in range(rarest_date_months_max + 1):
            if month in self.months:
                meant = self.days_of(year, month, before) & ((2 << highest) - 1)
                if meant:
                    return before + meant.bit_length() - 1
            year, month = (year, month - 1) if month > 1 else (year - 1, _DECEMBER)
            highest = _length(year, month)
            before -= highest
        return None

    def days_of(self, year: int, month: int, before: int) -> int:
        """The days meant in a month, `before` being the ordinal of the day before its first."""
        length, first_weekday = _length(year, month), before % 7
        whole_month = (2 << length) - 2
        by_date = self.days & whole_month
        if self.last_day:
            by_date |= 1 << length
        if self.last_working_day:
            by_date |= 1 << (_on_weekdays(_MONDAY_TO_FRIDAY, first_weekday) & whole_month).bit_length() - 1
        by_weekday = self.weekdays[first_weekday] & whole_month
        if self.last_weekdays:
            last_week = _WEEK << length - 6
            by_weekday |= _on_weekdays(self.last_weekdays, first_weekday) & last_week
        return by_date & by_weekday if self.needs_both else by_date | by_weekday


def date_rule(day_of_month: FieldValues, month: FieldValues, day_of_week: FieldValues) -> DateRule:
    """The dates of three fields."""
    days = sum(1 << day for day in day_of_month.values)
    return DateRule(
        is_every_day=len(day_of_month.values) == 31 and len(month.values) == 12 and _is_whole_week(day_of_week.values),
        months=frozenset(month.values),
        days=days,
        last_day=day_of_month.last_day,
        last_working_day=day_of_month.last_working_day,
        weekdays=tuple(_by_weekday(day_of_week, first_weekday) for first_weekday in range(7)),
        last_weekdays=day_of_week.last_weekdays,
        needs_both=day_of_month.is_starred or day_of_week.is_starred,
    )


def _is_whole_week(values: tuple[int, ...]) -> bool:
    return len({value % 7 for value in values}) == 7


def _by_weekday(day_of_week: FieldValues, first_weekday: int) -> int:
    meant = _on_weekdays(day_of_week.values, first_weekday)
    for weekday, occurrence in day_of_week.nth:
        meant |= _on_weekdays((weekday,), first_weekday) & (_WEEK << 7 * occurrence - 6)
    return meant


def _on_weekdays(weekdays: tuple[int, ...], first_weekday: int) -> int:
    """The days of a month that fall on weekdays as cron counts them (0 and 7 are Sunday)."""
    meant = 0
    for weekday in weekdays:
        meant |= _EVERY_SEVENTH << 1 + (weekday - 1 - first_weekday) % 7
    return meant


def _length(year: int, month: int) -> int:
    return 29 if month == _FEBRUARY and isleap(year) else _MONTH_DAYS[month]
