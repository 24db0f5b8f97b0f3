"""Loops: iterations of a body, one after the other or side by side."""

import msgspec
from flowforge.definition import LoopNode
from flowforge.errors import ErrorCode
from flowforge.events import IterationEnded, IterationStarted, NodeStarted
from flowforge.raw import field
from flowforge.reports import ReportedError

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.decide.ending import complete, fail, fail_at_once, fail_with, halt_iterations
from services.execution.decide.faults import input_fault
from services.execution.decide.step import Step
from services.execution.state import Frame, Unit
from services.execution.state.outputs import listed


def start(step: Step, unit: Unit, attempt: int) -> None:
    """Begin a loop. Raises what a value that cannot be computed raises; more iterations than are allowed fail it."""
    node = _node(unit)
    given, given_from = inputs.node_input(step.run, unit, step.now)
    total: int | None = None
    if node.loop_type != "while":
        given, given_from, total = _known(step, unit, given, given_from)
    if total is not None and total > node.max_iterations:
        fail_at_once(step, unit, _too_many(node, f"it would need {total} iterations"))
        return
    step.emit(
        NodeStarted(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            input=field(given),
            input_from=given_from,
            instances_count=total,
        )
    )


def _known(
    step: Step, unit: Unit, given: msgspec.Raw | None, given_from: str | None
) -> tuple[msgspec.Raw | None, str | None, int]:
    node, plan = _node(unit), unit.plan
    assert plan.wanted is not None
    wanted = inputs.render(step.run, plan.wanted, step.now, unit, **inputs.own_input(step.run, plan, given))
    if node.loop_type == "for_each":
        items = wanted["items"]
        if not isinstance(items, list):
            raise inputs.PortFault(f"array_source must give a list, got {type(items).__name__}")
        return inputs.encoded(items), None, len(items)
    count = wanted["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise inputs.PortFault(f"count must be a whole number from 0 on, got {count!r}")
    return given, given_from, count


def drive(step: Step, unit: Unit) -> bool:
    """Begin as many iterations as may run now, or end the loop; whether anything changed."""
    loop, node = unit.loop, _node(unit)
    if loop is None or unit.is_ended:
        return False
    changed = False
    while not loop.is_over and len(loop.frames) < _parallel_max(node) and not step.is_full:
        try:
            goes_on = _goes_on(step, unit)
        except EvaluationFault as fault:
            fail_at_once(step, unit, input_fault(fault))
            return True
        if not goes_on:
            loop.is_over = True
            break
        if loop.next_index >= node.max_iterations:
            fail_at_once(step, unit, _too_many(node, "its condition is still true"))
            return True
        step.emit(IterationStarted(node_id=unit.node_id, instance=unit.instance, index=loop.next_index))
        changed = True
    if loop.is_over and not loop.frames:
        _end(step, unit)
        return True
    return changed


def _goes_on(step: Step, unit: Unit) -> bool:
    loop, plan = unit.loop, unit.plan
    assert loop is not None
    if loop.total is not None:
        return loop.next_index < loop.total
    assert plan.condition is not None
    previous = inputs.value_of(step.run, loop.previous) if loop.next_index else None
    values = inputs.bindings(
        step.run, plan.condition, step.now, unit, **inputs.own_input(step.run, plan, unit.input)
    ) | {"index": loop.next_index, "previous": previous}
    return plan.condition.holds(values)


def end_iteration(step: Step, frame: Frame) -> None:
    """All nodes of the iteration have ended."""
    unit = frame.loop
    assert unit is not None
    error = frame.failing or frame.first_failure
    step.emit(
        IterationEnded(
            node_id=unit.node_id,
            instance=unit.instance,
            index=frame.index,
            status="completed" if error is None else "failed",
            error=error,
        )
    )
    assert unit.loop is not None
    if error is not None and (_parallel_max(_node(unit)) == 1 or step.is_fail_fast):
        unit.loop.is_over = True
        halt_iterations(step, unit, "iteration_failed")
    drive(step, unit)


def _end(step: Step, unit: Unit) -> None:
    loop = unit.loop
    assert loop is not None
    if loop.error is not None:
        fail_with(step, unit, loop.error)
    else:
        try:
            complete(step, unit, listed(loop.outputs))
        except inputs.TooLarge as fault:
            fail(step, unit, input_fault(fault))


def _node(unit: Unit) -> LoopNode:
    node = unit.plan.node
    assert isinstance(node, LoopNode)
    return node


def _parallel_max(node: LoopNode) -> int:
    """A `while` is tested once the iteration before has ended: its iterations never run side by side."""
    return 1 if node.loop_type == "while" else node.max_parallel or 1


def _too_many(node: LoopNode, why: str) -> ReportedError:
    return ReportedError(
        code=ErrorCode.LOOP_LIMIT_EXCEEDED,
        message=f"loop '{node.id}' may run its body {node.max_iterations} times (max_iterations); {why}",
        retryable=False,
    )
