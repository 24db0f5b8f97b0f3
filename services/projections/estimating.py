"""How long a run still takes, from how long its workflow's nodes took before. Pure.

Each node that has not ended is expected to take its mean, weighed by how often it was not skipped; a node that is at work
what of it is left. The run is over when the longest chain of them is, and not before all of it has found room in
`max_parallel_jobs`. Variances add up along that chain.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from services.projections.graph import Graph
from services.projections.statistics import RECENT_RUNS_COUNT, took_ms

ENDED = frozenset({"completed", "failed", "skipped", "cancelled"})
DEVIATIONS = 1.2816
"""Of four runs in five the duration lies within so many standard deviations (normal distribution)."""
OVERDUE_SHARE = 0.1
"""A node that is past its mean is expected to take so much of it, or of its deviation, as is more, once again."""
FEW_RUNS_COUNT = 5
"""With so many runs to go by, confidence is half of what it can be."""


class Estimate(msgspec.Struct):
    """`remaining_ms`, and between which bounds it lies in four of five runs.

    `confidence` runs from 0 to 1: little where few runs are known, where some nodes never ran, where durations vary.
    `based_on_runs` are those of the node that is least known, at most the 50 that count.
    """

    remaining_ms: int
    low_ms: int
    high_ms: int
    confidence: float
    based_on_runs: int


class NodeStands(NamedTuple):
    """How a node of the run stands; one that is idle is left out."""

    status: str
    started_at: datetime | None


class NodeUsual(NamedTuple):
    """How a node did before."""

    completed_count: int
    skipped_count: int
    timed_count: int
    mean_ms: float
    variance_ms2: float


class _Rest(NamedTuple):
    mean_ms: float
    variance_ms2: float


def estimate(
    graph: Graph, stands: Mapping[str, NodeStands], usual: Mapping[str, NodeUsual], at: datetime
) -> Estimate | None:
    """Of a run under way, at that time; None where nothing is known of any node that is left."""
    left = [node for node in graph.nodes if not _has_ended(stands.get(node))]
    known = [node for node in left if node in usual and usual[node].timed_count]
    if not known:
        return None
    rests = {node: _rest(usual[node], stands.get(node), at) for node in known}
    chain = _longest(graph, rests)
    room_ms = sum(rest.mean_ms for rest in rests.values()) / max(1, graph.max_parallel_jobs)
    remaining_ms = max(chain.mean_ms, room_ms)
    spread_ms = DEVIATIONS * math.sqrt(chain.variance_ms2)
    runs = min(usual[node].timed_count for node in known)
    return Estimate(
        remaining_ms=round(remaining_ms),
        low_ms=round(max(0.0, remaining_ms - spread_ms)),
        high_ms=round(remaining_ms + spread_ms),
        confidence=round(_confidence(len(known) / len(left), runs, remaining_ms, spread_ms), 2),
        based_on_runs=min(runs, RECENT_RUNS_COUNT),
    )


def _has_ended(stands: NodeStands | None) -> bool:
    return stands is not None and stands.status in ENDED


def _rest(usual: NodeUsual, stands: NodeStands | None, at: datetime) -> _Rest:
    if stands is None or stands.started_at is None:
        share = usual.completed_count / (usual.completed_count + usual.skipped_count)
        return _Rest(share * usual.mean_ms, share * usual.variance_ms2)
    left_ms = usual.mean_ms - took_ms(stands.started_at, at)
    overdue_ms = OVERDUE_SHARE * max(usual.mean_ms, math.sqrt(usual.variance_ms2))
    return _Rest(max(left_ms, overdue_ms), usual.variance_ms2)


def _longest(graph: Graph, rests: Mapping[str, _Rest]) -> _Rest:
    ends: dict[str, _Rest] = {}
    for node in sorted(graph.nodes.values(), key=lambda node: node.level):
        own = rests.get(node.node_id, _Rest(0.0, 0.0))
        before = max((ends[one] for one in node.dependencies if one in ends), default=_Rest(0.0, 0.0))
        ends[node.node_id] = _Rest(before.mean_ms + own.mean_ms, before.variance_ms2 + own.variance_ms2)
    return max(ends.values(), default=_Rest(0.0, 0.0))


def _confidence(coverage: float, runs: int, remaining_ms: float, spread_ms: float) -> float:
    steadiness = remaining_ms / (remaining_ms + spread_ms) if remaining_ms else 1.0
    return coverage * steadiness * runs / (runs + FEW_RUNS_COUNT)
