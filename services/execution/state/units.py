"""What has a status, attempts and an outcome: nodes, their instances; and the graphs that they stand in."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.errors import RunError
from flowforge.events import AnyWait, BreakerWait, PoolWait
from flowforge.raw import NULL

from services.execution.plan import Graph, Merge, PlanNode

ENDED = frozenset({"completed", "failed", "cancelled", "skipped"})


class Unit:
    """One node, or one instance of a map: what has a status, attempts and an outcome.

    `instance` is its name within the run, `index` its place in a map. `first_attempt` is where its retry policy counts
    from. `wait` is what it waits for, and `due_at` when it does so no longer, or when the attempt of a job times out;
    `since` is when its attempt was queued, or began to wait for a place. `awaited` is the last attempt for which no worker
    was there.
    """

    __slots__ = (
        "attempt",
        "awaited",
        "breaker",
        "cache_key",
        "callback",
        "delivery",
        "due_at",
        "ending",
        "error",
        "first_attempt",
        "frame",
        "ignored",
        "index",
        "input",
        "input_from",
        "instance",
        "job_id",
        "loop",
        "matched",
        "node_id",
        "output",
        "plan",
        "progress",
        "since",
        "status",
        "wait",
    )

    def __init__(self, plan: PlanNode, frame: "Frame", instance: str = "", index: int | None = None) -> None:
        self.node_id = plan.id
        self.plan = plan
        self.frame = frame
        self.instance = instance
        self.index = index
        self.attempt = 0
        self.first_attempt = 1
        self.awaited = 0
        self.delivery = 0
        self.job_id: UUID | None = None
        self.ending: tuple[int, int, frozenset[str]] | None = None
        self.ignored: set[tuple[int, int, str]] | None = None
        self.reset()

    def reset(self) -> None:
        """As if nothing had happened, but for the attempts and what is known of reports on them."""
        self.status = "idle"
        self.progress = 0.0
        self.first_attempt = self.attempt + 1
        self.input: msgspec.Raw | None = None
        self.input_from: str | None = None
        self.output = NULL
        self.error: RunError | None = None
        self.wait: AnyWait | None = None
        self.due_at: datetime | None = None
        self.since: datetime | None = None
        self.breaker = ""
        self.cache_key = ""
        self.matched: msgspec.Raw | None = None
        self.callback: msgspec.Raw | None = None
        self.loop: LoopState | None = None

    @property
    def node(self) -> "NodeState":
        """The node whose instance this is, or which this is."""
        return self.frame.nodes[self.node_id]

    @property
    def is_instance(self) -> bool:
        """Whether it is one item of a map."""
        return self.index is not None

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_held(self) -> bool:
        """Whether its attempt could not be handed out yet: it waits for a place, or before a circuit breaker."""
        return isinstance(self.wait, PoolWait | BreakerWait)


class NodeState(Unit):
    """A node of a graph. A map also has its items and their instances."""

    __slots__ = (
        "active_count",
        "came",
        "has_lost",
        "instances",
        "items",
        "next_index",
        "skip_reason",
        "undecided",
        "unended",
    )

    def __init__(self, plan: PlanNode, frame: "Frame") -> None:
        super().__init__(plan, frame, frame.path)
        self.undecided = len(plan.incoming)

    def reset(self) -> None:
        super().reset()
        self.skip_reason = ""
        self.has_lost = False
        """Another branch has won."""
        self.came: frozenset[str] = frozenset()
        """Of a merge: the nodes of the branches that came."""
        self.items: list[Any] = []
        self.instances: list[Unit] = []
        self.next_index = 0
        self.active_count = 0
        self.unended = 0

    @property
    def failure_counts(self) -> bool:
        """Whether the run fails when it fails: not where that is allowed, nor while its branch may lose, nor once it has."""
        return not self.plan.node.allow_failure and not any(map(self._may_lose, self.plan.contests))

    @property
    def has_merely_lost(self) -> bool:
        """Its branch has lost against another: nothing went wrong with it."""
        return self.has_lost or any(self._has_lost_to(self.frame.nodes[m.node_id]) for m in self.plan.contests)

    def _may_lose(self, merge: Merge) -> bool:
        joined = self.frame.nodes[merge.node_id]
        if joined.came:
            return self.node_id not in joined.came
        is_contested = self.frame.nodes[merge.parallel_id].status == "completed"
        return is_contested and joined.status not in ("skipped", "cancelled")

    def _has_lost_to(self, joined: "NodeState") -> bool:
        return bool(joined.came) and self.node_id not in joined.came


class LoopState:
    """A loop under way: its iterations begun, ended, and what they gave."""

    __slots__ = ("error", "frames", "is_over", "items", "next_index", "outputs", "previous", "total")

    def __init__(self, total: int | None, items: list[Any]) -> None:
        self.total = total
        """How many iterations there will be, where that is known."""
        self.items = items
        self.next_index = 0
        self.frames: dict[int, Frame] = {}
        """Iterations that have not ended."""
        self.outputs: list[msgspec.Raw] = []
        self.previous: msgspec.Raw = NULL
        self.error: RunError | None = None
        """The first failure of an iteration."""
        self.is_over = False
        """No further iteration begins."""


class Frame:
    """One running graph: the workflow's own, or one iteration of a loop's body."""

    __slots__ = (
        "decoded",
        "ended_count",
        "failing",
        "first_failure",
        "frontier",
        "graph",
        "index",
        "item",
        "loop",
        "nodes",
        "path",
        "previous",
    )

    def __init__(
        self, graph: Graph, path: str = "", loop: Unit | None = None, index: int = 0, item: Any = None
    ) -> None:
        self.graph = graph
        self.path = path
        self.loop = loop
        self.index = index
        self.item = item
        self.previous: msgspec.Raw = NULL
        self.nodes = {plan.id: NodeState(plan, self) for plan in graph.nodes.values()}
        self.frontier: dict[str, None] = dict.fromkeys(graph.roots)
        self.ended_count = 0
        self.failing: RunError | None = None
        """Under fail_fast, the failure that stopped it."""
        self.first_failure: RunError | None = None
        self.decoded: dict[str, Any] = {}
        """Outputs as data, as far as they were looked at."""

    @property
    def is_over(self) -> bool:
        return self.ended_count == len(self.nodes)

    def find(self, node_id: str) -> NodeState | None:
        """The node as this graph sees it: its own, or one of the graphs around it."""
        frame: Frame | None = self
        while frame is not None:
            if node_id in frame.nodes:
                return frame.nodes[node_id]
            frame = frame.loop.frame if frame.loop is not None else None
        return None

    def chain(self) -> "list[Frame]":
        """Itself and the frames around it, outwards."""
        frames: list[Frame] = [self]
        while (loop := frames[-1].loop) is not None:
            frames.append(loop.frame)
        return frames
