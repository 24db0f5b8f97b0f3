"""Places under limits that all runs share: who holds one, who waits, and whose turn it is. Pure.

A limit is a pool that nodes name, or one of the installation's own: jobs of a queue, jobs of the runs of one user, jobs
altogether. An attempt takes one place under each limit that concerns it with `NodeQueued` (a child run with its
`NodeWaiting`), and gives them back with whatever ends it. Who finds no room waits under the first limit that had none,
behind those of a higher priority and those that have waited longer, and is invited when places are freed; meanwhile
nobody from behind gets ahead.

What a step takes counts for all others at once, what it gives back only for itself, until it is logged: whichever of the
steps of one turn are refused, no limit is ever exceeded.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from flowforge.events import (
    CallbackWait,
    ChildWait,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeWaiting,
    PoolWait,
    RunCancelled,
    RunChanged,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPartiallyCompleted,
    RunPaused,
)

from services.execution.plan import PlanNode
from services.execution.state import Run, Unit

_POOL = "pool:"
JOBS = "jobs"
"""The limit of all jobs; no pool may have this name."""
_GIVEN_BACK = (NodeCompleted, NodeFailed, NodeRetried, NodeCancelled, NodeSkipped)
_ENDINGS = (RunCompleted, RunFailed, RunCancelled, RunPartiallyCompleted)
Attempt = tuple[str, str]
"""Node and instance, within one run."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs may be under way at once; what is not named here is unlimited."""

    pools: Mapping[str, int] = {}
    queues: Mapping[str, int] = {}
    jobs_max: int | None = None
    user_jobs_max: int | None = None

    @property
    def is_any(self) -> bool:
        return bool(self.pools or self.queues or self.jobs_max or self.user_jobs_max)

    def names(self, node: PlanNode, actor: str | None) -> tuple[str, ...]:
        """Which limits concern an attempt of the node in a run that this actor caused."""
        found: list[str] = []
        pool = node.node.pool
        if pool is not None and pool in self.pools and (node.is_job or node.job_type == "workflow"):
            found.append(_POOL + pool)
        if not node.is_job:
            return tuple(found)
        if node.queue in self.queues:
            found.append(f"queue:{node.queue}")
        if self.user_jobs_max and actor:
            found.append(f"user:{actor}")
        if self.jobs_max:
            found.append(JOBS)
        return tuple(found)

    def count_max(self, name: str) -> int | None:
        """How many places there are; None where that is no limit (any more)."""
        if name == JOBS:
            return self.jobs_max
        kind, _, which = name.partition(":")
        return {"pool": self.pools.get(which), "queue": self.queues.get(which), "user": self.user_jobs_max}.get(kind)

    def wait(self, name: str) -> PoolWait:
        """How it is told that a node waits under a limit."""
        return PoolWait(pool=name.removeprefix(_POOL), limit=self.count_max(name) or 0)

    def name(self, wait: PoolWait) -> str:
        """The limit that was told like that."""
        return wait.pool if wait.pool == JOBS or ":" in wait.pool else _POOL + wait.pool


class Waiter(NamedTuple):
    """One attempt in the order of its turn: by priority, then by how long it has waited."""

    last_first: int
    since: datetime
    run_id: UUID
    node_id: str
    instance: str


class _Undecided:
    """What a step takes and gives back, as long as it is not logged."""

    __slots__ = ("net", "undo")

    def __init__(self) -> None:
        self.net: Counter[str] = Counter()
        self.undo: list[tuple[Attempt, tuple[str, ...] | None]] = []


class Places:
    """All places of the installation, as the logged runs and the steps under way have them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._taken: Counter[str] = Counter()
        self._claimed: Counter[str] = Counter()
        """Beyond what is taken: by steps that are not logged."""
        self._holders: dict[UUID, dict[Attempt, tuple[str, ...]]] = {}
        self._undecided: dict[UUID, _Undecided] = {}
        self._queues: dict[str, list[Waiter]] = {}
        self._waiting: dict[UUID, dict[Attempt, tuple[str, Waiter]]] = {}
        self._changed: set[str] = set()
        self._invited: set[UUID] = set()

    # --- a step asks -----------------------------------------------------------------------------------------------

    def lacking(self, run: Run, unit: Unit, now: datetime) -> PoolWait | None:
        """The limit under which there is no room for an attempt of the unit; None where there is. An attempt that waits
        already keeps its turn."""
        names = self.limits.names(unit.plan, run.actor)
        if not names:
            return None
        waiter = _waiter(run, unit, now)
        for name in names:
            queue = self._queues.get(name, [])
            if bisect_left(queue, waiter) >= self._free(name, run.id):
                if isinstance(unit.wait, PoolWait):
                    self._line_up(run.id, (unit.node_id, unit.instance), name, waiter)
                return self.limits.wait(name)
        return None

    def step_aside(self, run_id: UUID, unit: Unit) -> None:
        """It could not begin even if there was room: others go first, until it asks again."""
        self._withdraw(run_id, (unit.node_id, unit.instance))

    def noted(self, run: Run, event: RunEvent, now: datetime) -> None:
        """A step decided on this, and it is folded."""
        if isinstance(event, NodeQueued):
            if event.job_id is not None:
                self._take(run, event.node_id, event.instance)
        elif isinstance(event, NodeWaiting):
            self._waits(run, event, now)
        elif isinstance(event, _GIVEN_BACK):
            self._leave(run.id, (event.node_id, event.instance))
        elif isinstance(event, RunPaused):
            self._withdraw_all(run.id)
        elif isinstance(event, RunChanged):
            self._line_up_again(run)
        elif isinstance(event, _ENDINGS):
            for attempt in list(self._holders.get(run.id, ())):
                self._leave(run.id, attempt)
            self._withdraw_all(run.id)

    # --- what became of a step ---------------------------------------------------------------------------------------

    def logged(self, run_id: UUID) -> None:
        """What the run's step took is taken, and what it gave back is free."""
        step = self._undecided.pop(run_id, None)
        if step is not None:
            for name, count in step.net.items():
                self._claimed[name] -= max(0, count)
                self._taken[name] += count
                if count < 0:
                    self._changed.add(name)
        if not self._holders.get(run_id, True):
            del self._holders[run_id]
        self._invited.discard(run_id)

    def refused(self, run_id: UUID) -> None:
        """The run's step is void; the run will be read anew, and `read` once more."""
        step = self._undecided.pop(run_id, None)
        if step is None:
            return
        held = self._holders.setdefault(run_id, {})
        for attempt, names in reversed(step.undo):
            if names is None:
                held.pop(attempt, None)
            else:
                held[attempt] = names
        for name, count in step.net.items():
            self._claimed[name] -= max(0, count)
            self._changed.add(name)
        self._invited.discard(run_id)

    def read(self, run: Run) -> None:
        """The run as the log has it: whatever was known of it counts no more."""
        held = {
            (unit.node_id, unit.instance): names
            for unit in run.under_way()
            if _holds(unit) and (names := self.limits.names(unit.plan, run.actor))
        }
        before = self._holders.pop(run.id, {})
        change = Counter(_all(held.values()))
        change.subtract(Counter(_all(before.values())))
        self._taken.update(change)
        self._changed.update(change)
        if held:
            self._holders[run.id] = held
        self._withdraw_all(run.id)
        if run.status == "running":
            for unit in run.held:
                if isinstance(unit.wait, PoolWait) and (name := self.limits.name(unit.wait)):
                    self._line_up(run.id, (unit.node_id, unit.instance), name, _waiter(run, unit))

    def invitations(self) -> Collection[UUID]:
        """Runs that have to ask now, since there is room for one of theirs; each is told once, until its next step."""
        found: dict[UUID, None] = {}
        for name in self._changed:
            count_max = self.limits.count_max(name)
            queue = self._queues.get(name, [])
            free = len(queue) if count_max is None else count_max - self._taken[name] - self._claimed[name]
            for waiter in queue[: max(0, free)]:
                if waiter.run_id not in self._invited:
                    found[waiter.run_id] = None
        self._changed.clear()
        self._invited.update(found)
        return found

    def invite_again(self) -> Collection[UUID]:
        """The same for all limits, whoever was invited before: an invitation may have been lost."""
        self._invited.clear()
        self._changed.update(self._queues)
        return self.invitations()

    def answered(self, run_id: UUID) -> None:
        """The run had its turn, and nothing followed."""
        self._invited.discard(run_id)

    def taken_count(self, name: str) -> int:
        """How many places of a limit are taken by what is logged."""
        return self._taken[name]

    def waiting_count(self, name: str) -> int:
        """How many wait under a limit."""
        return len(self._queues.get(name, ()))

    # --- places ------------------------------------------------------------------------------------------------------

    def _free(self, name: str, run_id: UUID) -> int:
        step = self._undecided.get(run_id)
        own = 0 if step is None else step.net[name]
        others = self._claimed[name] - max(0, own)
        return (self.limits.count_max(name) or 0) - self._taken[name] - others - own

    def _take(self, run: Run, node_id: str, instance: str) -> None:
        attempt = (node_id, instance)
        self._withdraw(run.id, attempt)
        names = self.limits.names(run.plan.all_nodes[node_id], run.actor)
        held = self._holders.setdefault(run.id, {})
        if names and attempt not in held:
            held[attempt] = names
            self._change(run.id, attempt, names, None, 1)

    def _leave(self, run_id: UUID, attempt: Attempt) -> None:
        self._withdraw(run_id, attempt)
        names = self._holders.get(run_id, {}).pop(attempt, None)
        if names is not None:
            self._change(run_id, attempt, names, names, -1)

    def _change(
        self, run_id: UUID, attempt: Attempt, names: Iterable[str], before: tuple[str, ...] | None, by: int
    ) -> None:
        step = self._undecided.setdefault(run_id, _Undecided())
        step.undo.append((attempt, before))
        for name in names:
            claimed = max(0, step.net[name])
            step.net[name] += by
            self._claimed[name] += max(0, step.net[name]) - claimed

    # --- turns -------------------------------------------------------------------------------------------------------

    def _waits(self, run: Run, event: NodeWaiting, now: datetime) -> None:
        attempt = (event.node_id, event.instance)
        match event.wait:
            case PoolWait():
                unit = run.unit(*attempt)
                self._line_up(run.id, attempt, self.limits.name(event.wait), _waiter(run, unit, now))
            case ChildWait():
                self._take(run, *attempt)
            case CallbackWait():
                self._leave(run.id, attempt)
            case _:
                self._withdraw(run.id, attempt)

    def _line_up(self, run_id: UUID, attempt: Attempt, name: str, waiter: Waiter) -> None:
        waiting = self._waiting.setdefault(run_id, {})
        if waiting.get(attempt) == (name, waiter):
            return
        self._withdraw(run_id, attempt)
        self._waiting.setdefault(run_id, {})[attempt] = (name, waiter)
        insort(self._queues.setdefault(name, []), waiter)
        self._changed.add(name)

    def _line_up_again(self, run: Run) -> None:
        for attempt, (name, _) in list(self._waiting.get(run.id, {}).items()):
            self._line_up(run.id, attempt, name, _waiter(run, run.unit(*attempt)))

    def _withdraw(self, run_id: UUID, attempt: Attempt) -> None:
        waiting = self._waiting.get(run_id)
        found = None if waiting is None else waiting.pop(attempt, None)
        if waiting is not None and not waiting:
            del self._waiting[run_id]
        if found is None:
            return
        name, waiter = found
        queue = self._queues[name]
        del queue[bisect_left(queue, waiter)]
        self._changed.add(name)
        if not queue:
            del self._queues[name]

    def _withdraw_all(self, run_id: UUID) -> None:
        for attempt in list(self._waiting.get(run_id, ())):
            self._withdraw(run_id, attempt)


def _waiter(run: Run, unit: Unit, now: datetime | None = None) -> Waiter:
    since = unit.since if isinstance(unit.wait, PoolWait) and unit.since is not None else now
    assert since is not None
    return Waiter(-run.priority, since, run.id, unit.node_id, unit.instance)


def _holds(unit: Unit) -> bool:
    if unit.status in ("queued", "running"):
        return unit.plan.is_job and (unit.is_instance or not unit.plan.is_map)
    return isinstance(unit.wait, ChildWait)


def _all(names: Iterable[tuple[str, ...]]) -> list[str]:
    return [name for each in names for name in each]
