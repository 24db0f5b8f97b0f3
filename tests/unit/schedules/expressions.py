"""Random expressions together with what they mean, and a cron daemon that looks at the clock at every tick."""

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

_STEPS = (2, 3, 5, 7, 10, 15, 20, 30)


class Meaning(msgspec.Struct, frozen=True):
    """An expression as text, and its values field by field (5 fields, or 6 with seconds first)."""

    text: str
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def has_wildcard(self) -> bool:
        minute, hour = self.text.split()[-5:-3]
        return minute.startswith("*") or hour.startswith("*")

    def means(self, wall: datetime) -> bool:
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.second in self.seconds
            and wall.month in self.months
            and self._means_day(wall)
        )

    def _means_day(self, wall: datetime) -> bool:
        by_date, by_weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        day, _, weekday = self.text.split()[-3:]
        if day.startswith("*") or weekday.startswith("*"):
            return by_date and by_weekday
        return by_date or by_weekday


def expression(dice: random.Random, *, seconds: bool = False) -> Meaning:
    """Any expression; one in two has its hours where clocks are usually changed."""
    minute, minutes = _field(dice, 0, 59, 0.1)
    hour, hours = _field(dice, 0, 23, 0.3) if dice.random() < 0.5 else _list(dice.sample((22, 23, 0, 1, 2, 3, 4), 2))
    day, days = _field(dice, 1, 31, 0.7)
    month, months = _field(dice, 1, 12, 0.85)
    weekday, weekdays = _field(dice, 0, 7, 0.7)
    second, second_values = _field(dice, 0, 59, 0.1) if seconds else ("", frozenset({0}))
    return Meaning(
        text=f"{second} {minute} {hour} {day} {month} {weekday}".strip(),
        seconds=second_values,
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(value % 7 for value in weekdays),
    )


def _field(dice: random.Random, low: int, high: int, share_of_stars: float) -> tuple[str, frozenset[int]]:
    every = range(low, high + 1)
    kind = dice.random()
    if kind < share_of_stars:
        return "*", frozenset(every)
    if kind < share_of_stars + 0.1:
        step = dice.choice(_STEPS)
        return f"*/{step}", frozenset(every[::step])
    if kind < share_of_stars + 0.2:
        first, last, step = *sorted(dice.sample(every, 2)), dice.randint(1, 7)
        return f"{first}-{last}/{step}", frozenset(range(first, last + 1, step))
    return _list(dice.choices(every, k=dice.choice((1, 1, 3))))


def _list(values: list[int]) -> tuple[str, frozenset[int]]:
    return ",".join(str(value) for value in values), frozenset(values)


def watched_firings(
    meaning: Meaning, zone: ZoneInfo, since: datetime, until: datetime, *, tick_s: int = 60
) -> list[datetime]:
    """What a cron daemon fires that looks at the clock on the wall at every tick, by Debian's rules (cron(8)).

    Fixed times: what the clock skipped is made up for at once, what it showed before is not fired again. Wildcards:
    what the clock shows is fired. `since` lies a day before any change and is a whole tick.
    """
    fired, seen, tick = [], set[datetime](), timedelta(seconds=tick_s)
    makes_up, instant, expected = not meaning.has_wildcard, since, since.astimezone(zone).replace(tzinfo=None)
    while instant < until:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        shown = [wall]
        if makes_up:
            while expected < wall:
                shown.append(expected)
                expected += tick
            shown = [time for time in shown if time not in seen]
            seen.update(shown)
        if any(meaning.means(time) for time in shown):
            fired.append(instant)
        instant, expected = instant + tick, wall + tick
    return fired
