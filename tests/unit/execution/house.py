"""Several runs that share places, breakers and outputs, with messages of the service to itself: specs in milliseconds."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.definition import parse
from flowforge.events import (
    BreakerEvent,
    Cause,
    EarlierOutput,
    Event,
    NodeCompleted,
    RunEvent,
    TriggerRef,
    WorkflowTriggered,
    decode,
    encode,
)
from flowforge.identity import derived_uuid
from flowforge.reports import JobCompleted, JobFailed, JobStarted, Report, ReportedError

from services.execution import breakers, decide
from services.execution.around import BREAKER, Around, Earlier
from services.execution.breakers import Breaker, BreakerTold
from services.execution.places import Limits
from services.execution.plan import Plan
from services.execution.state import Run, Unit, fold
from tests.unit.execution.given import NOW

Deed = Callable[[decide.Step], object]


class House:
    """The log, and the runs in memory. `crash` forgets everything but the log."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.now = NOW
        self.plans: dict[UUID, Plan] = {}
        self.actors: dict[UUID, str | None] = {}
        self.log: dict[UUID, list[tuple[Any, datetime]]] = {}
        self.breaker_log: dict[str, list[BreakerEvent]] = {}
        self.crash()

    def crash(self) -> None:
        """A process that starts anew: reads all open runs, and gives each that shares something a turn."""
        self.around = Around(self.limits)
        self.runs: dict[UUID, Run] = {}
        self.inbox: list[UUID] = []
        self.told: list[BreakerTold] = []
        for run_id in self.log:
            if not self._read(run_id).is_ended:
                self.inbox.append(run_id)
        self.inbox += self.around.places.invitations()

    def define(self, workflow_id: str = "wf", **definition: Any) -> Plan:
        workflow, faults = parse({"id": workflow_id, "name": workflow_id, **definition})
        assert workflow is not None, faults
        return Plan(workflow, 1)

    def start(
        self,
        plan: Plan,
        input_data: Any = None,
        actor: str | None = None,
        *,
        is_looked_up: bool = True,
        **triggered: Any,
    ) -> UUID:
        """A run begins; everything that follows by itself follows, unless what it asks for is not looked up any more."""
        run_id = derived_uuid(NOW, "run", len(self.log))
        cause = Cause(event_id=run_id, type="RunRequested", id="1", source="/test", stream_id=run_id)
        first = WorkflowTriggered(
            run_id=run_id,
            workflow_id=plan.workflow_id,
            workflow_version=1,
            trigger=TriggerRef(type="manual", id="manual"),
            trigger_version=1,
            cause=cause,
            input_data=msgspec.Raw(msgspec.json.encode(input_data)),
            **triggered,
        )
        self.plans[run_id], self.actors[run_id] = plan, actor
        self.log[run_id] = [(first, self.now)]
        self._read(run_id)
        if is_looked_up:
            self.when(run_id, decide.start)
        else:
            step = self.decided(run_id, decide.start)
            self.log[run_id] += [(event, step.now) for event in step.events]
        return run_id

    # --- messages ------------------------------------------------------------------------------------------------------

    def when(self, run_id: UUID, deed: Deed) -> list[Event]:
        """What follows in the run; then what follows from that elsewhere."""
        events = self.only(run_id, deed)
        self.settle()
        return events

    def only(self, run_id: UUID, deed: Deed) -> list[Event]:
        """What follows in the run, logged; nobody else has had a turn yet."""
        step = self.decided(run_id, deed)
        self.logged(step)
        return list(step.events)

    def decided(self, run_id: UUID, deed: Deed) -> decide.Step:
        """A step that is not logged yet."""
        self.now += timedelta(milliseconds=1)
        run = self.runs[run_id] if run_id in self.runs else self._read(run_id)
        step = decide.Step(run, self.now, self.around if self.around.concerns(run) else None)
        deed(step)
        self.around.earlier.pop(run_id, None)
        return step

    def logged(self, step: decide.Step) -> None:
        run_id = step.run.id
        self.log[run_id] += [(event, step.now) for event in step.events]
        self.told += self.around.logged(run_id)
        self.inbox += self.around.places.invitations()
        if step.wanted:
            self._load(run_id, step.wanted)
            self.inbox.append(run_id)

    def refused(self, step: decide.Step) -> None:
        """Somebody appended first."""
        del self.runs[step.run.id]
        self.around.refused(step.run.id)
        self.inbox += self.around.places.invitations()

    def settle(self) -> None:
        """All messages of the service to itself."""
        for _ in range(10_000):
            while self.told:
                self._tell(self.told.pop(0))
            self.inbox += self.around.breakers.due(self.now, 10)
            if not self.inbox:
                return
            self.only(self.inbox.pop(0), decide.woken)
        raise AssertionError("it never comes to rest")

    def pass_ms(self, milliseconds: float) -> None:
        self.now += timedelta(milliseconds=milliseconds)
        self.settle()

    def report(self, run_id: UUID, node_id: str, said: Report, instance: str = "") -> list[Event]:
        job_id = self.run(run_id).job_id(self.run(run_id).unit(node_id, instance))
        return self.when(run_id, lambda step: decide.report(step, job_id, said))

    def began(self, run_id: UUID, node_id: str, attempt: int = 1, instance: str = "") -> list[Event]:
        return self.report(run_id, node_id, JobStarted(attempt=attempt, worker="w"), instance)

    def completes(
        self, run_id: UUID, node_id: str, output: Any = None, attempt: int = 1, instance: str = ""
    ) -> list[Event]:
        raw = msgspec.Raw(msgspec.json.encode(output))
        return self.report(run_id, node_id, JobCompleted(attempt=attempt, output=raw), instance)

    def fails(self, run_id: UUID, node_id: str, attempt: int = 1, code: str = "NODE_EXECUTION_FAILED") -> list[Event]:
        error = ReportedError(code=code, message="it broke")
        return self.report(run_id, node_id, JobFailed(attempt=attempt, error=error))

    # --- what is the case ------------------------------------------------------------------------------------------------

    def run(self, run_id: UUID) -> Run:
        """The run as the log alone gives it."""
        history = [(cast("RunEvent", decode(type(e).__name__, encode(e))), at) for e, at in self.log[run_id]]
        run = fold(self.plans[run_id], history)
        run.actor = self.actors[run_id]
        return run

    def unit(self, run_id: UUID, node_id: str, instance: str = "") -> Unit:
        return self.run(run_id).unit(node_id, instance)

    def status(self, run_id: UUID, node_id: str, instance: str = "") -> str:
        return self.unit(run_id, node_id, instance).status

    def statuses(self, runs: Iterable[UUID], node_id: str) -> list[str]:
        return [self.status(run_id, node_id) for run_id in runs]

    def under_way(self) -> list[tuple[UUID, Unit]]:
        """Every job that was handed out and has not ended."""
        found: list[tuple[UUID, Unit]] = []
        for run_id in self.log:
            run = self.run(run_id)
            if not run.is_ended:
                found += [(run_id, unit) for unit in run.jobs.values() if unit.status in ("queued", "running")]
        return found

    def kinds(self, run_id: UUID) -> list[str]:
        return [type(event).__name__ for event, _ in self.log[run_id]]

    # --- the log -----------------------------------------------------------------------------------------------------------

    def _read(self, run_id: UUID) -> Run:
        run = self.runs[run_id] = self.run(run_id)
        if self.around.concerns(run):
            self.around.read(run)
        return run

    def _load(self, run_id: UUID, wanted: Iterable[tuple[str, str]]) -> None:
        for kind, name in wanted:
            if kind == BREAKER:
                self._breaker(name)
            else:
                self.around.earlier.setdefault(run_id, {})[name] = self._earlier(name)

    def _earlier(self, name: str) -> Earlier | None:
        found = [
            (at, run_id, event)
            for run_id, history in self.log.items()
            for event, at in history
            if isinstance(event, NodeCompleted) and event.cache_key == name
        ]
        if not found:
            return None
        _, run_id, event = max(found, key=lambda each: each[0])
        return Earlier(EarlierOutput(run_id=run_id, node_id=event.node_id, instance=event.instance), event.output)

    def _breaker(self, name: str) -> Breaker:
        if name not in self.around.breakers.known:
            breaker = self.around.breakers.known[name] = Breaker(name)
            for event in self.breaker_log.get(name, []):
                breakers.evolve(breaker, event)
        return self.around.breakers.known[name]

    def _tell(self, told: BreakerTold) -> None:
        breaker = self._breaker(told.breaker)
        for event in breakers.decide(breaker, told):
            breakers.evolve(breaker, event)
            self.breaker_log.setdefault(told.breaker, []).append(event)
        assert breakers.decide(breaker, told) == [], "told twice, it did something"
