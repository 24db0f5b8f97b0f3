"""Counts of what the log tells, from where this process began to look. Pure but for reading the log."""

import asyncio
from bisect import bisect_left
from collections import Counter, OrderedDict
from datetime import datetime
from uuid import UUID

import msgspec

from infra.eventlog import EventLog, StoredEvent

PAGE_COUNT = 2_000
BEHIND_COUNT_MAX = 200_000
"""What lies further back than this is left out of the counts, and counted as such."""
UNDER_WAY_COUNT_MAX = 50_000
"""Attempts whose beginning is remembered until their end."""
NAMES_MAX = 500
"""Job types that are told apart; others count as `other`."""
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0)
_RUN_ENDINGS = {
    "RunCompleted": "completed",
    "RunFailed": "failed",
    "RunPartiallyCompleted": "partial",
    "RunCancelled": "cancelled",
}
_NODE_ENDINGS = {"NodeCompleted": "completed", "NodeFailed": "failed", "NodeCancelled": "cancelled"}
Attempt = tuple[UUID, str, str]


class _Node(msgspec.Struct):
    node_id: str
    instance: str = ""
    job_type: str = ""
    at: datetime | None = None


class _Decided(msgspec.Struct):
    decision: str
    reason: str | None = None


_node = msgspec.json.Decoder(_Node)
_decided = msgspec.json.Decoder(_Decided)


class Durations:
    """A histogram: how many took at most so long, how many in all, and the sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has it: each bucket with all below it."""
        total, told = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            total += count
            told.append((bound, total))
        return told


class Tally:
    """What has been counted since `position`."""

    def __init__(self, log: EventLog) -> None:
        self._event_log = log
        self._position: int | None = None
        self._reading = asyncio.Lock()
        self._under_way: OrderedDict[Attempt, tuple[str, datetime]] = OrderedDict()
        self._names: set[str] = set()
        self.skipped = 0
        self.events = Counter[str]()
        self.decisions = Counter[tuple[str, str]]()
        self.runs = Counter[str]()
        self.durations: dict[tuple[str, str], Durations] = {}

    async def catch_up(self) -> None:
        """Count what was logged since the last time; at the first time, begin here. May raise `Unavailable`."""
        async with self._reading:
            head = (await self._event_log.head()).position
            if self._position is None or head < self._position:
                self._position = head
            if head - self._position > BEHIND_COUNT_MAX:
                self.skipped += head - self._position - BEHIND_COUNT_MAX
                self._position = head - BEHIND_COUNT_MAX
            while self._position < head:
                page = await self._event_log.read(self._position, PAGE_COUNT)
                if not page:
                    return
                for event in page:
                    self.take(event)
                self._position = page[-1].position
                await asyncio.sleep(0)

    def take(self, event: StoredEvent) -> None:
        """One event."""
        self.events[event.type] += 1
        if event.type == "WorkflowTriggered":
            self.decisions["fired", ""] += 1
        elif event.type == "TriggerDecided":
            decided = _decided.decode(event.data)
            self.decisions[decided.decision, decided.reason or "" if decided.decision != "not_matched" else ""] += 1
        elif event.type in _RUN_ENDINGS:
            self.runs[_RUN_ENDINGS[event.type]] += 1
        elif event.type in ("NodeQueued", "NodeStarted"):
            self._begun(event)
        elif event.type in _NODE_ENDINGS:
            self._ended(event)

    def _begun(self, event: StoredEvent) -> None:
        node = _node.decode(event.data)
        attempt = event.stream_id, node.node_id, node.instance
        if event.type == "NodeQueued":
            self._under_way[attempt] = self._name(node.job_type), event.recorded_at
        elif attempt in self._under_way:
            self._under_way[attempt] = self._under_way[attempt][0], node.at or event.recorded_at
        if len(self._under_way) > UNDER_WAY_COUNT_MAX:
            self._under_way.popitem(last=False)

    def _ended(self, event: StoredEvent) -> None:
        node = _node.decode(event.data)
        begun = self._under_way.pop((event.stream_id, node.node_id, node.instance), None)
        if begun is not None:
            name, began_at = begun
            took = max((event.recorded_at - began_at).total_seconds(), 0.0)
            self.durations.setdefault((name, _NODE_ENDINGS[event.type]), Durations()).add(took)

    def _name(self, job_type: str) -> str:
        if job_type not in self._names and len(self._names) >= NAMES_MAX:
            return "other"
        self._names.add(job_type)
        return job_type
