"""Runs, from their first event on."""

from typing import assert_never

from flowforge.errors import ErrorCode, RunError
from flowforge.events import RunCancelled, RunCompleted, RunFailed, RunFailing, RunStarted, WorkflowTriggered

from infra.eventlog import StoredEvent
from services.projections.fold.values import as_json, bounded, clean, error_of, labels_of, names, text
from services.projections.state import CHANGED, CLEAN, NEW, DecisionRow, ReadModels, RunRow, RunState


def triggered(models: ReadModels, stored: StoredEvent, event: WorkflowTriggered) -> None:
    cause = event.cause
    cause_id, cause_type, cause_source = names(cause)
    row = RunRow(
        run_id=stored.stream_id,
        workflow_id=event.workflow_id,
        workflow_version=event.workflow_version,
        trigger_type=event.trigger.type,
        trigger_id=event.trigger.id,
        cause_event_id=cause.event_id,
        cause_type=cause_type,
        cause_id=cause_id,
        cause_source=cause_source,
        parent_run_id=event.parent_run_id,
        actor=clean(stored.actor),
        labels=labels_of(event.labels),
        input_data=text(event.input_data),
        priority=bounded(event.priority),
        depth=event.depth,
        created_at=stored.recorded_at,
        created_position=stored.position,
        variables=as_json(event.variables),
        position=stored.position,
        change=NEW,
    )
    models.runs[row.run_id] = RunState(row)
    models.changes.runs.append(row)
    if event.waits is not None:
        return  # its decision is on record by itself: held, and later another
    models.changes.decisions.append(
        DecisionRow(
            position=stored.position,
            workflow_id=event.workflow_id,
            trigger_id=event.trigger.id,
            trigger_version=event.trigger_version,
            cause_event_id=cause.event_id,
            cause_type=cause_type,
            cause_id=cause_id,
            cause_source=cause_source,
            decision="fired",
            reason=None,
            detail=None,
            consumed=event.consumed,
            run_id=row.run_id,
            decided_at=stored.recorded_at,
        )
    )


def fold_run(
    models: ReadModels,
    stored: StoredEvent,
    event: RunStarted | RunCompleted | RunFailed | RunCancelled | RunFailing,
) -> None:
    row = models.runs[stored.stream_id].row
    match event:
        case RunStarted():
            row.status, row.started_at, row.total_nodes = "running", stored.recorded_at, event.total_nodes
        case RunCompleted():
            row.status, row.completed_at, row.output_data = "completed", stored.recorded_at, text(event.output)
        case RunFailed():
            row.status, row.completed_at, row.error = "failed", stored.recorded_at, error_of(event.error)
        case RunCancelled():
            cancelled = RunError(ErrorCode.CANCELLED, event.reason or "the run was cancelled", retryable=False)
            row.status, row.completed_at, row.error = "cancelled", stored.recorded_at, error_of(cancelled)
        case RunFailing():
            row.error = error_of(event.error)
        case _:
            assert_never(event)
    touch(models, row, stored.position)


def touch(models: ReadModels, row: RunRow, position: int) -> None:
    row.position = position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.runs.append(row)
