"""An ended run goes on: what a retry clears, and how the run stands then."""

from collections.abc import Iterable
from typing import NamedTuple

from services.execution.state.run import Run
from services.execution.state.units import NodeState

STOPPED = frozenset({"run_failed", "run_cancelled", "upstream_failed"})
"""Reasons of nodes that were skipped because something had gone wrong."""


class Clearing(NamedTuple):
    """What a retry does to nodes: `cleared` are decided anew; `resumed` are maps whose completed instances are kept."""

    cleared: list[str]
    resumed: list[str]


def from_failures(run: Run) -> Clearing:
    """Everything that went wrong, and all below it; a map that failed goes on with the instances that it lacks."""
    wrong = went_wrong(run)
    below = run.plan.graph.below(wrong)
    resumed = [node_id for node_id in wrong if run.nodes[node_id].instances and node_id not in below]
    cleared = to_clear(run, wrong)
    return Clearing([node_id for node_id in cleared if node_id not in resumed], resumed)


def to_clear(run: Run, node_ids: Iterable[str]) -> list[str]:
    """These nodes of the workflow's own graph, everything below them, and what a cleared merge's branches have lost; in
    the order of the definition. What is inside of loops follows its loop."""
    graph = run.plan.graph
    found: set[str] = set(node_ids)
    while True:
        before = len(found)
        found |= graph.below(found)
        for node_id in list(found):
            if (merge := graph.nodes[node_id].merge) is not None:
                found |= {member for member in merge.members() if run.nodes[member].has_lost}
        if len(found) == before:
            break
    cleared: list[str] = []
    for node_id in graph.nodes:
        if node_id in found:
            cleared += [node_id, *run.plan.inside(node_id)]
    return cleared


def went_wrong(run: Run) -> list[str]:
    """Failed, cancelled and stopped nodes of the workflow's own graph; not those whose branch merely lost."""
    return [node.node_id for node in run.nodes.values() if _went_wrong(node) and not node.has_merely_lost]


def _went_wrong(node: NodeState) -> bool:
    if node.status == "skipped":
        return node.skip_reason in STOPPED
    return node.status in ("failed", "cancelled")


def clear(run: Run, cleared: Iterable[str], resumed: Iterable[str]) -> None:
    """The run is running again, these nodes are idle, and those that can be decided are about to be."""
    run.status, run.cleared, run.is_queued = "running", None, False
    run.is_cancelling, run.cancel_reason = False, ""
    run.timeout_due_at = run.paused_at = run.steps_left = None
    run.paused_before, run.passing = [], frozenset()
    root = run.root
    for node_id in cleared:
        if node_id not in root.nodes:
            continue
        node = root.nodes[node_id]
        for unit in node.instances:
            if unit.job_id is not None:
                run.jobs.pop(unit.job_id, None)
        node.reset()
        root.decoded.pop(node_id, None)
    for node_id in resumed:
        _resume(run, root.nodes[node_id])
    root.failing = root.first_failure = None
    root.ended_count = sum(node.is_ended for node in root.nodes.values())
    root.frontier.clear()
    for node in root.nodes.values():
        node.undecided = sum(not root.nodes[edge.source].is_ended for edge in node.plan.incoming)
        if node.status == "failed" and node.failure_counts and root.first_failure is None:
            root.first_failure = node.error
        if node.status == "idle" and (node.undecided == 0 or node.plan.merge is not None):
            root.frontier[node.node_id] = None
    run.waiting_slot.clear()
    run.touch([root])


def _resume(run: Run, node: NodeState) -> None:
    for unit in node.instances:
        if unit.status != "completed":
            unit.reset()
    node.status, node.error, node.next_index, node.active_count = "running", None, 0, 0
    node.unended = sum(not unit.is_ended for unit in node.instances)
    run.root.decoded.pop(node.node_id, None)
    run.maps[node] = None
