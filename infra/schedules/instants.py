"""From nominal times to instants: daylight saving as Debian's cron has it (cron(8), and `cronsim` in Python).

A cron whose minute and hour do not begin with `*` means *fixed times*: each fires once. If the clocks skip it, at the
first instant after the change; if they show it twice, the first time; times that fall on one instant fire once.
One with a wildcard there *follows elapsed time*: it fires at every instant at which the clocks show one of its times,
so a skipped hour has no firings and a repeated hour has them twice. `0-23` is no wildcard, `*/5` is one, as in Debian.

Instants are whole seconds since 1970 in UTC, wall-clock times as in `infra.schedules.cron`. A zone is taken to change
its clocks at most once within 24 hours (since 1970 no two changes are less than 6 days apart).
"""

from zoneinfo import ZoneInfo

import msgspec

from infra.schedules.cron import DAY_S, Cron
from infra.schedules.zones import change_s, offset_s, offsets_s


class FixedTimes(msgspec.Struct, frozen=True):
    """The instants of a cron of fixed times. Later nominal times never have earlier instants."""

    cron: Cron
    zone: ZoneInfo
    without: frozenset[int]

    def first(self, instant_s: int) -> int | None:
        """The first firing at or after an instant."""
        offset = offset_s(self.zone, instant_s)
        # right after a gap, what was nominal within it is due now
        wall = self.cron.first(instant_s + min(offset, offset_s(self.zone, instant_s - 1)), self.without)
        while wall is not None:
            firing = self._instant(wall)
            if firing >= instant_s:
                return firing
            wall = self.cron.first(self._repeated_until(wall), self.without)
        return None

    def last(self, instant_s: int) -> int | None:
        """The last firing at or before an instant."""
        wall = instant_s + offset_s(self.zone, instant_s)
        earlier, later = offsets_s(self.zone, wall)
        if earlier > later and wall - earlier < instant_s:  # shown for the second time: all repeated times are over
            wall = self._repeated_until(wall) - 1
        nominal = self.cron.last(wall, self.without)
        return None if nominal is None else self._instant(nominal)

    def _instant(self, wall: int) -> int:
        before, after = offsets_s(self.zone, wall)
        if before >= after:
            return wall - before
        return change_s(self.zone, wall - after, wall - before)

    def _repeated_until(self, wall: int) -> int:
        """The first wall-clock time after those that are shown twice together with this one."""
        before, after = offsets_s(self.zone, wall)
        return change_s(self.zone, wall - before, wall - after) + before


class ElapsedTimes(msgspec.Struct, frozen=True):
    """The instants at which the clocks show a time of a cron."""

    cron: Cron
    zone: ZoneInfo
    without: frozenset[int]

    def first(self, instant_s: int) -> int | None:
        """The first firing at or after an instant."""
        while True:
            offset = offset_s(self.zone, instant_s)
            wall = self.cron.first(instant_s + offset, self.without)
            if wall is None:
                return None
            if wall - offset <= instant_s + DAY_S and offset_s(self.zone, wall - offset) == offset:
                return wall - offset
            if offset_s(self.zone, instant_s + DAY_S) != offset:
                change = change_s(self.zone, instant_s, instant_s + DAY_S)
                if wall - offset < change:
                    return wall - offset
                instant_s = change
                continue
            before, after = offsets_s(self.zone, wall)
            if before >= after:
                return wall - before if wall - before >= instant_s else wall - after
            instant_s = change_s(self.zone, wall - after, wall - before)

    def last(self, instant_s: int) -> int | None:
        """The last firing at or before an instant."""
        while True:
            offset = offset_s(self.zone, instant_s)
            wall = self.cron.last(instant_s + offset, self.without)
            if wall is None:
                return None
            if wall - offset >= instant_s - DAY_S and offset_s(self.zone, wall - offset) == offset:
                return wall - offset
            if offset_s(self.zone, instant_s - DAY_S) != offset:
                change = change_s(self.zone, instant_s - DAY_S, instant_s)
                if wall - offset >= change:
                    return wall - offset
                instant_s = change - 1
                continue
            before, after = offsets_s(self.zone, wall)
            if before >= after:
                return wall - after if wall - after <= instant_s else wall - before
            instant_s = change_s(self.zone, wall - after, wall - before) - 1
