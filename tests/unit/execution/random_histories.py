"""A run driven at random: what workers, timers, people and other runs may do, in any order, late and twice.

The history notes when each place began and ended (that is the oracle's `Order`), and how, which is what the oracle says.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from flowforge.commands import DecideApproval, PauseRun, ResumeRun, RetryRun
from flowforge.definition import LoopNode, Node, Workflow, parse
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalWait,
    Cause,
    ChildRunEnded,
    ChildRunRefused,
    ChildWait,
    EventWait,
    IterationEnded,
    IterationStarted,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    ReportIgnored,
    RunCancelRequested,
    RunFailing,
    RunRetried,
    TimerSet,
    TimerWait,
    TriggerRef,
    WorkflowTriggered,
    decode,
    encode,
)
from flowforge.refusals import Refusal
from flowforge.reports import JobCompleted, JobFailed, JobProgressed, JobStarted, Report, ReportedError

from services.execution import decide
from services.execution.decide import operations
from services.execution.plan import Plan
from services.execution.state import Run, fold
from tests.unit.execution.given import CAUSE, NOW, RUN, fired
from tests.unit.execution.oracle_terms import NEVER, Place
from tests.unit.execution.run_view import check_limits, view

STEPS_MAX = 20_000
ENDED = {NodeCompleted: "completed", NodeFailed: "failed", NodeCancelled: "cancelled", NodeSkipped: "skipped"}
BEGUN = (NodeQueued, NodeStarted, NodeWaiting)


class Chances(NamedTuple):
    """How often nature and people interfere."""

    failure: float = 0.2
    fatal: float = 0.2
    repeat: float = 0.1
    pause: float = 0.03
    cancel: float = 0.0
    timeout: float = 0.0
    refold: float = 0.02
    step_events_max: int = 5_000


class HashedNature:
    """Outcomes that depend on nothing but the place, the attempt, and a seed."""

    def __init__(self, seed: int, chances: Chances) -> None:
        self._seed = seed
        self._chances = chances

    def outcome(self, place: Place, attempt: int) -> str:
        if self._share("outcome", place, attempt) >= self._chances.failure:
            return "ok"
        if place.node_id.startswith("approval"):
            return "fatal"  # who was rejected is not asked again
        if place.node_id.startswith("event"):
            return "fails"  # whoever waited in vain may wait once more
        return "fatal" if self._share("fatal", place, attempt) < self._chances.fatal else "fails"

    def output(self, place: Place, attempt: int) -> dict[str, Any]:
        return {"ok": self._share("ok", place, attempt) < 0.5, "by": f"{place.node_id}[{place.path}]{attempt}"}

    def _share(self, *of: Any) -> float:
        digest = hashlib.blake2b(repr((self._seed, of)).encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**32


class Seen:
    """What became of one place in this phase of the run."""

    __slots__ = ("attempts", "began", "ended", "output", "reason", "status")

    def __init__(self) -> None:
        self.began = self.ended = NEVER
        self.attempts: list[int] = []
        self.status, self.reason, self.output = "idle", "", None


class Open(NamedTuple):
    """Something that is under way outside of the engine."""

    place: Place
    instance: str
    event: NodeQueued | NodeWaiting


class RandomHistory:
    """One run. `order` methods speak of the current phase: since the beginning, or since the last retry."""

    def __init__(
        self, definition: dict[str, Any], seed: int, chances: Chances, flags: dict[str, Any], from_node: str | None
    ) -> None:
        workflow, faults = parse(definition)
        assert workflow is not None, faults
        self.workflow: Workflow = workflow
        self.plan = Plan(workflow, 1)
        self.rng = Random(seed)
        self.chances = chances
        self.nature = HashedNature(seed, chances)
        self.now = NOW
        first = WorkflowTriggered(
            run_id=RUN,
            workflow_id="wf",
            workflow_version=1,
            trigger=TriggerRef(type="manual", id="manual"),
            trigger_version=1,
            cause=Cause(event_id=CAUSE, type="RunRequested", id="1", source="/test", stream_id=CAUSE),
            input_data=msgspec.Raw(msgspec.json.encode(flags)),
            from_node=from_node,
        )
        self.events: list[tuple[Any, datetime]] = [(first, NOW)]
        self.run = self.refolded()
        self.around = dict(_loops_around(workflow.nodes, ()))
        self.is_map = {node.id: node.for_each is not None for node in _all_nodes(workflow.nodes)}
        self.attempts: dict[tuple[str, str], int] = {}
        self.open: dict[tuple[str, str], Open] = {}
        self.timers: list[TimerSet] = []
        self.said: list[tuple[UUID, Report]] = []
        self.deeds = 0
        self.phase()

    # --- the order, as the oracle is told -----------------------------------------------------------------------------

    def phase(self) -> None:
        """What is seen from here on is a part of its own."""
        self.seen: dict[Place, Seen] = {}
        self.cancelled_at = self.timed_out_at = NEVER
        self.quiet: list[int] = []

    def began(self, place: Place) -> float:
        return self.seen[place].began if place in self.seen else NEVER

    def ended(self, place: Place) -> float:
        return self.seen[place].ended if place in self.seen else NEVER

    def settled(self, rank: float) -> float:
        """The next moment when all that could be done had been done."""
        return next((at for at in self.quiet if at > rank), NEVER)

    def first_attempt(self, place: Place) -> int:
        seen = self.seen.get(place)
        return seen.attempts[0] if seen and seen.attempts else self.attempts.get((place.node_id, place.path), 1)

    # --- the engine, message by message -------------------------------------------------------------------------------

    def refolded(self) -> Run:
        """The run as its history alone gives it, each event having gone through its JSON."""
        return fold(self.plan, [(cast("Any", decode(type(e).__name__, encode(e))), at) for e, at in self.events])

    def do(self, deed: Callable[[decide.Step], Any]) -> list[Any]:
        """What follows from a message; now and then it comes twice, and now and then the run is read from its history."""
        self.now += timedelta(milliseconds=1)
        was_ended = self.run.is_ended
        step = self._step()
        deed(step)
        self._note(step.events)
        told = list(step.events)
        if self.rng.random() < self.chances.repeat and not self.is_cut:
            again = decide.Step(self.run, self.now)
            deed(again)
            assert again.events == [], f"delivered twice, it did something: {again.events}"
        if was_ended:
            assert all(isinstance(event, ReportIgnored) for event in told), f"after the end of the run: {told}"
        if self.rng.random() < self.chances.refold:
            self.refold()
        check_limits(self.run, self.is_cut, sum(isinstance(each.event, NodeQueued) for each in self.open.values()))
        assert not (self.run.is_ended and self.open)
        return told

    @property
    def is_cut(self) -> bool:
        """Whether there is more to do at once, in a step that is yet to come."""
        return any(timer.purpose == "go_on" for timer in self.timers)

    def _step(self) -> decide.Step:
        return decide.Step(self.run, self.now, events_max=self.chances.step_events_max)

    def refold(self) -> None:
        """The state in memory is what the history gives; the run goes on with the latter."""
        again = self.refolded()
        assert view(self.run) == view(again)
        self.run = again

    def retry(self, *node_ids: str) -> bool:
        """The run goes on; whether there was anything to retry."""
        command = RetryRun(command_id=f"retry-{len(self.events)}", run_id=str(RUN), node_ids=list(node_ids))
        refused: list[Refusal | None] = []
        step = self._step()
        refused.append(operations.retry(step, command))
        if refused[0] is not None:
            assert step.events == []
            return False
        self.phase()
        self.timers.clear()
        self._note(step.events)
        return True

    def go_on(self) -> None:
        """Until the run has ended."""
        for _ in range(STEPS_MAX):
            if self.run.is_ended:
                self.refold()
                return
            self._deed()()
        raise AssertionError("the run does not end")

    def start(self) -> None:
        self.do(decide.start)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def _deed(self) -> Callable[[], Any]:
        chance, rng = self.chances, self.rng
        is_paused = self.run.status == "paused"
        if is_paused and (rng.random() < 0.3 or not self.open):
            return self._resume
        if not is_paused and not self.run.is_stopping and rng.random() < chance.pause:
            return self._pause
        if self.cancelled_at == NEVER and rng.random() < chance.cancel:
            name = f"cancel-{len(self.events)}"
            return lambda: self.do(lambda step: decide.cancel(step, "enough", name))
        if not is_paused and not self.run.is_stopping and rng.random() < chance.timeout:
            return lambda: self._fire(TimerSet(timer_id=RUN, due_at=self.now, purpose="run_timeout"))
        if self.said and rng.random() < chance.repeat:
            job_id, said = rng.choice(self.said)
            return lambda: self.do(lambda step: decide.report(step, job_id, said))
        waiting = [timer for timer in self.timers if timer.purpose in ("retry", "go_on") or self._is_wanted(timer)]
        choices = len(self.open) + len(waiting)
        assert choices, f"nothing is under way, and the run is {self.run.status}"
        at = rng.randrange(choices)
        if at < len(waiting):
            return lambda: self._fire(waiting[at])
        return lambda: self._outside(list(self.open.values())[at - len(waiting)])

    def _is_wanted(self, timer: TimerSet) -> bool:
        """Timers of waits come due where nature lets the wait fail, and for delays."""
        found = self.open.get((timer.node_id, timer.instance))
        if timer.purpose != "wait" or found is None or not isinstance(found.event, NodeWaiting):
            return False
        is_late = self.nature.outcome(found.place, timer.attempt) != "ok"
        is_last_word = is_late and self.run.status == "running"
        return isinstance(found.event.wait, TimerWait) or (is_last_word and isinstance(found.event.wait, EventWait))

    def _fire(self, timer: TimerSet) -> None:
        if timer.due_at < self.now + timedelta(
            days=1
        ):  # else a wait that fails, before others of its kind are too late
            self.now = max(self.now, timer.due_at)
        if timer.purpose != "retry" and timer in self.timers:
            self.timers.remove(timer)
        told = self.do(lambda step: decide.timer(step, fired(timer)))
        if told and timer in self.timers:  # else there was no room, and time passes
            self.timers.remove(timer)

    def _pause(self) -> None:
        command = PauseRun(command_id=f"pause-{len(self.events)}", run_id=str(RUN))
        self.do(lambda step: operations.pause(step, command))

    def _resume(self) -> None:
        command = ResumeRun(command_id=f"resume-{len(self.events)}", run_id=str(RUN))
        self.do(lambda step: operations.resume(step, command))

    def _outside(self, what: Open) -> None:
        event = what.event
        attempt = event.attempt
        outcome = self.nature.outcome(what.place, attempt)
        if isinstance(event, NodeQueued):
            self._report(what, event, outcome)
            return
        node_id, instance = event.node_id, event.instance
        match event.wait:
            case ApprovalWait() as wait:
                decision = "approve" if outcome == "ok" else "reject"
                name = f"{wait.approval_id} {len(self.events)}"
                said = DecideApproval(command_id=name, approval_id=wait.approval_id, decision=decision)
                self.do(lambda step: operations.decide_approval(step, said, "ada"))
            case EventWait() if outcome == "ok":
                event_data = self.nature.output(what.place, attempt)
                self.do(lambda step: decide.event_came(step, node_id, instance, event_data))
            case ChildWait() as wait if outcome == "fatal":
                refused = ChildRunRefused(
                    parent_run_id=RUN,
                    node_id=node_id,
                    instance=instance,
                    child_run_id=wait.child_run_id,
                    code="DEPTH_EXCEEDED",
                    message="too deep",
                )
                self.do(lambda step: decide.child_refused(step, refused))
            case ChildWait() as wait:
                ended = ChildRunEnded(
                    parent_run_id=RUN,
                    node_id=node_id,
                    instance=instance,
                    status="completed" if outcome == "ok" else "failed",
                    output=self._output(what, attempt),
                    error=None if outcome == "ok" else RunError("BROKEN", "it broke"),
                )
                self.do(lambda step: decide.child_ended(step, wait.child_run_id, ended))
            case _:
                pass

    def _output(self, what: Open, attempt: int) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(self.nature.output(what.place, attempt)))

    def _report(self, what: Open, queued: NodeQueued, outcome: str) -> None:
        attempt, job_id = queued.attempt, queued.job_id
        assert job_id is not None
        said: Report
        if self.rng.random() < 0.3:
            said = self.rng.choice(
                [JobStarted(attempt=attempt, worker="w"), JobProgressed(attempt=attempt, progress=self.rng.random())]
            )
        elif outcome == "ok":
            said = JobCompleted(attempt=attempt, output=self._output(what, attempt))
        else:
            error = ReportedError(code="BROKEN", message="it broke", retryable=outcome == "fails")
            said = JobFailed(attempt=attempt, error=error)
        self.said.append((job_id, said))
        self.do(lambda step: decide.report(step, job_id, said))

    # --- what was seen ------------------------------------------------------------------------------------------------

    def _note(self, events: list[Any]) -> None:
        for event in events:
            rank = len(self.events)
            self.events.append((event, self.now))
            match event:
                case RunCancelRequested():
                    self.cancelled_at = rank
                case RunFailing() if event.error.code == "EXECUTION_TIMEOUT":
                    self.timed_out_at = rank
                case TimerSet():
                    self.timers.append(event)
                case IterationStarted() | IterationEnded():
                    self._note_iteration(event, rank)
                case RunRetried():
                    for node_id in event.resumed:
                        self.seen.setdefault(self.place(node_id, ""), Seen()).began = rank
                case NodeRetried():
                    self.open.pop((event.node_id, event.instance), None)
                case NodeCompleted() | NodeFailed() | NodeCancelled() | NodeSkipped():
                    self._note_end(event, rank)
                case NodeQueued() | NodeStarted() | NodeWaiting():
                    self._note_beginning(event, rank)
                case _:
                    pass
        if self.run.status == "running" and not self.is_cut:
            self.quiet.append(len(self.events))

    def _note_iteration(self, event: IterationStarted | IterationEnded, rank: int) -> None:
        place = self.place(event.node_id, event.instance)
        attempt = self.attempts[event.node_id, event.instance]
        around = place.inner(f"{event.node_id}#", event.index, attempt)
        seen = self.seen.setdefault(around, Seen())
        if isinstance(event, IterationStarted):
            assert seen.began == NEVER, f"iteration {around} twice"
            seen.began = rank
        else:
            seen.ended, seen.status = rank, event.status

    def _note_beginning(self, event: NodeQueued | NodeStarted | NodeWaiting, rank: int) -> None:
        key = (event.node_id, event.instance)
        place = self.place(*key)
        seen = self.seen.setdefault(place, Seen())
        assert seen.status == "idle", f"{place} is {seen.status}, and begins: {event}"
        seen.began = min(seen.began, rank)
        is_report = isinstance(event, NodeStarted) and key in self.open
        if not is_report:
            assert event.attempt not in seen.attempts, f"attempt {event.attempt} of {place} twice"
            assert event.attempt == seen.attempts[-1] + 1 if seen.attempts else True, f"attempts of {place}"
            seen.attempts.append(event.attempt)
            self.attempts[key] = event.attempt
        if not isinstance(event, NodeStarted):
            self.open[key] = Open(place, event.instance, event)

    def _note_end(self, event: NodeCompleted | NodeFailed | NodeCancelled | NodeSkipped, rank: int) -> None:
        key = (event.node_id, event.instance)
        place = self.place(*key)
        seen = self.seen.setdefault(place, Seen())
        assert seen.status == "idle", f"{place} is {seen.status}, and ends: {event}"
        seen.ended, seen.status = rank, ENDED[type(event)]
        if seen.status == "failed":  # at once, for what it was given
            seen.began = min(seen.began, rank)
        self.open.pop(key, None)
        if isinstance(event, NodeCompleted):
            seen.output = msgspec.json.decode(event.output)
        elif isinstance(event, NodeSkipped) or (isinstance(event, NodeCancelled) and event.reason == "branch_lost"):
            seen.reason = event.reason

    def place(self, node_id: str, instance: str) -> Place:
        """With the attempts of the loops and maps that it is in."""
        parts = instance.split(".") if instance else []
        rounds: list[int] = []
        used = 0
        for loop in self.around[node_id]:
            for _ in range(1 + self.is_map[loop]):
                rounds.append(self.attempts[loop, ".".join(parts[:used])])
                used += 1
        if len(parts) > used:
            rounds.append(self.attempts[node_id, ".".join(parts[:used])])
        return Place(node_id, instance, tuple(rounds))


def _all_nodes(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, LoopNode):
            yield from _all_nodes(node.body.nodes)


def _loops_around(nodes: list[Node], around: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in nodes:
        yield node.id, around
        if isinstance(node, LoopNode):
            yield from _loops_around(node.body.nodes, (*around, node.id))
