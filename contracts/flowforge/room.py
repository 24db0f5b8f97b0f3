"""What a worker offers, and which of the jobs that it was given may begin.

A job that does not fit now waits here. The share of the first that waits is set aside: others begin only in what is
left beside it. So small jobs pass while they stand in nobody's way, and a large one comes to its turn.
"""

from collections import deque
from typing import Generic, Protocol, TypeVar

import msgspec

from flowforge.reports import JobRequested, JobResources

ONE_SLOT = JobResources()
_NOTHING = JobResources(slots=0)


class HasRequest(Protocol):
    """Whatever stands for a job here."""

    request: JobRequested


J = TypeVar("J", bound=HasRequest)


class Offer(msgspec.Struct, frozen=True):
    """How much a worker does at once: `jobs_max` handlers, which take `slots` and `memory_mb` (None: any) together."""

    jobs_max: int
    slots: int
    memory_mb: int | None = None

    def lacks(self, need: JobResources) -> str | None:
        """In words what a job needs that is never offered here; None: it has room, at some time."""
        if need.slots > self.slots:
            return f"it needs {need.slots} slots, and at most {self.slots} are offered"
        if self.memory_mb is not None and need.memory_mb > self.memory_mb:
            return f"it needs {need.memory_mb} MB of memory, and at most {self.memory_mb} MB are offered"
        return None


class Room(Generic[J]):
    """The jobs that have begun or wait for room; each fits once the others have left."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._inside = _Share()
        self._outside = _Share()
        self._waiting: deque[J] = deque()

    @property
    def open_count(self) -> int:
        """How many jobs of one slot there is room for, beside all that are here."""
        jobs = self._inside.jobs_count + self._outside.jobs_count
        slots = self._inside.slots + self._outside.slots
        return max(0, min(self._offer.slots - slots, self._offer.jobs_max - jobs))

    def enter(self, job: J) -> bool:
        """Whether it may begin; otherwise it waits."""
        need = need_of(job)
        if self._fits(need, beside=self._waiting[0] if self._waiting else None):
            self._inside.add(need)
            return True
        self._outside.add(need)
        self._waiting.append(job)
        return False

    def leave(self, job: J) -> list[J]:
        """One that had begun has ended; answers those that begin now."""
        self._inside.add(need_of(job), -1)
        return self._admitted() if self._waiting else []

    def withdraw(self, job: J) -> list[J] | None:
        """It shall not wait any more: answers those that begin now without it. None: it did not wait."""
        if job not in self._waiting:
            return None
        self._waiting.remove(job)
        self._outside.add(need_of(job), -1)
        return self._admitted()

    def empty(self) -> list[J]:
        """Nobody waits any more; answers who did."""
        waiting, self._waiting, self._outside = list(self._waiting), deque(), _Share()
        return waiting

    def _admitted(self) -> list[J]:
        admitted = list[J]()
        for job in list(self._waiting):
            first, need = self._waiting[0], need_of(job)
            if self._fits(need, beside=None if first is job else first):
                self._waiting.remove(job)
                self._outside.add(need, -1)
                self._inside.add(need)
                admitted.append(job)
        return admitted

    def _fits(self, need: JobResources, beside: J | None) -> bool:
        """Whether there is room, what the first that waits needs set aside."""
        aside = _NOTHING if beside is None else need_of(beside)
        offer, inside = self._offer, self._inside
        return (
            inside.jobs_count + (beside is not None) < offer.jobs_max
            and inside.slots + aside.slots + need.slots <= offer.slots
            and (
                offer.memory_mb is None
                or not need.memory_mb
                or inside.memory_mb + aside.memory_mb + need.memory_mb <= offer.memory_mb
            )
        )


class _Share:
    """What some jobs take together."""

    def __init__(self) -> None:
        self.jobs_count = self.slots = self.memory_mb = 0

    def add(self, need: JobResources, times: int = 1) -> None:
        self.jobs_count += times
        self.slots += times * need.slots
        self.memory_mb += times * need.memory_mb


def need_of(job: HasRequest) -> JobResources:
    """What a job takes; one slot where it does not say."""
    return job.request.resources or ONE_SLOT
