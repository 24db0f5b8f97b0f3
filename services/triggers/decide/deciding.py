"""What a cause means to all triggers that it concerns, with what they remember, the chain it is in and the slots (pure)."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from flowforge.events import Cause, Chain, ChainGrew, EventReceived, SlotPlace, TriggerDecided, WorkflowTriggered

from infra.expressions import Fault
from services.triggers.admission import Asking, Ending, Limits, Overlap, SlotFact, ask, ask_once_more, end, look
from services.triggers.cause import AnyCause, ReceivedCause, is_large
from services.triggers.concurrency import asking_of
from services.triggers.decide.decided import Decided, Grown, Remembered, Slotted
from services.triggers.decide.evaluating import declined, fired, input_of, path_of, unmatched
from services.triggers.endings import EndedCause, correlation
from services.triggers.index import Rule, RuleKey
from services.triggers.jobs import JobCause
from services.triggers.memory import Memory
from services.triggers.pipeline import Pipeline, Remembering, trigger_stream
from services.triggers.settings import DEPTH_MAX, RUNS_PER_CAUSE_MAX
from services.triggers.slots import Slots, evolve
from services.triggers.state import Version
from services.triggers.verdict import NotFired, Unsettled, Wanted

_NOT_YET = NotFired("failed", "it is decided once everything for it is in memory")


class Memories(Protocol):
    """What triggers remember, as of the last decision."""

    def draft(self, key: RuleKey) -> Memory:
        """Of this trigger; to be changed by deciding."""
        ...

    def holds(self, key: RuleKey) -> bool:
        """Whether the trigger remembers anything now."""
        ...


class Chains(Protocol):
    """How many runs a first cause has led to through others."""

    def count(self, first_event_id: UUID) -> int:
        """So far. Raises Wanted."""
        ...

    def grow(self, first_event_id: UUID) -> None:
        """One more."""
        ...


class SlotBook(Protocol):
    """Who holds slots and who waits for one, as of the last decision."""

    def draft(self, slot_id: UUID) -> Slots:
        """The slots; to be evolved by deciding."""
        ...

    def is_ahead(self, slot_id: UUID) -> bool:
        """Whether something was decided of them that is not logged yet."""
        ...


Recall = Callable[[Cause], AnyCause]
"""A cause that is held. Raises Wanted."""


class Deciding:
    """One cause, or the passing of time, before the triggers that it concerns, at one moment."""

    def __init__(
        self, memories: Memories, chains: Chains, recall: Recall, at: datetime, slots: SlotBook | None = None
    ) -> None:
        """Without `slots` nobody asks for one: a rehearsal cannot know how long runs would have taken."""
        self.decisions: list[TriggerDecided] = []
        self.runs: list[WorkflowTriggered] = []
        self.blobs: list[msgspec.Raw] = []
        self.remembered: dict[UUID, Remembered] = {}
        self.grown: dict[UUID, Grown] = {}
        self.slotted: dict[UUID, Slotted] = {}
        self.identities: dict[UUID, bytes] = {}
        self._slots = slots
        self._memories = memories
        self._chains = chains
        self._recall = recall
        self._at = at
        self._causes: dict[UUID, AnyCause] = {}
        self._started = Counter[UUID]()
        self._wanted: Wanted | None = None

    def consider(self, rule: Rule, cause: AnyCause) -> None:
        """The answer of this trigger."""
        answer = unmatched(rule, cause)
        key = ""
        if answer is None and isinstance(cause, EndedCause):
            try:
                key = correlation(rule, cause)
            except Fault as fault:
                answer = NotFired("failed", f"correlate_by: {fault}", path_of(fault))
        if answer is not None:
            self.decisions.append(declined(rule, cause.cause, answer))
        elif rule.remembers or self._memories.holds(rule.key):
            slot = cause.run.workflow_id if isinstance(cause, EndedCause) else ""
            self._causes[cause.cause.event_id] = cause
            with_memory = self.pipeline(rule)
            with_memory.take(cause.cause, key, slot)
            self.settle(with_memory)
        else:
            self._start_alone(rule, cause)

    def _start_alone(self, rule: Rule, cause: AnyCause) -> None:
        self._causes[cause.cause.event_id] = cause
        run = self._fire(rule, [cause.cause])
        if isinstance(run, NotFired):
            self.decisions.append(declined(rule, cause.cause, run))
            return
        self.runs.append(run)
        if isinstance(cause, JobCause):
            self.identities[run.run_id] = cause.starts(run.workflow_id)

    def pipeline(self, rule: Rule) -> Pipeline:
        """What the trigger remembers, at work; to be settled."""
        return Pipeline(rule, self._memories.draft(rule.key), self._at, lambda causes: self._fire(rule, causes))

    def gone(self, key: RuleKey, trigger_version: int) -> Remembering:
        """What a trigger remembered that is no longer there; to be settled."""
        return Remembering(key, trigger_version, self._memories.draft(key), self._at)

    def settle(self, one: Remembering) -> None:
        """Take what was decided."""
        if isinstance(one, Pipeline):
            self.runs += one.runs
            self.decisions += [declined(one.rule, cause, answer) for cause, answer in one.answers]
        if not one.facts:
            return
        stream_id = trigger_stream(one.workflow_id, one.trigger_id)
        before = self.remembered.get(stream_id)
        if before is None:
            version = one.memory.version - len(one.facts)
            self.remembered[stream_id] = Remembered(stream_id, version, one.facts)
        else:
            before.facts.extend(one.facts)

    def knows(self, cause: AnyCause) -> None:
        """A cause that need not be recalled."""
        self._causes[cause.cause.event_id] = cause

    def decided(self, cause: AnyCause, first: EventReceived | None = None, **stream: Any) -> Decided:
        """All of it. Raises Wanted."""
        self.require_everything()
        return Decided(
            stream.pop("stream_id", cause.stream_id), cause.cause, first, decisions=self.decisions, runs=self.runs,
            blobs=self.blobs, remembered=list(self.remembered.values()), grown=list(self.grown.values()),
            slotted=list(self.slotted.values()), identities=self.identities, **stream,
        )  # fmt: skip

    def require_everything(self) -> None:
        """Raises Wanted where something was not in memory: all of it was asked for by then, so that one load brings it."""
        if self._wanted is not None:
            raise self._wanted

    # --- slots ------------------------------------------------------------------------------------------------------

    def admit(
        self,
        version: Version,
        run: WorkflowTriggered,
        input_data: msgspec.Raw,
        events: Mapping[str, object],
        *,
        is_recorded: bool = True,
        is_override: bool = False,
        kin: Collection[UUID] = (),
    ) -> WorkflowTriggered | Overlap:
        """The run, perhaps to wait for a slot of its workflow's `concurrency`, or what is in its way. `kin`: runs that
        themselves wait for this one.

        A refusal that is recorded falls with what it was decided on; one that is not may rest on the log only, and raises
        Unsettled otherwise. Raises Fault.
        """
        asking = asking_of(version, run, input_data, events, is_override=is_override)
        if asking is None or self._slots is None:
            return run
        answer = ask(self._slots.draft(asking.slot_id), asking, self._at, kin)
        if isinstance(answer, Overlap):
            if is_recorded:
                self._note(asking.slot_id, [answer.fact])
            elif self._slots.is_ahead(asking.slot_id):
                raise Unsettled(f"the slots {asking.slot_id}")
            return answer
        self._note(asking.slot_id, answer.facts)
        if answer.waits is not None:
            return msgspec.structs.replace(run, waits=answer.waits)
        return msgspec.structs.replace(run, slot=SlotPlace(slot_id=asking.slot_id, key=asking.key, pool=asking.pool))

    def retried(self, asking: Asking, limits: Limits) -> None:
        """A run that ended is to go on: it is admitted, now or later, or refused."""
        if self._slots is not None:
            self._note(asking.slot_id, ask_once_more(self._slots.draft(asking.slot_id), asking, self._at, limits))

    def ended(self, slot_id: UUID, ending: Ending, limits: Limits) -> None:
        """A run that held a slot or waited for one ended: who may starts."""
        if self._slots is not None:
            self._note(slot_id, end(self._slots.draft(slot_id), ending, limits))

    def look(self, slot_id: UUID, limits: Limits) -> None:
        """A limit may have changed: who may starts."""
        if self._slots is not None:
            self._note(slot_id, look(self._slots.draft(slot_id), limits))

    def _note(self, slot_id: UUID, facts: Sequence[SlotFact]) -> None:
        if not facts or self._slots is None:
            return
        slots = self._slots.draft(slot_id)
        there = self.slotted.setdefault(slot_id, Slotted(slot_id, slots.version, []))
        there.facts.extend(facts)
        for fact in facts:
            evolve(slots, fact)

    # --- starting ---------------------------------------------------------------------------------------------------

    def _fire(self, rule: Rule, causes: Sequence[Cause]) -> WorkflowTriggered | NotFired:
        wholes = [whole for whole in map(self._whole, causes) if whole is not None]
        if len(wholes) < len(causes):
            return _NOT_YET
        try:
            return self._run(rule, wholes)
        except Wanted as wanted:
            self._wanted = wanted
            return _NOT_YET

    def _whole(self, cause: Cause) -> AnyCause | None:
        """None: it is asked for."""
        try:
            return self._causes.get(cause.event_id) or self._recall(cause)
        except Wanted as wanted:
            self._wanted = wanted
            return None

    def _run(self, rule: Rule, causes: Sequence[AnyCause]) -> WorkflowTriggered | NotFired:
        """The run that these causes start together, or why they start none. Raises Wanted."""
        cut = self.cut(causes)
        if cut is not None:
            return cut
        answer = input_of(rule, causes)
        if isinstance(answer, NotFired):
            return answer
        run = fired(rule, causes, answer, _deepest(causes).chain)
        return self.launch(rule.checked.version, causes, run, answer)

    def cut(self, causes: Sequence[AnyCause]) -> NotFired | None:
        """Why these causes start nothing any more, where what led to them is too much. Raises Wanted."""
        if self._started[causes[-1].cause.event_id] >= RUNS_PER_CAUSE_MAX:
            return _too_many(RUNS_PER_CAUSE_MAX)
        deepest = _deepest(causes)
        if deepest.depth >= DEPTH_MAX:
            return NotFired("suppressed", "depth_exceeded", f"a chain of causes is cut after {DEPTH_MAX} runs")
        chain = deepest.chain
        if chain is not None and chain.started + self._chains.count(chain.first_event_id) >= RUNS_PER_CAUSE_MAX:
            return _too_many(RUNS_PER_CAUSE_MAX)
        return None

    def launch(
        self,
        version: Version,
        causes: Sequence[AnyCause],
        run: WorkflowTriggered,
        input_data: msgspec.Raw,
        kin: Collection[UUID] = (),
    ) -> WorkflowTriggered | NotFired:
        """The run, perhaps to wait for a slot, and counted for its causes; or why it does not start. `kin`: as in `admit`."""
        admitted = self._admitted(version, causes, run, input_data, kin)
        if isinstance(admitted, NotFired):
            return admitted
        if is_large(input_data):
            self.blobs.append(input_data)
        self._started[causes[-1].cause.event_id] += 1
        if run.chain is not None:
            self._grow(run.chain.first_event_id, run)
        return admitted

    def _admitted(
        self,
        version: Version,
        causes: Sequence[AnyCause],
        run: WorkflowTriggered,
        input_data: msgspec.Raw,
        kin: Collection[UUID],
    ) -> WorkflowTriggered | NotFired:
        """The run, perhaps to wait for a slot, or why it does not start."""
        if self._slots is None or version.definition.settings.concurrency is None:
            return run
        try:
            events = {**causes[-1].bindings, "events": [cause.bindings["event"] for cause in causes]}
            answer = self.admit(version, run, input_data, events, kin=kin)
        except Fault as fault:
            return NotFired("failed", f"concurrency.key: {fault}", path_of(fault))
        return NotFired("suppressed", "overlap", answer.detail) if isinstance(answer, Overlap) else answer

    def _grow(self, first_event_id: UUID, run: WorkflowTriggered) -> None:
        grown = self.grown.get(first_event_id)
        if grown is None:
            grown = self.grown[first_event_id] = Grown(first_event_id, self._chains.count(first_event_id), [])
        self._chains.grow(first_event_id)
        grown.facts.append(ChainGrew(run_id=run.run_id, workflow_id=run.workflow_id))


def _deepest(causes: Sequence[AnyCause]) -> AnyCause:
    return max(causes, key=lambda cause: cause.depth)


def _too_many(count: int) -> NotFired:
    return NotFired("suppressed", "depth_exceeded", f"one cause starts at most {count:,} runs")


def decide_received(
    deciding: Deciding,
    rules: Iterable[Rule],
    cause: ReceivedCause,
    job: JobCause | None = None,
    watchers: Iterable[Rule] = (),
) -> Decided:
    """What an external event starts, and what it does not start and why; `job` is the one that it reports."""
    if is_large(cause.data):
        deciding.blobs.append(cause.data)
    for rule in rules:
        deciding.consider(rule, cause)
    if job is not None:
        for rule in watchers:
            deciding.consider(rule, job)
    count = sum(run.cause.event_id == cause.cause.event_id for run in deciding.runs)  # others only came due
    if count > 1:
        chain = Chain(first_event_id=cause.cause.event_id, started=count)
        for at, run in enumerate(deciding.runs):
            if run.chain is None and run.cause.event_id == chain.first_event_id:
                deciding.runs[at] = msgspec.structs.replace(run, chain=chain)
    return deciding.decided(cause, cause.fact)
