"""Firings of a schedule: the next one, those in a span, those to come, those missed.

Every instant handed in needs an offset; every instant handed out is in UTC.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Literal, NamedTuple, assert_never

import msgspec

from infra.schedules.schedule import Schedule, microseconds, moment

CatchUp = Literal["none", "latest", "all"]


class Firing(msgspec.Struct, frozen=True):
    """One firing: nominal at `scheduled_at`, due at `due_at` (up to `jitter_ms` later, always the same for the same one).

    `previous_at` and `next_at` are its neighbours in the schedule, None where it begins or ends.
    """

    scheduled_at: datetime
    previous_at: datetime | None
    next_at: datetime | None
    due_at: datetime


class Missed(NamedTuple):
    """What is to be done about firings that were not fired in time; both lists ascend.

    `expired` has the latest of those that are given up; if there were more than the cap, `unlisted_until` is the
    latest instant of the others.
    """

    fire: list[Firing]
    expired: list[Firing]
    unlisted_until: datetime | None = None


def next_after(schedule: Schedule, instant: datetime) -> Firing | None:
    """The first firing that is nominal after an instant; None if there is none."""
    found = schedule.first(microseconds(instant) + 1)
    return None if found is None else _firing(schedule, schedule.last(found - 1), found, schedule.first(found + 1))


def between(schedule: Schedule, since: datetime, until: datetime, limit: int) -> Iterator[Firing]:
    """The firings nominal at or after `since` and before `until`, ascending; at most `limit`, the earliest."""
    until_us = microseconds(until)
    ascending = _ascending(schedule, microseconds(since), until_us)
    return islice(ascending, limit)


def upcoming(schedule: Schedule, now: datetime, count: int) -> list[Firing]:
    """The next `count` firings that are nominal after now, fewer if the schedule ends."""
    return list(islice(_ascending(schedule, microseconds(now) + 1, None), count))


def missed(
    schedule: Schedule, last_nominal: datetime, now: datetime, catch_up: CatchUp, cap: int, *, grace_ms: int = 0
) -> Missed:
    """What to do about the firings nominal after `last_nominal` (the last one dealt with) and not after now.

    One is missed if its `due_at` was `grace_ms` or more ago. Those that are not are always to fire, each at its own
    `due_at`, which may still be to come. Of the missed ones `none` fires no one, `latest` the latest, `all` the latest
    `cap`; the rest is expired, of which the latest `cap` are listed. The work does not grow with the time away.
    """
    quota = _fires_max(catch_up, cap)
    missed_until = now - timedelta(milliseconds=grace_ms)
    jitter = timedelta(milliseconds=schedule.jitter_ms)
    fire: list[Firing] = []
    expired: list[Firing] = []
    unlisted_until: datetime | None = None
    for firing in _descending(schedule, microseconds(now), microseconds(last_nominal)):
        if firing.due_at > missed_until:
            fire.append(firing)
        elif quota > 0:
            quota -= 1
            fire.append(firing)
        elif len(expired) < cap:
            expired.append(firing)
        else:
            unlisted_until = unlisted_until or firing.scheduled_at
            if firing.scheduled_at + jitter <= missed_until:
                break
    return Missed(fire[::-1], expired[::-1], unlisted_until)


def _fires_max(catch_up: CatchUp, cap: int) -> int:
    match catch_up:
        case "none":
            return 0
        case "latest":
            return 1
        case "all":
            return cap
        case _:
            assert_never(catch_up)


def _ascending(schedule: Schedule, since_us: int, until_us: int | None) -> Iterator[Firing]:
    found = schedule.first(since_us)
    previous = None if found is None else schedule.last(found - 1)
    while found is not None and (until_us is None or found < until_us):
        following = schedule.first(found + 1)
        yield _firing(schedule, previous, found, following)
        previous, found = found, following


def _descending(schedule: Schedule, from_us: int, after_us: int) -> Iterator[Firing]:
    found = schedule.last(from_us)
    following = None if found is None else schedule.first(found + 1)
    while found is not None and found > after_us:
        previous = schedule.last(found - 1)
        yield _firing(schedule, previous, found, following)
        found, following = previous, found


def _firing(schedule: Schedule, previous: int | None, found: int, following: int | None) -> Firing:
    scheduled_at = moment(found)
    return Firing(
        scheduled_at=scheduled_at,
        previous_at=None if previous is None else moment(previous),
        next_at=None if following is None else moment(following),
        due_at=scheduled_at + timedelta(milliseconds=_jitter_ms(schedule, found))
        if schedule.jitter_ms
        else scheduled_at,
    )


def _jitter_ms(schedule: Schedule, scheduled_us: int) -> int:
    """Evenly spread over 0 to `jitter_ms`, the same on every machine."""
    digest = blake2b(f"{scheduled_us} {schedule.identity}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (schedule.jitter_ms + 1)
