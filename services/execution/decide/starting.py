"""How a node begins, by its type: a job is queued, a computation done at once, a wait or a loop begun."""

from datetime import timedelta
from typing import Any

import msgspec
from flowforge.definition import ConditionNode, DataTransformNode, EndNode
from flowforge.events import NodeQueued, NodeStarted
from flowforge.raw import field

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.breakers import NotLoaded
from services.execution.decide import admitting, looping, shadowing, waiting
from services.execution.decide.ending import complete, fail_at_once
from services.execution.decide.faults import input_fault
from services.execution.decide.payload import payload_of
from services.execution.decide.step import Step, set_timer
from services.execution.plan import PlanNode
from services.execution.settings import JOB_BYTES_MAX, MAP_INSTANCES_MAX
from services.execution.state import NodeState, Unit

FAULTS = (EvaluationFault, inputs.TooLarge, inputs.PortFault)


def begin(step: Step, unit: Unit, attempt: int) -> bool:
    """Begin an attempt of the node, or of one instance; a fault in what it is given fails it for good.

    Whether anything followed: not for what waits on, nor for what asks for something that has to be loaded first.
    """
    plan = unit.plan
    before = len(step.events)
    try:
        if isinstance(unit, NodeState) and plan.is_map:
            _start_map(step, unit, attempt)
        elif step.run.is_shadow and shadowing.is_concerned(plan):
            shadowing.repeat(step, unit, attempt)
        elif plan.is_job:
            _queue(step, unit, attempt)
        elif plan.is_loop:
            looping.start(step, unit, attempt)
        elif plan.job_type in waiting.KINDS:
            if plan.job_type != "workflow" or not admitting.waits_for_place(step, unit, attempt):
                waiting.start(step, unit, attempt)
        else:
            _run_here(step, unit, attempt)
    except FAULTS as fault:
        fail_at_once(step, unit, input_fault(fault))
    except NotLoaded as wanted:
        step.wanted.add(wanted.args[0])
    return len(step.events) > before


def _queue(step: Step, unit: Unit, attempt: int) -> None:
    """Hand an attempt to the queue, unless it has to wait, or was done before. A later attempt has the input of the first."""
    run, plan, around = step.run, unit.plan, step.around
    if around is not None and unit.is_held and admitting.waits_for_place(step, unit, attempt):
        return
    is_first = attempt == unit.first_attempt
    given, given_from = inputs.node_input(run, unit, step.now) if is_first else (unit.input, unit.input_from)
    own = inputs.own_input(run, plan, given)
    key = breaker = ""
    if around is not None:
        key = admitting.cache_key(step, unit, own) if is_first else unit.cache_key
        if is_first and not unit.is_held and admitting.uses_earlier(step, unit, attempt, key, (given, given_from)):
            return
        if admitting.waits_for_place(step, unit, attempt):
            return
    payload = payload_of(step, unit, own)
    _check_size(plan, payload, run.given(unit, given, given_from))
    if around is not None:
        breaker = admitting.breaker_of(unit, payload)
        if admitting.waits_for_breaker(step, unit, attempt, breaker):
            return
    timeout_ms = plan.node.timeout_ms
    step.emit(
        NodeQueued(
            node_id=unit.node_id,
            instance=unit.instance,
            attempt=attempt,
            job_id=run.job_id(unit),
            job_type=plan.job_type,
            queue=plan.queue,
            input=field(given),
            input_from=given_from,
            payload=payload,
            deadline_ms=timeout_ms,
            cache_key=key,
            breaker=breaker,
        )
    )
    if timeout_ms:
        set_timer(step, "node_timeout", step.now + timedelta(milliseconds=timeout_ms), unit, attempt)


def _check_size(plan: PlanNode, payload: msgspec.Raw, given: msgspec.Raw) -> None:
    """Raises TooLarge for what no message can carry."""
    sizes = {"payload": len(bytes(payload)), "input": len(bytes(given)), "the node's own text": plan.own_bytes}
    size = sum(sizes.values())
    if size > JOB_BYTES_MAX:
        parts = ", ".join(f"{name} {part}" for name, part in sizes.items() if part)
        raise inputs.TooLarge(
            f"the job has {size} bytes ({parts}), the limit is {JOB_BYTES_MAX}; hand large data over as a job's output, "
            "which travels by reference, or as the address of a file"
        )


def _run_here(step: Step, unit: Unit, attempt: int) -> None:
    """A node that needs no worker: started and ended in one step."""
    run, plan, node = step.run, unit.plan, unit.plan.node
    given, given_from = inputs.node_input(run, unit, step.now)
    step.emit(
        NodeStarted(
            node_id=unit.node_id, instance=unit.instance, attempt=attempt, input=field(given), input_from=given_from
        )
    )
    own = inputs.own_input(run, plan, given)
    if isinstance(node, ConditionNode) and plan.condition is not None:
        holds = plan.condition.holds(inputs.bindings(run, plan.condition, step.now, unit, **own))
        output = msgspec.Raw(b'{"result":true}' if holds else b'{"result":false}')
    elif plan.settings is not None and isinstance(node, DataTransformNode | EndNode):
        output = inputs.encoded(inputs.render(run, plan.settings, step.now, unit, **own))
    else:
        output = run.input_of(unit)
    complete(step, unit, output)


def _start_map(step: Step, node: NodeState, attempt: int) -> None:
    plan = node.plan
    assert plan.for_each is not None
    items: Any = inputs.render(step.run, plan.for_each, step.now, node.frame)
    if not isinstance(items, list):
        raise inputs.PortFault(f"for_each must give a list, got {type(items).__name__}")
    if len(items) > MAP_INSTANCES_MAX:
        raise inputs.TooLarge(f"for_each gave {len(items)} items, the limit is {MAP_INSTANCES_MAX}")
    text = inputs.encoded(items)
    step.emit(
        NodeStarted(
            node_id=node.node_id, instance=node.instance, attempt=attempt, input=text, instances_count=len(items)
        )
    )
    if not items:
        complete(step, node, msgspec.Raw(b"[]"))
