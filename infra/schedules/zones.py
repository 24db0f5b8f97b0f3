"""Time zones: what the clocks of a place show. All instants are whole seconds since 1970 in UTC."""

import re
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from infra.schedules.faults import ScheduleFault

_WALL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # wall-clock time has no zone yet
_OF_THIS_MACHINE = ("localtime", "posixrules")  # files beside the zones on some machines: another zone on each
_ABBREVIATIONS = {
    "AEST": "Australia/Sydney",
    "BST": "Europe/London",
    "CDT": "America/Chicago",
    "CEST": "Europe/Berlin",
    "CST": "America/Chicago",
    "CT": "America/Chicago",
    "EDT": "America/New_York",
    "ET": "America/New_York",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "LOCALTIME": "UTC",
    "MDT": "America/Denver",
    "MSK": "Europe/Moscow",
    "MT": "America/Denver",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "PT": "America/Los_Angeles",
    "SGT": "Asia/Singapore",
    "Z": "UTC",
}
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])0?(\d{1,2})(?::?00)?", re.IGNORECASE)
_OFFSET_H_MAX = {"+": 14, "-": 12}


def read_zone(name: str) -> ZoneInfo:
    """A zone by its IANA name. Raises ScheduleFault with the nearest name there is."""
    try:
        if name not in _OF_THIS_MACHINE:
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no name of a file below the zones, a folder of zones
        pass
    raise ScheduleFault("timezone", f"`{name[:60]}` is no IANA time zone", f"did you mean {_nearest(name[:60])}?")


def _nearest(name: str) -> str:
    if name.upper() in _ABBREVIATIONS:
        return _ABBREVIATIONS[name.upper()]
    if offset := _OFFSET.fullmatch(name.strip()):
        return _of_offset(offset[1], int(offset[2]))
    spelled = name.strip().replace(" ", "_").lower()
    spellings = _spellings()
    close = get_close_matches(spelled, spellings, n=1, cutoff=0.6)
    return spellings[close[0]] if close else "UTC"


def _of_offset(sign: str, hours: int) -> str:
    """Names of fixed offsets count the other way round, as POSIX does: `Etc/GMT-2` is two hours ahead of UTC."""
    if not 0 < hours <= _OFFSET_H_MAX[sign]:
        return "UTC"
    return f"Etc/GMT{'-' if sign == '+' else '+'}{hours}"


@lru_cache(1)
def _spellings() -> dict[str, str]:
    """Zones by their whole name and by their city, in small letters."""
    names = sorted(available_timezones().difference(_OF_THIS_MACHINE), reverse=True)
    cities = {name.rpartition("/")[2].lower(): name for name in names if not name.startswith("Etc/")}
    return cities | {name.lower(): name for name in names}


def offset_s(zone: ZoneInfo, instant_s: int) -> int:
    """How far the clocks are ahead of UTC at an instant."""
    return _seconds(datetime.fromtimestamp(instant_s, zone).utcoffset())


def offsets_s(zone: ZoneInfo, wall_s: int) -> tuple[int, int]:
    """The offsets under which the clocks show a time: equal if it occurs once.

    The first is greater if the time occurs twice (it is that of the first occurrence); it is smaller if the time does
    not exist (then they are the offsets before and after the change), as PEP 495 has it for `fold` 0 and 1.
    """
    wall = (_WALL_EPOCH + timedelta(seconds=wall_s)).replace(tzinfo=zone)
    return _seconds(wall.utcoffset()), _seconds(wall.replace(fold=1).utcoffset())


def change_s(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """The first instant of the new offset, where the offset at `before_s` is not that at `after_s`, by halving."""
    old = offset_s(zone, before_s)
    while after_s - before_s > 1:
        middle = (before_s + after_s) // 2
        if offset_s(zone, middle) == old:
            before_s = middle
        else:
            after_s = middle
    return after_s


def instant_of(zone: ZoneInfo, moment: datetime) -> datetime:
    """A moment in UTC; one without an offset is meant as the zone's clocks show it (the first time they do)."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None, "a zone has an offset at any time"
    return offset.days * 86_400 + offset.seconds
