"""Circuit breakers: what keeps attempts from being handed out where they fail again and again. Pure.

One breaker stands before each job type, of webhooks before each host, and all nodes that have a `circuit_breaker` share
it. It opens with `failure_threshold` failures in a row, none older than `window_ms`; once `open_ms` have passed it lets
one attempt through, and closes or opens again by what becomes of that. A trial that does not end in the time that the
breaker was open makes way for another one.

A breaker is what its stream says (`BreakerOpened`, `BreakerHalfOpened`, `BreakerClosed`); failures that have not opened it
are counted in memory, from what is logged of the runs.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
from flowforge.definition import CircuitBreaker
from flowforge.errors import ErrorCode, RunError
from flowforge.events import (
    BreakerClosed,
    BreakerEvent,
    BreakerHalfOpened,
    BreakerOpened,
    BreakerWait,
    CallbackWait,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeWaiting,
    RunEvent,
    RunPaused,
)

from services.execution.state import Run, Unit

_NO_FAILURE_OF_THE_CALLED = frozenset(
    {ErrorCode.OUTPUT_INVALID, ErrorCode.EXPRESSION_ERROR, ErrorCode.INPUT_INVALID, ErrorCode.PAYLOAD_TOO_LARGE}
    | {ErrorCode.CANCELLED, ErrorCode.EXECUTION_TIMEOUT}
)
"""What went wrong lies with the workflow, or nobody knows: the breaker does not count it."""


Place = tuple[UUID, str, str]
"""Run, node, instance."""
Outcome = Literal["failed", "completed", "gone"]


class Trial(NamedTuple):
    """The attempt that a half-open breaker let through."""

    run_id: UUID
    node_id: str
    instance: str
    attempt: int


class BreakerTold(msgspec.Struct, frozen=True):
    """To one breaker: what was logged of an attempt."""

    breaker: str
    what: Outcome | Literal["let_through"]
    trial: Trial
    at: datetime
    policy: CircuitBreaker
    error: str = ""


class Breaker:
    """One breaker, folded from its stream."""

    __slots__ = ("failures", "name", "open_until", "pending", "state", "trial", "trial_until", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = 0
        self.state: Literal["closed", "open", "half_open"] = "closed"
        self.failures: dict[Trial, datetime] = {}
        """In a row, while it is closed: of which attempt, and when; each counts once, however often it is told."""
        self.pending: dict[Trial, datetime] = {}
        """Failures that were decided and that it has not been told of."""
        self.open_until: datetime | None = None
        self.trial: Trial | None = None
        self.trial_until: datetime | None = None

    def closed_to(self, trial: Trial, policy: CircuitBreaker, now: datetime) -> datetime | None:
        """Until when nothing like that attempt is let through; None: it is, now."""
        if self.state == "closed":
            return now + timedelta(milliseconds=policy.open_ms) if self._is_about_to_open(policy, now) else None
        until = self.open_until if self.trial is None or self.trial == trial else self.trial_until
        return until if until is not None and now < until else None

    def _is_about_to_open(self, policy: CircuitBreaker, now: datetime) -> bool:
        since = now - timedelta(milliseconds=policy.window_ms)
        recent = sum(at >= since for at in self.failures.values()) if self.pending else 0
        return bool(self.pending) and recent + len(self.pending) >= policy.failure_threshold


def evolve(breaker: Breaker, event: BreakerEvent) -> None:
    """Fold one event, in place."""
    breaker.version += 1
    breaker.trial = breaker.trial_until = None
    breaker.failures.clear()
    match event:
        case BreakerOpened():
            breaker.state, breaker.open_until = "open", event.open_until
        case BreakerHalfOpened():
            breaker.state, breaker.trial_until = "half_open", event.trial_until
            breaker.trial = Trial(event.run_id, event.node_id, event.instance, event.attempt)
        case BreakerClosed():
            breaker.state, breaker.open_until = "closed", None


def decide(breaker: Breaker, told: BreakerTold) -> list[BreakerEvent]:
    """What becomes of the breaker; told twice, nothing follows the second time."""
    trial, policy = told.trial, told.policy
    breaker.pending.pop(trial, None)
    is_trial = breaker.state == "half_open" and breaker.trial == trial
    match told.what:
        case "let_through":
            if breaker.state == "closed" or is_trial:
                return []
            until = told.at + timedelta(milliseconds=policy.open_ms)
            return [BreakerHalfOpened(breaker=breaker.name, trial_until=until, **trial._asdict())]
        case "completed":
            if breaker.state == "closed":
                breaker.failures.clear()
                return []
            return [BreakerClosed(breaker=breaker.name)] if is_trial else []
        case "failed":
            return _failed(breaker, told) if breaker.state == "closed" or is_trial else []
        case "gone":
            if is_trial and breaker.trial_until is not None:
                breaker.trial_until = min(breaker.trial_until, told.at)
            return []


def _failed(breaker: Breaker, told: BreakerTold) -> list[BreakerEvent]:
    policy = told.policy
    breaker.failures.setdefault(told.trial, told.at)
    since = told.at - timedelta(milliseconds=policy.window_ms)
    breaker.failures = {trial: at for trial, at in breaker.failures.items() if at >= since}
    count = len(breaker.failures)
    if breaker.state == "closed" and count < policy.failure_threshold:
        return []
    return [
        BreakerOpened(
            breaker=breaker.name,
            open_until=told.at + timedelta(milliseconds=policy.open_ms),
            failures_count=count,
            error=told.error,
            run_id=told.trial.run_id,
            node_id=told.trial.node_id,
        )
    ]


class NotLoaded(LookupError):
    """A step asks for something that is not in memory; it is decided once that is there."""


class _Handed(NamedTuple):
    """An attempt that was handed out through a breaker."""

    breaker: str
    policy: CircuitBreaker
    attempt: int


class _Undecided:
    """What a step does to breakers, as long as it is not logged."""

    __slots__ = ("ended", "told", "trials")

    def __init__(self) -> None:
        self.told: list[BreakerTold] = []
        self.ended: set[Place] = set()
        self.trials: list[tuple[Breaker, Trial | None, datetime | None]] = []


class Breakers:
    """The breakers in memory, which attempts they have let through, and which runs wait before them."""

    def __init__(self) -> None:
        self.known: dict[str, Breaker] = {}
        self._under_way: dict[Place, _Handed] = {}
        self._undecided: dict[UUID, _Undecided] = {}
        self._waiting: dict[str, dict[UUID, None]] = {}

    def closed_to(self, name: str, run: Run, unit: Unit, attempt: int, now: datetime) -> BreakerWait | None:
        """What an attempt has to wait for; None where it may be handed out. Raises `NotLoaded`."""
        breaker, policy = self.known.get(name), unit.plan.node.circuit_breaker
        if breaker is None:
            raise NotLoaded(name)
        if policy is None:
            return None
        until = breaker.closed_to(Trial(run.id, unit.node_id, unit.instance, attempt), policy, now)
        if until is None:
            return None
        self._waiting.setdefault(name, {})[run.id] = None
        return BreakerWait(breaker=name, due_at=until)

    def noted(self, run: Run, event: RunEvent, now: datetime) -> None:
        """A step decided on this, and it is folded."""
        match event:
            case NodeQueued():
                if event.breaker:
                    self._let_through(run, event, now)
            case NodeCompleted():
                self._ended(run.id, event.node_id, event.instance, "completed", now)
            case NodeWaiting():
                if isinstance(event.wait, CallbackWait):
                    self._ended(run.id, event.node_id, event.instance, "completed", now)
            case NodeFailed() | NodeRetried():
                what = "gone" if event.error.code in _NO_FAILURE_OF_THE_CALLED else "failed"
                self._ended(run.id, event.node_id, event.instance, what, now, event.error)
            case NodeCancelled() | NodeSkipped() | NodeDecidedByHand():
                self._ended(run.id, event.node_id, event.instance, "gone", now)
            case RunPaused():
                for waiting in self._waiting.values():
                    waiting.pop(run.id, None)
            case _:
                pass

    def logged(self, run_id: UUID) -> list[BreakerTold]:
        """What the breakers have to be told of the run's step."""
        step = self._undecided.pop(run_id, None)
        if step is None:
            return []
        for told in step.told:
            place = told.trial[:3]
            if told.what == "let_through":
                self._under_way[place] = _Handed(told.breaker, told.policy, told.trial.attempt)
            else:
                self._under_way.pop(place, None)
        return [told for told in step.told if self._matters(told)]

    def refused(self, run_id: UUID) -> None:
        """The run's step is void."""
        step = self._undecided.pop(run_id, None)
        if step is None:
            return
        for breaker, trial, until in reversed(step.trials):
            breaker.trial, breaker.trial_until = trial, until
        for told in step.told:
            if told.what == "failed" and (breaker := self.known.get(told.breaker)) is not None:
                breaker.pending.pop(told.trial, None)

    def read(self, run: Run) -> None:
        """The run as the log has it: what it has under way, and what waits before a breaker."""
        for unit in run.jobs.values():
            policy = unit.plan.node.circuit_breaker
            if unit.breaker and policy is not None and unit.status in ("queued", "running"):
                self._under_way[run.id, unit.node_id, unit.instance] = _Handed(unit.breaker, policy, unit.attempt)
        for unit in run.held if run.status == "running" else ():
            if isinstance(unit.wait, BreakerWait):
                self._waiting.setdefault(unit.wait.breaker, {})[run.id] = None

    def due(self, now: datetime, count_max: int) -> list[UUID]:
        """Runs to be woken: of each breaker that would let something through, the first ones; those of a closed one all."""
        found: list[UUID] = []
        for name, waiting in list(self._waiting.items()):
            breaker = self.known.get(name)
            woken = list(waiting)
            if breaker is not None and breaker.state != "closed":
                until = breaker.open_until if breaker.trial is None else breaker.trial_until
                woken = [] if until is not None and now < until else woken[:count_max]
            found += woken
            for run_id in woken:  # who still has to wait says so again
                del waiting[run_id]
            if not waiting:
                del self._waiting[name]
        return found

    def _let_through(self, run: Run, event: NodeQueued, now: datetime) -> None:
        policy = run.plan.all_nodes[event.node_id].node.circuit_breaker
        if policy is None:
            return
        trial = Trial(run.id, event.node_id, event.instance, event.attempt)
        step = self._undecided.setdefault(run.id, _Undecided())
        step.told.append(BreakerTold(event.breaker, "let_through", trial, now, policy))
        step.ended.discard(trial[:3])
        breaker = self.known.get(event.breaker)
        if breaker is not None and breaker.state != "closed":
            step.trials.append((breaker, breaker.trial, breaker.trial_until))
            breaker.trial, breaker.trial_until = trial, now + timedelta(milliseconds=policy.open_ms)

    def _ended(
        self, run_id: UUID, node_id: str, instance: str, what: Outcome, now: datetime, error: RunError | None = None
    ) -> None:
        place = (run_id, node_id, instance)
        handed = self._under_way.get(place)
        if handed is None:
            return
        step = self._undecided.setdefault(run_id, _Undecided())
        if place in step.ended:
            return
        step.ended.add(place)
        trial = Trial(*place, handed.attempt)
        message = "" if error is None else f"{error.code}: {error.message}"
        step.told.append(BreakerTold(handed.breaker, what, trial, now, handed.policy, message))
        if what == "failed" and (breaker := self.known.get(handed.breaker)) is not None:
            breaker.pending[trial] = now

    def _matters(self, told: BreakerTold) -> bool:
        """Whether anything may follow; of a breaker that is closed without a failure only a failure matters."""
        breaker = self.known.get(told.breaker)
        if breaker is None or told.what == "failed":
            return True
        return breaker.state != "closed" or (told.what == "completed" and bool(breaker.failures))
