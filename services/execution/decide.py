"""What follows from a message, for one run. Pure: no clock, no chance, no I/O; time comes in with the step.

A `Step` folds each event as soon as it is decided, so that what follows sees it; the events of a step are logged as one
group, or none of them is. `advance` is the engine: it decides nodes until nothing more can be decided now.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from flowforge.definition import DataTransformNode, EndNode, RetryPolicy, ScriptNode
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    ReportIgnored,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunFailing,
    RunStarted,
    TimerFired,
    TimerSet,
)
from flowforge.identity import part_uuid
from flowforge.raw import ABSENT, NULL, field
from flowforge.refusals import Refusal, invalid_state
from flowforge.reports import JobCompleted, JobFailed, JobProgressed, JobStarted, Report, ReportedError

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.rules import RUN, edge_state, verdict
from services.execution.settings import MAP_INSTANCES_MAX
from services.execution.state import NodeState, Run, Unit, evolve

_decode = msgspec.json.Decoder().decode


class Step:
    """One run, the time of this step, and the events decided so far (each folded already)."""

    __slots__ = ("events", "now", "run")

    def __init__(self, run: Run, now: datetime) -> None:
        self.run = run
        self.now = now
        self.events: list[RunEvent] = []

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)
        evolve(self.run, event, self.now)


# --- messages -----------------------------------------------------------------------------------------------------------


def start(step: Step) -> None:
    """The run was triggered; take it up. A second time nothing follows."""
    run = step.run
    if run.status != "pending":
        return
    step.emit(RunStarted(total_nodes=len(run.nodes)))
    timeout_ms = run.triggered.timeout_ms or run.plan.workflow.settings.timeout_ms
    if timeout_ms:
        _set_timer(step, "run_timeout", step.now + timedelta(milliseconds=timeout_ms))
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
    if fired.purpose == "run_timeout":
        if run.failing is None:
            _stop(step, _timeout_error(run))
        advance(step)
        return
    unit = run.unit(fired.node_id, fired.instance)
    if fired.purpose == "retry" and unit.status == "waiting" and unit.attempt == fired.attempt - 1:
        queue(step, unit, fired.attempt)
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
        _halt(step, failed=[], skip_reason="run_cancelled")
        advance(step)
    return None


# --- the engine -----------------------------------------------------------------------------------------------------------


def advance(step: Step) -> None:
    """Decide every node that can be decided, hand out what slots allow, end the run when all nodes have ended."""
    run = step.run
    while True:
        while run.frontier:
            node_id = next(iter(run.frontier))
            _decide_node(step, run.nodes[node_id])
        if not _hand_out(step) and not run.frontier:
            break
    if run.ended_count == len(run.nodes) and not run.is_ended:
        _end(step)


def _decide_node(step: Step, node: NodeState) -> None:
    run, plan = step.run, node.plan
    try:
        states = [
            (edge_state(edge, run.nodes[edge.source], _holds(step, edge)), run.nodes[edge.source])
            for edge in plan.incoming
        ]
    except EvaluationFault as fault:
        _fail_at_once(step, node, _expression_error(fault))
        return
    answer = verdict(plan.node.run_if, states)
    if answer != RUN:
        step.emit(NodeSkipped(node_id=node.node_id, reason=answer))
    elif plan.is_map:
        _start_map(step, node)
    elif plan.is_job:
        run.frontier.pop(node.node_id, None)
        run.waiting_slot.append(node.node_id)
    else:
        _run_here(step, node)


def _holds(step: Step, edge: Any) -> bool:
    if edge.condition is None or step.run.nodes[edge.source].status == "skipped":
        return True
    source = step.run.nodes[edge.source]
    try:
        return edge.condition.evaluate(inputs.bindings(step.run, edge.condition, step.now)) is True
    except EvaluationFault:
        if source.status == "completed":
            raise
        return True  # what the condition looks at is missing because the source did not complete


def _hand_out(step: Step) -> bool:
    """Queue waiting jobs and map instances while slots are free; whether anything changed that may decide more."""
    run = step.run
    slots_max = run.plan.workflow.settings.max_parallel_jobs
    changed = False
    while run.waiting_slot and run.active_jobs < slots_max:
        unit = run.nodes[run.waiting_slot.popleft()]
        if unit.status == "idle":
            changed = True
            queue(step, unit, 1)
    for node_id in list(run.maps):
        changed |= _hand_out_map(step, run.nodes[node_id], slots_max)
    return changed


def _hand_out_map(step: Step, node: NodeState, slots_max: int) -> bool:
    run = step.run
    instances_max = node.plan.node.max_parallel or slots_max
    changed = False
    while node.next_index < len(node.instances) and not node.is_ended:
        if node.plan.is_job and (run.active_jobs >= slots_max or node.active_count >= instances_max):
            break
        unit = node.instances[node.next_index]
        node.next_index += 1
        if unit.status != "idle":
            continue
        changed = True
        if node.plan.is_job:
            queue(step, unit, 1)
        else:
            _run_here(step, node, unit)
    return changed


def queue(step: Step, unit: Unit, attempt: int) -> None:
    """Hand an attempt to the queue; a fault in its input fails it for good."""
    run, plan = step.run, step.run.nodes[unit.node_id].plan
    try:
        if attempt > 1:
            given, given_from = unit.input, unit.input_from
        else:
            given, given_from = inputs.node_input(run, plan, step.now, unit)
        payload = NULL
        if plan.settings is not None:
            render = inputs.render_for_worker if isinstance(plan.node, ScriptNode) else inputs.render
            payload = inputs.encoded(render(run, plan.settings, step.now, unit))
    except (EvaluationFault, inputs.TooLarge, inputs.PortFault) as fault:
        _fail_at_once(step, unit, _input_error(fault))
        return
    job_id = run.job_id(unit.node_id, unit.instance)
    timeout_ms = plan.node.timeout_ms
    step.emit(
        NodeQueued(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            job_id=job_id,
            job_type=plan.job_type,
            queue=plan.queue,
            input=field(given),
            input_from=given_from,
            payload=payload,
            deadline_ms=timeout_ms,
        )
    )
    if timeout_ms:
        _set_timer(step, "node_timeout", step.now + timedelta(milliseconds=timeout_ms), unit, attempt)


def _run_here(step: Step, node: NodeState, instance: Unit | None = None) -> None:
    """A node that needs no worker: started and ended in one step."""
    unit = instance or node
    plan = node.plan
    try:
        given, given_from = inputs.node_input(step.run, plan, step.now, unit)
        step.emit(NodeStarted(node_id=unit.node_id, instance=unit.instance, input=field(given), input_from=given_from))
        if plan.settings is not None and isinstance(plan.node, DataTransformNode | EndNode):
            output = inputs.encoded(inputs.render(step.run, plan.settings, step.now, unit))
        else:
            output = step.run.input_of(unit)
    except (EvaluationFault, inputs.TooLarge, inputs.PortFault) as fault:
        _fail_at_once(step, unit, _input_error(fault))
        return
    complete(step, unit, output)


def _start_map(step: Step, node: NodeState) -> None:
    plan = node.plan
    assert plan.for_each is not None
    try:
        items = inputs.render(step.run, plan.for_each, step.now)
        if not isinstance(items, list):
            raise inputs.PortFault(f"for_each must give a list, got {type(items).__name__}")
        if len(items) > MAP_INSTANCES_MAX:
            raise inputs.TooLarge(f"for_each gave {len(items)} items, the limit is {MAP_INSTANCES_MAX}")
        text = inputs.encoded(items)
    except (EvaluationFault, inputs.TooLarge, inputs.PortFault) as fault:
        _fail_at_once(step, node, _input_error(fault))
        return
    step.emit(NodeStarted(node_id=node.node_id, input=text, instances_count=len(items)))
    if not items:
        complete(step, node, msgspec.Raw(b"[]"))


# --- endings of nodes -------------------------------------------------------------------------------------------------------


def complete(step: Step, unit: Unit, output: msgspec.Raw) -> None:
    """The unit ended well, unless its output breaks what it declares."""
    plan = step.run.nodes[unit.node_id].plan
    variables: dict[str, msgspec.Raw] = {}
    try:
        if plan.node.outputs and not plan.is_map:
            inputs.check_ports(plan.node.outputs, _decode(output), "output")
        if plan.output_mapping is not None and not unit.instance:
            values = inputs.render(step.run, plan.output_mapping, step.now, output=_decode(output))
            variables = {name: inputs.encoded(value) for name, value in values.items()}
    except inputs.PortFault as fault:
        fail(step, unit, ReportedError(code=ErrorCode.OUTPUT_INVALID, message=str(fault)))
        return
    except (EvaluationFault, inputs.TooLarge) as fault:
        _fail_at_once(step, unit, _input_error(fault))
        return
    step.emit(
        NodeCompleted(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=max(unit.attempt, 1),
            output=output,
            variables=variables,
        )
    )
    if unit.instance:
        _instance_ended(step, step.run.nodes[unit.node_id])


def fail(step: Step, unit: Unit, error: ReportedError) -> None:
    """An attempt failed: another follows where the policy grants one, else the unit has failed."""
    run, plan = step.run, step.run.nodes[unit.node_id].plan
    full = _run_error(run, unit, error)
    policy = plan.node.retry_policy
    if policy is None or not _grants(policy, unit.attempt, error):
        _failed(step, unit, full)
        return
    attempt = unit.attempt + 1
    due_at = step.now + timedelta(milliseconds=_wait_ms(policy, run.id, unit))
    step.emit(NodeRetried(node_id=unit.node_id, instance=unit.instance, attempt=attempt, error=full, due_at=due_at))
    if due_at <= step.now:
        queue(step, unit, attempt)
    else:
        _set_timer(step, "retry", due_at, unit, attempt)


def _fail_at_once(step: Step, unit: Unit, error: ReportedError) -> None:
    _failed(step, unit, _run_error(step.run, unit, error))


def _failed(step: Step, unit: Unit, error: RunError) -> None:
    run = step.run
    step.emit(NodeFailed(node_id=unit.node_id, instance=unit.instance, attempt=max(unit.attempt, 1), error=error))
    node = run.nodes[unit.node_id]
    if unit.instance:
        if run.plan.workflow.settings.fail_fast and not node.plan.node.allow_failure:
            _cancel_instances(step, node, "instance_failed")
        _instance_ended(step, node)
        return
    if not node.plan.node.allow_failure and run.plan.workflow.settings.fail_fast and not run.is_stopping:
        _stop(step, error)


def _instance_ended(step: Step, node: NodeState) -> None:
    if node.is_ended or any(not unit.is_ended for unit in node.instances[: node.next_index]):
        return
    failed = (
        None
        if node.plan.node.allow_failure
        else next((unit for unit in node.instances if unit.error and unit.status == "failed"), None)
    )
    if failed is not None and (node.unended == 0 or step.run.plan.workflow.settings.fail_fast):
        assert failed.error is not None
        _failed(step, node, failed.error)
    elif node.unended == 0:
        complete(step, node, inputs.map_output(node))


def _cancel_instances(step: Step, node: NodeState, reason: str) -> None:
    for unit in node.instances:
        if unit.status in ("queued", "running", "waiting"):
            _cancel_unit(step, unit, reason)
    node.next_index = len(node.instances)


def _cancel_unit(step: Step, unit: Unit, reason: str) -> None:
    step.emit(
        NodeCancelled(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=max(unit.attempt, 1),
            job_id=unit.job_id,
            reason=reason,
        )
    )


# --- stopping and ending ------------------------------------------------------------------------------------------------------


def _stop(step: Step, error: RunError) -> None:
    """fail_fast, or the run's timeout: what runs is cancelled, what has not started is skipped, cleanup remains."""
    run = step.run
    failed = [
        node_id for node_id, node in run.nodes.items() if node.status == "failed" and not node.plan.node.allow_failure
    ]
    step.emit(RunFailing(error=error))
    _halt(step, failed, "run_failed")


def _halt(step: Step, failed: list[str], skip_reason: str) -> None:
    run, plan = step.run, step.run.plan
    cancelled: list[str] = []
    for node in run.nodes.values():
        if node.status in ("queued", "running", "waiting"):
            _cancel_instances(step, node, skip_reason)
            _cancel_unit(step, node, skip_reason)
            cancelled.append(node.node_id)
    below_failure = plan.below(failed)
    cleanup = {node_id for node_id in plan.below([*failed, *cancelled]) if plan.nodes[node_id].exists_for_failure}
    exempt = cleanup | plan.below(cleanup)
    for node in run.nodes.values():
        if node.status == "idle" and node.node_id not in exempt:
            reason = "upstream_failed" if node.node_id in below_failure else skip_reason
            step.emit(NodeSkipped(node_id=node.node_id, reason=reason))


def _end(step: Step) -> None:
    run = step.run
    if run.is_cancelling:
        step.emit(RunCancelled(reason=run.cancel_reason))
        return
    error = run.failing or run.first_failure
    if error is None:
        try:
            output = inputs.run_output(run, run.plan, step.now)
        except (EvaluationFault, inputs.TooLarge) as fault:
            reported = _input_error(fault)
            error = RunError(
                code=reported.code,
                message=f"output_mapping: {reported.message}",
                suggested_resolution=_RESOLUTIONS.get(reported.code, ""),
            )
        else:
            step.emit(RunCompleted(output=output))
            return
    step.emit(RunFailed(error=error))


# --- details ------------------------------------------------------------------------------------------------------------------


def _staleness(run: Run, unit: Unit, said: Report, kind: str) -> str | None:
    """None: it counts. "": a repeat of what is known, nothing to tell. Otherwise why it is ignored."""
    key = (said.attempt, said.delivery, kind)
    if unit.ignored is not None and key in unit.ignored:
        return ""
    ending = unit.ending
    if ending and ending[:2] == key[:2] and kind in ending[2] and (unit.is_ended or unit.status == "waiting" or said.attempt < unit.attempt):
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


def _grants(policy: RetryPolicy, attempt: int, error: ReportedError) -> bool:
    if not error.retryable or attempt >= policy.max_attempts:
        return False
    return not policy.retry_on_errors or error.code in policy.retry_on_errors


def _wait_ms(policy: RetryPolicy, run_id: UUID, unit: Unit) -> float:
    """Exponential back-off; with jitter a share between half and all of it, the same whenever it is computed."""
    wait_ms = min(policy.delay_ms * policy.backoff_multiplier ** (unit.attempt - 1), policy.max_delay_ms)
    if policy.jitter:
        seed = hashlib.blake2b(f"{run_id}:{unit.node_id}:{unit.instance}:{unit.attempt}".encode(), digest_size=4)
        wait_ms *= 0.5 + int.from_bytes(seed.digest()) / 2**33
    return wait_ms


def _set_timer(step: Step, purpose: Any, due_at: datetime, unit: Unit | None = None, attempt: int = 0) -> None:
    node_id, instance = (unit.node_id, unit.instance) if unit else ("", "")
    timer_id = part_uuid(step.run.id, "timer", purpose, node_id, instance, attempt)
    step.emit(
        TimerSet(timer_id=timer_id, due_at=due_at, purpose=purpose, node_id=node_id, instance=instance, attempt=attempt)
    )


_RESOLUTIONS = {
    ErrorCode.EXPRESSION_ERROR: "compare the expression with the values in the node's input; use has() for what may be absent",
    ErrorCode.INPUT_INVALID: "make the input_mapping give what the node's inputs declare",
    ErrorCode.OUTPUT_INVALID: "make the handler return what the node's outputs declare",
    ErrorCode.PAYLOAD_TOO_LARGE: "pass a reference (a path, a key) rather than the data, or split the work with for_each",
    ErrorCode.JOB_TIMEOUT: "raise timeout_ms, or look into the job's log for what it waited for; waiting for a worker counts",
    ErrorCode.WORKER_LOST: "look for a worker that was killed or ran out of memory while it held the job",
    ErrorCode.EXECUTION_TIMEOUT: "raise settings.timeout_ms, or see in the timeline which node took the time",
    ErrorCode.NODE_EXECUTION_FAILED: "read the job's log; add a retry_policy if the cause passes by itself",
}


def _run_error(run: Run, unit: Unit, error: ReportedError) -> RunError:
    return RunError(
        code=error.code,
        message=error.message or f"node '{unit.node_id}' failed",
        affected_nodes=[unit.node_id],
        dependency_chain=run.plan.chain_to(unit.node_id),
        suggested_resolution=_RESOLUTIONS.get(error.code, _RESOLUTIONS[ErrorCode.NODE_EXECUTION_FAILED]),
        retryable=error.retryable,
        details=ABSENT if bytes(error.details) == b"null" else field(error.details),
    )


def _timeout_error(run: Run) -> RunError:
    running = [node.node_id for node in run.nodes.values() if node.status in ("queued", "running", "waiting")]
    return RunError(
        code=ErrorCode.EXECUTION_TIMEOUT,
        message=f"the run took longer than its timeout_ms; still under way: {', '.join(running[:10]) or 'nothing'}",
        affected_nodes=running,
        suggested_resolution=_RESOLUTIONS[ErrorCode.EXECUTION_TIMEOUT],
    )


def _expression_error(fault: EvaluationFault) -> ReportedError:
    return ReportedError(code=ErrorCode.EXPRESSION_ERROR, message=str(fault), retryable=False)


def _input_error(fault: Exception) -> ReportedError:
    if isinstance(fault, EvaluationFault):
        return _expression_error(fault)
    code = ErrorCode.PAYLOAD_TOO_LARGE if isinstance(fault, inputs.TooLarge) else ErrorCode.INPUT_INVALID
    return ReportedError(code=code, message=str(fault), retryable=False)
