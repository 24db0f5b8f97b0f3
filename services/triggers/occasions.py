"""What FlowForge's own events mean to triggers: runs that end, schedules and timers that come due, definitions that change.

Each is decided once: by an identity where it starts something by itself, and by what the triggers remember where it only
lets them go on.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from flowforge.events import RUN_ENDINGS, TriggerDecided, TriggerTimerFired, WorkflowArchived, decode
from flowforge.identity import identity_key, part_uuid

from infra.bus import Message
from services.triggers.admission import ending_of
from services.triggers.cause import absence_cause
from services.triggers.concurrency import limits
from services.triggers.decide import Decided, Deciding, declined
from services.triggers.definitions import Definitions
from services.triggers.endings import EndedCause
from services.triggers.failures import handle
from services.triggers.job_occasions import JobOccasions
from services.triggers.ledger import Ledger
from services.triggers.reading import (
    ChildKey,
    DefinedKey,
    EndedKey,
    JobKey,
    RetryKey,
    ScheduledKey,
    TimerKey,
    is_of_runs,
    run_of,
    schedule_identity,
    scheduled_of,
)
from services.triggers.recalling import Recalled
from services.triggers.run_occasions import RunOccasions, cause_of, version_in
from services.triggers.scheduled import decide_scheduled
from services.triggers.slot_ledger import SlotLedger
from services.triggers.verdict import NotFired

OwnKey = ScheduledKey | EndedKey | JobKey | ChildKey | RetryKey | TimerKey | DefinedKey
_REMOVED = NotFired("expired", "the trigger was removed while it waited")


def is_own(key: object) -> bool:
    """Whether the key is that of an event of our own."""
    return isinstance(key, OwnKey)


def identity_of(key: OwnKey, decided: Decided) -> bytes | None:
    """Under which identity what follows is logged, where it is logged once whatever is remembered."""
    match key:
        case DefinedKey() if decided.decisions:
            return identity_key("defined", str(decided.cause.event_id))
        case ScheduledKey(stream_id):
            return schedule_identity(stream_id)
        case EndedKey(event_id):
            return identity_key("ended", str(event_id))
        case ChildKey(child_run_id):
            return identity_key("child", str(child_run_id))
        case RetryKey(event_id):
            return identity_key("retry", str(event_id))
        case TimerKey(timer_id) if _is_of_itself(decided):
            return identity_key("absence", str(timer_id))
        case _:
            return None


def _is_of_itself(decided: Decided) -> bool:
    """Whether the cause is decided about, and no mere occasion."""
    event_id = decided.cause.event_id
    facts = [fact for one in decided.remembered for fact in one.facts if isinstance(fact, TriggerDecided)]
    return any(one.cause.event_id == event_id for one in [*facts, *decided.runs])


class Occasions:
    """Decides about them. What is remembered comes from the ledger."""

    def __init__(
        self,
        definitions: Definitions,
        ledger: Ledger,
        slots: SlotLedger,
        recalled: Recalled,
        jobs: JobOccasions,
        runs: RunOccasions,
        namespace: str,
        clock: Callable[[], datetime],
    ) -> None:
        self.jobs = jobs
        self._runs = runs
        self._definitions = definitions
        self._ledger = ledger
        self._slots = slots
        self._recalled = recalled
        self._namespace = namespace
        self._clock = clock
        self._endings: dict[UUID, EndedCause] = {}

    def deciding(self, at: datetime) -> Deciding:
        """Whatever comes at that moment."""
        return Deciding(self._ledger, self._recalled, self._recalled.cause, at, self._slots)

    # --- load -------------------------------------------------------------------------------------------------------

    async def load(self, messages: Sequence[Message]) -> None:
        """Have the runs that ended and that a trigger waits for. May raise `Unavailable`."""
        ended = [message for message in messages if message.event.type in RUN_ENDINGS and is_of_runs(message)]
        if ended:
            found = await asyncio.gather(*map(self._ended, ended))
            self._endings |= {cause.cause.event_id: cause for cause in found if cause is not None}
        await self.jobs.load(messages)
        await self._runs.load(messages)

    async def _ended(self, message: Message) -> EndedCause | None:
        index, event = self._definitions.index, message.event
        if message.origin == "stream" and not index.dependents(message.tokens[2]):
            return None
        run = await self._recalled.run(run_of(message))
        if run.is_shadow or not index.dependents(run.workflow_id):
            return None
        return await self._recalled.ending(run, event.type, event.data, UUID(event.id), event.time or self._clock())

    # --- decide -----------------------------------------------------------------------------------------------------

    def is_premature(self, key: OwnKey, message: Message) -> bool:
        """Whether what is decided before it in this turn has to be logged first: that nothing is due is not logged, so that
        nobody would tell that it was decided on what is not the case."""
        match key:
            case TimerKey():
                fact = cast("TriggerTimerFired", decode(message.event.type, message.event.data))
                return self._ledger.is_ahead((fact.workflow_id, fact.trigger_id))
            case DefinedKey(workflow_id):
                is_ahead = any(self._ledger.is_ahead((workflow_id, name)) for name in self._names(workflow_id))
                return is_ahead or any(map(self._slots.is_ahead, self._slots.awaited_by(workflow_id)))
            case _:
                return False

    def decide(
        self, key: OwnKey, messages: Sequence[Message], *, is_known: bool = False
    ) -> tuple[Decided | None, datetime]:
        """What follows (None: nothing), and when. Raises Wanted. `is_known`: its identity is in the log."""
        message, at = messages[-1], self._clock()
        match key:
            case ScheduledKey(stream_id):
                fact, event_id = scheduled_of(message), UUID(message.event.id)
                index = self._definitions.index
                return decide_scheduled(self.deciding(at), index, fact, event_id, stream_id, self._namespace), at
            case EndedKey(event_id):
                return self._decide_ended(event_id, message, at), at
            case JobKey(event_id):
                return self.jobs.decide(event_id, self.deciding(at)), at
            case ChildKey():
                return self._runs.child(self.deciding(at), messages), at
            case RetryKey():
                return self._runs.retry(self.deciding(at), message), at
            case TimerKey():
                fact = cast("TriggerTimerFired", decode(message.event.type, message.event.data))
                at = max(at, fact.due_at)
                return self._decide_timer(fact, UUID(message.event.id), at, is_known=is_known), at
            case DefinedKey(workflow_id):
                return self._decide_defined(workflow_id, message, at), at

    def _decide_ended(self, event_id: UUID, message: Message, at: datetime) -> Decided | None:
        """The slot is freed, dependents are started, and of a failed run its handler."""
        deciding, run_id = self.deciding(at), run_of(message)
        slot_id = self._slots.of_run(run_id)
        if slot_id is not None:
            ending = ending_of(run_id, version_in(message), message.event.type, message.event.data)
            deciding.ended(slot_id, ending, limits(self._definitions.index.workflows))
        failed = self._runs.failed(message)
        cause = self._endings.get(event_id) or (None if failed is None else failed.ended)  # kept until it is logged
        if cause is None:
            named = cause_of(message)
            return (
                Decided(named.stream_id, named, slotted=list(deciding.slotted.values())) if deciding.slotted else None
            )
        if failed is not None:
            handle(deciding, self._definitions.index, failed)
        for rule in self._definitions.index.dependents(cause.run.workflow_id):
            deciding.consider(rule, cause)
        if deciding.remembered:
            self._recalled.keep(cause)
        return deciding.decided(cause)

    def _decide_timer(self, fact: TriggerTimerFired, event_id: UUID, at: datetime, *, is_known: bool) -> Decided:
        """`is_known`: it has told of an absence already, the next one is told of by another timer."""
        key = (fact.workflow_id, fact.trigger_id)
        cause = absence_cause(fact, event_id, self._namespace)
        deciding, rule = self.deciding(at), self._definitions.index.rule(key)
        if rule is None:
            gone = deciding.gone(key, 0)
            gone.abandon(_REMOVED)
            deciding.settle(gone)
            return deciding.decided(cause)
        one = deciding.pipeline(rule)
        if one.is_absence_due() and not is_known:
            if rule.standing is None:
                deciding.knows(cause)
                self._recalled.keep(cause)
                one.absent(cause.cause)
            else:
                one.stop_absence()
        one.come_due()
        deciding.settle(one)
        return deciding.decided(cause)

    def _decide_defined(self, workflow_id: str, message: Message, at: datetime) -> Decided:
        event, cause = message.event, cause_of(message)
        deciding, index = self.deciding(at), self._definitions.index
        for name in sorted(self._names(workflow_id)):
            rule = index.rule((workflow_id, name))
            if rule is None:
                gone = deciding.gone((workflow_id, name), 0)
                gone.abandon(_REMOVED)
                deciding.settle(gone)
                continue
            one = deciding.pipeline(rule)
            if rule.standing is None:
                one.count_absence(event.time or at)
            else:
                one.stop_absence()
            one.come_due()
            deciding.settle(one)
        for slot_id in list(self._slots.awaited_by(workflow_id)):
            deciding.look(slot_id, limits(index.workflows))
        if event.type == WorkflowArchived.__name__:
            answer = NotFired(
                "not_matched", "upstream_archived", f"{workflow_id} was archived: no run of it starts any more"
            )
            deciding.decisions += [declined(rule, cause, answer) for rule in index.dependents(workflow_id)]
        deciding.require_everything()
        return Decided(
            part_uuid(cause.event_id, "decisions"),
            cause,
            decisions=deciding.decisions,
            runs=deciding.runs,
            blobs=deciding.blobs,
            remembered=list(deciding.remembered.values()),
            grown=list(deciding.grown.values()),
            slotted=list(deciding.slotted.values()),
        )

    def _names(self, workflow_id: str) -> set[str]:
        """The triggers of a workflow that remember, or did."""
        workflow = self._definitions.index.workflows.get(workflow_id)
        return {*self._ledger.known(workflow_id), *(() if workflow is None else workflow.shape_versions)}

    def dealt_with(self, key: OwnKey) -> None:
        """It is in the log, now or from before."""
        if isinstance(key, EndedKey):
            self._endings.pop(key.event_id, None)

    def forget_all(self) -> None:
        self._endings.clear()


__all__ = ["OwnKey", "Occasions", "identity_of", "is_own"]
