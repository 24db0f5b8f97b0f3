"""The end of a run as a cause, and what dependency triggers make of it (pure)."""

from datetime import datetime
from uuid import UUID

import msgspec
from flowforge.definition import DependencyTrigger
from flowforge.events import Cause, Chain, WorkflowTriggered
from flowforge.identity import part_uuid

from infra.causes import END_STATUS, Ending, EndStatus, ended_data
from infra.expressions import EvaluationFault, Scope, compile_lazily
from services.triggers.cause import OwnCause
from services.triggers.index import Rule
from services.triggers.verdict import NotFired

_encode = msgspec.json.encode


class EndedCause(OwnCause):
    """The end of one run. `run` is what it was started as; its data is `{run_id, workflow_id, workflow_version, status,
    output, error, trigger, labels}`.
    """

    __slots__ = ("run", "status")

    def __init__(self, run: WorkflowTriggered, ending: Ending, cause: Cause, recorded_at: datetime) -> None:
        self.run = run
        self.status: EndStatus = END_STATUS[type(ending)]
        super().__init__(cause, msgspec.Raw(_encode(ended_data(run, ending))), recorded_at, run.depth, chain_after(run))
        self.stream_id = part_uuid(cause.event_id, "decisions")  # the run's own is execution's


def ending_cause(ending: Ending, event_id: UUID, run_id: UUID, namespace: str) -> Cause:
    """The logged end of a run, named."""
    return Cause(
        event_id=event_id,
        type=type(ending).__name__,
        id=str(event_id),
        source=f"/{namespace}/run/{run_id}",
        stream_id=run_id,
    )


def chain_after(run: WorkflowTriggered) -> Chain:
    """What led to a run that this one leads to."""
    before = run.chain or Chain(first_event_id=run.cause.event_id)
    names = before.workflow_ids
    return msgspec.structs.replace(
        before, workflow_ids=names if run.workflow_id in names else [*names, run.workflow_id]
    )


def unsatisfied(rule: Rule, cause: EndedCause) -> NotFired | None:
    """Why this ending is not what the trigger waits for, where it is not."""
    assert isinstance(rule.trigger, DependencyTrigger)
    wanted = [one.condition for one in rule.trigger.config.upstreams if one.workflow_id == cause.run.workflow_id]
    if any(_is_met(condition, cause.status) for condition in wanted):
        return None
    return NotFired(
        "not_matched", f"the run of {cause.run.workflow_id} {_ended(cause.status)}, it fires {' or '.join(wanted)}"
    )


def correlation(rule: Rule, cause: EndedCause) -> str:
    """The key under which upstreams join. Raises Fault."""
    assert isinstance(rule.trigger, DependencyTrigger)
    written = rule.trigger.config.correlate_by
    if written is None:
        return ""
    run = cause.run
    value = compile_lazily(written, Scope.CORRELATE).evaluate(
        {
            "run": {
                "id": str(run.run_id),
                "workflow_id": run.workflow_id,
                "version": run.workflow_version,
                "trigger": {"type": run.trigger.type, "id": run.trigger.id},
                "labels": run.labels,
            }
        }
    )
    try:
        return _encode(value, order="deterministic").decode()
    except (TypeError, UnicodeEncodeError, RecursionError) as problem:
        raise EvaluationFault(written, f"the key cannot be written as JSON: {problem}") from None


def _is_met(condition: str, status: EndStatus) -> bool:
    """A run that ended `partial` had failures: it is no success."""
    match condition:
        case "on_success":
            return status == "completed"
        case "on_failure":
            return status in ("failed", "partial")
        case _:
            return True


def _ended(status: EndStatus) -> str:
    match status:
        case "cancelled":
            return "was cancelled"
        case "partial":
            return "ended partial"
        case _:
            return status
