"""Shadow runs: a node that would do something outside is not done; what came of it in the other run is taken instead.

Computations, conditions, loops and maps are done as ever, and so are the templates of what is not done: a fault in them shows.
"""

from typing import assert_never

from flowforge.definition import DelayNode
from flowforge.events import EarlierOutput, NodeCancelled, NodeCompleted, NodeFailed, NodeSkipped, NodeStarted
from flowforge.raw import field

from services.execution import inputs
from services.execution.decide import waiting
from services.execution.decide.ending import complete, fail_at_once, fail_for_good
from services.execution.decide.faults import unrecorded_error
from services.execution.decide.payload import payload_of
from services.execution.decide.step import Step
from services.execution.plan import PlanNode
from services.execution.state import Unit


def is_concerned(plan: PlanNode) -> bool:
    """Jobs of any kind, children, and whatever waits: nobody is asked, and no time passes."""
    return plan.is_job or plan.job_type in waiting.KINDS


def repeat(step: Step, unit: Unit, attempt: int) -> None:
    """End as the node, or the instance, ended in the other run, at once and for good.

    Raises what a value that cannot be computed raises.
    """
    run, plan = step.run, unit.plan
    given, given_from = inputs.node_input(run, unit, step.now)
    step.emit(
        NodeStarted(
            node_id=unit.node_id, instance=unit.instance, attempt=attempt, input=field(given), input_from=given_from
        )
    )
    own = inputs.own_input(run, plan, given)
    if plan.is_job:
        payload_of(step, unit, own)
    elif plan.wanted is not None:
        inputs.render(run, plan.wanted, step.now, unit, **own)
    if isinstance(plan.node, DelayNode) and not plan.is_job:
        complete(step, unit, run.input_of(unit))
    else:
        _end(step, unit)


def _end(step: Step, unit: Unit) -> None:
    fork = step.run.triggered.fork
    assert fork is not None
    ended = (step.run.recorded or {}).get((unit.node_id, unit.instance))
    match ended:
        case NodeCompleted():
            whose = ended.cached_from or EarlierOutput(run_id=fork.run_id, node_id=unit.node_id, instance=unit.instance)
            complete(step, unit, ended.output, cached_from=whose)
        case NodeFailed():
            fail_for_good(step, unit, ended.error)
        case None:
            fail_at_once(step, unit, unrecorded_error(step.run, unit, "it had not ended there"))
        case NodeSkipped():
            fail_at_once(step, unit, unrecorded_error(step.run, unit, f"it was skipped there ({ended.reason})"))
        case NodeCancelled():
            fail_at_once(step, unit, unrecorded_error(step.run, unit, f"it was cancelled there ({ended.reason})"))
        case _:
            assert_never(ended)
