"""One event folded into a run."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never, cast

import msgspec
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalDecided,
    BreakerWait,
    CallbackReceived,
    CallbackWait,
    ChildCancelRequested,
    ChildRunEnded,
    ChildRunRequested,
    EventMatched,
    IterationEnded,
    IterationStarted,
    JobEnded,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    PoolWait,
    RecoveryTaken,
    ReportIgnored,
    RunCancelled,
    RunCancelRequested,
    RunChanged,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
    RunPaused,
    RunQueued,
    RunResumed,
    RunRetried,
    RunRetryRefused,
    RunRetryRequested,
    RunSlaMissed,
    RunStarted,
    TimerSet,
    WorkerAwaited,
    WorkflowTriggered,
)
from flowforge.raw import NULL, present

from services.execution.plan import Plan
from services.execution.state.clearing import clear
from services.execution.state.outputs import iteration_output
from services.execution.state.run import Run
from services.execution.state.units import Frame, LoopState, NodeState, Unit

_COMPLETED, _FAILED, _CANCELLED = frozenset({"JobCompleted"}), frozenset({"JobFailed"}), frozenset[str]()
LOST = "branch_lost"
_FOUND_WANTING = frozenset({"OUTPUT_INVALID", "EXPRESSION_ERROR", "PAYLOAD_TOO_LARGE"})
_decode = msgspec.json.Decoder().decode


def initial(plan: Plan, triggered: WorkflowTriggered) -> Run:
    """A run after its first event."""
    return Run(plan, triggered)


def fold(plan: Plan, events: Sequence[tuple[RunEvent, datetime]]) -> Run:
    """A run from its whole history; the first event is `WorkflowTriggered`."""
    first = events[0][0]
    assert isinstance(first, WorkflowTriggered)
    run = initial(plan, first)
    for event, recorded_at in events[1:]:
        evolve(run, event, recorded_at)
    return run


def evolve(run: Run, event: RunEvent, recorded_at: datetime) -> Run:  # noqa: C901, PLR0912 - one case per event
    """Fold one event, in place."""
    run.version += 1
    match event:
        case NodeQueued():
            _queued(run, run.unit(event.node_id, event.instance), event, recorded_at)
        case NodeStarted():
            _started(run, run.unit(event.node_id, event.instance), event)
        case NodeCompleted():
            _completed(run, run.unit(event.node_id, event.instance), event)
        case NodeProgressed() | NodeFailed() | NodeRetried() | NodeSkipped() | NodeCancelled() | NodeWaiting():
            _of_node(run, event, recorded_at)
        case IterationStarted() | IterationEnded():
            _of_loop(run, event)
        case ReportIgnored():
            unit = run.unit(event.node_id, event.instance)
            unit.ignored = (unit.ignored or set()) | {(event.attempt, event.delivery, event.report)}
        case EventMatched():
            run.unit(event.node_id, event.instance).matched = event.event
        case CallbackReceived():
            run.command_ids.add(event.command_id)
            run.unit(event.node_id, event.instance).callback = event.data
        case TimerSet():
            _timer_set(run, event)
        case RunFailing():
            run.root.failing = event.error
        case (
            RunStarted()
            | RunCompleted()
            | RunFailed()
            | RunPartiallyCompleted()
            | RunCancelled()
            | RunQueued()
            | RunCancelRequested()
            | RunPaused()
            | RunResumed()
            | RunRetryRequested()
            | RunRetried()
            | RunRetryRefused()
            | RunChanged()
        ):
            _of_run(run, event, recorded_at)
        case RunSlaMissed():
            run.has_missed_sla = True
        case ApprovalDecided():
            run.command_ids.add(event.command_id)
        case NodeDecidedByHand():
            run.command_ids.add(event.command_id)
            run.unit(event.node_id, event.instance).cache_key = ""  # what a person says is used once
        case WorkerAwaited():
            run.unit(event.node_id, event.instance).awaited = event.attempt
        case JobEnded() | RecoveryTaken():
            pass
        case ChildRunRequested() | ChildCancelRequested() | ChildRunEnded():
            pass
        case WorkflowTriggered():
            raise ValueError("a run is triggered once, by its first event")
        case _:
            assert_never(event)
    return run


# --- the run ----------------------------------------------------------------------------------------------------------


def _of_run(run: Run, event: Any, recorded_at: datetime) -> None:  # noqa: C901, PLR0912 - one case per event
    if isinstance(event, _COMMANDED):
        run.command_ids.add(event.command_id)
    match event:
        case RunStarted():
            run.status, run.started_at = "running", recorded_at
        case RunQueued():
            run.is_queued = True
        case RunCancelRequested():
            run.is_cancelling, run.cancel_reason = True, event.reason
            _go_on(run, None)
        case RunPaused():
            run.status, run.paused_at, run.paused_before = "paused", recorded_at, event.before
        case RunResumed():
            run.passing |= frozenset(run.paused_before)
            _go_on(run, event.steps)
        case RunRetryRequested():
            run.ended_as, run.asked_version, run.queue_due_at = run.status, run.version, None
            run.status, run.cleared, run.is_queued = "pending", (event.cleared, event.resumed), True
        case RunRetryRefused():
            run.status, run.cleared, run.is_queued = run.ended_as, None, False
        case RunRetried():
            clear(run, event.cleared, event.resumed)
        case RunChanged():
            run.priority = run.priority if event.priority is None else event.priority
            run.labels = run.labels if event.labels is None else event.labels
            if event.breakpoints is not None:
                run.breakpoints = frozenset(event.breakpoints)
        case RunCompleted():
            run.status = "completed"
        case RunFailed():
            run.status = "failed"
        case RunPartiallyCompleted():
            run.status = "partial"
        case _:
            run.status = "cancelled"


_COMMANDED = (RunCancelRequested, RunPaused, RunResumed, RunRetryRequested, RunChanged)


def _go_on(run: Run, steps: int | None) -> None:
    if run.status == "paused":
        run.status = "running"
    run.paused_at, run.paused_before, run.steps_left = None, [], steps


def _timer_set(run: Run, event: TimerSet) -> None:
    if event.purpose == "run_timeout":
        run.timeout_due_at = event.due_at
    elif event.purpose == "queue_timeout":
        run.queue_due_at = event.due_at
    elif event.purpose in ("wait", "node_timeout"):
        run.unit(event.node_id, event.instance).due_at = event.due_at


# --- nodes ------------------------------------------------------------------------------------------------------------

_NodeEvent = NodeProgressed | NodeFailed | NodeRetried | NodeSkipped | NodeCancelled | NodeWaiting


def _of_node(run: Run, event: _NodeEvent, recorded_at: datetime) -> None:
    unit = run.unit(event.node_id, event.instance)
    match event:
        case NodeWaiting():
            _waiting(run, unit, event, recorded_at)
        case NodeProgressed():
            unit.progress = event.progress
        case NodeFailed():
            _ended(run, unit, "failed")
            unit.error = event.error
            unit.ending = (event.attempt, unit.delivery, _reported_as(event.error))
            if isinstance(unit, NodeState) and unit.failure_counts:
                _note_failure(unit.frame, event.error)
        case NodeRetried():
            _leave_slot(run, unit)
            _drop_iterations(run, unit)
            unit.status, unit.wait, unit.due_at, unit.matched, unit.callback = "waiting", None, None, None, None
            unit.ending = (unit.attempt, unit.delivery, _reported_as(event.error))
            unit.error = event.error
            run.retries[unit] = event.due_at
        case NodeSkipped():
            if isinstance(unit, NodeState):
                unit.skip_reason, unit.has_lost = event.reason, event.reason == LOST
            _ended(run, unit, "skipped")
            if isinstance(unit, NodeState) and unit.plan.merge is not None:
                _note_held_failures(unit)
        case NodeCancelled():
            if isinstance(unit, NodeState):
                unit.has_lost = event.reason == LOST
            _ended(run, unit, "cancelled")
            unit.ending = (unit.attempt, unit.delivery, _CANCELLED)
        case _:
            assert_never(event)


def _note_failure(frame: Frame, error: RunError) -> None:
    """The first failure that counts; in an iteration of a loop, under fail_fast, it stops the iteration."""
    if frame.first_failure is None:
        frame.first_failure = error
    if frame.loop is not None and frame.failing is None and frame.graph.settings.is_fail_fast:
        frame.failing = error


def _note_held_failures(joined: NodeState) -> None:
    """A contest is decided: failures in branches that have not lost count from now on."""
    assert joined.plan.merge is not None
    if not joined.plan.merge.is_contest:
        return
    members = joined.plan.merge.members()
    for node in joined.frame.nodes.values():
        if node.node_id in members and node.status == "failed" and node.failure_counts and node.error is not None:
            _note_failure(node.frame, node.error)


def _begun(run: Run, unit: Unit, attempt: int) -> None:
    """It leaves the frontier; of a map, it takes one of the places side by side."""
    if isinstance(unit, NodeState):
        unit.frame.frontier.pop(unit.node_id, None)
    elif unit.status == "idle" or unit in run.retries:
        node = unit.node
        node.next_index = max(node.next_index, cast("int", unit.index) + 1)
        node.active_count += 1
    if unit.status == "idle" and run.steps_left:
        run.steps_left -= 1
    if unit.node_id in run.passing:
        run.passing -= {unit.node_id}
    unit.attempt = attempt
    run.retries.pop(unit, None)
    if run.held:
        run.held.pop(unit, None)


def _queued(run: Run, unit: Unit, event: NodeQueued, recorded_at: datetime) -> None:
    _begun(run, unit, event.attempt)
    unit.status, unit.delivery = "queued", 0
    unit.wait = unit.due_at = None
    unit.input, unit.input_from = present(event.input), event.input_from
    unit.since, unit.cache_key, unit.breaker = recorded_at, event.cache_key, event.breaker
    if event.job_id is not None:
        unit.job_id = event.job_id
        run.jobs[event.job_id] = unit
        run.active_jobs += 1


def _started(run: Run, unit: Unit, event: NodeStarted) -> None:
    if unit.status != "queued":
        _begun(run, unit, event.attempt)
    if unit.status in ("idle", "waiting"):  # no job was handed out for this attempt
        unit.job_id, unit.wait, unit.due_at = None, None, None
    unit.status, unit.attempt, unit.delivery = "running", event.attempt, event.delivery
    if present(event.input) or event.input_from is not None:
        unit.input, unit.input_from = present(event.input), event.input_from
    plan = unit.plan
    if event.branches and isinstance(unit, NodeState) and plan.merge is not None:
        unit.came = plan.merge.members(event.branches)
        _note_held_failures(unit)
    elif isinstance(unit, NodeState) and plan.is_map:
        _map_started(run, unit, event)
    elif plan.is_loop:
        items = _decode(event.input) if event.instances_count is not None and present(event.input) else []
        unit.loop = LoopState(event.instances_count, items if isinstance(items, list) else [])
        run.loops[unit] = None


def _map_started(run: Run, node: NodeState, event: NodeStarted) -> None:
    count = event.instances_count or 0
    node.items = _decode(event.input) if present(event.input) else []
    prefix = f"{node.instance}." if node.instance else ""
    node.instances = [Unit(node.plan, node.frame, f"{prefix}{index}", index) for index in range(count)]
    node.unended = count
    run.maps[node] = None


def _completed(run: Run, unit: Unit, event: NodeCompleted) -> None:
    _ended(run, unit, "completed")
    unit.output = event.output
    unit.ending = (event.attempt, unit.delivery, _COMPLETED)
    for name, value in event.variables.items():
        run.variables[name] = _decode(value)


def _waiting(run: Run, unit: Unit, event: NodeWaiting, recorded_at: datetime) -> None:
    _begun(run, unit, event.attempt)
    if isinstance(event.wait, CallbackWait):  # its call was made: the job is done, and what it reports again is known
        _leave_job(run, unit)
        unit.ending = (event.attempt, unit.delivery, _COMPLETED)
    if not (isinstance(event.wait, PoolWait) and isinstance(unit.wait, PoolWait)):  # under another limit: the same turn
        unit.since = recorded_at
    unit.status, unit.wait, unit.due_at = "waiting", event.wait, event.wait.due_at
    if isinstance(event.wait, PoolWait | BreakerWait):
        run.held[unit] = None
    if present(event.input) or event.input_from is not None:
        unit.input, unit.input_from = present(event.input), event.input_from


def _reported_as(error: RunError) -> frozenset[str]:
    """Which reports are repeats of this ending: a completed job may have failed for what it gave."""
    return _COMPLETED | _FAILED if error.code in _FOUND_WANTING else _FAILED


def _leave_job(run: Run, unit: Unit) -> None:
    if unit.job_id is not None and unit.status in ("queued", "running"):
        run.active_jobs -= 1


def _leave_slot(run: Run, unit: Unit) -> None:
    """Its job takes no place in the run any more, and it none beside the other instances of its map."""
    _leave_job(run, unit)
    if unit.is_instance and unit.status in ("queued", "running", "waiting") and unit not in run.retries:
        unit.node.active_count -= 1


def _ended(run: Run, unit: Unit, status: str) -> None:
    was_ended = unit.is_ended
    _leave_slot(run, unit)
    run.retries.pop(unit, None)
    if run.held:
        run.held.pop(unit, None)
    _drop_iterations(run, unit)
    unit.status, unit.wait, unit.due_at = status, None, None
    if was_ended:
        return
    if not isinstance(unit, NodeState):
        unit.node.unended -= 1
        return
    frame = unit.frame
    frame.frontier.pop(unit.node_id, None)
    run.maps.pop(unit, None)
    frame.ended_count += 1
    run.dirty[frame] = None
    for edge in unit.plan.outgoing:
        target = frame.nodes[edge.target]
        target.undecided -= 1
        if target.status == "idle" and (target.undecided == 0 or target.plan.merge is not None):
            frame.frontier[edge.target] = None


# --- loops ------------------------------------------------------------------------------------------------------------


def _of_loop(run: Run, event: IterationStarted | IterationEnded) -> None:
    unit = run.unit(event.node_id, event.instance)
    loop, plan = unit.loop, unit.plan
    assert loop is not None
    assert plan.body is not None
    if isinstance(event, IterationStarted):
        path = f"{unit.instance}.{event.index}" if unit.instance else str(event.index)
        item = loop.items[event.index] if event.index < len(loop.items) else None
        frame = Frame(plan.body, path, unit, event.index, item)
        frame.previous = loop.previous
        loop.frames[event.index] = frame
        loop.next_index = event.index + 1
        loop.outputs.append(NULL)
        run.frames[plan.id, path] = frame
        run.dirty[frame] = None
        return
    frame = loop.frames[event.index]
    if event.status == "completed":
        loop.outputs[event.index] = loop.previous = iteration_output(frame)
    elif loop.error is None:
        loop.error = event.error
    _drop_frame(run, unit, event.index)


def _drop_iterations(run: Run, unit: Unit) -> None:
    if unit.loop is not None:
        for index in list(unit.loop.frames):
            _drop_frame(run, unit, index)
        run.loops.pop(unit, None)


def _drop_frame(run: Run, unit: Unit, index: int) -> None:
    assert unit.loop is not None
    frame = unit.loop.frames.pop(index)
    run.dirty.pop(frame, None)
    run.frames.pop((unit.node_id, frame.path), None)
    if run.waiting_slot:
        run.waiting_slot = deque(node for node in run.waiting_slot if node.frame is not frame)
    for node in frame.nodes.values():
        run.maps.pop(node, None)
        for each in (node, *node.instances):
            _drop_iterations(run, each)
            run.retries.pop(each, None)
            run.held.pop(each, None)
            if each.job_id is not None:
                _leave_job(run, each)
                run.jobs.pop(each.job_id, None)
