"""What people do to runs: pause, resume, step, retry, decide a node by hand, change. Each refused where it makes no sense.

A command that comes again, by its `command_id`, changes nothing and is answered as the first.
"""

from datetime import timedelta

from flowforge.commands import (
    ChangeRun,
    DecideApproval,
    DecideNode,
    PauseRun,
    ReceiveCallback,
    ResumeRun,
    RetryRun,
)
from flowforge.definition import ApprovalNode
from flowforge.errors import ErrorCode
from flowforge.events import (
    ApprovalWait,
    NodeDecidedByHand,
    NodeSkipped,
    RunChanged,
    RunPaused,
    RunResumed,
    RunRetried,
    RunRetryRequested,
)
from flowforge.refusals import Refusal, invalid, invalid_state, not_found
from flowforge.reports import ReportedError

from services.execution.decide import waiting
from services.execution.decide.ending import cancel_below, complete, fail_at_once, give_up_child
from services.execution.decide.engine import advance
from services.execution.decide.step import Step, set_timer
from services.execution.state import Run, Unit
from services.execution.state.clearing import from_failures, to_clear


def pause(step: Step, command: PauseRun) -> Refusal | None:
    """Nothing new starts; running jobs finish."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    if run.status != "running":
        return _not_now(run, "paused", "only a running run can be")
    if run.is_stopping:
        return invalid_state(f"run {run.id} is ending already, and cannot be paused")
    step.emit(RunPaused(reason=command.reason, command_id=command.command_id))
    return None


def resume(step: Step, command: ResumeRun) -> Refusal | None:
    """Timeouts that stood still go on from there; what came due meanwhile is done now."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    if run.status != "paused" or run.paused_at is None:
        return _not_now(run, "resumed" if command.steps is None else "stepped", "only a paused run can be")
    stood_still = step.now - run.paused_at
    step.emit(RunResumed(steps=command.steps, command_id=command.command_id))
    if run.timeout_due_at is not None:
        set_timer(step, "run_timeout", run.timeout_due_at + stood_still)
    for unit in list(run.under_way()):
        if unit.status != "waiting" or unit.is_ended:
            continue
        if unit.matched is not None:
            complete(step, unit, unit.matched)
        elif unit.due_at is not None and isinstance(unit.wait, ApprovalWait):
            set_timer(step, "wait", unit.due_at + stood_still, unit, unit.attempt)
        elif unit.due_at is not None and unit.due_at <= step.now:
            waiting.overdue(step, unit)
    advance(step)
    return None


def retry(step: Step, command: RetryRun) -> Refusal | None:
    """An ended run goes on, from what went wrong or from given nodes. Where slots are limited, it asks for one first."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    if not run.is_ended:
        return _not_now(run, "retried", "only a run that has ended can be")
    unknown = [node_id for node_id in command.node_ids if node_id not in run.plan.all_nodes]
    if unknown:
        return not_found("node", unknown[0])
    if command.node_ids:
        cleared, resumed = to_clear(run, [run.plan.outermost(node_id) for node_id in command.node_ids]), list[str]()
    else:
        cleared, resumed = from_failures(run)
    if not cleared and not resumed:
        return invalid_state(f"nothing in run {run.id} failed or was stopped; name the nodes to start from")
    step.emit(RunRetryRequested(cleared=cleared, resumed=resumed, command_id=command.command_id, reason=command.reason))
    settings = run.plan.workflow.settings
    if settings.concurrency is None or run.is_shadow:
        go_on(step)
    elif settings.queue_timeout_ms:
        due_at = step.now + timedelta(milliseconds=settings.queue_timeout_ms)
        set_timer(step, "queue_timeout", due_at, attempt=run.version)
    return None


def go_on(step: Step) -> None:
    """There is room for the run that is to be retried."""
    run = step.run
    cleared, resumed = run.cleared or ([], [])
    step.emit(RunRetried(cleared=cleared, resumed=resumed))
    timeout_ms = run.triggered.timeout_ms or run.plan.workflow.settings.timeout_ms
    if timeout_ms:
        set_timer(step, "run_timeout", step.now + timedelta(milliseconds=timeout_ms))
    advance(step)


def decide_node(step: Step, command: DecideNode) -> Refusal | None:
    """Complete, fail or skip a node that has not ended, whatever it is doing."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    if command.node_id not in run.plan.all_nodes:
        return not_found("node", command.node_id)
    if run.status not in ("running", "paused"):
        return _not_now(
            run, f"changed by hand (node '{command.node_id}')", "only of a running or paused run nodes can be"
        )
    unit = run.find(command.node_id, command.instance)
    if unit is None:
        return not_found("instance", f"{command.node_id}[{command.instance}]")
    if unit.is_ended:
        retried = "; retry the run from it" if unit.status == "failed" else ""
        return invalid_state(f"node '{unit.node_id}' is {unit.status} already{retried}")
    if command.action == "skip" and unit.is_instance:
        return invalid("Not possible", "an instance of a map can be completed or failed, not skipped", [])
    step.emit(
        NodeDecidedByHand(
            node_id=unit.node_id,
            instance=unit.instance,
            action=command.action,
            attempt=max(unit.attempt, 1),
            job_id=unit.job_id if unit.status in ("queued", "running") else None,
            comment=command.comment,
            command_id=command.command_id,
        )
    )
    _by_hand(step, unit, command)
    advance(step)
    return None


def _by_hand(step: Step, unit: Unit, command: DecideNode) -> None:
    by_hand = "decided by hand"
    cancel_below(step, unit, by_hand)
    give_up_child(step, unit, by_hand)
    match command.action:
        case "complete":
            complete(step, unit, command.output)
        case "fail":
            message = command.message or command.comment or "failed by hand"
            error = ReportedError(code=ErrorCode.NODE_EXECUTION_FAILED, message=message, retryable=False)
            fail_at_once(step, unit, error)
        case "skip":
            step.emit(NodeSkipped(node_id=unit.node_id, instance=unit.instance, reason="by_hand"))


def change(step: Step, command: ChangeRun) -> Refusal | None:
    """Another priority, labels, breakpoints."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    if run.is_ended and (command.priority is not None or command.breakpoints is not None):
        return _not_now(run, "changed", "of a run that has ended only the labels can be")
    unknown = [node_id for node_id in command.breakpoints or [] if node_id not in run.plan.all_nodes]
    if unknown:
        return not_found("node", unknown[0])
    step.emit(
        RunChanged(
            priority=command.priority,
            labels=command.labels,
            breakpoints=command.breakpoints,
            command_id=command.command_id,
        )
    )
    return None


def decide_approval(step: Step, command: DecideApproval, actor: str) -> Refusal | None:
    """A person approves or rejects. The answer to one that was decided already says so."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    place = command.approval_id.split(":")[1:]
    node_id, instance = place[0] if place else "", place[1] if len(place) > 2 else ""
    unit = run.find(node_id, instance)
    if unit is None or not place or not isinstance(unit.plan.node, ApprovalNode):
        return not_found("approval", command.approval_id)
    if run.is_ended or place[-1] != str(unit.attempt):
        return invalid_state(f"approval {command.approval_id} is out of date: its run is {run.status}")
    refusal = waiting.decide_approval(
        step, unit, command.decision, command.comment, command.command_id, actor, command.role
    )
    if refusal is None:
        advance(step)
    return refusal


def callback(step: Step, command: ReceiveCallback) -> Refusal | None:
    """The callback address of a call was posted to."""
    run = step.run
    if command.command_id in run.command_ids:
        return None
    unit = run.find(command.node_id, command.instance)
    if unit is None:
        return not_found("callback", command.node_id)
    if run.is_ended:
        return _not_now(run, "called back", "it has ended")
    refusal = waiting.callback(step, unit, command.attempt, command.data, command.command_id)
    if refusal is None:
        advance(step)
    return refusal


def _not_now(run: Run, what: str, rule: str) -> Refusal:
    return invalid_state(f"run {run.id} is {run.status} and cannot be {what}: {rule}")
