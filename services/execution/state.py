"""What a run remembers, rebuilt from its events: `evolve` folds one event, and nothing else changes a run.

A run is folded in place: whoever evolves it owns it, and drops it when the log refused what was decided on it.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import msgspec
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalDecided,
    CallbackReceived,
    ChildCancelRequested,
    ChildRunEnded,
    ChildRunRequested,
    EventMatched,
    IterationEnded,
    IterationStarted,
    JobEnded,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RecoveryTaken,
    ReportIgnored,
    RunCancelled,
    RunCancelRequested,
    RunChanged,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunFailing,
    RunPartiallyCompleted,
    RunPaused,
    RunQueued,
    RunResumed,
    RunRetried,
    RunRetryRequested,
    RunSlaMissed,
    RunStarted,
    TimerSet,
    WorkerAwaited,
    WorkflowTriggered,
)
from flowforge.identity import part_uuid
from flowforge.raw import NULL, present

from services.execution.plan import Plan, PlanNode

_COMPLETED, _FAILED, _CANCELLED = frozenset({"JobCompleted"}), frozenset({"JobFailed"}), frozenset[str]()
_FOUND_WANTING = frozenset({"OUTPUT_INVALID", "EXPRESSION_ERROR", "PAYLOAD_TOO_LARGE"})
ENDED = frozenset({"completed", "failed", "cancelled", "skipped"})
_decode = msgspec.json.Decoder().decode


class Unit:
    """One node, or one instance of a map: what has a status, attempts and an outcome."""

    __slots__ = (
        "attempt",
        "delivery",
        "ending",
        "error",
        "ignored",
        "index",
        "input",
        "input_from",
        "instance",
        "job_id",
        "node_id",
        "output",
        "progress",
        "status",
    )

    def __init__(self, node_id: str, instance: str = "", index: int | None = None) -> None:
        self.node_id = node_id
        self.instance = instance
        self.index = index
        self.status = "idle"
        self.attempt = 0
        self.delivery = 0
        self.progress = 0.0
        self.job_id: UUID | None = None
        self.input: msgspec.Raw | None = None
        self.input_from: str | None = None
        self.output = NULL
        self.error: RunError | None = None
        self.ending: tuple[int, int, frozenset[str]] | None = None
        self.ignored: set[tuple[int, int, str]] | None = None

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED


class NodeState(Unit):
    """A node of the graph. A map also has its items and their instances."""

    __slots__ = ("active_count", "instances", "items", "next_index", "plan", "skip_reason", "undecided", "unended")

    def __init__(self, plan: PlanNode) -> None:
        super().__init__(plan.id)
        self.plan = plan
        self.undecided = len(plan.incoming)
        self.skip_reason = ""
        self.items: list[Any] = []
        self.instances: list[Unit] = []
        self.next_index = 0
        self.active_count = 0
        self.unended = 0


class Run:
    """The state of one run."""

    __slots__ = (
        "active_jobs",
        "blobs",
        "cancel_reason",
        "cause_events",
        "decoded",
        "ended_count",
        "failing",
        "first_failure",
        "frontier",
        "id",
        "is_cancelling",
        "is_queued",
        "jobs",
        "maps",
        "nodes",
        "plan",
        "position",
        "retries",
        "started_at",
        "status",
        "triggered",
        "variables",
        "version",
        "waiting_slot",
    )

    def __init__(self, plan: Plan, triggered: WorkflowTriggered, position: int = 0) -> None:
        self.id = triggered.run_id
        self.position = position
        self.plan = plan
        self.triggered = triggered
        self.version = 1
        self.status = "pending"
        self.started_at: datetime | None = None
        self.nodes = {node.id: NodeState(node) for node in plan.nodes.values()}
        self.variables: dict[str, Any] = {
            **plan.defaults,
            **{name: _decode(value) for name, value in triggered.variables.items()},
        }
        self.frontier: dict[str, None] = dict.fromkeys(plan.roots)
        self.waiting_slot: deque[str] = deque()
        self.maps: dict[str, None] = {}
        self.jobs: dict[UUID, Unit] = {}
        self.retries: dict[Unit, datetime] = {}
        self.active_jobs = 0
        self.ended_count = 0
        self.failing: RunError | None = None
        self.first_failure: RunError | None = None
        self.is_cancelling = False
        self.is_queued = False
        self.cancel_reason = ""
        self.decoded: dict[str, Any] = {}
        self.blobs: dict[str, Any] = {}
        self.cause_events: list[dict[str, Any]] | None = None

    @property
    def is_ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    @property
    def is_stopping(self) -> bool:
        """Nothing new starts but what exists for failure."""
        return self.failing is not None or self.is_cancelling

    def unit(self, node_id: str, instance: str) -> Unit:
        """The node or the instance that an event names."""
        node = self.nodes[node_id]
        return node if not instance else node.instances[int(instance)]

    def job_id(self, node_id: str, instance: str) -> UUID:
        """The same for all attempts of one node or instance."""
        return part_uuid(self.id, "job", node_id, instance)

    def input_of(self, unit: Unit) -> msgspec.Raw:
        """The input as JSON text."""
        if unit.input is not None:
            return unit.input
        if unit.input_from:
            return self.nodes[unit.input_from].output
        return self.triggered.input_data if unit.input_from == "" else NULL


def initial(plan: Plan, triggered: WorkflowTriggered) -> Run:
    """A run after its first event."""
    return Run(plan, triggered)


def fold(plan: Plan, events: Sequence[tuple[RunEvent, datetime]]) -> Run:
    """A run from its whole history; the first event is `WorkflowTriggered`."""
    first = events[0][0]
    assert isinstance(first, WorkflowTriggered)
    run = initial(plan, first)
    for event, recorded_at in events[1:]:
        evolve(run, event, recorded_at)
    return run


def evolve(run: Run, event: RunEvent, recorded_at: datetime) -> Run:  # noqa: C901, PLR0912, PLR0915 - one line per event
    """Fold one event, in place."""
    run.version += 1
    match event:
        case NodeCompleted():
            unit = _ended(run, event.node_id, event.instance, "completed")
            unit.output = event.output
            unit.ending = (event.attempt, unit.delivery, _COMPLETED)
            for name, value in event.variables.items():
                run.variables[name] = _decode(value)
        case NodeQueued():
            _queued(run, event)
        case NodeStarted():
            _started(run, event)
        case NodeProgressed():
            run.unit(event.node_id, event.instance).progress = event.progress
        case NodeFailed():
            unit = _ended(run, event.node_id, event.instance, "failed")
            unit.error = event.error
            unit.ending = (event.attempt, unit.delivery, _reported_as(event.error))
            if (
                not event.instance
                and not run.nodes[event.node_id].plan.node.allow_failure
                and run.first_failure is None
            ):
                run.first_failure = event.error
        case NodeRetried():
            unit = run.unit(event.node_id, event.instance)
            _leave_slot(run, unit)
            unit.status = "waiting"
            unit.ending = (unit.attempt, unit.delivery, _reported_as(event.error))
            unit.error = event.error
            run.retries[unit] = event.due_at
        case NodeSkipped():
            _ended(run, event.node_id, "", "skipped")
            run.nodes[event.node_id].skip_reason = event.reason
        case NodeCancelled():
            unit = _ended(run, event.node_id, event.instance, "cancelled")
            unit.ending = (unit.attempt, unit.delivery, _CANCELLED)
        case ReportIgnored():
            unit = run.unit(event.node_id, event.instance)
            unit.ignored = (unit.ignored or set()) | {(event.attempt, event.delivery, event.report)}
        case RunStarted():
            run.status, run.started_at = "running", recorded_at
        case RunQueued():
            run.is_queued = True
        case TimerSet() | JobEnded():
            pass
        case RunCancelRequested():
            run.is_cancelling, run.cancel_reason = True, event.reason
        case RunFailing():
            run.failing = event.error
        case RunCompleted():
            run.status = "completed"
        case RunFailed():
            run.status = "failed"
        case RunCancelled():
            run.status = "cancelled"
        case WorkflowTriggered():
            raise ValueError("a run is triggered once, by its first event")
        case (
            NodeWaiting()
            | WorkerAwaited()
            | EventMatched()
            | ApprovalDecided()
            | CallbackReceived()
            | IterationStarted()
            | IterationEnded()
            | ChildRunRequested()
            | ChildCancelRequested()
            | ChildRunEnded()
            | RunPaused()
            | RunResumed()
            | RunRetryRequested()
            | RunRetried()
            | NodeDecidedByHand()
            | RunChanged()
            | RunSlaMissed()
            | RecoveryTaken()
            | RunPartiallyCompleted()
        ):
            pass
        case _:
            assert_never(event)
    return run


def _queued(run: Run, event: NodeQueued) -> None:
    unit = run.unit(event.node_id, event.instance)
    node = run.nodes[event.node_id]
    if unit.status == "idle":
        if event.instance:
            node.next_index = max(node.next_index, int(event.instance) + 1)
        else:
            run.frontier.pop(event.node_id, None)
    unit.status, unit.attempt, unit.delivery = "queued", event.attempt, 0
    run.retries.pop(unit, None)
    unit.input, unit.input_from = present(event.input), event.input_from
    if event.job_id is not None:
        unit.job_id = event.job_id
        run.jobs[event.job_id] = unit
        run.active_jobs += 1
        if event.instance:
            node.active_count += 1


def _started(run: Run, event: NodeStarted) -> None:
    unit = run.unit(event.node_id, event.instance)
    unit.status = "running"
    unit.attempt, unit.delivery = event.attempt, event.delivery
    if present(event.input) or event.input_from is not None:
        unit.input, unit.input_from = present(event.input), event.input_from
    if not event.instance:
        run.frontier.pop(event.node_id, None)
    if event.instances_count is not None:
        node = run.nodes[event.node_id]
        node.items = _decode(event.input) if present(event.input) else []
        node.instances = [Unit(node.node_id, str(index), index) for index in range(event.instances_count)]
        node.unended = event.instances_count
        run.maps[event.node_id] = None


def _reported_as(error: RunError) -> frozenset[str]:
    """Which reports are repeats of this ending: a completed job may have failed for what it gave."""
    return _COMPLETED | _FAILED if error.code in _FOUND_WANTING else _FAILED


def _leave_slot(run: Run, unit: Unit) -> None:
    if unit.job_id is not None and unit.status in ("queued", "running"):
        run.active_jobs -= 1
        if unit.instance:
            run.nodes[unit.node_id].active_count -= 1


def _ended(run: Run, node_id: str, instance: str, status: str) -> Unit:
    unit = run.unit(node_id, instance)
    was_ended = unit.is_ended
    _leave_slot(run, unit)
    run.retries.pop(unit, None)
    unit.status = status
    if was_ended:
        return unit
    if instance:
        run.nodes[node_id].unended -= 1
        return unit
    run.frontier.pop(node_id, None)
    run.maps.pop(node_id, None)
    run.ended_count += 1
    for edge in run.nodes[node_id].plan.outgoing:
        target = run.nodes[edge.target]
        target.undecided -= 1
        if target.undecided == 0 and target.status == "idle":
            run.frontier[edge.target] = None
    return unit
