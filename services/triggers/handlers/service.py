"""The service as the shell runs it: what is loaded, decided, logged and refused, key by key."""

import logging
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime
from functools import partial
from typing import cast

from flowforge import envelope as envelopes
from flowforge.envelope import decode_external
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Shell, Work, envelope
from infra.bus.message import Decode, logged_event
from infra.bus.settling import answer
from infra.eventlog import Answer, Conflict, DefinitionsChanged, Duplicate, EventLog, StoredEvent, Unavailable
from services.triggers.answers import CHILD_REFUSED, FIRED, OF_RUNS, TIMER_SET, said
from services.triggers.definitions import Definitions
from services.triggers.forking import Forking
from services.triggers.handlers.arrivals import Arrivals
from services.triggers.handlers.commands import Commands
from services.triggers.handlers.underway import Open, Underway, with_everything
from services.triggers.job_occasions import JobOccasions
from services.triggers.ledger import Ledger
from services.triggers.occasions import Occasions, OwnKey, identity_of, is_own
from services.triggers.questions import Questions
from services.triggers.reading import HEARD, DefinedKey, JobKey, ScheduledKey, TimerKey, key_of
from services.triggers.recalling import Recalled, chain_stream
from services.triggers.run_occasions import RunOccasions
from services.triggers.slot_ledger import SlotLedger

_NOT_TRIED = Duplicate(0)
"""How the shell says that nothing was appended at all."""
_log = logging.getLogger(__name__)


class Triggers:
    """The service as the shell runs it."""

    name = "triggers"
    says = frozenset({FIRED, TIMER_SET, CHILD_REFUSED}) | OF_RUNS
    hears = HEARD

    def __init__(self, log: EventLog, namespace: str, clock: Callable[[], datetime] = envelopes.now) -> None:
        self.subjects = Subjects(namespace)
        self.inbound: dict[str, Decode] = {self.subjects.inbox_stream: decode_external}
        self.definitions = Definitions(log)
        self.questions = Questions(log, clock, self.subjects)
        self.ledger = Ledger(log)
        self.slots = SlotLedger(log)
        self._recalled = Recalled(log, namespace)
        self._jobs = JobOccasions(log, self.definitions, self._recalled, namespace, clock)
        runs = RunOccasions(log, self.definitions, self._recalled, namespace, clock)
        self._occasions = Occasions(
            self.definitions, self.ledger, self.slots, self._recalled, self._jobs, runs, namespace, clock
        )
        self._underway = Underway(log, self.definitions, clock)
        self._arrivals = Arrivals(self._underway, self.definitions, self._recalled, self._jobs, self._occasions)
        self._commands = Commands(
            self._underway,
            self.definitions,
            self.questions,
            self._arrivals,
            self._occasions,
            Forking(log, clock),
            clock,
        )
        self._put: Callable[[Message], None] | None = None

    def attached(self, shell: Shell) -> None:
        """Long answers are given outside the turn; messages of its own go into later ones."""
        self.questions.reply = partial(answer, shell.client)
        self.questions.tell = shell.publisher.tell
        self._put = shell.intake.put

    def defined(self, position: int) -> None:
        """Where nothing is logged, as for a run that nobody waits for, the log cannot tell that the index is old."""
        if position > self.definitions.index.position:
            self.definitions.doubt()

    def key(self, message: Message) -> Hashable:
        """The identity of the cause; of a command, its name and id."""
        return key_of(message)

    # --- load -----------------------------------------------------------------------------------------------------

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Definitions as they are now, where a decision showed that they changed; what is known of repeated causes; what
        triggers remember, and what decisions asked for."""
        if any(isinstance(key, DefinedKey) for key in keys):
            self.definitions.doubt()
        await self.definitions.refresh()
        self._tell_changed()
        await self.ledger.refresh()
        await self.slots.refresh()
        self.ledger.begin()
        self._recalled.begin()
        self.slots.begin()
        self._commands.begin()
        self._underway.close_all(keys)
        await self._occasions.load(messages)
        await self._recalled.load()
        await self._underway.keep_blobs(keys)
        for message in messages:
            if message.origin == "command":
                await self._commands.load(self.key(message), message)
        if self._underway.was_tried(keys):
            outer = [(key, message) for message in messages if not is_own(key := self.key(message))]
            await self._underway.recall(outer)

    def _tell_changed(self) -> None:
        """What a change of definitions means to what is remembered is decided in a turn of its own."""
        for stored in self.definitions.take_changed():
            if self._put is not None:
                body, event = envelope(stored, self.subjects.namespace), logged_event(stored, self.subjects.namespace)
                self._put(Message(f"{self.subjects.namespace}.log.{stored.type}", body, event, "log", ""))

    # --- decide ---------------------------------------------------------------------------------------------------

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """The group to log for this cause, or the answer to give where there is nothing to log."""
        if is_own(key):
            return self._decide_own(cast("OwnKey", key), messages)
        if messages[0].origin == "command":
            return self._commands.decide(key, messages)
        return self._arrivals.decide(key, messages)

    def _decide_own(self, key: OwnKey, messages: Sequence[Message]) -> Work:
        """An event of our own is decided once; the identity says whether it was."""
        is_known = key in self._underway.tried_at
        if is_known and not isinstance(key, TimerKey):
            self._occasions.dealt_with(key)
            return self._underway.done(key, messages, b"")
        if self._occasions.is_premature(key, messages[-1]):
            return Work(later=list(messages))
        decided, at = with_everything(lambda: self._occasions.decide(key, messages, is_known=is_known))
        if decided is None or decided.is_empty:
            return self._underway.done(key, messages, b"")
        identity = None if is_known else identity_of(key, decided)
        return self._underway.work(key, messages, {identity: decided}, at)

    # --- afterwards -----------------------------------------------------------------------------------------------

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Say the runs that start; answer the commands."""
        opened = self._underway.close(key)
        assert opened is not None
        for event in events:
            if event.stream_type == self.ledger.stream_type:
                self.ledger.add(event)
            elif event.stream_type == self.slots.stream_type:
                self.slots.add(event)
        self.ledger.passed(events[-1].position)
        self.slots.passed(events[-1].position)
        self._jobs.settled()
        if is_own(key):
            self._occasions.dealt_with(cast("OwnKey", key))
        if work.answers:
            asking = [message for message, _ in work.answers]
            told = self._commands.answer_logged(key, asking, opened, events)
            work.answers = [(message, told) for message in asking]
        for one in opened.decided.values():
            for grown in one.grown:
                self._recalled.grew(grown.first_event_id, grown.count + len(grown.facts))
        self._underway.logged_blobs_of(opened)
        self._underway.settled(key)
        return self._said(events)

    def _said(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        return [said(event, self.subjects) for event in events if event.type in self.says]

    def refused(self, key: Hashable, answer: Answer) -> None:
        """Known already, or decided on definitions that are no longer the newest."""
        opened = self._underway.close(key)
        self._commands.refused(key)
        self.ledger.not_logged()
        self.slots.not_logged()
        self._recalled.not_logged()
        if answer != _NOT_TRIED:
            self._jobs.settled()
        if self._may_be_logged(answer, opened):
            self._read_anew()
        if isinstance(answer, DefinitionsChanged):
            self.definitions.doubt()
        elif isinstance(answer, Conflict):
            self._conflicted(key, answer, opened)
        elif isinstance(key, JobKey):
            pass  # the job has started a workflow meanwhile: which, is looked up
        elif isinstance(answer, Duplicate) and answer.position:
            self._underway.is_known_now(key, opened)

    def _may_be_logged(self, answer: Answer, opened: Open | None) -> bool:
        """Whether the log may hold what it never told of: the turn failed once something was decided, or what is known
        stands above all that is remembered."""
        if answer == _NOT_TRIED:
            return opened is not None
        return isinstance(answer, Duplicate) and answer.position > self.ledger.position

    def _read_anew(self) -> None:
        self.ledger.is_stale = True
        self.slots.is_stale = True

    def _conflicted(self, key: Hashable, conflict: Conflict, opened: Open | None) -> None:
        """What was decided before in this turn was refused, or somebody else was there."""
        if isinstance(key, ScheduledKey) and conflict.stream_id == key.stream_id:
            self._underway.tried_at[key] = frozenset()
            return
        for decided in () if opened is None else opened.decided.values():
            if isinstance(key, JobKey) and conflict.stream_id == decided.stream_id:
                self._underway.tried_at[key] = frozenset()
            for one in decided.remembered:
                if one.stream_id == conflict.stream_id:
                    self.ledger.doubt((one.facts[0].workflow_id, one.facts[0].trigger_id), conflict.actual_version)
            for grown in decided.grown:
                if conflict.stream_id == chain_stream(grown.first_event_id):
                    self._recalled.doubt(grown.first_event_id)
            if any(one.slot_id == conflict.stream_id for one in decided.slotted):
                self.slots.doubt(conflict.stream_id, conflict.actual_version)
        if self.ledger.is_stale or self.slots.is_stale:
            self._read_anew()  # a group that was logged and not told of may have grown both

    # --- the shell's other occasions ------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The runs that started and the timers that were set, once more."""
        return self._said(events)

    def forget_all(self) -> None:
        """Everything is read anew from the log."""
        self.definitions.forget_all()
        self._read_anew()
        self._occasions.forget_all()
        self._underway.forget_all()

    async def nats_was_away(self) -> None:
        """The inbox keeps its messages on disk, the shell catches up with runs and timers; a save may not have been heard."""
        self.definitions.doubt()

    async def tick(self) -> None:
        """Have the index before the first message needs it; write down what is remembered."""
        try:
            await self.definitions.look()
            self._tell_changed()
            await self.ledger.keep()
            await self.slots.keep()
        except Unavailable as fault:
            _log.warning("definitions cannot be read yet: %s", fault)
