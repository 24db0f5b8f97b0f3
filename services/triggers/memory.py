"""What one trigger remembers: the causes that it holds, and when it fired (pure).

A *holding* is what will fire together: one cause, or the several that a batch or a join has gathered. It waits at one
step at a time: `upstreams` or `batch` until it is complete, then `debounce`, then `delay`. `evolve` folds the events of the
trigger's own stream, and nothing else is remembered.
"""

import heapq
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, assert_never, cast
from uuid import UUID

import msgspec
from flowforge.events import AbsenceCounted, Cause, TriggerDecided, TriggerEvent, TriggerFired, TriggerTimerSet

from services.triggers.settings import DUE_SLACK_COUNT, FIRINGS_COUNTED_MAX

Step = Literal["upstreams", "batch", "debounce", "delay"]


class Holding(msgspec.Struct, frozen=True):
    """Causes that wait together, the last one leading; `since` the last one came, until `due_at`."""

    causes: list[Cause]
    step: Step
    since: datetime
    due_at: datetime
    key: str = ""
    slot: str = ""
    number: int = 0
    """Grows: what came to its step first has the smaller one."""

    @property
    def lead(self) -> Cause:
        return self.causes[-1]


class Memory(msgspec.Struct):
    """`version` is that of the trigger's stream. What is held is of the shape `shape_version`; another begins empty."""

    version: int = 0
    shape_version: int = 0
    holdings: dict[UUID, Holding] = {}
    """By the leading cause's event, in the order in which they came to their step."""
    fired_at: list[datetime] = []
    timer_at: datetime | None = None
    """When the timer that was set last comes due; None once something was logged at that time or later."""
    absence_since: datetime | None = None
    absence_due_at: datetime | None = None
    absence_overdue_count: int = 0
    due: list[tuple[datetime, UUID]] = []
    """Heap of when holdings are due; those that are gone or due at another time do not count."""
    of_cause: dict[UUID, UUID] = {}
    """Cause → the leading cause it is held with, where that is another one."""

    def copied(self) -> "Memory":
        """One that may grow by itself."""
        return msgspec.structs.replace(
            self,
            holdings=self.holdings.copy(),
            due=self.due.copy(),
            of_cause=self.of_cause.copy(),
        )

    @property
    def is_empty(self) -> bool:
        """Whether the next cause finds nothing of those before it."""
        is_counting = self.absence_due_at is not None or self.absence_overdue_count > 0
        return not (self.holdings or self.fired_at or is_counting)

    def at_step(self, step: Step, key: str | None = None) -> list[Holding]:
        """What waits there, in order; under that key only, where one is given."""
        return [held for held in self.holdings.values() if held.step == step and (key is None or held.key == key)]

    def earliest(self) -> datetime | None:
        """When the next holding is due, or an absence is."""
        while self.due and not self._is_due(*self.due[0]):
            heapq.heappop(self.due)
        instants = (self.due[0][0] if self.due else None, self.absence_due_at)
        return min((instant for instant in instants if instant is not None), default=None)

    def due_by(self, at: datetime) -> list[Holding]:
        """What is due by then, earliest first, and of what is due together, what came first. It stays held until it is
        decided."""
        found: set[UUID] = set()
        places = [0]  # in a heap, what lies below a later instant is later still
        while places:
            place = places.pop()
            if place < len(self.due) and self.due[place][0] <= at:
                places += (2 * place + 1, 2 * place + 2)
                if self._is_due(*self.due[place]):
                    found.add(self.due[place][1])
        return sorted((self.holdings[lead] for lead in found), key=lambda held: (held.due_at, held.number))

    def _is_due(self, due_at: datetime, lead: UUID) -> bool:
        held = self.holdings.get(lead)
        return held is not None and held.due_at == due_at


def evolve(memory: Memory, event: TriggerEvent, recorded_at: datetime) -> Memory:
    """Fold one event of the trigger's stream, in place."""
    memory.version += 1
    if memory.timer_at is not None and memory.timer_at <= recorded_at:
        memory.timer_at = None  # what was due is dealt with; should the clock step back, it does not come once more
    match event:
        case TriggerDecided(decision="held"):
            memory.shape_version = event.shape_version
            _hold(memory, event, recorded_at)
        case TriggerDecided():
            _release(memory, [event.cause.event_id])
        case TriggerFired():
            _release(memory, [event.cause_event_id])
            memory.shape_version = event.shape_version
            if event.is_counted:
                memory.fired_at = [*memory.fired_at[1 - FIRINGS_COUNTED_MAX :], recorded_at]
        case AbsenceCounted():
            memory.shape_version = event.shape_version
            memory.absence_since, memory.absence_due_at = event.since, event.due_at
            memory.absence_overdue_count = event.overdue_count
        case TriggerTimerSet():
            memory.timer_at = event.due_at
        case _:
            assert_never(event)
    return memory


def _hold(memory: Memory, event: TriggerDecided, recorded_at: datetime) -> None:
    causes = _release(memory, event.consumed or [event.cause.event_id])
    if event.cause.event_id not in {cause.event_id for cause in causes}:
        causes.append(event.cause)
    lead = event.cause.event_id
    assert event.due_at is not None, "what is held is looked at again at some time"
    step = cast("Step", event.reason)
    memory.holdings[lead] = Holding(causes, step, recorded_at, event.due_at, event.key, event.slot, memory.version)
    if len(memory.due) > DUE_SLACK_COUNT + 2 * len(memory.holdings):  # most of it is of what is held no longer
        memory.due = sorted((held.due_at, each) for each, held in memory.holdings.items())
    else:
        heapq.heappush(memory.due, (event.due_at, lead))
    for cause in causes[:-1]:
        memory.of_cause[cause.event_id] = lead


def _release(memory: Memory, event_ids: Iterable[UUID]) -> list[Cause]:
    """Hold these causes no longer; those that were held, in order."""
    released: list[Cause] = []
    for event_id in event_ids:
        lead = memory.of_cause.pop(event_id, event_id)
        held = memory.holdings.get(lead)
        if held is None:
            continue
        released += [cause for cause in held.causes if cause.event_id == event_id]
        if event_id == lead:
            del memory.holdings[lead]
        else:
            others = [cause for cause in held.causes if cause.event_id != event_id]
            memory.holdings[lead] = msgspec.structs.replace(held, causes=others)
    return released
