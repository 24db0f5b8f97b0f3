"""The run as a whole."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec
from flowforge.errors import RunError
from flowforge.events import WorkflowTriggered
from flowforge.identity import part_uuid
from flowforge.raw import NULL

from services.execution.plan import Plan
from services.execution.state.units import Frame, NodeState, Unit

if TYPE_CHECKING:
    from services.execution.state.source import Ending, Source

RUN_ENDED = frozenset({"completed", "failed", "cancelled", "partial"})
_decode = msgspec.json.Decoder().decode


class StoredPrompt(NamedTuple):
    """One version of a stored prompt: templates as JSON data, None for no system prompt."""

    version: int
    prompt: Any
    system: Any


class Run:
    """The state of one run."""

    __slots__ = (
        "active_jobs",
        "actor",
        "archive",
        "asked_position",
        "asked_version",
        "blobs",
        "breakpoints",
        "cancel_reason",
        "cause_events",
        "cleared",
        "command_ids",
        "dirty",
        "ended_as",
        "frames",
        "has_missed_sla",
        "held",
        "id",
        "is_cancelling",
        "is_queued",
        "jobs",
        "labels",
        "last_position",
        "loops",
        "maps",
        "passing",
        "paused_at",
        "paused_before",
        "plan",
        "position",
        "priority",
        "prompts",
        "queue_due_at",
        "recorded",
        "retries",
        "root",
        "source",
        "started_at",
        "status",
        "steps_left",
        "timeout_due_at",
        "traceparent",
        "triggered",
        "variables",
        "version",
        "waiting_slot",
    )

    def __init__(  # noqa: PLR0915  one line for each thing that is remembered
        self, plan: Plan, triggered: WorkflowTriggered, position: int = 0, actor: str | None = None
    ) -> None:
        self.id = triggered.run_id
        self.actor = actor
        """Who caused it; nobody where an event or a clock did."""
        self.archive: str | None = None
        """The archive that has its events: nothing can be added to them there."""
        self.traceparent: str | None = None
        """The trace that it was caused in, as its first event has it."""
        self.position = self.asked_position = self.last_position = position
        """Of its first event, of the one that had it begin or go on, and of its last one."""
        self.plan = plan
        self.triggered = triggered
        self.status, self.version = "pending", 1
        self.started_at: datetime | None = None
        self.priority = triggered.priority
        self.labels = triggered.labels
        self.breakpoints = frozenset(triggered.breakpoints)
        self.root = Frame(plan.graph)
        self.frames: dict[tuple[str, str], Frame] = {}
        """Iterations under way, by (loop's node, path)."""
        self.dirty: dict[Frame, None] = {self.root: None}
        """Graphs in which something is to be decided."""
        self.variables: dict[str, Any] = {
            **plan.defaults,
            **{name: _decode(value) for name, value in triggered.variables.items()},
        }
        self.waiting_slot: deque[NodeState] = deque()
        self.maps: dict[NodeState, None] = {}
        self.loops: dict[Unit, None] = {}
        self.jobs: dict[UUID, Unit] = {}
        self.retries: dict[Unit, datetime] = {}
        self.held: dict[Unit, None] = {}
        """What waits for a place, or before a circuit breaker."""
        self.active_jobs = 0
        self.is_cancelling = self.is_queued = self.has_missed_sla = False
        self.cancel_reason = ""
        self.timeout_due_at: datetime | None = None
        self.paused_at: datetime | None = None
        self.paused_before: list[str] = []
        self.passing: frozenset[str] = frozenset()
        """Nodes that a breakpoint holds no more, since somebody let the run go on."""
        self.steps_left: int | None = None
        self.cleared: tuple[list[str], list[str]] | None = None
        """What a retry that was asked for will clear, and which maps it resumes, once there is room for the run."""
        self.asked_version = 1
        """The version of the event that asked for a slot last: its first, or that of a retry."""
        self.ended_as = ""
        """How it stood before a retry was asked for."""
        self.queue_due_at: datetime | None = None
        self.command_ids: set[str] = set()
        self.blobs: dict[str, Any] = {}
        self.prompts: dict[tuple[str, int | None], StoredPrompt | None] = {}
        """Stored prompts that its nodes use; None for one that is not there."""
        self.cause_events: list[dict[str, Any]] | None = None
        self.source: Source | None = None
        """The run that it begins from, until it has begun."""
        self.recorded: Mapping[tuple[str, str], Ending] | None = None
        """Of a shadow run: how each node, and each instance, ended in the run that it was forked from."""

    @property
    def nodes(self) -> dict[str, NodeState]:
        """The nodes of the workflow's own graph."""
        return self.root.nodes

    @property
    def failing(self) -> RunError | None:
        return self.root.failing

    @property
    def is_ended(self) -> bool:
        return self.status in RUN_ENDED

    @property
    def is_stopping(self) -> bool:
        """Nothing new starts but what exists for failure."""
        return self.root.failing is not None or self.is_cancelling

    @property
    def is_shadow(self) -> bool:
        """Nothing is done outside: what would come of it is taken from history."""
        return self.triggered.is_shadow

    def begins_at(self, unit: Unit) -> bool:
        """Whether the run was asked to begin there: nothing above it was selected, and it is given the run's input."""
        if unit.node_id != self.triggered.from_node:
            return False
        return all(self.root.nodes[source].skip_reason == "not_selected" for source in unit.plan.upstream)

    def unit(self, node_id: str, instance: str) -> Unit:
        """The node, or one instance of it. Raises KeyError or IndexError for what is not, or no more, under way."""
        plan = self.plan.all_nodes[node_id]
        depth = plan.graph.depth
        if not depth and not instance:
            return self.root.nodes[node_id]
        parts = instance.split(".")
        loop = plan.graph.loop
        frame = self.root if loop is None else self.frames[loop.id, ".".join(parts[:depth])]
        node = frame.nodes[node_id]
        return node if len(parts) == depth else node.instances[int(parts[depth])]

    def find(self, node_id: str, instance: str) -> Unit | None:
        """The same, or None."""
        try:
            return self.unit(node_id, instance)
        except (KeyError, IndexError, ValueError):
            return None

    def job_id(self, unit: Unit) -> UUID:
        """The same for all attempts of one node or instance; another one when its map, or a loop around it, begins anew."""
        loops = [frame.loop for frame in unit.frame.chain() if frame.loop is not None]
        rounds = [loop.attempt for loop in loops]
        rounds += [each.node.attempt for each in (*loops, unit) if each.is_instance]
        if any(attempt > 1 for attempt in rounds):
            return part_uuid(self.id, "job", unit.node_id, unit.instance, *rounds)
        return part_uuid(self.id, "job", unit.node_id, unit.instance)

    def under_way(self) -> Iterator[Unit]:
        """Nodes, and instances of maps, that have begun and not ended; those inside of loops as well."""
        for frame in (self.root, *self.frames.values()):
            for node in frame.nodes.values():
                if node.status in ("queued", "running", "waiting"):
                    yield node
                    yield from (unit for unit in node.instances if unit.status in ("queued", "running", "waiting"))

    def input_of(self, unit: Unit) -> msgspec.Raw:
        """The input as JSON text."""
        return self.given(unit, unit.input, unit.input_from)

    def given(self, unit: Unit, text: msgspec.Raw | None, source_id: str | None) -> msgspec.Raw:
        """What a unit is given: the text itself, or the output of that node ("" for the run's input)."""
        if text is not None:
            return text
        if source_id:
            source = unit.frame.find(source_id)
            return NULL if source is None else source.output
        return self.triggered.input_data if source_id == "" else NULL

    def touch(self, frames: Iterable[Frame]) -> None:
        """Something is to be decided there."""
        for frame in frames:
            self.dirty[frame] = None
