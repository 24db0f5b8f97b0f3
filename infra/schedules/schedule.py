"""A schedule: which instants it has. Instants are microseconds since 1970 in UTC here."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from infra.schedules.cron import DAY_S, EPOCH_ORDINAL, compile_cron
from infra.schedules.faults import ScheduleFault
from infra.schedules.instants import ElapsedTimes, FixedTimes
from infra.schedules.limits import (
    earliest_year,
    every_ms_max,
    every_ms_min,
    exclude_dates_count_max,
    jitter_ms_max,
    latest_year,
)
from infra.schedules.zones import change_s, instant_of, offset_s, read_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_DAY_US = DAY_S * _SECOND_US
_EARLIEST_US = (datetime(earliest_year, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LATEST_US = (datetime(latest_year, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is written (interface.md 2): `cron` or `every_ms`, and what narrows it.

    `start_at` and `end_at` both belong to it; without an offset they are meant in `timezone`. `every_ms` counts from
    `start_at`, or from 1970-01-01T00:00:00Z, in elapsed time. `exclude_dates` are dates in `timezone`: of a cron, those
    of its nominal times.
    """

    cron: str | None = None
    every_ms: int | None = None
    timezone: str = "UTC"
    start_at: datetime | None = None
    end_at: datetime | None = None
    exclude_dates: tuple[date, ...] = ()
    jitter_ms: int = 0


class Interval(msgspec.Struct, frozen=True):
    """The instants `anchor_us + k * every_us`, for every whole k, save those on dates left out."""

    anchor_us: int
    every_us: int
    zone: ZoneInfo
    without: frozenset[int]

    def first(self, instant_us: int) -> int:
        """The first at or after an instant."""
        while True:
            firing = self.anchor_us - (self.anchor_us - instant_us) // self.every_us * self.every_us
            if not self._is_left_out(firing):
                return firing
            instant_us = self._date_ends(firing)

    def last(self, instant_us: int) -> int:
        """The last at or before an instant."""
        while True:
            firing = self.anchor_us + (instant_us - self.anchor_us) // self.every_us * self.every_us
            if not self._is_left_out(firing):
                return firing
            instant_us = self._date_begins(firing) - 1

    def _is_left_out(self, instant_us: int) -> bool:
        if not self.without or not _EARLIEST_US <= instant_us <= _LATEST_US:
            return False
        instant_s = instant_us // _SECOND_US
        return (instant_s + offset_s(self.zone, instant_s)) // DAY_S + EPOCH_ORDINAL in self.without

    def _date_ends(self, instant_us: int) -> int:
        """When the date at an instant is over, or the clocks are changed before that."""
        instant_s = instant_us // _SECOND_US
        offset = offset_s(self.zone, instant_s)
        midnight = ((instant_s + offset) // DAY_S + 1) * DAY_S - offset
        if offset_s(self.zone, midnight) != offset:
            midnight = change_s(self.zone, instant_s, midnight)
        return midnight * _SECOND_US

    def _date_begins(self, instant_us: int) -> int:
        """When the date at an instant began, or the clocks were last changed after that."""
        instant_s = instant_us // _SECOND_US
        offset = offset_s(self.zone, instant_s)
        midnight = (instant_s + offset) // DAY_S * DAY_S - offset
        if offset_s(self.zone, midnight) != offset:
            midnight = change_s(self.zone, midnight, instant_s)
        return midnight * _SECOND_US


class Times(msgspec.Struct, frozen=True):
    """The instants of a cron, in microseconds."""

    seconds: FixedTimes | ElapsedTimes

    def first(self, instant_us: int) -> int | None:
        """The first at or after an instant, None if there is none."""
        found = self.seconds.first(-(-instant_us // _SECOND_US))
        return None if found is None else found * _SECOND_US

    def last(self, instant_us: int) -> int | None:
        """The last at or before an instant, None if there is none."""
        found = self.seconds.last(instant_us // _SECOND_US)
        return None if found is None else found * _SECOND_US


class Schedule(msgspec.Struct, frozen=True):
    """A compiled schedule. `identity` is what its jitter derives from, besides the instant."""

    identity: str
    times: Times | Interval
    start_us: int
    end_us: int
    jitter_ms: int

    def first(self, instant_us: int) -> int | None:
        """The first of its instants at or after one, None if there is none."""
        instant_us = max(instant_us, self.start_us)
        if instant_us > self.end_us:
            return None
        found = self.times.first(instant_us)
        return found if found is not None and found <= self.end_us else None

    def last(self, instant_us: int) -> int | None:
        """The last of its instants at or before one, None if there is none."""
        instant_us = min(instant_us, self.end_us)
        if instant_us < self.start_us:
            return None
        found = self.times.last(instant_us)
        return found if found is not None and found >= self.start_us else None


def compile_schedule(spec: ScheduleSpec, identity: str = "") -> Schedule:
    """The schedule that is written; `identity` names it among all schedules, for the jitter.

    Raises ScheduleFault for everything that could only be told at a firing otherwise, also if it would never fire.
    """
    zone = read_zone(spec.timezone)
    start_us, end_us = _bounds(spec, zone)
    schedule = Schedule(identity, _times(spec, zone), start_us, end_us, _jitter(spec))
    if spec.start_at and spec.end_at and schedule.first(start_us) is None:
        raise ScheduleFault("end_at", "nothing fires between start_at and end_at", "widen them, or leave end_at out")
    return schedule


def moment(instant_us: int) -> datetime:
    """An instant as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant_us)


def microseconds(instant: datetime) -> int:
    """A datetime with an offset as an instant."""
    since = instant - _EPOCH
    return since.days * _DAY_US + since.seconds * _SECOND_US + since.microseconds


def _times(spec: ScheduleSpec, zone: ZoneInfo) -> Times | Interval:
    if len(spec.exclude_dates) > exclude_dates_count_max:
        fault = f"at most {exclude_dates_count_max} dates can be left out"
        raise ScheduleFault("exclude_dates", fault, "leave out dates of the past, or have the cron mean fewer")
    without = frozenset(excluded.toordinal() for excluded in spec.exclude_dates)
    if spec.cron is not None and spec.every_ms is not None:
        raise ScheduleFault("every_ms", "a schedule has cron or every_ms, not both", "leave one of them out")
    if spec.cron is not None:
        cron = compile_cron(spec.cron)
        return Times((ElapsedTimes if cron.follows_elapsed_time else FixedTimes)(cron, zone, without))
    if spec.every_ms is None:
        raise ScheduleFault("cron", "a schedule needs cron or every_ms", "for each day at 9 write cron: 0 9 * * *")
    if not every_ms_min <= spec.every_ms <= every_ms_max:
        raise ScheduleFault("every_ms", f"{spec.every_ms} is out of range: {every_ms_min} to {every_ms_max}")
    anchor_us = microseconds(instant_of(zone, spec.start_at)) if spec.start_at else 0
    return Interval(anchor_us, spec.every_ms * 1000, zone, without)


def _bounds(spec: ScheduleSpec, zone: ZoneInfo) -> tuple[int, int]:
    start_us = _bound("start_at", spec.start_at, zone, _EARLIEST_US)
    end_us = _bound("end_at", spec.end_at, zone, _LATEST_US)
    if end_us < start_us:
        fault = f"the end {spec.end_at} is before the start {spec.start_at}"
        raise ScheduleFault("end_at", fault, "put end_at after start_at, or leave it out")
    return start_us, end_us


def _bound(field: str, written: datetime | None, zone: ZoneInfo, otherwise: int) -> int:
    if written is None:
        return otherwise
    if not earliest_year <= written.year <= latest_year:
        raise ScheduleFault(field, f"the year {written.year} is out of range: {earliest_year} to {latest_year}")
    return min(max(microseconds(instant_of(zone, written)), _EARLIEST_US), _LATEST_US)


def _jitter(spec: ScheduleSpec) -> int:
    if not 0 <= spec.jitter_ms <= jitter_ms_max:
        raise ScheduleFault("jitter_ms", f"{spec.jitter_ms} is out of range: 0 to {jitter_ms_max}")
    return spec.jitter_ms
