"""What follows from a message, for one run. Pure: no clock, no chance, no I/O; time comes in with the step.

Here: what each message means. `operations`: what people do to runs; `engine`: what follows by itself; `starting`: how
nodes begin; `forking`: with what a run begins that goes on from another; `admitting`: whether they may;
`shadowing`: what shadow runs do instead of acting; `waiting`: nodes that wait; `looping`, `joining`: loops and merges;
`ending`: how nodes and runs end; `faults`: errors in plain words; `step`: the events decided so far, folded as they are
decided. They are logged as one group.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flowforge.errors import ErrorCode
from flowforge.events import (
    ChildRunEnded,
    ChildRunRefused,
    NodeProgressed,
    NodeSkipped,
    NodeStarted,
    ReportIgnored,
    RetryRefused,
    RunCancelRequested,
    RunDisplaced,
    RunQueued,
    RunRetryRefused,
    RunSlaMissed,
    RunStarted,
    TimerFired,
    WorkerAwaited,
)
from flowforge.refusals import Refusal, invalid_state
from flowforge.reports import JobCompleted, JobFailed, JobProgressed, JobStarted, Report, ReportedError

from services.execution.decide import operations, waiting
from services.execution.decide.ending import complete, fail, halt, stop
from services.execution.decide.engine import advance
from services.execution.decide.faults import names_under_way, queue_timeout_error, timeout_error
from services.execution.decide.forking import take_over
from services.execution.decide.step import Step, set_timer
from services.execution.settings import WORKER_AWAITED_AFTER_S
from services.execution.state import Run, Unit

__all__ = [
    "Step",
    "admitted",
    "advance",
    "cancel",
    "child_ended",
    "child_refused",
    "displaced",
    "event_came",
    "operations",
    "report",
    "retry_refused",
    "start",
    "timer",
    "waiting",
    "woken",
    "worker_awaited",
]


def start(step: Step, *, is_wanted: bool = True) -> None:
    """The run was triggered; take it up, or take note that it has to wait. A second time nothing follows.

    A child whose parent no longer waits for it (not `is_wanted`) is cancelled before it begins.
    """
    run, waits = step.run, step.run.triggered.waits
    if run.status != "pending" or run.is_queued:
        return
    if not is_wanted:
        cancel(step, "its parent waits for it no more", "")
        return
    if waits is None:
        _begin(step)
        return
    step.emit(RunQueued(waits=waits))
    if waits.due_at is not None:
        set_timer(step, "queue_timeout", waits.due_at)


def admitted(step: Step, asked_version: int = 1) -> None:
    """There is room for a run that waited. For one that has begun or ended meanwhile, or has asked anew since, nothing
    follows."""
    if step.run.status != "pending" or asked_version < step.run.asked_version:
        return
    if step.run.cleared is not None:
        operations.go_on(step)
    else:
        _begin(step)


def retry_refused(step: Step, refused: RetryRefused) -> None:
    """There is no room for a run that was to go on."""
    run = step.run
    if run.status == "pending" and run.cleared is not None and refused.asked_version >= run.asked_version:
        step.emit(RunRetryRefused(status=run.ended_as, code=refused.code, message=refused.message))


def displaced(step: Step, by: RunDisplaced) -> None:
    """A newer run is to have its place; cleanup still runs. For one that has ended meanwhile nothing follows."""
    cancel(step, f"the newer run {by.by_run_id} took its place (on_conflict: cancel_running)", "")


def _begin(step: Step) -> None:
    run = step.run
    settings = run.plan.workflow.settings
    step.emit(RunStarted(total_nodes=len(run.nodes)))
    timeout_ms = run.triggered.timeout_ms or settings.timeout_ms
    if timeout_ms:
        set_timer(step, "run_timeout", step.now + timedelta(milliseconds=timeout_ms))
    if settings.sla_ms and not run.is_shadow:
        set_timer(step, "sla", step.now + timedelta(milliseconds=settings.sla_ms))
    if run.triggered.from_node is not None:
        _leave_out(step, run.triggered.from_node)
    if run.triggered.fork is not None:
        take_over(step, run.triggered.fork)
    advance(step)


def _leave_out(step: Step, first: str) -> None:
    """The run begins at one node: what does not lie below it is not selected."""
    selected = {first} | step.run.plan.graph.below([first])
    for node_id in step.run.nodes:
        if node_id not in selected:
            step.emit(NodeSkipped(node_id=node_id, reason="not_selected"))


def report(step: Step, job_id: UUID, said: Report) -> None:
    """A worker told something of a job. What comes too late, or from a replaced delivery, changes nothing and is told."""
    unit = step.run.jobs.get(job_id)
    if unit is None:  # of an iteration that has ended
        return
    kind = type(said).__name__
    stale = _staleness(step.run, unit, said, kind)
    if stale is not None:
        if stale:
            step.emit(
                ReportIgnored(
                    node_id=unit.node_id,
                    instance=unit.instance,
                    job_id=job_id,
                    report=kind,
                    attempt=said.attempt,
                    delivery=said.delivery,
                    reason=stale,
                )
            )
        return
    match said:
        case JobStarted():
            _worker_began(step, unit, said, said.at)
        case JobProgressed():
            _worker_began(step, unit, said, None)
            if said.progress != unit.progress:
                step.emit(
                    NodeProgressed(
                        node_id=unit.node_id, instance=unit.instance, progress=said.progress, message=said.message
                    )
                )
        case JobCompleted():
            _worker_began(step, unit, said, said.started_at)
            if not waiting.called(step, unit):
                complete(step, unit, said.output, usage=said.usage)
            advance(step)
        case JobFailed():
            _worker_began(step, unit, said, said.started_at)
            fail(step, unit, said.error, usage=said.usage)
            advance(step)
        case _:
            return


def timer(step: Step, fired: TimerFired) -> None:
    """A timer came due; if what it was for is past, or was put off since, nothing follows. A paused run looks at what has
    come due when it goes on."""
    run = step.run
    if run.is_ended:
        return
    step.now = max(step.now, fired.due_at)  # the scheduler's clock decides when it is due
    match fired.purpose:
        case "queue_timeout":
            if run.status == "pending" and run.queue_due_at is not None and fired.due_at >= run.queue_due_at:
                stop(step, queue_timeout_error(run))
        case "run_timeout":
            is_put_off = run.timeout_due_at is not None and fired.due_at < run.timeout_due_at
            if run.status == "running" and not is_put_off and run.failing is None:
                stop(step, timeout_error(run))
        case "sla":
            if not run.is_stopping and not run.has_missed_sla:
                step.emit(RunSlaMissed(sla_ms=run.plan.workflow.settings.sla_ms or 0, under_way=names_under_way(run)))
        case _:
            _timer_of_node(step, fired)
    advance(step)


def _timer_of_node(step: Step, fired: TimerFired) -> None:
    unit = step.run.find(fired.node_id, fired.instance)
    if unit is None or unit.attempt != fired.attempt or unit.due_at is None or fired.due_at < unit.due_at:
        return  # it was for an attempt of an earlier round, or was put off since
    if fired.purpose == "node_timeout" and unit.status in ("queued", "running"):
        late = ReportedError(code=ErrorCode.JOB_TIMEOUT, message="the attempt took longer than its timeout_ms")
        fail(step, unit, late)
    elif fired.purpose == "wait" and unit.status == "waiting" and step.run.status == "running":
        waiting.overdue(step, unit)


def woken(step: Step) -> None:
    """There may be room for what waits, or what was asked for is loaded."""
    if not step.run.is_ended:
        advance(step)


def worker_awaited(step: Step, queue: str, job_type: str) -> None:
    """Nobody serves the job type: told once of each attempt that has been queued for long enough."""
    for unit in step.run.jobs.values():
        if unit.status != "queued" or unit.awaited == unit.attempt or unit.since is None:
            continue
        is_of_type = (unit.plan.queue, unit.plan.job_type) == (queue, job_type)
        if is_of_type and (step.now - unit.since).total_seconds() >= WORKER_AWAITED_AFTER_S:
            step.emit(
                WorkerAwaited(
                    node_id=unit.node_id,
                    instance=unit.instance,
                    attempt=unit.attempt,
                    job_type=job_type,
                    queue=queue,
                    since=unit.since,
                )
            )


def child_ended(step: Step, child_run_id: UUID, ended: ChildRunEnded) -> None:
    """The child that a node waits for has ended."""
    unit = step.run.find(ended.node_id, ended.instance)
    if unit is not None and not step.run.is_ended:
        waiting.child_ended(step, unit, child_run_id, ended)
        advance(step)


def child_refused(step: Step, refused: ChildRunRefused) -> None:
    """The child that a node waits for does not start."""
    unit = step.run.find(refused.node_id, refused.instance)
    if unit is not None and not step.run.is_ended:
        waiting.child_refused(step, unit, refused)
        advance(step)


def event_came(step: Step, node_id: str, instance: str, event: dict[str, Any]) -> None:
    """An event was received that the node may wait for."""
    unit = step.run.find(node_id, instance)
    if unit is not None and not step.run.is_ended:
        waiting.event_came(step, unit, event)
        advance(step)


def cancel(step: Step, reason: str, command_id: str) -> Refusal | None:
    """Somebody asked to end the run. Asking twice changes nothing."""
    run = step.run
    if command_id and command_id in run.command_ids:
        return None
    if run.is_ended:
        return invalid_state(f"run {run.id} is {run.status} already")
    if not run.is_cancelling:
        step.emit(RunCancelRequested(reason=reason, command_id=command_id))
        halt(step, "run_cancelled", run.root)
        advance(step)
    return None


def _staleness(run: Run, unit: Unit, said: Report, kind: str) -> str | None:
    """None: it counts. "": a repeat of what is known, nothing to tell. Otherwise why it is ignored."""
    key = (said.attempt, said.delivery, kind)
    if unit.ignored is not None and key in unit.ignored:
        return ""
    ending = unit.ending
    if (
        ending
        and ending[:2] == key[:2]
        and kind in ending[2]
        and (unit.is_ended or unit.status in ("waiting", "idle") or said.attempt < unit.attempt)
    ):
        return ""
    if unit.status == "idle":
        return f"the run was retried since: attempt {said.attempt} is over"
    if said.attempt < unit.attempt or (unit.status == "waiting" and said.attempt == unit.attempt):
        return "" if kind == "JobStarted" else f"attempt {unit.attempt} has replaced attempt {said.attempt}"
    if said.attempt > unit.attempt:
        return f"attempt {said.attempt} was never handed out"
    if unit.is_ended or run.is_ended:
        was_same = ending is not None and ending[:2] == key[:2]
        if kind in ("JobStarted", "JobProgressed") and was_same:
            return ""
        if unit.status == "cancelled" and kind == "JobFailed":
            return ""  # the worker does as it was told
        return f"the node is {unit.status} already"
    if said.delivery < unit.delivery:
        return f"delivery {unit.delivery} of the job has started since"
    return None


def _worker_began(step: Step, unit: Unit, said: Report, at: datetime | None) -> None:
    if unit.status == "queued" or said.delivery > unit.delivery:
        step.emit(
            NodeStarted(
                node_id=unit.node_id,
                instance=unit.instance,
                attempt=said.attempt,
                worker=said.worker,
                delivery=said.delivery,
                at=at,
                isolation=getattr(said, "isolation", []),
            )
        )
