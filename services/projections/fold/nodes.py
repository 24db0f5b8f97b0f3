"""Nodes of runs and their instances."""

from datetime import datetime
from typing import assert_never

import msgspec
from flowforge.events import (
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
)
from flowforge.raw import present

from infra.eventlog import StoredEvent
from services.projections.fold.runs import touch
from services.projections.fold.values import as_json, clean, error_of, text
from services.projections.state import CHANGED, CLEAN, NEW, Json, NodeRow, ReadModels, RunRow

NODE_ENDINGS = frozenset({"completed", "failed", "skipped", "cancelled"})

_variables = msgspec.json.Decoder(dict[str, msgspec.Raw])


_NodeEvent = (
    NodeQueued | NodeStarted | NodeCompleted | NodeProgressed | NodeFailed | NodeRetried | NodeSkipped | NodeCancelled
)


def fold_node(models: ReadModels, stored: StoredEvent, event: _NodeEvent) -> None:
    run = models.runs[stored.stream_id]
    instance = "" if isinstance(event, NodeSkipped) else event.instance
    key = (event.node_id, instance)
    row = run.nodes.get(key)
    if row is None:
        row = run.nodes[key] = NodeRow(stored.stream_id, event.node_id, instance, change=NEW)
        models.changes.nodes.append(row)
    elif row.change == CLEAN:
        row.change = CHANGED
        models.changes.nodes.append(row)
    row.position = stored.position
    before = row.status
    _evolve_node(row, stored, event)
    if isinstance(event, NodeCompleted) and event.variables:
        run.row.variables = as_json(_variables.decode(run.row.variables) | event.variables)
        touch(models, run.row, stored.position)
    if not instance and before != row.status:
        _count(models, run.row, before, row.status, stored.position)


def _count(models: ReadModels, run: RunRow, before: str, after: str, position: int) -> None:
    ended = (after in NODE_ENDINGS) - (before in NODE_ENDINGS)
    completed = (after == "completed") - (before == "completed")
    if ended or completed:
        run.ended_nodes += ended
        run.completed_nodes += completed
        touch(models, run, position)


def _evolve_node(row: NodeRow, stored: StoredEvent, event: _NodeEvent) -> None:
    match event:
        case NodeQueued():
            _queued(row, stored, event)
        case NodeStarted():
            _started(row, stored, event)
        case NodeCompleted():
            row.status, row.attempt, row.completed_at = "completed", event.attempt, stored.recorded_at
            row.output, row.error, row.progress = text(event.output), Json("null"), 1.0
        case NodeProgressed():
            row.progress, row.progress_message = event.progress, clean(event.message) or None
        case NodeFailed():
            row.status, row.attempt, row.completed_at = "failed", event.attempt, stored.recorded_at
            row.error = error_of(event.error)
        case NodeRetried():
            row.status, row.retry_at, row.error = "waiting", event.due_at, error_of(event.error)
        case NodeSkipped():
            row.status, row.skip_reason, row.completed_at = "skipped", event.reason, stored.recorded_at
        case NodeCancelled():
            row.status, row.completed_at = "cancelled", stored.recorded_at
        case _:
            assert_never(event)


def _queued(row: NodeRow, stored: StoredEvent, event: NodeQueued) -> None:
    row.status, row.attempt = "queued", event.attempt
    row.job_id, row.job_type, row.queue = event.job_id, clean(event.job_type) or None, clean(event.queue) or None
    row.queued_at, row.retry_at, row.worker, row.progress = stored.recorded_at, None, None, None
    _take_input(row, event)


def _started(row: NodeRow, stored: StoredEvent, event: NodeStarted) -> None:
    row.status, row.attempt, row.worker = "running", event.attempt, clean(event.worker) or None
    if row.started_at is None:
        row.started_at = _began(event.at, row.queued_at, stored.recorded_at)
        row.started_position = stored.position
    if event.instances_count is not None:
        row.instances_count = event.instances_count
    _take_input(row, event)


def _take_input(row: NodeRow, event: NodeQueued | NodeStarted) -> None:
    if (given := present(event.input)) is not None:
        row.input, row.input_from = text(given), None
    elif event.input_from is not None:
        row.input, row.input_from = None, event.input_from


def _began(by_worker: datetime | None, queued_at: datetime | None, recorded_at: datetime) -> datetime:
    """When the worker says it began, held between two instants of the log: a worker's clock proves nothing."""
    if by_worker is None or queued_at is None or by_worker.tzinfo is None:
        return recorded_at
    return min(max(by_worker, queued_at), recorded_at)
