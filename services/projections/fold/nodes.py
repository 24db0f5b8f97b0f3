"""Nodes of runs, and their instances: items of maps, and nodes of loops' bodies once for each iteration.

A row whose `instance` is "" is a node of the workflow's own graph, and counts for its run.
"""

from datetime import datetime
from typing import Any, assert_never, cast

import msgspec
from flowforge.events import (
    BreakerWait,
    ChildWait,
    IterationEnded,
    IterationStarted,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    PoolWait,
    WorkerAwaited,
)
from flowforge.raw import present

from infra.eventlog import StoredEvent
from services.projections.fold.runs import touch
from services.projections.fold.values import as_json, clean, error_of, listed, object_of, text
from services.projections.state import CHANGED, CLEAN, NEW, NULL, NodeRow, ReadModels, RunRow, RunState
from services.projections.statistics import NodeSeen, took_ms

NODE_ENDINGS = frozenset({"completed", "failed", "skipped", "cancelled"})

_variables = msgspec.json.Decoder(dict[str, msgspec.Raw])
_counts = msgspec.json.Decoder(dict[str, int])
_TOLD = frozenset({"completed", "failed", "skipped"})
_KEEPS = frozenset({"completed", "skipped"})
_KEPT = ("run_id", "node_id", "instance", "change")
_FRESH = NodeRow(cast("Any", None), "", "")

_NodeEvent = (
    NodeQueued
    | NodeStarted
    | NodeCompleted
    | NodeProgressed
    | NodeFailed
    | NodeRetried
    | NodeSkipped
    | NodeCancelled
    | NodeWaiting
    | WorkerAwaited
)


def fold_node(models: ReadModels, stored: StoredEvent, event: _NodeEvent) -> None:
    """A node, or an instance, goes on."""
    run = models.runs[stored.stream_id]
    row = changing(models, run, event.node_id, event.instance)
    row.position = stored.position
    before = row.status
    _evolve_node(row, stored, event)
    if isinstance(event, NodeCompleted) and event.variables:
        run.row.variables = as_json(_variables.decode(run.row.variables) | event.variables)
        touch(models, run.row, stored.position)
    if before == row.status:
        return
    if event.instance:
        _count_instance(models, run, row, before)
    else:
        _count(models, run.row, before, row.status, stored.position)
        if row.status in _TOLD:
            _note_ending(models, run.row, row)


def _note_ending(models: ReadModels, run: RunRow, row: NodeRow) -> None:
    """For the statistics of the workflow. What came from a cache, or was decided by hand, took no time of its own;
    a shadow run tells nothing."""
    if run.is_shadow:
        return
    duration = None
    if (
        row.status == "completed"
        and row.started_at
        and row.completed_at
        and row.by_hand is None
        and not row.cached_from
    ):
        duration = took_ms(row.started_at, row.completed_at)
    models.changes.seen.nodes.append(NodeSeen(run.workflow_id, row.node_id, row.status, duration, row.position))


def changing(models: ReadModels, run: RunState, node_id: str, instance: str) -> NodeRow:
    """The row of a node or an instance, among those that are to be written. An instance that had ended begins anew: its row
    may have been forgotten."""
    row = run.nodes.get((node_id, instance))
    if row is None:
        row = run.nodes[node_id, instance] = NodeRow(run.row.run_id, node_id, instance, change=NEW)
        models.changes.nodes.append(row)
    elif row.change == CLEAN:
        row.change = CHANGED
        models.changes.nodes.append(row)
    if instance and row.status in NODE_ENDINGS:
        reset(row)
    return row


def reset(row: NodeRow) -> None:
    """As if nothing had happened."""
    for name in row.__struct_fields__:
        if name not in _KEPT:
            setattr(row, name, getattr(_FRESH, name))


def clear(models: ReadModels, run: RunState, node_ids: list[str], position: int) -> None:
    """These nodes are to be decided anew. Of nodes inside of loops, as of all instances, there is nothing to show until
    they begin again: see `instances_since_position` of the map or the loop."""
    for node_id in node_ids:
        if (node_id, "") not in run.nodes:
            continue
        row = changing(models, run, node_id, "")
        _count(models, run.row, row.status, "idle", position)
        reset(row)
        row.position = row.instances_since_position = position


def resume_maps(models: ReadModels, run: RunState, node_ids: list[str], position: int) -> None:
    """These maps go on: what completed stays, the other instances are to be done anew."""
    for node_id in node_ids:
        row = changing(models, run, node_id, "")
        _count(models, run.row, row.status, "running", position)
        row.status, row.error, row.completed_at, row.position = "running", NULL, None, position
        since = row.instances_since_position or 0
        for name, instance in list(run.nodes):
            each = run.nodes[name, instance]
            if name == node_id and instance and each.status not in _KEEPS and each.position >= since:
                reset(changing(models, run, name, instance))
                each.position = position
        counts = {} if row.instance_counts is None else _counts.decode(row.instance_counts)
        row.instance_counts = object_of({"completed": counts["completed"]}) if "completed" in counts else None


def _count(models: ReadModels, run: RunRow, before: str, after: str, position: int) -> None:
    ended = (after in NODE_ENDINGS) - (before in NODE_ENDINGS)
    completed = (after == "completed") - (before == "completed")
    if ended or completed:
        run.ended_nodes += ended
        run.completed_nodes += completed
        touch(models, run, position)


# --- maps and loops ---------------------------------------------------------------------------------------------------


def _count_instance(models: ReadModels, run: RunState, row: NodeRow, before: str) -> None:
    """An item of a map counts for the map; a node of a loop's body is no item of anything."""
    of_map = run.nodes.get((row.node_id, row.instance.rpartition(".")[0]))
    if of_map is None or of_map.instances_count is None or (of_map.instance and of_map.status in NODE_ENDINGS):
        return
    of_map = changing(models, run, of_map.node_id, of_map.instance)
    _move(of_map, before, row.status)
    of_map.position = row.position


def _move(row: NodeRow, before: str, after: str) -> None:
    counts = {} if row.instance_counts is None else _counts.decode(row.instance_counts)
    if before in counts:
        counts[before] -= 1
    counts[after] = counts.get(after, 0) + 1
    row.instance_counts = as_json({status: count for status, count in counts.items() if count})


def iteration(models: ReadModels, stored: StoredEvent, event: IterationStarted | IterationEnded) -> None:
    """A loop counts its iterations; how many there will be is known of those over a list or up to a number."""
    run = models.runs[stored.stream_id]
    row = changing(models, run, event.node_id, event.instance)
    row.position = stored.position
    if isinstance(event, IterationStarted):
        row.instances_count = max(row.instances_count or 0, event.index + 1)
        _move(row, "idle", "running")
    else:
        _move(row, "running", event.status)


# --- one row ----------------------------------------------------------------------------------------------------------


def _evolve_node(row: NodeRow, stored: StoredEvent, event: _NodeEvent) -> None:
    match event:
        case NodeQueued():
            _queued(row, stored, event)
        case NodeStarted():
            _started(row, stored, event)
        case NodeWaiting():
            _waiting(row, stored, event)
        case WorkerAwaited():
            awaited = {"for": "worker", "job_type": event.job_type, "queue": event.queue, "since": event.since}
            row.waiting_for = object_of(awaited)
        case NodeProgressed():
            row.progress, row.progress_message = event.progress, clean(event.message) or None
        case NodeRetried():
            _retried(row, stored, event)
        case NodeCompleted() | NodeFailed() | NodeSkipped() | NodeCancelled():
            row.completed_at, row.waiting_for = stored.recorded_at, None
            _ended(row, event)
        case _:
            assert_never(event)


def _queued(row: NodeRow, stored: StoredEvent, event: NodeQueued) -> None:
    row.status, row.attempt = "queued", event.attempt
    row.job_id, row.job_type, row.queue = event.job_id, clean(event.job_type) or None, clean(event.queue) or None
    row.queued_at, row.retry_at, row.worker, row.progress = stored.recorded_at, None, None, None
    row.waiting_for = row.isolation = None
    _take_input(row, event)


def _started(row: NodeRow, stored: StoredEvent, event: NodeStarted) -> None:
    row.status, row.attempt, row.worker = "running", event.attempt, clean(event.worker) or None
    row.retry_at = row.waiting_for = None
    row.isolation = listed(event.isolation)
    _begin(row, stored, _began(event.at, row.queued_at, stored.recorded_at))
    if event.instances_count is not None:
        row.instances_count = event.instances_count
    _take_input(row, event)


def _waiting(row: NodeRow, stored: StoredEvent, event: NodeWaiting) -> None:
    """Waiting for a place, or for a breaker, comes before the beginning; every other wait is the node's own work."""
    row.status, row.attempt, row.retry_at = "waiting", event.attempt, None
    row.waiting_for = object_of(msgspec.to_builtins(event.wait) | {"since": stored.recorded_at})
    if isinstance(event.wait, ChildWait):
        row.child_run_id = event.wait.child_run_id
    if not isinstance(event.wait, PoolWait | BreakerWait):
        _begin(row, stored, stored.recorded_at)
    _take_input(row, event)


def _retried(row: NodeRow, stored: StoredEvent, event: NodeRetried) -> None:
    row.status, row.retry_at, row.error = "waiting", event.due_at, error_of(event.error)
    row.waiting_for = object_of({"for": "retry", "due_at": event.due_at, "since": stored.recorded_at})
    if row.instances_count is not None:
        row.instances_count = row.instance_counts = None
        row.instances_since_position = stored.position


def _ended(row: NodeRow, event: NodeCompleted | NodeFailed | NodeSkipped | NodeCancelled) -> None:
    match event:
        case NodeCompleted():
            row.status, row.attempt, row.progress = "completed", event.attempt, 1.0
            row.output, row.error = text(event.output), NULL
            row.usage, row.cached_from = object_of(event.usage), object_of(event.cached_from)
        case NodeFailed():
            row.status, row.attempt, row.error = "failed", event.attempt, error_of(event.error)
            row.usage = object_of(event.usage)
        case NodeSkipped():
            row.status, row.skip_reason = "skipped", event.reason
        case NodeCancelled():
            row.status = "cancelled"
        case _:
            assert_never(event)


def _begin(row: NodeRow, stored: StoredEvent, at: datetime) -> None:
    if row.started_at is None:
        row.started_at, row.started_position = at, stored.position


def _take_input(row: NodeRow, event: NodeQueued | NodeStarted | NodeWaiting) -> None:
    if (given := present(event.input)) is not None:
        row.input, row.input_from = text(given), None
    elif event.input_from is not None:
        row.input, row.input_from = None, event.input_from


def _began(by_worker: datetime | None, queued_at: datetime | None, recorded_at: datetime) -> datetime:
    """When the worker says it began, held between two instants of the log: a worker's clock proves nothing."""
    if by_worker is None or queued_at is None or by_worker.tzinfo is None:
        return recorded_at
    return min(max(by_worker, queued_at), recorded_at)
