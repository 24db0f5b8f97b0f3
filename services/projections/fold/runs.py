"""Runs, from their first event on."""

import re
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import msgspec
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    RecoveryTaken,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
    RunSlaMissed,
    RunStarted,
    WorkflowTriggered,
)

from infra.eventlog import StoredEvent
from services.projections.fold.labels import NONE as NO_LABELS
from services.projections.fold.labels import relabelled
from services.projections.fold.values import (
    as_json,
    bounded,
    clean,
    error_of,
    labels_of,
    listed,
    names,
    object_of,
    text,
)
from services.projections.state import CHANGED, CLEAN, NEW, DecisionRow, Json, ReadModels, RunRow, RunState
from services.projections.statistics import RunSeen, Used, took_ms

RECOVERY_ACTIONS_MAX = 100
"""So many are shown with their run, the first ones; all of them are events of the run."""

RUN_ENDED = frozenset({"completed", "failed", "cancelled", "partial"})
WITH_OUTPUT = frozenset({"completed", "partial"})

_RUN_SOURCE = re.compile(r"/run/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
_actions = msgspec.json.Decoder(list[Any])
_LifeEvent = (
    RunStarted
    | RunFailing
    | RunSlaMissed
    | RecoveryTaken
    | RunCompleted
    | RunFailed
    | RunPartiallyCompleted
    | RunCancelled
)


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
        parent_node_id=event.parent_node_id or None,
        parent_instance=event.parent_instance or None,
        caused_by_run_id=_caused_by(event),
        actor=clean(stored.actor),
        labels=labels_of(event.labels),
        input_data=text(event.input_data),
        priority=bounded(event.priority),
        depth=event.depth,
        from_node=event.from_node,
        forked_from=_fork(event),
        is_shadow=event.is_shadow,
        breakpoints=listed(event.breakpoints),
        created_at=stored.recorded_at,
        created_position=stored.position,
        variables=as_json(event.variables),
        position=stored.position,
        change=NEW,
    )
    models.runs[row.run_id] = RunState(row)
    models.changes.runs.append(row)
    relabelled(models.changes, row.workflow_id, row.created_position, NO_LABELS, row.labels)
    _note(models, row, row.created_at, "created", None, 1)
    if row.actor is not None:
        models.changes.seen.used.append(Used("actor", row.actor, row.created_at, stored.position))
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


def _fork(event: WorkflowTriggered) -> Json | None:
    fork = event.fork
    return None if fork is None else object_of({"run_id": fork.run_id, "position": fork.position})


def _caused_by(event: WorkflowTriggered) -> UUID | None:
    """The run without which this one would not be. `depth` counts the causes before it: an event from outside that looks
    like the end of a run has none."""
    if event.parent_run_id is not None:
        return event.parent_run_id
    if event.fork is not None:
        return event.fork.run_id
    named = _RUN_SOURCE.search(event.cause.source) if event.depth > 1 else None
    return None if named is None else UUID(named[1])


def fold_run(models: ReadModels, stored: StoredEvent, event: _LifeEvent) -> None:
    """A run begins, fails and ends."""
    row = models.runs[stored.stream_id].row
    match event:
        case RunStarted():
            row.status, row.started_at, row.total_nodes = "running", stored.recorded_at, event.total_nodes
        case RunFailing():
            row.error = error_of(event.error)
        case RunSlaMissed():
            row.sla_missed_at = stored.recorded_at
        case RecoveryTaken():
            _note_recovery(row, stored, event)
        case RunCompleted() | RunFailed() | RunPartiallyCompleted() | RunCancelled():
            row.completed_at = stored.recorded_at
            row.paused_at = row.paused_before = None
            _ended(row, event)
            count_ending(models, row, stored.position)
        case _:
            assert_never(event)
    touch(models, row, stored.position)


def _ended(row: RunRow, event: RunCompleted | RunFailed | RunPartiallyCompleted | RunCancelled) -> None:
    match event:
        case RunCompleted():
            row.status, row.output_data = "completed", text(event.output)
        case RunFailed():
            row.status, row.error = "failed", error_of(event.error)
        case RunPartiallyCompleted():
            row.status, row.output_data, row.error = "partial", text(event.output), error_of(event.error)
        case RunCancelled():
            cancelled = RunError(ErrorCode.CANCELLED, event.reason or "the run was cancelled", retryable=False)
            row.status, row.error = "cancelled", error_of(cancelled)
        case _:
            assert_never(event)


def count_ending(models: ReadModels, row: RunRow, position: int, by: int = 1) -> None:
    """The run stands ended as its row says, or with `by` -1 does so no longer."""
    if row.completed_at is None or row.status not in RUN_ENDED:
        return
    duration = None
    if row.status in WITH_OUTPUT:
        duration = took_ms(row.started_at or row.created_at, row.completed_at)
    _note(models, row, row.completed_at, row.status, duration, by, position)
    models.changes.seen.used.append(Used("ended", row.status, row.completed_at, position, by))


def _note(
    models: ReadModels, row: RunRow, at: datetime, status: str, duration_ms: int | None, by: int, position: int = 0
) -> None:
    """Each fork names its origin as its trigger: they are counted together. A shadow run tells nothing of how runs do."""
    if row.is_shadow:
        return
    trigger_id = "" if row.trigger_type == "fork" else row.trigger_id
    seen = RunSeen(row.workflow_id, row.trigger_type, trigger_id, at, status, duration_ms, by, position or row.position)
    models.changes.seen.runs.append(seen)


def _note_recovery(row: RunRow, stored: StoredEvent, event: RecoveryTaken) -> None:
    actions = [] if row.recovery_actions is None else _actions.decode(row.recovery_actions)
    if len(actions) < RECOVERY_ACTIONS_MAX:
        action = {**msgspec.structs.asdict(event), "at": stored.recorded_at}
        row.recovery_actions = listed([*actions, action])


def touch(models: ReadModels, row: RunRow, position: int) -> None:
    """The row is among those that are to be written."""
    row.position = position
    if row.change == CLEAN:
        row.change = CHANGED
        models.changes.runs.append(row)
