"""A run as it is shown: its events folded into the state of every node. Pure; the clock comes in with the events."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from flowforge import events as e
from flowforge.errors import RunError

NodeStatus = Literal["idle", "queued", "running", "waiting", "completed", "failed", "cancelled", "skipped"]
ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "skipped"})
RUN_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "partial"})


class NodeView(msgspec.Struct, kw_only=True):
    """One node of the run. `instances` holds the status of each item of a map, by instance name."""

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


def initial(run_id: str, graph: Iterable[tuple[str, str, Iterable[str]]] = ()) -> RunView:
    """A run before its first event. `graph`: node id, type, and the ids of the nodes it depends on."""
    nodes = {name: NodeView(node_id=name, type=kind, after=tuple(after)) for name, kind, after in graph}
    return RunView(run_id=run_id, nodes=in_order(nodes), total_nodes=len(nodes))


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
    e.NodeCancelled,
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
        case e.RunFailing():
            view.error = event.error
        case e.RunCompleted():
            view.status, view.output, view.error = "completed", event.output, None
            view.ended_at = at
        case e.RunFailed():
            view.status, view.error, view.ended_at = "failed", event.error, at
        case e.RunCancelled():
            view.status, view.ended_at = "cancelled", at
        case e.ReportIgnored():
            view.ignored_reports += 1
        case _:  # timers, and what the log holds for others
            pass


def _apply_to_node(view: RunView, event: Any, at: datetime) -> None:
    node = view.nodes.get(event.node_id)
    if node is None:  # no graph was known, or one of another version
        node = view.nodes[event.node_id] = NodeView(node_id=event.node_id)
        view.total_nodes = max(view.total_nodes, len(view.nodes))
    instance: str = getattr(event, "instance", "")
    if instance:
        _apply_to_instance(node, instance, event, at)
    else:
        _apply_to_whole(node, event, at)


def _apply_to_whole(node: NodeView, event: Any, at: datetime) -> None:
    match event:
        case e.NodeQueued():
            node.status, node.attempt, node.retry_due_at = "queued", event.attempt, None
            node.started_at = node.started_at or at
        case e.NodeStarted():
            node.status, node.attempt, node.worker = "running", event.attempt, event.worker
            node.started_at, node.retry_due_at, node.progress = event.at or at, None, None
            node.instances_count = event.instances_count if event.instances_count is not None else node.instances_count
        case e.NodeProgressed():
            node.progress, node.message = event.progress, event.message
        case e.NodeRetried():
            node.status, node.attempt = "waiting", event.attempt
            node.error, node.retry_due_at = event.error, event.due_at
        case e.NodeCompleted():
            _end(node, "completed", event.attempt, at)
            node.error = None
        case e.NodeFailed():
            _end(node, "failed", event.attempt, at)
            node.error = event.error
        case e.NodeSkipped():
            node.status, node.skip_reason, node.ended_at = "skipped", event.reason, at
        case e.NodeCancelled():
            _end(node, "cancelled", event.attempt, at)
        case _:
            raise AssertionError(f"{type(event).__name__} is no event of a node")


def _end(node: NodeView, status: NodeStatus, attempt: int, at: datetime) -> None:
    node.status, node.ended_at, node.retry_due_at = status, at, None
    node.attempt = max(attempt, 1)


_INSTANCE_STATUS: dict[type, NodeStatus] = {
    e.NodeQueued: "queued", e.NodeStarted: "running", e.NodeRetried: "waiting", e.NodeCompleted: "completed",
    e.NodeFailed: "failed", e.NodeCancelled: "cancelled",
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
