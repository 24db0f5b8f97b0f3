"""How nodes and runs end: completed, failed or tried again, cancelled; fail_fast; the end of the run."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from flowforge.definition import RetryPolicy
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    ChildCancelRequested,
    ChildRunEnded,
    ChildWait,
    EarlierOutput,
    IterationEnded,
    JobEnded,
    JobUsage,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeRetried,
    NodeSkipped,
    RecoveryTaken,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
)
from flowforge.identity import identity_key
from flowforge.job_types import TRIGGER_TYPES, JobStatus
from flowforge.raw import NULL, present
from flowforge.reports import ReportedError

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.decide.faults import input_fault, resolution, run_error
from services.execution.decide.step import Step, set_timer
from services.execution.state import Frame, NodeState, Run, Unit

UNDER_WAY = ("queued", "running", "waiting")
_decode = msgspec.json.Decoder().decode


def complete(
    step: Step,
    unit: Unit,
    output: msgspec.Raw,
    *,
    usage: JobUsage | None = None,
    cached_from: EarlierOutput | None = None,
) -> None:
    """The unit ended well, unless its output breaks what it declares."""
    plan = unit.plan
    is_whole = isinstance(unit, NodeState)
    variables: dict[str, msgspec.Raw] = {}
    try:
        output = step.kept(output)
        if plan.node.outputs and not (is_whole and plan.is_map):
            inputs.check_ports(plan.node.outputs, inputs.value_of(step.run, output), "output")
        if plan.output_mapping is not None and is_whole:
            value = inputs.value_of(step.run, output)
            values = inputs.render(step.run, plan.output_mapping, step.now, unit, output=value)
            variables = {name: inputs.encoded(each) for name, each in values.items()}
    except inputs.PortFault as fault:
        fail(step, unit, ReportedError(code=ErrorCode.OUTPUT_INVALID, message=str(fault)), usage=usage)
        return
    except (EvaluationFault, inputs.TooLarge) as fault:
        fail_at_once(step, unit, input_fault(fault))
        return
    step.emit(
        NodeCompleted(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=max(unit.attempt, 1),
            output=output,
            variables=variables,
            usage=usage,
            cached_from=cached_from,
            cache_key=output_name(step.run, unit, unit.cache_key) if unit.cache_key and cached_from is None else "",
        )
    )
    if cached_from is None:
        _tell_job(step, unit, "COMPLETE", output)
    if unit.is_instance:
        _instance_ended(step, unit.node)


def output_name(run: Run, unit: Unit, key: str) -> str:
    """What an output under that key stands for, the same in all runs of the workflow whatever its version."""
    return identity_key("output", run.plan.workflow_id, unit.node_id, unit.plan.job_type, key).hex()


def fail(step: Step, unit: Unit, error: ReportedError, *, usage: JobUsage | None = None) -> None:
    """An attempt failed: another follows where the policy grants one, else the unit has failed."""
    fail_with(step, unit, run_error(step.run, unit, error), usage=usage)


def fail_with(step: Step, unit: Unit, error: RunError, *, usage: JobUsage | None = None) -> None:
    """The same, for an error that has its place in the graph already."""
    policy = unit.plan.retry_policy
    if policy is None or not _grants(policy, unit, error):
        _failed(step, unit, error, usage)
        return
    attempt = unit.attempt + 1
    due_at = step.now + timedelta(milliseconds=_wait_ms(policy, step.run.id, unit))
    if unit.plan.node.retry_policy is None:
        _recover(step, "retry", unit, f"attempt {attempt} follows (recovery.retry_failed_nodes)")
    step.emit(
        NodeRetried(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            error=error,
            due_at=due_at,
            job_id=_job_to_stop(unit, error),
        )
    )
    if due_at > step.now:
        set_timer(step, "retry", due_at, unit, attempt)


def fail_at_once(step: Step, unit: Unit, error: ReportedError) -> None:
    """The unit failed for a reason that another attempt would meet again."""
    _failed(step, unit, run_error(step.run, unit, error), None)


def fail_for_good(step: Step, unit: Unit, error: RunError) -> None:
    """The same, for an error that has its place in the graph already."""
    _failed(step, unit, error, None)


def _failed(step: Step, unit: Unit, error: RunError, usage: JobUsage | None) -> None:
    cancel_below(step, unit, "node_failed")
    was_stopping = is_stopping(step, unit.frame)
    step.emit(
        NodeFailed(node_id=unit.node_id, instance=unit.instance, attempt=max(unit.attempt, 1), error=error, usage=usage)
    )
    _tell_job(step, unit, "FAILED")
    if not isinstance(unit, NodeState):
        if step.is_fail_fast and not unit.plan.node.allow_failure:
            _failed(step, unit.node, error, None)
        else:
            _instance_ended(step, unit.node)
    elif unit.failure_counts:
        failure_counts(step, unit, error, was_stopping=was_stopping)


def is_stopping(step: Step, frame: Frame) -> bool:
    """Nothing new starts in it but what exists for failure."""
    return frame.failing is not None or (frame is step.run.root and step.run.is_stopping)


def failure_counts(step: Step, node: NodeState, error: RunError, *, was_stopping: bool) -> None:
    """A failure that counts stops the run, or its iteration, at once, or is told of."""
    if not step.is_fail_fast:
        _tell_recovery(step, node)
    elif not was_stopping:
        stop(step, error, node.frame)


def _job_to_stop(unit: Unit, error: RunError) -> UUID | None:
    return unit.job_id if error.code == ErrorCode.JOB_TIMEOUT else None


def _tell_recovery(step: Step, unit: Unit) -> None:
    recovery = step.run.plan.workflow.settings.recovery
    if recovery.skip_failed_branches:
        _recover(step, "skip_branch", unit, "what lies below it is skipped and does not count")
    elif recovery.continue_on_node_failure:
        _recover(step, "continue", unit, "the other branches go on")


def _recover(step: Step, action: Any, unit: Unit | None, detail: str) -> None:
    node_id, instance = ("", "") if unit is None else (unit.node_id, unit.instance)
    step.emit(RecoveryTaken(action=action, node_id=node_id, instance=instance, detail=detail))


def _tell_job(step: Step, unit: Unit, status: JobStatus, output: msgspec.Raw = NULL) -> None:
    """Workflows may be triggered by the job that has ended, where there was one: a map's jobs are those of its instances."""
    plan = unit.plan
    if unit.job_id is None or plan.job_type not in TRIGGER_TYPES:
        return
    step.emit(
        JobEnded(
            node_id=unit.node_id,
            instance=unit.instance,
            job_name=plan.node.name,
            job_id=unit.job_id,
            job_type=plan.job_type,
            workflow_id=step.run.plan.workflow_id,
            experiment_id=step.run.plan.workflow.experiment_id,
            status=status,
            output=output,
        )
    )


def _instance_ended(step: Step, node: NodeState) -> None:
    """The last instance of a map has ended, and so does the map."""
    if node.is_ended or node.unended:
        return
    failed = next((unit for unit in node.instances if unit.status == "failed"), None)
    if failed is None or node.plan.node.allow_failure:
        complete(step, node, inputs.map_output(node))
    else:
        assert failed.error is not None
        _failed(step, node, failed.error, None)


# --- cancelling -------------------------------------------------------------------------------------------------------


def cancel_unit(step: Step, unit: Unit, reason: str) -> None:
    """Stop it, and all that it has under way; whoever works on it is told."""
    cancel_below(step, unit, reason)
    give_up_child(step, unit, reason)
    step.emit(
        NodeCancelled(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=max(unit.attempt, 1),
            job_id=unit.job_id,
            reason=reason,
        )
    )


def cancel_below(step: Step, unit: Unit, reason: str) -> None:
    """Stop the instances of a map and the iterations of a loop."""
    if isinstance(unit, NodeState):
        _cancel_instances(step, unit, reason)
    if unit.loop is not None:
        halt_iterations(step, unit, reason)


def halt_iterations(step: Step, unit: Unit, reason: str) -> None:
    """Stop the iterations of a loop that are under way."""
    assert unit.loop is not None
    unit.loop.is_over = True
    for index, frame in list(unit.loop.frames.items()):
        for node in frame.nodes.values():
            if node.status in UNDER_WAY:
                cancel_unit(step, node, reason)
        step.emit(IterationEnded(node_id=unit.node_id, instance=unit.instance, index=index, status="cancelled"))


def _cancel_instances(step: Step, node: NodeState, reason: str) -> None:
    for unit in node.instances:
        if unit.status in UNDER_WAY:
            cancel_unit(step, unit, reason)
    node.next_index = len(node.instances)


def give_up_child(step: Step, unit: Unit, reason: str) -> None:
    """Nobody waits for the child run of this node any more."""
    if unit.status == "waiting" and isinstance(unit.wait, ChildWait):
        step.emit(
            ChildCancelRequested(
                node_id=unit.node_id, instance=unit.instance, child_run_id=unit.wait.child_run_id, reason=reason
            )
        )


def stop(step: Step, error: RunError, frame: Frame | None = None) -> None:
    """fail_fast, or the run's timeout: what runs is cancelled, what has not started is skipped, cleanup remains.

    In an iteration of a loop, this concerns the iteration; that it failed is for the loop to tell.
    """
    frame = frame or step.run.root
    if frame.loop is None:
        step.emit(RunFailing(error=error))
    halt(step, "run_failed", frame)


def halt(step: Step, skip_reason: str, frame: Frame) -> None:
    """Cancel what runs and skip what has not started, but for cleanup: what exists for failure below what went wrong."""
    graph = frame.graph
    failed = [node_id for node_id, node in frame.nodes.items() if node.status == "failed" and node.failure_counts]
    cancelled: list[str] = []
    for node in frame.nodes.values():
        if node.status in UNDER_WAY:
            cancel_unit(step, node, skip_reason)
            cancelled.append(node.node_id)
    below_failure = graph.below(failed)
    cleanup = {node_id for node_id in graph.below([*failed, *cancelled]) if graph.nodes[node_id].exists_for_failure}
    exempt = cleanup | graph.below(cleanup)
    for node in frame.nodes.values():
        if node.status == "idle" and node.node_id not in exempt:
            reason = "upstream_failed" if node.node_id in below_failure else skip_reason
            step.emit(NodeSkipped(node_id=node.node_id, instance=node.instance, reason=reason))


# --- the end of the run -----------------------------------------------------------------------------------------------


def end(step: Step) -> None:
    """All nodes have ended, and so has the run."""
    run = step.run
    if run.is_cancelling:
        step.emit(RunCancelled(reason=run.cancel_reason))
        _tell_parent(step, "cancelled", error=_cancelled_error(run.cancel_reason))
        return
    error = run.failing or run.root.first_failure
    output = NULL
    if error is None or _is_partial(step):
        try:
            output = step.kept(inputs.run_output(run, run.plan, step.now))
        except (EvaluationFault, inputs.TooLarge) as fault:
            error = error or _output_error(fault)
        else:
            if error is None:
                step.emit(RunCompleted(output=output))
                _tell_parent(step, "completed", output=output)
                return
            _recover(step, "partial", None, f"{error.affected_nodes} failed, and other branches completed")
            step.emit(RunPartiallyCompleted(output=output, error=error))
            _tell_parent(step, "partial", output=output, error=error)
            return
    step.emit(RunFailed(error=error))
    _tell_parent(step, "failed", error=error)


def _is_partial(step: Step) -> bool:
    run = step.run
    if not run.plan.workflow.settings.may_end_partial or run.failing is not None:
        return False
    return any(run.nodes[leaf].status == "completed" for leaf in run.plan.graph.leaves)


def _output_error(fault: Exception) -> RunError:
    reported = input_fault(fault)
    return RunError(
        code=reported.code,
        message=f"output_mapping: {reported.message}",
        suggested_resolution=resolution(reported.code),
    )


def _cancelled_error(reason: str) -> RunError:
    return RunError(ErrorCode.CANCELLED, reason or "the run was cancelled", retryable=False)


def _tell_parent(step: Step, status: Any, output: msgspec.Raw = NULL, error: RunError | None = None) -> None:
    triggered = step.run.triggered
    if triggered.parent_run_id is None or not triggered.parent_node_id:
        return
    step.emit(
        ChildRunEnded(
            parent_run_id=triggered.parent_run_id,
            node_id=triggered.parent_node_id,
            instance=triggered.parent_instance,
            status=status,
            output=output,
            error=error,
        )
    )


# --- retries ----------------------------------------------------------------------------------------------------------


def _grants(policy: RetryPolicy, unit: Unit, error: RunError) -> bool:
    if not error.retryable or unit.attempt - unit.first_attempt + 1 >= policy.max_attempts:
        return False
    return not policy.retry_on_errors or bool({error.code, _class_of(error)} & set(policy.retry_on_errors))


def _class_of(error: RunError) -> str:
    """The name of the exception that a handler raised, where it told one."""
    details = present(error.details)
    told = _decode(details) if details is not None else None
    return str(told.get("error_class", "")) if isinstance(told, dict) else ""


def _wait_ms(policy: RetryPolicy, run_id: UUID, unit: Unit) -> float:
    """Exponential back-off; with jitter a share between half and all of it, the same whenever it is computed."""
    tried = unit.attempt - unit.first_attempt
    wait_ms = min(policy.delay_ms * policy.backoff_multiplier**tried, policy.max_delay_ms)
    if policy.jitter:
        seed = hashlib.blake2b(f"{run_id}:{unit.node_id}:{unit.instance}:{unit.attempt}".encode(), digest_size=4)
        wait_ms *= 0.5 + int.from_bytes(seed.digest()) / 2**33
    return wait_ms
