"""A run that begins where another one stood: what is taken over from there, and what runs anew."""

from typing import Any

import msgspec
from flowforge.events import EarlierOutput, ForkedFrom, NodeCompleted, NodeDecidedByHand, NodeFailed, NodeStarted
from flowforge.raw import field

from services.execution.decide.ending import complete, stop
from services.execution.decide.faults import lost_source_error
from services.execution.decide.step import Step
from services.execution.plan import PlanNode
from services.execution.state import NodeState, Run, Source
from services.execution.state.clearing import STOPPED, to_clear

_encode = msgspec.json.Encoder(order="deterministic").encode


def take_over(step: Step, fork: ForkedFrom) -> None:
    """What had ended there and nothing changes is as it was, in its order; the outputs that were given stand for nodes."""
    run, source = step.run, step.run.source
    if source is None:
        stop(step, lost_source_error(fork))
        return
    kept = kept_of(run, source.run, fork)
    for node_id in source.endings:
        if node_id in kept and not run.nodes[node_id].is_ended:
            _take_over(step, source, node_id, fork)
    for node_id, output in fork.node_outputs.items():
        if not run.nodes[node_id].is_ended:
            step.emit(NodeDecidedByHand(node_id=node_id, action="complete", comment="given with the fork"))
            complete(step, run.nodes[node_id], output)
    run.source = None


def _take_over(step: Step, source: Source, node_id: str, fork: ForkedFrom) -> None:
    there, ended = source.run.nodes[node_id], source.endings[node_id]
    if not isinstance(ended, NodeCompleted | NodeFailed):
        step.emit(ended)
        return
    step.emit(
        NodeStarted(
            node_id=node_id,
            attempt=ended.attempt,
            input=field(there.input),
            input_from=there.input_from,
            branches=source.branches.get(node_id, []),
        )
    )
    if isinstance(ended, NodeFailed):
        step.emit(msgspec.structs.replace(ended, job_id=None, usage=None))
        return
    whose = ended.cached_from or EarlierOutput(run_id=fork.run_id, node_id=node_id)
    step.emit(msgspec.structs.replace(ended, cached_from=whose, cache_key="", usage=None))


def kept_of(run: Run, source: Run, fork: ForkedFrom) -> set[str]:
    """The nodes that are as they were: they had ended, and nothing that they rest on failed, is changed or runs anew."""
    if bytes(run.triggered.input_data) != bytes(source.triggered.input_data):
        return set()
    changed = {node_id for node_id in (*fork.rerun, *fork.node_outputs) if node_id in source.nodes}
    changed |= {node.node_id for node in source.nodes.values() if not _is_done(node)}
    old, new = source.plan.graph.nodes, run.plan.graph.nodes
    if run.triggered.variables != source.triggered.variables:
        changed |= {node_id for node_id, node in old.items() if b"variables" in _text(node)}
    if run.plan is not source.plan:
        changed |= {
            node_id for node_id, node in old.items() if node_id not in new or _text(node) != _text(new[node_id])
        }
    kept = old.keys() - set(to_clear(source, changed))
    anew = new.keys() - kept
    return set(kept - anew - run.plan.graph.below(anew))


def _is_done(node: NodeState) -> bool:
    """Neither what failed, unless that was allowed or in a contest that was lost, or was stopped, nor what is still to come."""
    match node.status:
        case "completed":
            return True
        case "failed":
            return not node.failure_counts or node.has_merely_lost
        case "cancelled":
            return node.has_merely_lost
        case "skipped":
            return node.skip_reason not in STOPPED or node.has_merely_lost
        case _:
            return False


def _text(node: PlanNode) -> bytes:
    """The node and what leads to it, as they are written."""
    edges: list[Any] = [
        [
            edge.source,
            edge.dependency,
            edge.source_output,
            edge.target_input,
            edge.taken_on,
            edge.condition and edge.condition.text,
        ]
        for edge in node.incoming
    ]
    return _encode([node.node, edges])
