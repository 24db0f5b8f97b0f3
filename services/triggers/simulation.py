"""What a trigger would have answered to causes of the past, one after the other, with the time between them (pure).

The same lines decide as in a turn; only that time is the causes' own, timers come due to the microsecond, and nothing of what
follows is logged. So limits, quiet, batches and joins are what they would have been from the first cause on.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import msgspec
from flowforge.events import Cause, Decision, TriggerDecided, TriggerTimerFired, WorkflowTriggered
from flowforge.identity import part_uuid

from services.triggers.cause import AnyCause, absence_cause
from services.triggers.decide import Deciding
from services.triggers.index import Rule, RuleKey
from services.triggers.memory import Memory
from services.triggers.pipeline import trigger_stream
from services.triggers.verdict import Wanted

NAMESPACE = "dry-run"
_DUE_AT_ONCE_MAX = 100_000


class Told(msgspec.Struct, frozen=True, gc=False):
    """One answer, at its time. `run_id` is that of the run that would have started."""

    cause: Cause
    decision: Decision
    at: datetime
    reason: str = ""
    detail: str = ""
    consumed: list[UUID] = []
    run_id: UUID | None = None


class Simulation:
    """One trigger, and what it would remember."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._memory = Memory()
        self._causes: dict[UUID, AnyCause] = {}

    # --- what deciding asks for ---------------------------------------------------------------------------------------

    def draft(self, key: RuleKey) -> Memory:  # noqa: ARG002 - there is one trigger
        return self._memory

    def holds(self, key: RuleKey) -> bool:  # noqa: ARG002
        return not self._memory.is_empty

    def count(self, first_event_id: UUID) -> int:  # noqa: ARG002 - chains are not simulated
        return 0

    def grow(self, first_event_id: UUID) -> None:
        """Chains are not simulated."""

    def recall(self, cause: Cause) -> AnyCause:
        found = self._causes.get(cause.event_id)
        if found is None:
            raise Wanted(f"the cause {cause.event_id} was never taken")
        return found

    # --- the past -----------------------------------------------------------------------------------------------------

    def begin(self, at: datetime) -> list[Told]:
        """The trigger is in force from then on."""
        deciding = self._deciding(at)
        one = deciding.pipeline(self.rule)
        if self.rule.standing is None:
            one.count_absence(at)
        deciding.settle(one)
        return self._told(deciding, at)

    def take(self, cause: AnyCause, at: datetime) -> list[Told]:
        """What came due before, then what the trigger answers to a cause that concerns it."""
        told = list(self.pass_until(at))
        deciding = self._deciding(at)
        deciding.consider(self.rule, cause)
        if deciding.remembered:
            self._causes[cause.cause.event_id] = cause
        return [*told, *self._told(deciding, at)]

    def pass_until(self, at: datetime) -> Iterator[Told]:
        """What comes due until then, each at its time."""
        for _ in range(_DUE_AT_ONCE_MAX):
            due_at = self._memory.earliest()
            if due_at is None or due_at > at:
                return
            yield from self._come_due(due_at)

    def _come_due(self, at: datetime) -> list[Told]:
        deciding = self._deciding(at)
        one = deciding.pipeline(self.rule)
        if one.is_absence_due():
            cause = absence_cause(self._timer(at), part_uuid(trigger_stream(*self.rule.key), "absence", at), NAMESPACE)
            deciding.knows(cause)
            self._causes[cause.cause.event_id] = cause
            one.absent(cause.cause)
        one.come_due()
        deciding.settle(one)
        return self._told(deciding, at)

    def _timer(self, at: datetime) -> TriggerTimerFired:
        workflow_id, trigger_id = self.rule.key
        stream_id = trigger_stream(workflow_id, trigger_id)
        return TriggerTimerFired(
            timer_id=part_uuid(stream_id, "timer", at),
            trigger_stream_id=stream_id,
            workflow_id=workflow_id,
            trigger_id=trigger_id,
            due_at=at,
        )

    def _deciding(self, at: datetime) -> Deciding:
        return Deciding(self, self, self.recall, at)

    def _told(self, deciding: Deciding, at: datetime) -> list[Told]:
        deciding.require_everything()
        told = list(_answers(deciding, at))
        for one in told:
            if one.decision != "held":
                self._causes.pop(one.cause.event_id, None)
        return told


def _answers(deciding: Deciding, at: datetime) -> Iterator[Told]:
    decided = [fact for one in deciding.remembered.values() for fact in one.facts if isinstance(fact, TriggerDecided)]
    for fact in [*deciding.decisions, *decided]:
        yield Told(fact.cause, fact.decision, at, fact.reason, fact.detail, fact.consumed, fact.run_id)
    for run in deciding.runs:
        yield _started(run, at)


def _started(run: WorkflowTriggered, at: datetime) -> Told:
    return Told(run.cause, "fired", at, consumed=run.consumed, run_id=run.run_id)
