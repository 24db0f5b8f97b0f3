"""How nodes and runs end: completed, failed or tried again, cancelled; fail_fast; the end of the run."""

import hashlib
from datetime import timedelta
from uuid import UUID

import msgspec
from flowforge.definition import RetryPolicy
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    JobEnded,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeRetried,
    NodeSkipped,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunFailing,
)
from flowforge.job_types import TRIGGER_TYPES, JobStatus
from flowforge.raw import NULL
from flowforge.reports import ReportedError

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.decide.faults import input_fault, resolution, run_error
from services.execution.decide.step import Step, set_timer
from services.execution.state import NodeState, Unit

_decode = msgspec.json.Decoder().decode


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
        fail_at_once(step, unit, input_fault(fault))
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
    _tell_job(step, unit, "COMPLETE", output)
    if unit.instance:
        _instance_ended(step, step.run.nodes[unit.node_id])


def fail(step: Step, unit: Unit, error: ReportedError) -> None:
    """An attempt failed: another follows where the policy grants one, else the unit has failed."""
    run, plan = step.run, step.run.nodes[unit.node_id].plan
    full = run_error(run, unit, error)
    policy = plan.node.retry_policy
    if policy is None or not _grants(policy, unit.attempt, error):
        _failed(step, unit, full)
        return
    attempt = unit.attempt + 1
    due_at = step.now + timedelta(milliseconds=_wait_ms(policy, run.id, unit))
    step.emit(NodeRetried(node_id=unit.node_id, instance=unit.instance, attempt=attempt, error=full, due_at=due_at))
    if due_at > step.now:
        set_timer(step, "retry", due_at, unit, attempt)


def fail_at_once(step: Step, unit: Unit, error: ReportedError) -> None:
    """The unit failed for a reason that another attempt would meet again."""
    _failed(step, unit, run_error(step.run, unit, error))


def _failed(step: Step, unit: Unit, error: RunError) -> None:
    run = step.run
    step.emit(NodeFailed(node_id=unit.node_id, instance=unit.instance, attempt=max(unit.attempt, 1), error=error))
    _tell_job(step, unit, "FAILED")
    node = run.nodes[unit.node_id]
    if unit.instance:
        if run.plan.workflow.settings.fail_fast and not node.plan.node.allow_failure:
            _cancel_instances(step, node, "instance_failed")
        _instance_ended(step, node)
        return
    if not node.plan.node.allow_failure and run.plan.workflow.settings.fail_fast and not run.is_stopping:
        stop(step, error)


def _tell_job(step: Step, unit: Unit, status: JobStatus, output: msgspec.Raw = NULL) -> None:
    """Workflows may be triggered by the job that has ended, where there was one: a map's jobs are those of its instances."""
    plan = step.run.nodes[unit.node_id].plan
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


def stop(step: Step, error: RunError) -> None:
    """fail_fast, or the run's timeout: what runs is cancelled, what has not started is skipped, cleanup remains."""
    run = step.run
    failed = [
        node_id for node_id, node in run.nodes.items() if node.status == "failed" and not node.plan.node.allow_failure
    ]
    step.emit(RunFailing(error=error))
    halt(step, failed, "run_failed")


def halt(step: Step, failed: list[str], skip_reason: str) -> None:
    """Cancel what runs and skip what has not started, but for cleanup: what exists for failure below what went wrong."""
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


def end(step: Step) -> None:
    """All nodes have ended, and so has the run."""
    run = step.run
    if run.is_cancelling:
        step.emit(RunCancelled(reason=run.cancel_reason))
        return
    error = run.failing or run.first_failure
    if error is None:
        try:
            output = inputs.run_output(run, run.plan, step.now)
        except (EvaluationFault, inputs.TooLarge) as fault:
            reported = input_fault(fault)
            error = RunError(
                code=reported.code,
                message=f"output_mapping: {reported.message}",
                suggested_resolution=resolution(reported.code),
            )
        else:
            step.emit(RunCompleted(output=output))
            return
    step.emit(RunFailed(error=error))


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
