"""A run as it is shown: its events folded into the state of every node. Pure; the clock comes in with the events."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from flowforge import events as e
from flowforge.errors import RunError

NodeStatus = Literal["idle", "queued", "running", "waiting", "completed", "failed", "cancelled", "skipped"]
ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "skipped"})
RUN_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "partial"})


class NodeView(msgspec.Struct, kw_only=True):
    """One node of the run. `instances` holds the status of each item of a map, or iteration of a loop, by its name.

    `wait` is what it waits for since `waiting_since`; `waiting_inside` what nodes inside of a loop wait for.
    """

    node_id: str
    type: str = ""
    after: tuple[str, ...] = ()
    status: NodeStatus = "idle"
    attempt: int = 1
    worker: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: float | None = None
    message: str = ""
    error: RunError | None = None
    skip_reason: str = ""
    retry_due_at: datetime | None = None
    wait: e.AnyWait | e.WorkerAwaited | None = None
    waiting_since: datetime | None = None
    waiting_inside: dict[tuple[str, str], e.AnyWait | e.WorkerAwaited] = {}
    instances_count: int | None = None
    instances: dict[str, NodeStatus] = {}

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def counts(self) -> Counter[str]:
        """How many instances of the map stand where."""
        return Counter(self.instances.values())


class RunView(msgspec.Struct, kw_only=True):
    """A run and its nodes, in topological order."""

    run_id: str
    workflow_id: str = ""
    workflow_version: int = 0
    status: str = "pending"
    cancelling: bool = False
    trigger: str = ""
    created_at: datetime | None = None
    ended_at: datetime | None = None
    total_nodes: int = 0
    nodes: dict[str, NodeView] = {}
    loops: dict[str, str] = {}
    """Of nodes inside of loops, the loop of the workflow's own graph in which they stand."""
    paused_before: list[str] = []
    retries: int = 0
    has_missed_sla: bool = False
    error: RunError | None = None
    output: msgspec.Raw | None = None
    position: int = 0
    ignored_reports: int = 0
    queue_place: int | None = None
    """Where it stood in the queue when it came, while it waits for a slot."""

    @property
    def has_ended(self) -> bool:
        return self.status in RUN_ENDED

    @property
    def nodes_ended(self) -> int:
        return sum(node.has_ended for node in self.nodes.values())


def initial(
    run_id: str, graph: Iterable[tuple[str, str, Iterable[str]]] = (), loops: Mapping[str, str] | None = None
) -> RunView:
    """A run before its first event. `graph`: node id, type, and the ids of the nodes it depends on. `loops`: see there."""
    nodes = {name: NodeView(node_id=name, type=kind, after=tuple(after)) for name, kind, after in graph}
    return RunView(run_id=run_id, nodes=in_order(nodes), total_nodes=len(nodes), loops=dict(loops or {}))


def in_order(nodes: dict[str, NodeView]) -> dict[str, NodeView]:
    """The nodes in topological order, as written where the graph leaves a choice; a cycle's nodes come last."""
    waits_for = {name: {up for up in node.after if up in nodes} for name, node in nodes.items()}
    below: dict[str, list[str]] = {name: [] for name in nodes}
    for name, ups in waits_for.items():
        for up in ups:
            below[up].append(name)
    ready = [name for name, ups in waits_for.items() if not ups]
    ordered: dict[str, NodeView] = {}
    for name in ready:  # grows while it is walked
        ordered[name] = nodes[name]
        for child in below[name]:
            waits_for[child].discard(name)
            if not waits_for[child]:
                ready.append(child)
    return ordered | {name: node for name, node in nodes.items() if name not in ordered}


def apply(view: RunView, event_type: str, data: bytes | msgspec.Raw, at: datetime, position: int = 0) -> bool:
    """Fold one logged event into the view. False: an event already seen, or of a kind this version does not know."""
    if position and position <= view.position:
        return False
    view.position = position or view.position
    try:
        event = e.decode(event_type, data)
    except (e.UnknownEvent, msgspec.ValidationError):
        return False
    if isinstance(event, NODE_EVENTS):
        _apply_to_node(view, event, at)
    else:
        _apply_to_run(view, event, at)
    return True


NODE_EVENTS = (
    e.NodeQueued, e.NodeStarted, e.NodeProgressed, e.NodeCompleted, e.NodeFailed, e.NodeRetried, e.NodeSkipped,
    e.NodeCancelled, e.NodeWaiting, e.WorkerAwaited, e.IterationStarted, e.IterationEnded,
)  # fmt: skip


def _apply_to_run(view: RunView, event: Any, at: datetime) -> None:
    match event:
        case e.WorkflowTriggered():
            view.workflow_id, view.workflow_version = event.workflow_id, event.workflow_version
            view.trigger = event.trigger.id if event.trigger.id != event.trigger.type else event.trigger.type
            view.created_at = at
        case e.RunQueued():
            view.queue_place = event.waits.place
        case e.RunStarted():
            view.status, view.total_nodes, view.queue_place = "running", event.total_nodes, None
        case e.RunCancelRequested():
            view.cancelling = True
            view.status = "running" if view.status == "paused" else view.status
        case e.RunFailing():
            view.error = event.error
        case e.RunCompleted():
            view.status, view.output, view.error = "completed", event.output, None
            view.ended_at = at
        case e.RunFailed():
            view.status, view.error, view.ended_at = "failed", event.error, at
        case e.RunCancelled():
            view.status, view.ended_at = "cancelled", at
        case e.RunPartiallyCompleted():
            view.status, view.output, view.error, view.ended_at = "partial", event.output, event.error, at
        case e.ReportIgnored():
            view.ignored_reports += 1
        case _:
            _operate(view, event)


def _operate(view: RunView, event: Any) -> None:
    """What people do to runs; of timers, and what the log holds for others, there is nothing to show."""
    match event:
        case e.RunPaused():
            view.status, view.paused_before = "paused", event.before
        case e.RunResumed():
            view.status, view.paused_before = "running", []
        case e.RunRetryRequested():
            view.status, view.ended_at = "pending", None
        case e.RunRetried():
            _retried(view, event)
        case e.RunSlaMissed():
            view.has_missed_sla = True
        case _:
            pass


def _retried(view: RunView, event: e.RunRetried) -> None:
    """What was cleared stands idle again; of maps that go on, what completed stays."""
    view.status, view.error, view.output, view.ended_at, view.cancelling = "running", None, None, None, False
    view.retries += 1
    for node_id in event.cleared:
        if (node := view.nodes.get(node_id)) is not None:
            view.nodes[node_id] = NodeView(node_id=node_id, type=node.type, after=node.after)
    for node_id in event.resumed:
        if (node := view.nodes.get(node_id)) is not None:
            node.status, node.error, node.ended_at = "running", None, None
            node.instances = {name: status for name, status in node.instances.items() if status == "completed"}


def _apply_to_node(view: RunView, event: Any, at: datetime) -> None:
    node = view.nodes.get(event.node_id)
    instance: str = event.instance
    if node is None and instance:
        _apply_inside_of_loop(view, event, instance)
        return
    if node is None:  # no graph was known, or one of another version
        node = view.nodes[event.node_id] = NodeView(node_id=event.node_id)
        view.total_nodes = max(view.total_nodes, len(view.nodes))
    if isinstance(event, e.IterationStarted | e.IterationEnded):
        _apply_iteration(node, event)
    elif instance:
        _apply_to_instance(node, instance, event, at)
    else:
        _apply_to_whole(node, event, at)


def _apply_iteration(node: NodeView, event: e.IterationStarted | e.IterationEnded) -> None:
    name = str(event.index)
    node.instances[name] = event.status if isinstance(event, e.IterationEnded) else "running"


def _apply_inside_of_loop(view: RunView, event: Any, instance: str) -> None:
    """A node of a loop's body is part of the loop, which says what is waited for inside of it."""
    loop = view.nodes.get(view.loops.get(event.node_id, ""))
    if loop is None:
        return
    place = (event.node_id, instance)
    loop.waiting_inside.pop(place, None)
    if isinstance(event, e.NodeWaiting):
        loop.waiting_inside[place] = event.wait
    elif isinstance(event, e.WorkerAwaited):
        loop.waiting_inside[place] = event


def _apply_to_whole(node: NodeView, event: Any, at: datetime) -> None:
    match event:
        case e.NodeQueued():
            node.status, node.attempt, node.retry_due_at, node.wait = "queued", event.attempt, None, None
            node.started_at = node.started_at or at
        case e.NodeStarted():
            node.status, node.attempt, node.worker = "running", event.attempt, event.worker
            node.started_at, node.retry_due_at, node.progress, node.wait = event.at or at, None, None, None
            node.instances_count = event.instances_count if event.instances_count is not None else node.instances_count
        case e.NodeWaiting():
            node.status, node.attempt, node.wait, node.waiting_since = "waiting", event.attempt, event.wait, at
            node.started_at, node.retry_due_at = node.started_at or at, None
        case e.WorkerAwaited():
            node.wait, node.waiting_since = event, event.since
        case e.NodeProgressed():
            node.progress, node.message = event.progress, event.message
        case e.NodeRetried():
            node.status, node.attempt = "waiting", event.attempt
            node.error, node.retry_due_at, node.wait = event.error, event.due_at, None
            node.instances, node.waiting_inside = {}, {}
        case e.NodeCompleted():
            _end(node, "completed", event.attempt, at)
            node.error = None
        case e.NodeFailed():
            _end(node, "failed", event.attempt, at)
            node.error = event.error
        case e.NodeSkipped():
            node.status, node.skip_reason, node.ended_at, node.wait = "skipped", event.reason, at, None
        case e.NodeCancelled():
            _end(node, "cancelled", event.attempt, at)
        case _:
            raise AssertionError(f"{type(event).__name__} is no event of a node")


def _end(node: NodeView, status: NodeStatus, attempt: int, at: datetime) -> None:
    node.status, node.ended_at, node.retry_due_at, node.wait = status, at, None, None
    node.waiting_inside = {}
    node.attempt = max(attempt, 1)


_INSTANCE_STATUS: dict[type, NodeStatus] = {
    e.NodeQueued: "queued", e.NodeStarted: "running", e.NodeRetried: "waiting", e.NodeCompleted: "completed",
    e.NodeFailed: "failed", e.NodeCancelled: "cancelled", e.NodeWaiting: "waiting",
}  # fmt: skip


def _apply_to_instance(node: NodeView, instance: str, event: Any, at: datetime) -> None:
    """An item of a map moves; the map itself is running until its own ending is told."""
    status = _INSTANCE_STATUS.get(type(event))
    if status is not None:
        node.instances[instance] = status
    if isinstance(event, e.NodeFailed):
        node.error = event.error
    if not node.has_ended:
        node.status = "running"
    node.started_at = node.started_at or at
