"""A run that failed, and the workflow that its own one names for that (`settings.on_failure`) (pure)."""

from datetime import datetime

import msgspec
from flowforge.errors import RunError
from flowforge.events import RunFailed, TriggerDecided, TriggerRef, WorkflowTriggered

from infra.causes import ended_data
from services.triggers.cause import kept_small, run_id
from services.triggers.decide import FIRST_DEPTH, Deciding, findings_of, told
from services.triggers.endings import EndedCause
from services.triggers.index import Index
from services.triggers.verdict import NotFired

TRIGGER_TYPE = "on_failure"
"""By which a handler of failures is started; the trigger's id is that of the workflow whose run failed."""
_encode = msgspec.json.encode


class FailedRun(msgspec.Struct, frozen=True):
    """A run that failed, and what its handler is given. `handler_id` is the workflow to start."""

    ended: EndedCause
    handler_id: str
    input_data: msgspec.Raw


def failed_input(
    run: WorkflowTriggered,
    failed: RunFailed,
    input_data: msgspec.Raw,
    created_at: datetime,
    started_at: datetime | None,
    completed_at: datetime,
) -> msgspec.Raw:
    """The failed run: what dependency triggers are told of it, and `{input_data, failed_nodes, parent_run_id, created_at,
    started_at, completed_at}`. `input_data` is whole."""
    error: RunError = failed.error
    return msgspec.Raw(
        _encode(
            {
                **ended_data(run, failed),
                "input_data": input_data,
                "failed_nodes": error.affected_nodes,
                "parent_run_id": run.parent_run_id,
                "created_at": created_at,
                "started_at": started_at,
                "completed_at": completed_at,
            }
        )
    )


def handle(deciding: Deciding, index: Index, failed: FailedRun) -> None:
    """Start the handler, or have it on record why not. Raises Wanted."""
    answer = _standing(index, failed) or deciding.cut([failed.ended])
    if answer is None:
        answer = _launched(deciding, index, failed)
    if isinstance(answer, WorkflowTriggered):
        deciding.runs.append(answer)
    else:
        deciding.decisions.append(_declined(failed, answer))


def _standing(index: Index, failed: FailedRun) -> NotFired | None:
    run, handler_id = failed.ended.run, failed.handler_id
    handler = index.workflows.get(handler_id)
    whose = f"settings.on_failure of '{run.workflow_id}'"
    if handler is None:
        mend = f"save it, or name another one in {whose}"
        return NotFired("suppressed", "workflow_inactive", f"there is no workflow '{handler_id}'; {mend}")
    if handler.newest.fault:
        return NotFired("suppressed", "workflow_inactive", f"'{handler_id}' cannot be read: {handler.newest.fault}")
    if handler.status != "active":
        mend = f"save it as active, or name another one in {whose}"
        return NotFired("suppressed", "workflow_inactive", f"'{handler_id}' is {handler.status}; {mend}")
    chain = failed.ended.chain
    if chain is not None and handler_id in chain.workflow_ids:
        led = "failed itself" if handler_id == run.workflow_id else "led to the run that failed"
        return NotFired("suppressed", "self", f"'{handler_id}' {led}: {run.run_id}")
    return None


def _launched(deciding: Deciding, index: Index, failed: FailedRun) -> WorkflowTriggered | NotFired:
    checked, ended = index.checked(failed.handler_id), failed.ended
    if wrong := findings_of(checked, failed.input_data):
        return NotFired("failed", told(wrong), wrong[0]["path"])
    run = WorkflowTriggered(
        run_id=run_id(ended.recorded_at, failed.handler_id, f"{TRIGGER_TYPE} {ended.run.workflow_id}", ended.stream_id),
        workflow_id=failed.handler_id,
        workflow_version=checked.version.number,
        trigger=TriggerRef(TRIGGER_TYPE, ended.run.workflow_id),
        trigger_version=ended.run.workflow_version,
        cause=ended.cause,
        consumed=[ended.cause.event_id],
        input_data=kept_small(failed.input_data),
        depth=ended.depth + FIRST_DEPTH,
        chain=ended.chain,
    )
    return deciding.launch(checked.version, [ended], run, failed.input_data)


def _declined(failed: FailedRun, answer: NotFired) -> TriggerDecided:
    run = failed.ended.run
    return TriggerDecided(
        trigger_id=run.workflow_id,
        trigger_version=run.workflow_version,
        workflow_id=failed.handler_id,
        cause=failed.ended.cause,
        decision=answer.decision,
        reason=answer.reason,
        detail=answer.detail,
    )
