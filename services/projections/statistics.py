"""How long nodes take and what became of runs, counted as the log is read: rows, and what one more observation does.

Folding an event only notes what was seen (`NodeSeen`, `RunSeen`, `Used`); `count` adds it to the rows afterwards, in
order, so that the rows that are needed are known and nothing has to be in memory before. Pure; whole numbers wherever
sums are kept, so that any batches give the same bytes.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from services.projections.rows import CHANGED, CLEAN, NEW, Json

RECENT_RUNS_COUNT = 50
"""A node's mean and variance follow about as many of its last runs: older ones fade, each a little more with each run."""
DIGITS_BITS = 6
"""Durations are told apart to so many binary digits: a quantile is off by less than one part in 64."""
DURATION_MAX_MS = 10**12

_durations = msgspec.json.Decoder(dict[str, int])
_encode = msgspec.json.encode


class NodeStatisticsRow(msgspec.Struct, gc=False):
    """How one node of a workflow did, over all its versions: `mean_ms` and `variance_ms2` of its last completions.

    `timed_count` are the completions that took time of their own: neither cached nor by hand.
    """

    workflow_id: str
    node_id: str
    completed_count: int = 0
    failed_count: int = 0
    skipped_count: int = 0
    timed_count: int = 0
    mean_ms: float = 0.0
    variance_ms2: float = 0.0
    position: int = 0
    change: int = CLEAN


class RunHourRow(msgspec.Struct, gc=False):
    """The runs that one trigger of a workflow started in an hour (UTC), and those of them that ended in it, by ending.

    A retry takes back the ending before it. `durations` has, by `bucket_of` the duration, how many runs ended with an
    output (completed or partial) after so long; `duration_ms` is their sum.
    """

    workflow_id: str
    hour: datetime
    trigger_type: str
    trigger_id: str
    created: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    partial: int = 0
    duration_ms: int = 0
    durations: Json = Json("{}")
    position: int = 0
    change: int = CLEAN


class UsageRow(msgspec.Struct, gc=False):
    """How often something was there: `kind` is `actor` (runs that somebody started), `events` (received, `id` empty) or
    `ended` (runs that stand so, `id` their status)."""

    kind: str
    id: str
    count: int
    first_at: datetime
    last_at: datetime
    position: int
    change: int = CLEAN


class NodeSeen(NamedTuple):
    """A node of the workflow's own graph ended; with `took_ms` None it says nothing about durations."""

    workflow_id: str
    node_id: str
    status: str
    took_ms: int | None
    position: int


class RunSeen(NamedTuple):
    """A run was created or ended (`by` 1), or its ending is taken back (-1)."""

    workflow_id: str
    trigger_type: str
    trigger_id: str
    at: datetime
    status: str
    took_ms: int | None
    by: int
    position: int


class Used(NamedTuple):
    """Something was used once."""

    kind: str
    id: str
    at: datetime
    position: int
    by: int = 1


class Seen:
    """What was observed since statistics were last written, in the order of the log."""

    __slots__ = ("nodes", "runs", "used")

    def __init__(self) -> None:
        self.nodes: list[NodeSeen] = []
        self.runs: list[RunSeen] = []
        self.used: list[Used] = []


NodeKey = tuple[str, str]
HourKey = tuple[str, datetime, str, str]
UsageKey = tuple[str, str]


class Statistics:
    """The rows in memory; those that the tables have and that are not here have to be loaded before `count`."""

    __slots__ = ("hours", "nodes", "usage")

    def __init__(self) -> None:
        self.nodes: dict[NodeKey, NodeStatisticsRow] = {}
        self.hours: dict[HourKey, RunHourRow] = {}
        self.usage: dict[UsageKey, UsageRow] = {}

    def __len__(self) -> int:
        return len(self.nodes) + len(self.hours) + len(self.usage)


class Counted(NamedTuple):
    """The rows that changed, each once."""

    nodes: list[NodeStatisticsRow]
    hours: list[RunHourRow]
    usage: list[UsageRow]


def hour_of(at: datetime) -> datetime:
    """When the hour began (UTC)."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.replace(minute=0, second=0, microsecond=0)


def hour_key(seen: RunSeen) -> HourKey:
    return seen.workflow_id, hour_of(seen.at), seen.trigger_type, seen.trigger_id


def count(rows: Statistics, seen: Seen) -> Counted:
    """Add what was seen to the rows."""
    counted = Counted([], [], [])
    for node in seen.nodes:
        row = rows.nodes.get((node.workflow_id, node.node_id))
        if row is None:
            row = rows.nodes[node.workflow_id, node.node_id] = NodeStatisticsRow(
                node.workflow_id, node.node_id, change=NEW
            )
            counted.nodes.append(row)
        elif row.change == CLEAN:
            row.change = CHANGED
            counted.nodes.append(row)
        _count_node(row, node)
    for run in seen.runs:
        key = hour_key(run)
        hour = rows.hours.get(key)
        if hour is None:
            hour = rows.hours[key] = RunHourRow(*key, change=NEW)
            counted.hours.append(hour)
        elif hour.change == CLEAN:
            hour.change = CHANGED
            counted.hours.append(hour)
        _count_run(hour, run)
    for used in seen.used:
        _count_use(rows, counted, used)
    return counted


def _count_node(row: NodeStatisticsRow, seen: NodeSeen) -> None:
    row.position = seen.position
    match seen.status:
        case "failed":
            row.failed_count += 1
        case "skipped":
            row.skipped_count += 1
        case _:
            row.completed_count += 1
            if seen.took_ms is not None:
                row.timed_count += 1
                _observe(row, seen.took_ms)


def _observe(row: NodeStatisticsRow, took_ms: int) -> None:
    """Mean and variance, with all runs weighed alike until there are enough of them, then with weights that fade
    (T. Finch, "Incremental calculation of weighted mean and variance", 2009)."""
    weight = 1 / min(row.timed_count, RECENT_RUNS_COUNT)
    off = took_ms - row.mean_ms
    row.mean_ms += weight * off
    row.variance_ms2 = (1 - weight) * (row.variance_ms2 + weight * off * off)


def _count_run(row: RunHourRow, seen: RunSeen) -> None:
    row.position = seen.position
    setattr(row, seen.status, getattr(row, seen.status) + seen.by)
    if seen.took_ms is None:
        return
    row.duration_ms += seen.by * seen.took_ms
    durations = _durations.decode(row.durations)
    bucket = str(bucket_of(seen.took_ms))
    left = durations.get(bucket, 0) + seen.by
    if left > 0:
        durations[bucket] = left
    else:
        durations.pop(bucket, None)
    row.durations = Json(_encode(durations, order="sorted").decode())


def _count_use(rows: Statistics, counted: Counted, used: Used) -> None:
    row = rows.usage.get((used.kind, used.id))
    if row is None:
        row = UsageRow(used.kind, used.id, 0, used.at, used.at, used.position, change=NEW)
        rows.usage[used.kind, used.id] = row
        counted.usage.append(row)
    elif row.change == CLEAN:
        row.change = CHANGED
        counted.usage.append(row)
    row.count += used.by
    row.last_at, row.position = max(row.last_at, used.at), used.position


# --- durations --------------------------------------------------------------------------------------------------------


def took_ms(since: datetime, until: datetime) -> int:
    """Whole milliseconds, at least 0."""
    took = until - since
    return min(max((took.days * 86_400 + took.seconds) * 1_000 + took.microseconds // 1_000, 0), DURATION_MAX_MS)


def bucket_of(duration_ms: int) -> int:
    """The number of all durations with the same first binary digits."""
    cut = max(0, duration_ms.bit_length() - DIGITS_BITS)
    return (cut << DIGITS_BITS) + (duration_ms >> cut)


def middle_of(bucket: int) -> int:
    """The duration in the middle of a bucket."""
    cut, first = bucket >> DIGITS_BITS, bucket & ((1 << DIGITS_BITS) - 1)
    return (first << cut) + ((1 << cut) - 1) // 2


def merged(histograms: Sequence[str]) -> dict[int, int]:
    """One histogram of several."""
    whole: dict[int, int] = {}
    for histogram in histograms:
        for bucket, found in _durations.decode(histogram).items():
            whole[int(bucket)] = whole.get(int(bucket), 0) + found
    return whole


def quantile(histogram: Mapping[int, int], share: float) -> int | None:
    """The duration, in ms, that this share of all does not exceed; None of no durations."""
    total = sum(histogram.values())
    passed = 0
    for bucket in sorted(histogram):
        passed += histogram[bucket]
        if passed >= share * total:
            return middle_of(bucket)
    return None
