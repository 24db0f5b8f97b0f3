"""Timers, and the timetable of the nearest ones (pure).

The timetable holds every timer that is due up to its horizon. The horizon is a place in the order of (due_at,
timer_id), so that any number of timers may be due at one instant and windows still follow one another without a gap.
"""

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import msgspec
from flowforge.events import Instance, TimerPurpose, TimerSet, TriggerTimerSet

from services.scheduler.settings import LOOK_AHEAD, LOOK_AHEAD_COUNT, WINDOW, WINDOW_COUNT_MAX

Place = tuple[datetime, UUID]
Purpose = TimerPurpose | Literal["trigger"]
BEFORE_ALL: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
_LAST_ID = UUID(int=2**128 - 1)


class Timer(msgspec.Struct, frozen=True):
    """Something that is due at `due_at`. `causation_id` is the event that set it.

    Of a trigger (purpose `trigger`), `run_id` is the trigger's stream and `node_id` its name.
    """

    timer_id: UUID
    run_id: UUID
    workflow_id: str
    due_at: datetime
    purpose: Purpose
    node_id: str
    instance: Instance
    attempt: int
    set_position: int
    correlation_id: UUID | None = None
    causation_id: UUID | None = None

    @property
    def place(self) -> Place:
        return (self.due_at, self.timer_id)


def timer_of(
    fact: TimerSet | TriggerTimerSet,
    stream_id: UUID,
    workflow_id: str,
    position: int,
    correlation_id: UUID | None = None,
    causation_id: UUID | None = None,
) -> Timer:
    """The timer that the event set, in the stream of a run or of a trigger."""
    if isinstance(fact, TriggerTimerSet):
        return Timer(
            fact.timer_id, stream_id, fact.workflow_id, fact.due_at, "trigger", fact.trigger_id, "", 0,
            position, correlation_id, causation_id,
        )  # fmt: skip
    return Timer(
        fact.timer_id, stream_id, workflow_id, fact.due_at, fact.purpose, fact.node_id, fact.instance, fact.attempt,
        position, correlation_id, causation_id,
    )  # fmt: skip


class Timetable:
    """The nearest timers. `horizon`: all that are due up to there are in; `look_at`: load the next window then."""

    def __init__(self) -> None:
        self.horizon: Place = BEFORE_ALL
        self.look_at: datetime | None = None
        self._timers: dict[UUID, Timer] = {}
        self._heap: list[Place] = []

    def __len__(self) -> int:
        return len(self._timers)

    def __contains__(self, timer_id: UUID) -> bool:
        return timer_id in self._timers

    def get(self, timer_id: UUID) -> Timer | None:
        """The timer, if it is in the window and has not been removed."""
        return self._timers.get(timer_id)

    def open(self, rows: list[Timer], now: datetime) -> None:
        """Take in the next window: the timers that follow the horizon, due before `window_ends_at(now)`."""
        if len(rows) == WINDOW_COUNT_MAX:
            self.horizon = rows[-1].place
            self.look_at = rows[-LOOK_AHEAD_COUNT].due_at
        else:
            self.horizon = (window_ends_at(now), _LAST_ID)
            self.look_at = self.horizon[0] - LOOK_AHEAD
        self.add(rows)

    def add(self, timers: Iterable[Timer]) -> None:
        """Take in those that are due within the window; again, if they are known, changes nothing."""
        for timer in timers:
            if timer.timer_id not in self._timers and timer.place <= self.horizon:
                self._timers[timer.timer_id] = timer
                heapq.heappush(self._heap, timer.place)
        if len(self._timers) > 2 * WINDOW_COUNT_MAX:
            self._narrow()

    def _narrow(self) -> None:
        """Keep a full window of the nearest; the others are in the table, and come with the next."""
        nearest = sorted(timer.place for timer in self._timers.values())[:WINDOW_COUNT_MAX]
        self.horizon, self.look_at = nearest[-1], nearest[-LOOK_AHEAD_COUNT][0]
        self._timers = {timer_id: timer for timer_id, timer in self._timers.items() if timer.place <= self.horizon}
        self._heap = [place for place in self._heap if place <= self.horizon]
        heapq.heapify(self._heap)

    def take_due(self, now: datetime) -> list[Timer]:
        """Those that have come due since the last time, in order. They stay known until they are removed."""
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now:
            timer = self._timers.get(heapq.heappop(self._heap)[1])
            if timer is not None:
                due.append(timer)
        return due

    def put_back(self, timer: Timer) -> None:
        """It was taken and is not due after all: the clock went back."""
        heapq.heappush(self._heap, timer.place)

    def remove(self, timer_id: UUID) -> None:
        """It has fired."""
        self._timers.pop(timer_id, None)

    def next_at(self) -> datetime | None:
        """When there is something to do: a timer to fire, or a window to load."""
        instants = [instant for instant in (self.look_at, self._heap[0][0] if self._heap else None) if instant]
        return min(instants, default=None)


def window_ends_at(now: datetime) -> datetime:
    return now + WINDOW
