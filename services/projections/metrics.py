"""What a finished or running run spent its time on. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from services.projections.graph import Graph

BOTTLENECK_SHARE = 0.25
"""A node on the critical path that took at least this share of it is a bottleneck."""


class Metrics(msgspec.Struct):
    """`critical_path` is the chain of dependencies with the longest total duration, first node first.

    `parallelism_utilization` is the mean number of nodes at work, as a share of what the workflow allows at once.
    `sequential_duration_ms` is what everything would take one after the other: of a map or a loop what its instances took.
    `time_saved_ms` is how much less the run took; below 0 where waiting took more. Both count what has ended.
    """

    average_node_duration_ms: float | None
    longest_running_node: str | None
    bottleneck_nodes: list[str]
    parallelism_utilization: float | None
    critical_path: list[str]
    critical_path_duration_ms: int
    sequential_duration_ms: int
    run_duration_ms: int | None
    time_saved_ms: int | None


def metrics_of(
    graph: Graph, durations_ms: Mapping[str, int], run_duration_ms: int | None, inner_ms: Mapping[str, int]
) -> Metrics:
    """From the durations of the nodes that ran, by node id; `inner_ms` is what all instances took together of a
    map, or of a node inside of a loop."""
    work_ms = _work_ms(graph, durations_ms, inner_ms)
    total = sum(durations_ms.values())
    path = _critical_path(graph, durations_ms)
    path_ms = sum(durations_ms.get(node, 0) for node in path)
    utilization = None
    if run_duration_ms:
        at_once = max(1, min(graph.max_parallel_jobs, len(graph.nodes)))
        utilization = round(min(1.0, work_ms / run_duration_ms / at_once), 4)
    return Metrics(
        average_node_duration_ms=round(total / len(durations_ms), 3) if durations_ms else None,
        longest_running_node=max(durations_ms, key=lambda node: durations_ms[node]) if durations_ms else None,
        bottleneck_nodes=[node for node in path if path_ms and durations_ms.get(node, 0) >= BOTTLENECK_SHARE * path_ms],
        parallelism_utilization=utilization,
        critical_path=path,
        critical_path_duration_ms=path_ms,
        sequential_duration_ms=work_ms,
        run_duration_ms=run_duration_ms,
        time_saved_ms=None if run_duration_ms is None else work_ms - run_duration_ms,
    )


def _work_ms(graph: Graph, durations_ms: Mapping[str, int], inner_ms: Mapping[str, int]) -> int:
    inside: dict[str, int] = {}
    for node, duration in inner_ms.items():
        outermost = next((loop.node_id for loop in reversed(graph.around(node))), node)
        inside[outermost] = inside.get(outermost, 0) + duration
    return sum(inside.get(node, duration) for node, duration in durations_ms.items())


def _critical_path(graph: Graph, durations_ms: Mapping[str, int]) -> list[str]:
    best: dict[str, tuple[int, str | None]] = {}
    for node in sorted(graph.nodes.values(), key=lambda node: node.level):
        if node.node_id not in durations_ms:
            continue
        before = [one for one in node.dependencies if one in best]
        source = max(before, key=lambda one: best[one][0], default=None)
        reached = best[source][0] if source is not None else 0
        best[node.node_id] = (reached + durations_ms[node.node_id], source)
    last = max(best, key=lambda node: best[node][0], default=None)
    path: Sequence[str] = _back(best, last)
    return list(path)


def _back(best: Mapping[str, tuple[int, str | None]], node: str | None) -> list[str]:
    path: list[str] = []
    while node is not None:
        path.append(node)
        node = best[node][1]
    return path[::-1]
