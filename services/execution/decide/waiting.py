"""Nodes that wait: for an instant, an event, a person, a callback, a child run. How they begin, and what ends them."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from flowforge.definition import ApprovalNode, ChildNode, DelayNode, WaitEventNode, WebhookNode
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    AnyWait,
    ApprovalDecided,
    ApprovalWait,
    BreakerWait,
    CallbackReceived,
    CallbackWait,
    ChildRunEnded,
    ChildRunRefused,
    ChildRunRequested,
    ChildWait,
    EventMatched,
    EventWait,
    NodeWaiting,
    PoolWait,
    TimerWait,
)
from flowforge.identity import derived_uuid
from flowforge.raw import NULL, field
from flowforge.refusals import Refusal, forbidden, invalid_state
from flowforge.reports import ReportedError

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.decide.ending import complete, fail, fail_at_once, fail_with, give_up_child
from services.execution.decide.faults import input_fault, resolution
from services.execution.decide.step import Step, set_timer
from services.execution.settings import DELAY_MS_MAX
from services.execution.state import Unit

KINDS = frozenset({"delay", "wait_event", "human_approval", "workflow"})
_MISSED: dict[type, str] = {
    EventWait: "no matching event came",
    ApprovalWait: "nobody decided",
    CallbackWait: "the callback address was not posted to",
    ChildWait: "the child run has not ended",
}
_encode = msgspec.json.Encoder().encode


def start(step: Step, unit: Unit, attempt: int) -> None:
    """Begin to wait. Raises what a value that cannot be computed raises."""
    node, plan = unit.plan.node, unit.plan
    given, given_from = inputs.node_input(step.run, unit, step.now)
    own = inputs.own_input(step.run, plan, given)
    wanted: Any = None if plan.wanted is None else inputs.render(step.run, plan.wanted, step.now, unit, **own)
    ends_at = step.now + timedelta(milliseconds=plan.node.timeout_ms) if plan.node.timeout_ms else None
    match node:
        case DelayNode():
            wait: AnyWait = TimerWait(due_at=_due_at(wanted, step.now))
        case WaitEventNode():
            wait = EventWait(
                event_type=_text(wanted, "event_type"),
                source=_text(wanted, "source"),
                filter=node.filter,
                due_at=ends_at,
            )
        case ApprovalNode():
            wait = ApprovalWait(
                approval_id=approval_id(step, unit, attempt),
                message=_message(wanted["message"]),
                approvers=_names(wanted["approvers"]),
                due_at=ends_at,
            )
        case ChildNode():
            child_id = derived_uuid(step.now, "child", step.run.id, unit.node_id, unit.instance, attempt)
            wait = ChildWait(child_run_id=child_id, workflow_id=node.workflow_id, due_at=ends_at)
        case _:
            raise AssertionError(f"a node of type {plan.job_type} waits for nothing")
    wait_for(step, unit, attempt, wait, given, given_from)
    if isinstance(node, ChildNode) and isinstance(wait, ChildWait):
        _request_child(step, unit, attempt, wait, node, wanted)


def wait_for(
    step: Step, unit: Unit, attempt: int, wait: AnyWait, given: msgspec.Raw | None = None, given_from: str | None = None
) -> None:
    """The unit waits; a timer is set where the waiting has an end."""
    step.emit(
        NodeWaiting(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            wait=wait,
            input=field(given),
            input_from=given_from,
        )
    )
    if wait.due_at is not None:
        if wait.due_at <= step.now:
            overdue(step, unit)
        else:
            set_timer(step, "wait", wait.due_at, unit, attempt)


def called(step: Step, unit: Unit) -> bool:
    """A webhook's call was made: whether its node waits for the callback now, or completes with what came already."""
    if not isinstance(unit.plan.node, WebhookNode) or not unit.plan.node.wait_for_callback:
        return False
    if unit.callback is not None:
        complete(step, unit, unit.callback)
        return True
    node_timeout = unit.plan.node.timeout_ms
    ends_at = step.now + timedelta(milliseconds=node_timeout) if node_timeout else None
    wait_for(step, unit, unit.attempt, CallbackWait(due_at=ends_at))
    return True


def overdue(step: Step, unit: Unit) -> None:
    """It has waited for as long as it may: for a delay, that is its end."""
    node = unit.plan.node
    match unit.wait:
        case TimerWait():
            complete(step, unit, step.run.input_of(unit))
        case EventWait() if isinstance(node, WaitEventNode) and node.on_timeout == "continue":
            complete(step, unit, NULL)
        case ApprovalWait() if isinstance(node, ApprovalNode) and node.on_timeout != "fail":
            decision = node.on_timeout
            _decide_approval(step, unit, unit.wait, decision, "nobody decided in time", "", "")
        case None | PoolWait() | BreakerWait():
            pass  # it asks again with each step
        case wait:
            give_up_child(step, unit, "it has not ended in time")
            timeout = ReportedError(
                code=ErrorCode.EXECUTION_TIMEOUT, message=f"{_MISSED[type(wait)]} within timeout_ms"
            )
            fail(step, unit, timeout)


# --- what is waited for -----------------------------------------------------------------------------------------------


def event_came(step: Step, unit: Unit, event: dict[str, Any]) -> None:
    """An event of the type and source that it waits for was received; its filter has the last word."""
    wait = unit.wait
    if not isinstance(wait, EventWait) or unit.status != "waiting" or unit.matched is not None:
        return
    expression = unit.plan.filter
    if expression is not None:
        try:
            values = inputs.bindings(step.run, expression, step.now, unit, event=event)
            if not expression.holds(values):
                return
        except EvaluationFault as fault:
            fail_at_once(step, unit, input_fault(fault))
            return
    if step.run.status == "paused":
        text = msgspec.Raw(_encode(event))
        step.emit(EventMatched(node_id=unit.node_id, instance=unit.instance, attempt=unit.attempt, event=text))
    else:
        complete(step, unit, inputs.encoded(event))


def decide_approval(
    step: Step, unit: Unit, decision: Any, comment: str, command_id: str, actor: str, role: str
) -> Refusal | None:
    """Somebody decides. Only its approvers may, and admins."""
    wait = unit.wait
    if not isinstance(wait, ApprovalWait):
        return invalid_state(f"node '{unit.node_id}' does not wait for an approval: it is {unit.status}")
    if wait.approvers and role != "admin" and actor not in wait.approvers:
        return forbidden(f"'{actor}' is none of the approvers of node '{unit.node_id}': {', '.join(wait.approvers)}")
    _decide_approval(step, unit, wait, decision, comment, command_id, actor)
    return None


def _decide_approval(
    step: Step, unit: Unit, wait: ApprovalWait, decision: Any, comment: str, command_id: str, actor: str
) -> None:
    step.emit(
        ApprovalDecided(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=unit.attempt,
            approval_id=wait.approval_id,
            decision=decision,
            comment=comment,
            command_id=command_id,
        )
    )
    if decision == "approve":
        told = {"decision": "approve", "comment": comment, "decided_by": actor or None, "decided_at": step.now}
        complete(step, unit, msgspec.Raw(_encode(told)))
        return
    who = f"'{actor}' rejected it" if actor else "it was rejected, since nobody decided in time"
    message = f"{who}: {comment}" if comment else who
    fail_at_once(step, unit, ReportedError(code=ErrorCode.APPROVAL_REJECTED, message=message, retryable=False))


def callback(step: Step, unit: Unit, attempt: int, data: msgspec.Raw, command_id: str) -> Refusal | None:
    """The callback address of a call was posted to: once, for the attempt that gave it away."""
    node = unit.plan.node
    if not isinstance(node, WebhookNode) or attempt != unit.attempt or unit.is_ended or unit.callback is not None:
        return invalid_state(f"node '{unit.node_id}' waits for this callback no more: it was used, or is out of date")
    if unit.status not in ("queued", "running") and not isinstance(unit.wait, CallbackWait):
        return invalid_state(f"node '{unit.node_id}' waits for this callback no more: it is {unit.status}")
    step.emit(
        CallbackReceived(
            node_id=unit.node_id, instance=unit.instance, attempt=attempt, data=data, command_id=command_id
        )
    )
    if isinstance(unit.wait, CallbackWait):
        complete(step, unit, data)
    return None


def child_ended(step: Step, unit: Unit, child_run_id: Any, ended: ChildRunEnded) -> None:
    """The child has ended: its output is the node's, its failure the node's failure."""
    if not _waits_for(unit, child_run_id):
        return
    if ended.status in ("completed", "partial"):
        complete(step, unit, ended.output)
        return
    of_child = ended.error or RunError(ErrorCode.NODE_EXECUTION_FAILED, f"the child ended {ended.status}")
    error = RunError(
        code=of_child.code,
        message=f"the child run {child_run_id} {ended.status}: {of_child.message}",
        affected_nodes=[unit.node_id],
        dependency_chain=step.run.plan.chain_to(unit.node_id),
        suggested_resolution=of_child.suggested_resolution or resolution(of_child.code),
        retryable=ended.status == "failed",
    )
    fail_with(step, unit, error)


def child_refused(step: Step, unit: Unit, refused: ChildRunRefused) -> None:
    """The child will not start."""
    if not _waits_for(unit, refused.child_run_id):
        return
    fail_at_once(step, unit, ReportedError(code=refused.code, message=refused.message, retryable=False))


def _waits_for(unit: Unit, child_run_id: Any) -> bool:
    return unit.status == "waiting" and isinstance(unit.wait, ChildWait) and unit.wait.child_run_id == child_run_id


def _request_child(step: Step, unit: Unit, attempt: int, wait: ChildWait, node: ChildNode, wanted: Any) -> None:
    step.emit(
        ChildRunRequested(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            child_run_id=wait.child_run_id,
            workflow_id=node.workflow_id,
            version=node.version,
            input=step.run.input_of(unit) if unit.plan.wanted is None else inputs.encoded(wanted),
        )
    )


# --- what is written in the node --------------------------------------------------------------------------------------


def approval_id(step: Step, unit: Unit, attempt: int) -> str:
    """`<run>:<node>:<attempt>`, or `<run>:<node>:<instance>:<attempt>`."""
    place = f"{unit.node_id}:{unit.instance}" if unit.instance else unit.node_id
    return f"{step.run.id}:{place}:{attempt}"


def _due_at(wanted: dict[str, Any], now: datetime) -> datetime:
    duration, until = wanted["duration_ms"], wanted["until"]
    if until is None:
        if isinstance(duration, str):
            duration = _number(duration)
        if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 <= duration <= DELAY_MS_MAX:
            raise inputs.PortFault(f"duration_ms must be a number from 0 to {DELAY_MS_MAX}, got {duration!r}")
        return now + timedelta(milliseconds=duration)
    try:
        instant = until if isinstance(until, datetime) else datetime.fromisoformat(str(until))
    except ValueError:
        raise inputs.PortFault(f"until must be an instant such as 2030-01-31T08:00:00Z, got {until!r}") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _text(wanted: dict[str, Any], name: str) -> str:
    if not isinstance(wanted[name], str) or not wanted[name]:
        raise inputs.PortFault(f"{name} must be a text, got {wanted[name]!r}")
    return wanted[name]


def _message(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _names(value: Any) -> list[str]:
    names: object = [value] if isinstance(value, str) and value else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[object]", names)):
        raise inputs.PortFault(f"approvers must be names of users, got {value!r}")
    return cast("list[str]", names)
