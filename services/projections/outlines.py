"""What lists need of definitions, kept per version: its description, its triggers, and when schedules fire next."""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from flowforge.definition import ScheduleTrigger, Trigger

from infra.schedules import Firing, Schedule, next_after, schedule_of

READ_AT_ONCE_MAX = 200
"""Definitions, which take a few milliseconds to decode: streams and other reads go on in between."""
Version = tuple[str, int]
_DEFINITIONS = """
    select workflow_id, version, definition from projections.workflow_versions
    join unnest($1::text[], $2::int[]) wanted (workflow_id, version) using (workflow_id, version)
"""


class _Definition(msgspec.Struct):
    description: str = ""
    triggers: list[Trigger] = []


_definition = msgspec.json.Decoder(_Definition)


class Clock(msgspec.Struct):
    """A schedule that is enabled, and the firing that was next when it was last asked for."""

    trigger_id: str
    trigger_name: str
    schedule: Schedule
    upcoming: Firing | None = None
    is_over: bool = False

    def next_after(self, now: datetime) -> Firing | None:
        """The first firing that is nominal after `now`, which only grows; None once there is none."""
        if self.upcoming is None or self.upcoming.scheduled_at <= now:
            self.upcoming = None if self.is_over else next_after(self.schedule, now)
            self.is_over = self.upcoming is None
        return self.upcoming


class Outline(msgspec.Struct):
    """A version without its nodes."""

    description: str
    triggers_count: int
    enabled_count: int
    clocks: list[Clock]

    def next_after(self, now: datetime) -> tuple[Clock, Firing] | None:
        """The schedule that is due first, and when."""
        found = [(clock, firing) for clock in self.clocks if (firing := clock.next_after(now)) is not None]
        return min(found, key=lambda each: each[1].due_at, default=None)


NO_OUTLINE = Outline("", 0, 0, [])


class Outlines:
    """Those that were asked for last; a version never changes, so that each is read once."""

    def __init__(self, cached_max: int) -> None:
        self._cached_max = cached_max
        self._kept: OrderedDict[tuple[UUID | None, str, int], Outline] = OrderedDict()

    async def of(
        self, pool: asyncpg.Pool, incarnation: UUID | None, versions: Collection[Version]
    ) -> dict[str, Outline]:
        """By workflow. `incarnation` is the log's, whose versions they are."""
        found = {version: self._kept.get((incarnation, *version)) for version in versions}
        missing = [version for version, outline in found.items() if outline is None]
        for begin in range(0, len(missing), READ_AT_ONCE_MAX):
            columns = map(list, zip(*missing[begin : begin + READ_AT_ONCE_MAX], strict=True))
            for workflow_id, version, definition in await pool.fetch(_DEFINITIONS, *columns):
                found[workflow_id, version] = outline_of(workflow_id, definition)
        self._keep(incarnation, found)
        return {workflow_id: outline for (workflow_id, _), outline in found.items() if outline is not None}

    def _keep(self, incarnation: UUID | None, found: dict[Version, Outline | None]) -> None:
        for version, outline in found.items():
            if outline is not None:
                self._kept[incarnation, *version] = outline
                self._kept.move_to_end((incarnation, *version))
        while len(self._kept) > self._cached_max:
            self._kept.popitem(last=False)


def outline_of(workflow_id: str, definition: str) -> Outline:
    """What a definition, as it is stored, holds of it."""
    read = _definition.decode(definition)
    enabled = [trigger for trigger in read.triggers if trigger.enabled]
    return Outline(read.description, len(read.triggers), len(enabled), list(_clocks(workflow_id, enabled)))


def _clocks(workflow_id: str, triggers: Iterable[Trigger]) -> Iterable[Clock]:
    for trigger in triggers:
        if isinstance(trigger, ScheduleTrigger):
            yield Clock(trigger.id, trigger.name, schedule_of(trigger.config, workflow_id, trigger.id))
