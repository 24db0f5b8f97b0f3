"""Given a workflow and what happened, when a message comes, then these events: the specs of execution read like that."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.definition import parse
from flowforge.events import Cause, Event, RunEvent, TimerFired, TimerSet, TriggerRef, WorkflowTriggered, decode, encode
from flowforge.identity import derived_uuid, part_uuid
from flowforge.reports import JobCompleted, JobFailed, JobProgressed, JobStarted, Report, ReportedError

from services.execution import decide
from services.execution.plan import Plan
from services.execution.state import Run, Unit, fold

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
RUN = derived_uuid(NOW, "a run")
CAUSE = derived_uuid(NOW, "a cause")


class Scenario:
    """One run under test. Every message is also delivered twice: the second time must change nothing."""

    def __init__(self, definition: dict[str, Any], input_data: Any = None, **triggered: Any) -> None:
        workflow, faults = parse({"id": "wf", "name": "A workflow", **definition})
        assert workflow is not None, faults
        self.plan = Plan(workflow, 1)
        self.now = NOW
        first = WorkflowTriggered(
            run_id=RUN,
            workflow_id="wf",
            workflow_version=1,
            trigger=TriggerRef(type="manual", id="manual"),
            trigger_version=1,
            cause=Cause(event_id=CAUSE, type="RunRequested", id="1", source="/test", stream_id=CAUSE),
            input_data=msgspec.Raw(msgspec.json.encode(input_data)),
            **triggered,
        )
        self.history: list[tuple[Any, datetime]] = [(first, NOW)]

    @property
    def run(self) -> Run:
        """The run as its history alone gives it, each event having gone through its JSON."""
        return fold(self.plan, [(cast("RunEvent", decode(type(e).__name__, encode(e))), at) for e, at in self.history])

    def when(self, deed: Any) -> list[Event]:
        """What follows from the deed; the events join the history. Repeated at once, nothing follows."""
        self.now += timedelta(milliseconds=1)
        step = decide.Step(self.run, self.now)
        deed(step)
        self.history += [(event, self.now) for event in step.events]
        again = decide.Step(self.run, self.now)
        deed(again)
        assert again.events == [], f"delivered twice, it did something: {again.events}"
        return list(step.events)

    def start(self) -> list[Event]:
        return self.when(decide.start)

    def report(self, node_id: str, said: Report, instance: str = "") -> list[Event]:
        unit = self.run.find(node_id, instance)
        job_id = part_uuid(RUN, "no such job") if unit is None else self.run.job_id(unit)
        return self.when(lambda step: decide.report(step, job_id, said))

    def started(self, node_id: str, attempt: int = 1, delivery: int = 1) -> list[Event]:
        return self.report(node_id, JobStarted(attempt=attempt, delivery=delivery, worker="w"))

    def completes(
        self, node_id: str, output: Any = None, attempt: int = 1, delivery: int = 1, instance: str = ""
    ) -> list[Event]:
        raw = msgspec.Raw(msgspec.json.encode(output))
        return self.report(node_id, JobCompleted(attempt=attempt, delivery=delivery, output=raw), instance)

    def fails(
        self,
        node_id: str,
        code: str = "NODE_EXECUTION_FAILED",
        attempt: int = 1,
        instance: str = "",
        retryable: bool = True,
    ) -> list[Event]:
        error = ReportedError(code=code, message="it broke", retryable=retryable)
        return self.report(node_id, JobFailed(attempt=attempt, error=error), instance)

    def progresses(self, node_id: str, progress: float) -> list[Event]:
        return self.report(node_id, JobProgressed(attempt=1, progress=progress))

    def cancel(self) -> list[Event]:
        return self.when(lambda step: decide.cancel(step, "enough", "c1") if not step.run.is_ended else None)

    def timer(self, purpose: str) -> list[Event]:
        """The last timer of that purpose comes due."""
        return self.fires(self.timers(purpose)[-1])

    def timers(self, purpose: str) -> list[TimerSet]:
        """All that were set for that purpose, the first one first."""
        return [event for event, _ in self.history if isinstance(event, TimerSet) and event.purpose == purpose]

    def fires(self, timer: TimerSet) -> list[Event]:
        """This one comes due."""
        self.now = max(self.now, timer.due_at)
        return self.when(lambda step: decide.timer(step, fired(timer)))

    def operation(self, command: Any, deed: Any) -> list[Event]:
        """A person's command, which is carried out."""

        def carried_out(step: decide.Step) -> None:
            refusal = deed(step, command)
            assert refusal is None, refusal

        return self.when(carried_out)

    def refused(self, command: Any, deed: Any) -> str:
        """A person's command, which is refused: why."""
        step = decide.Step(self.run, self.now)
        refusal = deed(step, command)
        assert refusal is not None
        assert step.events == []
        return refusal.detail

    def pass_ms(self, milliseconds: float) -> None:
        self.now += timedelta(milliseconds=milliseconds)

    def unit(self, node_id: str, instance: str = "") -> Unit:
        return self.run.unit(node_id, instance)

    def statuses(self) -> dict[str, str]:
        """Status by node, with the reason of a skip."""
        return {
            node.node_id: node.status + (f":{node.skip_reason}" if node.skip_reason else "")
            for node in self.run.nodes.values()
        }

    def output(self) -> Any:
        """The run's output, from its last event."""
        return msgspec.json.decode(self.history[-1][0].output)


def fired(timer: TimerSet) -> TimerFired:
    """What the scheduler says of it."""
    return TimerFired(
        timer_id=timer.timer_id,
        run_id=RUN,
        workflow_id="wf",
        due_at=timer.due_at,
        purpose=timer.purpose,
        node_id=timer.node_id,
        instance=timer.instance,
        attempt=timer.attempt,
    )


def job(node_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "job", "job_type": "work", **fields}


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    return {"source_node_id": source, "target_node_id": target, **fields}


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


__all__ = ["RUN", "UUID", "Scenario", "edge", "job", "kinds"]
