"""What one subscription is owed, in memory: a lane per run, of which only the first is ever posted. Pure."""

import heapq
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from infra.eventlog import StoredEvent
from services.subscriptions.retries import Attempt
from services.subscriptions.settings import TRIES_KEPT

AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Owed(msgspec.Struct):
    """One event that is to be posted. `stored` is the event where it is at hand."""

    position: int
    event_id: UUID
    event_type: str
    run_id: UUID
    workflow_id: str
    attempts: int = 0
    tries: list[Attempt] = []
    first_tried_at: datetime | None = None
    due_at: datetime | None = None
    stored: StoredEvent | None = None

    def tried(self, attempt: Attempt) -> None:
        """It was posted once more."""
        self.attempts += 1
        self.tries = [*self.tries, attempt][-TRIES_KEPT:]
        self.first_tried_at = self.first_tried_at or attempt.at


class Lanes:
    """All that is pending. What was taken is under way until it is `done` or comes `again`."""

    def __init__(self, pending: Iterable[Owed] = ()) -> None:
        self._lanes: dict[UUID, deque[Owed]] = {}
        self._heads: list[tuple[datetime, int, UUID]] = []
        self._count = 0
        self.under_way_count = 0
        for owed in pending:
            self.add(owed)

    def __len__(self) -> int:
        return self._count

    def add(self, owed: Owed) -> None:
        """Of one run they come in order of position."""
        lane = self._lanes.setdefault(owed.run_id, deque())
        lane.append(owed)
        self._count += 1
        if len(lane) == 1:
            self._wait(owed)

    def take_due(self, now: datetime, count_max: int) -> list[Owed]:
        """The first of the lanes whose time has come, the longest due first."""
        taken: list[Owed] = []
        while self._heads and len(taken) < count_max and self._heads[0][0] <= now:
            taken.append(self._lanes[heapq.heappop(self._heads)[2]][0])
        self.under_way_count += len(taken)
        return taken

    def done(self, owed: Owed) -> None:
        """It is no longer pending: the next of its run may go."""
        lane = self._lanes[owed.run_id]
        assert lane.popleft() is owed
        self._count -= 1
        self.under_way_count -= 1
        if lane:
            self._wait(lane[0])
        else:
            del self._lanes[owed.run_id]

    def again(self, owed: Owed) -> None:
        """It waits for its `due_at`."""
        self.under_way_count -= 1
        self._wait(owed)

    def next_at(self) -> datetime | None:
        """When something comes due; None while nothing waits."""
        return self._heads[0][0] if self._heads else None

    def first_pending(self) -> Owed | None:
        """What is owed for longest."""
        return min((lane[0] for lane in self._lanes.values()), key=lambda owed: owed.position, default=None)

    def _wait(self, owed: Owed) -> None:
        heapq.heappush(self._heads, (owed.due_at or AT_ONCE, owed.position, owed.run_id))
