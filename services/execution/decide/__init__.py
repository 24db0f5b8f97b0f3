"""What follows from a message, for one run. Pure: no clock, no chance, no I/O; time comes in with the step.

`messages` below: what each message means; `engine`: what follows by itself; `ending`: how nodes and runs end; `faults`:
errors in plain words; `step`: the events decided so far, folded as they are decided. They are logged as one group.
"""

from datetime import datetime, timedelta
from uuid import UUID

from flowforge.errors import ErrorCode
from flowforge.events import (
    NodeProgressed,
    NodeStarted,
    ReportIgnored,
    RunCancelRequested,
    RunDisplaced,
    RunQueued,
    RunStarted,
    TimerFired,
)
from flowforge.refusals import Refusal, invalid_state
from flowforge.reports import JobCompleted, JobFailed, JobProgressed, JobStarted, Report, ReportedError

from services.execution.decide.ending import complete, fail, halt, stop
from services.execution.decide.engine import advance
from services.execution.decide.faults import queue_timeout_error, timeout_error
from services.execution.decide.step import Step, set_timer
from services.execution.state import Run, Unit

__all__ = ["Step", "admitted", "advance", "cancel", "displaced", "report", "start", "timer"]


def start(step: Step) -> None:
    """The run was triggered; take it up, or take note that it has to wait. A second time nothing follows."""
    run, waits = step.run, step.run.triggered.waits
    if run.status != "pending" or run.is_queued:
        return
    if waits is None:
        _begin(step)
        return
    step.emit(RunQueued(waits=waits))
    if waits.due_at is not None:
        set_timer(step, "queue_timeout", waits.due_at)


def admitted(step: Step) -> None:
    """There is room for a run that waited. For one that has begun or ended meanwhile nothing follows."""
    if step.run.status == "pending":
        _begin(step)


def displaced(step: Step, by: RunDisplaced) -> None:
    """A newer run is to have its place; cleanup still runs. For one that has ended meanwhile nothing follows."""
    cancel(step, f"the newer run {by.by_run_id} took its place (on_conflict: cancel_running)", "")


def _begin(step: Step) -> None:
    run = step.run
    step.emit(RunStarted(total_nodes=len(run.nodes)))
    timeout_ms = run.triggered.timeout_ms or run.plan.workflow.settings.timeout_ms
    if timeout_ms:
        set_timer(step, "run_timeout", step.now + timedelta(milliseconds=timeout_ms))
    advance(step)


def report(step: Step, job_id: UUID, said: Report) -> None:
    """A worker told something of a job. What comes too late, or from a replaced delivery, changes nothing and is told."""
    unit = step.run.jobs.get(job_id)
    if unit is None:
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
            complete(step, unit, said.output)
            advance(step)
        case JobFailed():
            _worker_began(step, unit, said, said.started_at)
            fail(step, unit, said.error)
            advance(step)
        case _:
            return


def timer(step: Step, fired: TimerFired) -> None:
    """A timer came due; if what it was for is past, nothing follows."""
    run = step.run
    if run.is_ended:
        return
    if fired.purpose == "queue_timeout":
        if run.status == "pending":
            stop(step, queue_timeout_error(run))
            advance(step)
        return
    if fired.purpose == "run_timeout":
        if run.failing is None:
            stop(step, timeout_error(run))
        advance(step)
        return
    unit = run.unit(fired.node_id, fired.instance)
    if fired.purpose == "retry":
        step.now = max(step.now, fired.due_at)  # the scheduler's clock decides when it is due
        advance(step)
    elif fired.purpose == "node_timeout" and unit.attempt == fired.attempt and unit.status in ("queued", "running"):
        late = ReportedError(code=ErrorCode.JOB_TIMEOUT, message="the attempt took longer than its timeout_ms")
        fail(step, unit, late)
        advance(step)


def cancel(step: Step, reason: str, command_id: str) -> Refusal | None:
    """Somebody asked to end the run. Asking twice changes nothing."""
    run = step.run
    if run.is_ended:
        return invalid_state(f"run {run.id} is {run.status} already")
    if not run.is_cancelling:
        step.emit(RunCancelRequested(reason=reason, command_id=command_id))
        halt(step, failed=[], skip_reason="run_cancelled")
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
        and (unit.is_ended or unit.status == "waiting" or said.attempt < unit.attempt)
    ):
        return ""
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
            )
        )
