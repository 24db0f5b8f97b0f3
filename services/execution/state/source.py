"""The run that another one was forked from, as it stood at that moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from flowforge.events import NodeCancelled, NodeCompleted, NodeFailed, NodeSkipped, NodeStarted, RunEvent

from services.execution.plan import Plan
from services.execution.state.evolve import fold
from services.execution.state.run import Run

Ending = NodeCompleted | NodeFailed | NodeSkipped | NodeCancelled


class Source(msgspec.Struct, frozen=True, gc=False):
    """`endings`: the last of each node of the workflow's own graph, in their order; `branches`: those that came to a merge."""

    run: Run
    endings: dict[str, Ending]
    branches: dict[str, list[str]]


def recorded_in(history: Iterable[RunEvent]) -> dict[tuple[str, str], Ending]:
    """How each node and each instance ended last, by (node, instance)."""
    return {(event.node_id, event.instance): event for event in history if isinstance(event, Ending)}


def source_of(plan: Plan, history: Sequence[tuple[RunEvent, datetime]]) -> Source:
    """From the whole history up to the moment; the first event is `WorkflowTriggered`."""
    endings: dict[str, Ending] = {}
    branches: dict[str, list[str]] = {}
    for event, _ in history:
        if isinstance(event, Ending) and not event.instance:
            endings.pop(event.node_id, None)
            endings[event.node_id] = event
        elif isinstance(event, NodeStarted) and event.branches:
            branches[event.node_id] = event.branches
    return Source(fold(plan, history), endings, branches)
