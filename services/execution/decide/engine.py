"""The engine: decide every node that can be decided, hand out what slots allow, end the run when all nodes have ended."""

from datetime import timedelta

import msgspec
from flowforge.definition import DataTransformNode, EndNode, ScriptNode
from flowforge.events import NodeQueued, NodeSkipped, NodeStarted
from flowforge.raw import NULL, field

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.decide.ending import complete, end, fail_at_once
from services.execution.decide.faults import input_fault
from services.execution.decide.step import Step, set_timer
from services.execution.plan import PlanEdge
from services.execution.rules import RUN, EdgeState, edge_state, verdict
from services.execution.settings import MAP_INSTANCES_MAX
from services.execution.state import NodeState, Unit


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
        end(step)


def _decide_node(step: Step, node: NodeState) -> None:
    run, plan = step.run, node.plan
    try:
        states: list[tuple[EdgeState, NodeState]] = [
            (edge_state(edge, run.nodes[edge.source], _holds(step, edge)), run.nodes[edge.source])
            for edge in plan.incoming
        ]
    except EvaluationFault as fault:
        fail_at_once(step, node, input_fault(fault))
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


def _holds(step: Step, edge: PlanEdge) -> bool:
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
    for unit, due_at in list(run.retries.items()):
        if due_at <= step.now and run.active_jobs < slots_max:
            changed = True
            queue(step, unit, unit.attempt + 1)
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
            payload = inputs.encoded(render(run, plan.settings, step.now, unit, **inputs.own_input(run, plan, given)))
    except (EvaluationFault, inputs.TooLarge, inputs.PortFault) as fault:
        fail_at_once(step, unit, input_fault(fault))
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
        set_timer(step, "node_timeout", step.now + timedelta(milliseconds=timeout_ms), unit, attempt)


def _run_here(step: Step, node: NodeState, instance: Unit | None = None) -> None:
    """A node that needs no worker: started and ended in one step."""
    unit = instance or node
    plan = node.plan
    try:
        given, given_from = inputs.node_input(step.run, plan, step.now, unit)
        step.emit(NodeStarted(node_id=unit.node_id, instance=unit.instance, input=field(given), input_from=given_from))
        if plan.settings is not None and isinstance(plan.node, DataTransformNode | EndNode):
            output = inputs.encoded(
                inputs.render(step.run, plan.settings, step.now, unit, **inputs.own_input(step.run, plan, given))
            )
        else:
            output = step.run.input_of(unit)
    except (EvaluationFault, inputs.TooLarge, inputs.PortFault) as fault:
        fail_at_once(step, unit, input_fault(fault))
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
        fail_at_once(step, node, input_fault(fault))
        return
    step.emit(NodeStarted(node_id=node.node_id, input=text, instances_count=len(items)))
    if not items:
        complete(step, node, msgspec.Raw(b"[]"))
