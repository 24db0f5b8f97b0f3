"""The engine: decide every node that can be decided, hand out what slots allow, end iterations and the run when all of
their nodes have ended."""

from flowforge.events import NodeSkipped, RunPaused

from infra.expressions import EvaluationFault
from services.execution import inputs
from services.execution.decide import looping
from services.execution.decide.ending import end, fail_at_once
from services.execution.decide.faults import input_fault
from services.execution.decide.joining import decide_merge
from services.execution.decide.starting import begin
from services.execution.decide.step import Step, set_timer
from services.execution.plan import PlanEdge
from services.execution.rules import RUN, EdgeState, edge_state, verdict
from services.execution.state import Frame, NodeState, Unit


def advance(step: Step) -> None:
    """Do all that can be done now, or as much as one step may hold; of a paused run nothing but its end."""
    run = step.run
    while run.status == "running":
        if step.is_full and not run.root.is_over:
            _go_on_later(step)
            return
        if run.dirty:
            _decide(step)
        elif not _hand_out(step):
            break
    if run.root.is_over and run.status in ("pending", "running", "paused"):
        end(step)


def _go_on_later(step: Step) -> None:
    """By a timer, which is in the log: whoever owns the run by then goes on."""
    if not step.is_cut:
        step.is_cut = True
        set_timer(step, "go_on", step.now, attempt=step.run.version)


def _decide(step: Step) -> None:
    """Decide what is to be decided in one graph, unless the run halts before that."""
    run = step.run
    frame = next(iter(run.dirty))
    while frame.frontier:
        _decide_node(step, frame.nodes[next(iter(frame.frontier))])
        if run.status != "running" or step.is_full:
            return
    run.dirty.pop(frame, None)
    if frame.is_over and frame.loop is not None:
        looping.end_iteration(step, frame)


def _decide_node(step: Step, node: NodeState) -> None:
    plan = node.plan
    if step.run.begins_at(node):
        _run(step, node)
        return
    try:
        states = edge_states(step, node)
    except EvaluationFault as fault:
        fail_at_once(step, node, input_fault(fault))
        return
    if plan.merge is not None and node.frame.nodes[plan.merge.parallel_id].status == "completed":
        decide_merge(step, node, states)
        return
    decided: list[tuple[EdgeState, NodeState]] = [(state, source) for state, source in states if state is not None]
    if len(decided) < len(states):
        node.frame.frontier.pop(node.node_id, None)  # a merge that is looked at early
        return
    answer = verdict(plan.node.run_if, decided)
    if answer == RUN:
        _run(step, node)
    else:
        step.emit(NodeSkipped(node_id=node.node_id, instance=node.instance, reason=answer))


def edge_states(step: Step, node: NodeState) -> list[tuple[EdgeState | None, NodeState]]:
    """Each incoming edge with its source; None for one whose source has not ended. Raises `EvaluationFault`."""
    frame = node.frame
    return [
        (edge_state(edge, source, _holds(step, edge, frame)) if source.is_ended else None, source)
        for edge in node.plan.incoming
        for source in (frame.nodes[edge.source],)
    ]


def _holds(step: Step, edge: PlanEdge, frame: Frame) -> bool:
    source = frame.nodes[edge.source]
    if source.status == "skipped":
        return True
    if edge.taken_on is not None and source.status == "completed":
        result = inputs.output_value(step.run, edge.source, frame)
        if isinstance(result, dict) and result.get("result") is not edge.taken_on:
            return False
    if edge.condition is None:
        return True
    try:
        return edge.condition.evaluate(inputs.bindings(step.run, edge.condition, step.now, frame)) is True
    except EvaluationFault:
        if source.status == "completed":
            raise
        return True  # what the condition looks at is missing because the source did not complete


def _run(step: Step, node: NodeState) -> None:
    """It runs: at once, or as soon as a slot of the run is free; unless somebody wants the run to halt before it."""
    if _halts(step, node):
        return
    if (node.plan.is_job and not node.plan.is_map and step.run.steps_left is None) or not begin(
        step, node, node.first_attempt
    ):
        node.frame.frontier.pop(node.node_id, None)
        step.run.waiting_slot.append(node)


def _halts(step: Step, node: NodeState) -> bool:
    """A breakpoint, or the end of a step: the run is paused before all that could start now."""
    run = step.run
    if run.steps_left is None and (node.node_id not in run.breakpoints or node.node_id in run.passing):
        return False
    if run.steps_left:
        return False
    others = [each.node_id for each in node.frame.nodes.values() if each.node_id in node.frame.frontier]
    before = list(dict.fromkeys([node.node_id, *others]))
    reason = "step" if run.steps_left == 0 else "breakpoint"
    step.emit(RunPaused(reason=reason, before=before if reason == "step" else [node.node_id]))
    return True


def _hand_out(step: Step) -> bool:
    """Start waiting jobs, retries, map instances and iterations while there is room; whether anything changed."""
    run = step.run
    slots_max = run.plan.workflow.settings.max_parallel_jobs
    changed = bool(run.held) and _hand_out_held(step, slots_max)
    asking: list[NodeState] = []
    while run.waiting_slot and run.active_jobs < slots_max and not step.is_full:
        unit = run.waiting_slot.popleft()
        if unit.status == "idle" and not begin(step, unit, unit.first_attempt):
            asking.append(unit)
        else:
            changed |= unit.status != "idle"
    run.waiting_slot.extendleft(unit for unit in reversed(asking) if run.find(unit.node_id, unit.instance) is unit)
    for unit, due_at in list(run.retries.items()):
        if due_at <= step.now and unit in run.retries and _has_room(step, unit):
            changed |= begin(step, unit, unit.attempt + 1)
    for node in list(run.maps):
        changed |= _hand_out_map(step, node)
    for unit in list(run.loops):
        changed |= looping.drive(step, unit)
    return changed


def _hand_out_held(step: Step, slots_max: int) -> bool:
    """Let those that wait for a place, or before a breaker, ask again, in order; of those that ask for the same only as
    many as are let through, and one more."""
    run, changed = step.run, False
    in_vain: set[object] = set()
    for unit in list(run.held):
        if unit.plan.is_job and run.active_jobs >= slots_max:
            if step.around is not None:
                step.around.places.step_aside(run.id, unit)
        elif unit.is_held and unit.wait not in in_vain:
            wait = unit.wait
            if begin(step, unit, unit.attempt):
                changed = True
            else:
                in_vain.add(wait)
    return changed


def _hand_out_map(step: Step, node: NodeState) -> bool:
    run, changed = step.run, False
    while node.next_index < len(node.instances) and not node.is_ended and run.status == "running" and not step.is_full:
        if run.held and any(unit.is_instance and unit.node is node for unit in run.held):
            break  # the others wait behind that one
        unit = node.instances[node.next_index]
        if not _has_room(step, unit):
            break
        if unit.status != "idle":
            node.next_index += 1
            continue
        if not begin(step, unit, unit.first_attempt):
            break
        changed = True
        node.next_index = max(node.next_index, (unit.index or 0) + 1)
    return changed


def _has_room(step: Step, unit: Unit) -> bool:
    """Whether a job of the run, and an instance of its map, may begin beside those that are under way."""
    plan = unit.plan
    slots_max = step.run.plan.workflow.settings.max_parallel_jobs
    if plan.is_job and step.run.active_jobs >= slots_max:
        return False
    takes_slot = plan.is_job or plan.is_loop or _is_child(unit)
    instances_max = plan.node.max_parallel or (slots_max if takes_slot else 0)
    return not unit.is_instance or not instances_max or unit.node.active_count < instances_max


def _is_child(unit: Unit) -> bool:
    return unit.plan.job_type == "workflow"
