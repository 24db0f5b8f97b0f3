"""The slots of one workflow or pool under one key: who holds one, who waits for one (pure).

The queue is in order of priority, the higher first, then of arrival. Nobody overtakes: in a pool whose workflows have
different limits, one that asks for less room would else wait for ever.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import assert_never
from uuid import UUID

import msgspec
from flowforge.events import (
    QueueLeft,
    RetryRefused,
    RunAdmitted,
    RunDisplaced,
    SlotAwaited,
    SlotEvent,
    SlotFreed,
    SlotRefused,
    SlotTaken,
    TriggerDecided,
)

Place = tuple[int, int, UUID]
"""Sorts the queue: priority (the higher first), the version at which it came, the run."""


class Holder(msgspec.Struct, frozen=True, gc=False):
    """A run that holds a slot, since it asked at `asked_version` of its stream. `is_displaced`: it was asked to end."""

    workflow_id: str
    is_displaced: bool = False
    asked_version: int = 1


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A run that waits for a slot."""

    asked: SlotAwaited
    place: Place


class Slots:
    """The state of one slot stream. `holders` are in the order in which they came."""

    __slots__ = ("_queue", "holders", "version", "waiting")

    def __init__(self, version: int = 0) -> None:
        self.version = version
        self.holders: dict[UUID, Holder] = {}
        self.waiting: dict[UUID, Waiting] = {}
        self._queue: list[Place] = []

    @property
    def is_idle(self) -> bool:
        """Nobody holds a slot or waits for one."""
        return not self.holders and not self.waiting

    def queue(self) -> Iterator[SlotAwaited]:
        """Those that wait, the next one first."""
        return (self.waiting[run_id].asked for _, _, run_id in self._queue)

    def arrivals(self) -> list[tuple[int, SlotAwaited]]:
        """Those that wait, each with the version at which it came."""
        return [(waiting.place[1], waiting.asked) for waiting in self.waiting.values()]

    def place(self, priority: int) -> int:
        """The place in the queue, from 1, of one that comes now."""
        return 1 + bisect_left(self._queue, (-priority, self.version + 1))

    def asked_version(self, run_id: UUID) -> int:
        """Where in its stream the run asked for what it holds or waits for; 0: it does neither."""
        holder, waiting = self.holders.get(run_id), self.waiting.get(run_id)
        if holder is not None:
            return holder.asked_version
        return 0 if waiting is None else waiting.asked.asked_version

    def copy(self) -> "Slots":
        """To be evolved on its own."""
        other = Slots(self.version)
        other.holders, other.waiting, other._queue = dict(self.holders), dict(self.waiting), list(self._queue)
        return other

    def wait(self, asked: SlotAwaited, version: int) -> None:
        """At the end of its priority; `version` is the event's."""
        place = (-asked.priority, version, asked.run_id)
        self.waiting[asked.run_id] = Waiting(asked, place)
        insort(self._queue, place)

    def leave(self, run_id: UUID) -> None:
        """No longer in the queue."""
        waiting = self.waiting.pop(run_id, None)
        if waiting is not None:
            del self._queue[bisect_left(self._queue, waiting.place)]


def evolve(slots: Slots, event: SlotEvent | TriggerDecided) -> Slots:
    """Fold the next event of the stream, in place."""
    slots.version += 1
    match event:
        case SlotTaken():
            slots.holders[event.run_id] = Holder(event.workflow_id, asked_version=event.asked_version)
        case SlotAwaited():
            slots.wait(event, slots.version)
        case RunAdmitted():
            slots.leave(event.run_id)
            slots.holders[event.run_id] = Holder(event.workflow_id, asked_version=event.asked_version)
        case RunDisplaced():
            slots.leave(event.run_id)
            if (holder := slots.holders.get(event.run_id)) is not None:
                slots.holders[event.run_id] = msgspec.structs.replace(holder, is_displaced=True)
        case SlotFreed():
            slots.holders.pop(event.run_id, None)
        case QueueLeft():
            slots.leave(event.run_id)
        case SlotRefused() | RetryRefused() | TriggerDecided():
            pass
        case _:
            assert_never(event)
    return slots
