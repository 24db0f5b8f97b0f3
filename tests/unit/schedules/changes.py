"""When the clocks of a zone are changed, found without the code under test."""

import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
STEP = timedelta(days=6)  # no two changes since 1970 are nearer to each other (Recife 2000: just under 7 days)
_OF_THIS_MACHINE = {"localtime", "posixrules"}


def zone_names() -> list[str]:
    return sorted(available_timezones() - _OF_THIS_MACHINE)


def one_change(name: str, dice: random.Random) -> datetime:
    """Some change of a zone's clocks, or some new year if they are never changed."""
    found = changes(name)
    return dice.choice(found) if found else datetime(dice.randrange(1990, 2040), 1, 1, tzinfo=UTC)


@lru_cache(None)
def changes(name: str) -> list[datetime]:
    """The first instants of new offsets from 1990 to 2040, in UTC."""
    zone, found, instant = ZoneInfo(name), list[datetime](), FIRST
    offset = instant.astimezone(zone).utcoffset()
    while instant < LAST:
        following = instant + STEP
        if (new := following.astimezone(zone).utcoffset()) != offset:
            found.append(_between(zone, instant, following))
        instant, offset = following, new
    return found


def _between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
