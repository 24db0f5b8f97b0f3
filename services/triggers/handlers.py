"""Message in, decide, append: what triggers do in each step of the shell's turn.

A cause that the log knows already answers `Duplicate`; the turn then asks again, and this time what is known is looked
up and left out. A definition that changed meanwhile answers `DefinitionsChanged`; the index catches up first.
"""

import logging
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TypeVar, cast
from uuid import UUID

import msgspec
from flowforge import envelope as envelopes
from flowforge.commands import CountRejections, ReceiveWebhook, RequestRun
from flowforge.definition import WebhookTrigger
from flowforge.envelope import decode_external
from flowforge.events import EventReceived
from flowforge.identity import identity_key
from flowforge.refusals import Refusal, not_found
from flowforge.subjects import Subjects

from infra.bus import Aside, LoadAgain, Message, Outgoing, Shell, Work, envelope
from infra.bus.message import Decode, logged_event
from infra.bus.settling import answer
from infra.eventlog import Answer, Append, Conflict, DefinitionsChanged, Duplicate, EventLog, StoredEvent, Unavailable
from services.triggers.answers import (
    FIRED,
    OF_RUNS,
    TIMER_SET,
    Logged,
    count_answer,
    differs,
    events_answer,
    refusal_answer,
    run_answer,
    said,
    streams_of_all,
)
from services.triggers.cause import ReceivedCause, content, received
from services.triggers.decide import Decided, Deciding, decide_received
from services.triggers.definitions import Definitions
from services.triggers.index import Rule
from services.triggers.job_occasions import JobOccasions
from services.triggers.known import KnownCause, find_known
from services.triggers.ledger import Ledger
from services.triggers.occasions import Occasions, OwnKey, identity_of, is_own
from services.triggers.questions import Questions
from services.triggers.reading import (
    HEARD,
    Arrival,
    DefinedKey,
    JobKey,
    Question,
    ScheduledKey,
    TimerKey,
    arrivals_of,
    command_identity,
    command_of,
    identities_of,
    key_of,
    traceparent_of,
)
from services.triggers.recalling import Recalled, chain_stream
from services.triggers.requests import count_rejections, decide_request
from services.triggers.slot_ledger import SlotLedger
from services.triggers.verdict import Unsettled, Wanted

_T = TypeVar("_T")
_NOT_TRIED = Duplicate(0)
"""How the shell says that nothing was appended at all."""
_log = logging.getLogger(__name__)


class _Open(msgspec.Struct, gc=False):
    """What was decided for a key and waits for the log."""

    decided: dict[bytes | None, Decided]
    recorded_at: datetime


class Triggers:
    """The service as the shell runs it."""

    name = "triggers"
    says = frozenset({FIRED, TIMER_SET}) | OF_RUNS
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
        self._occasions = Occasions(
            self.definitions, self.ledger, self.slots, self._recalled, self._jobs, namespace, clock
        )
        self._log = log
        self._clock = clock
        self._open: dict[Hashable, _Open] = {}
        self._claimed: set[bytes | None] = set()
        self._tried_at: dict[Hashable, frozenset[datetime]] = {}
        """Keys to look up before they are decided, with the moments at which this process tried to log them."""
        self._put: Callable[[Message], None] | None = None
        self._known: dict[Hashable, dict[bytes, KnownCause]] = {}
        self._wanted_blobs: dict[Hashable, list[msgspec.Raw]] = {}
        self._kept_blobs: set[str] = set()

    def attached(self, shell: Shell) -> None:
        """Long answers are given outside the turn; messages of its own go into later ones."""
        self.questions.reply = partial(answer, shell.client)
        self.questions.tell = shell.publisher.tell
        self._put = shell.intake.put

    def defined(self, position: int) -> None:
        """Where nothing is logged, as for a run that nobody waits for, the log cannot tell that the index is old."""
        if position > self.definitions.index.position:
            self.definitions.is_stale = True

    def key(self, message: Message) -> Hashable:
        """The identity of the cause; of a command, its name and id."""
        return key_of(message)

    # --- load -----------------------------------------------------------------------------------------------------

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Definitions as they are now, where a decision showed that they changed; what is known of repeated causes; what
        triggers remember, and what decisions asked for."""
        if any(isinstance(key, DefinedKey) for key in keys):
            self.definitions.is_stale = True
        await self.definitions.refresh()
        self._tell_changed()
        await self.ledger.refresh()
        await self.slots.refresh()
        self.ledger.begin()
        self._recalled.begin()
        self.slots.begin()
        if self._open:
            for key in keys:
                self._close(key)
        await self._occasions.load(messages)
        await self._recalled.load()
        if self._wanted_blobs:
            for key in keys:
                for payload in self._wanted_blobs.pop(key, ()):
                    self._kept_blobs.add(await self._log.put_blob(bytes(payload)))
        for message in messages:
            if message.origin == "command":
                await self._load_for(message)
        if self._tried_at and not self._tried_at.keys().isdisjoint(keys):
            await self._recall([message for message in messages if not is_own(self.key(message))])

    def _tell_changed(self) -> None:
        """What a change of definitions means to what is remembered is decided in a turn of its own."""
        for stored in self.definitions.take_changed():
            if self._put is not None:
                body, event = envelope(stored, self.subjects.namespace), logged_event(stored, self.subjects.namespace)
                self._put(Message(f"{self.subjects.namespace}.log.{stored.type}", body, event, "log", ""))

    async def _load_for(self, message: Message) -> None:
        command = command_of(message)
        if isinstance(command, Question):
            await self.definitions.look()
            await self.questions.prepare(message, command, self.definitions.index)
        if isinstance(command, ReceiveWebhook) and self._webhook(command.workflow_id, command.trigger_id) is None:
            await self.definitions.look()
        if not isinstance(command, RequestRun):
            return
        await self.definitions.load_version(command.workflow_id, command.version)
        if not isinstance(self._decide_request(command, self._clock()), Refusal):
            if self._may_overlap(command):
                await self.definitions.look()
                self._tried_at.setdefault(self.key(message), frozenset())
            return
        # a refusal is not appended, so nobody else tells that it was made on old definitions
        await self.definitions.look()
        await self.definitions.load_version(command.workflow_id, command.version)
        if isinstance(self._decide_request(command, self._clock()), Refusal):
            # refused now; but if it was granted before, it gets the same answer again
            self._tried_at.setdefault(self.key(message), frozenset())

    async def _recall(self, messages: Sequence[Message]) -> None:
        wanted: dict[Hashable, set[bytes]] = {}
        for message in messages:
            key = self.key(message)
            if key in self._tried_at and key not in self._known:
                wanted.setdefault(key, set()).update(identities_of(message))
        known = await find_known(self._log, set[bytes]().union(*wanted.values()))
        for key, identities in wanted.items():
            self._known[key] = {identity: known[identity] for identity in identities if identity in known}

    # --- decide ---------------------------------------------------------------------------------------------------

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """The group to log for this cause, or the answer to give where there is nothing to log."""
        if is_own(key):
            return self._decide_own(cast("OwnKey", key), messages)
        if messages[0].origin == "command":
            command = command_of(messages[0])
            if isinstance(command, Refusal):
                return self._done(key, messages, refusal_answer(command))
            if isinstance(command, RequestRun):
                return self._decide_run(key, command, messages)
            if isinstance(command, Question):
                return Work(answers=self.questions.answers(messages))
            if isinstance(command, CountRejections):
                return self._decide_count(key, command, messages)
            if isinstance(command, ReceiveWebhook) and self._webhook(command.workflow_id, command.trigger_id) is None:
                refusal = not_found(f"webhook of '{command.workflow_id}'", command.trigger_id)
                return self._done(key, messages, refusal_answer(refusal))
        return self._decide_arrivals(key, messages)

    def _decide_own(self, key: OwnKey, messages: Sequence[Message]) -> Work:
        """An event of our own is decided once; the identity says whether it was."""
        is_known = key in self._tried_at
        if is_known and not isinstance(key, TimerKey):
            self._occasions.dealt_with(key)
            return self._done(key, messages, b"")
        if self._occasions.is_premature(key, messages[-1]):
            return Work(later=list(messages))
        decided, at = self._deciding(lambda: self._occasions.decide(key, messages, is_known=is_known))
        if decided is None or decided.is_empty:
            return self._done(key, messages, b"")
        return self._work(key, messages, {None if is_known else identity_of(key, decided): decided}, at)

    def _deciding(self, decide: Callable[[], _T]) -> _T:
        """Whatever a decision wants that is not in memory is loaded, and it is made again."""
        try:
            return decide()
        except Wanted as wanted:
            raise LoadAgain(str(wanted)) from wanted

    def _decide_run(self, key: Hashable, command: RequestRun, messages: Sequence[Message]) -> Work:
        identity = command_identity(command.command_id)
        before = self._known.get(key, {}).get(identity)
        if before is not None and before.run is not None:
            return self._done(key, messages, run_answer(before.run, before.run_position))
        recorded_at = self._clock()
        try:
            decided = self._decide_request(command, recorded_at, self._occasions.deciding(recorded_at))
        except Unsettled:
            return Work(later=list(messages))
        if isinstance(decided, Refusal):
            return self._done(key, messages, refusal_answer(decided))
        return self._work(key, messages, {identity: decided}, recorded_at)

    def _may_overlap(self, command: RequestRun) -> bool:
        """Whether it may be refused for what else runs; such a refusal is not appended either."""
        found = self.definitions.find(command.workflow_id, command.version)
        concurrency = None if isinstance(found, Refusal) else found[0].version.definition.settings.concurrency
        return concurrency is not None and not command.override_running

    def _decide_request(
        self, command: RequestRun, recorded_at: datetime, deciding: Deciding | None = None
    ) -> Decided | Refusal:
        found = self.definitions.find(command.workflow_id, command.version)
        if isinstance(found, Refusal):
            return found
        return decide_request(
            *found,
            command,
            recorded_at,
            self.definitions.index.workflows[command.workflow_id].trigger_versions,
            deciding,
        )

    def _decide_count(self, key: Hashable, command: CountRejections, messages: Sequence[Message]) -> Work:
        identity = command_identity(command.command_id)
        before = self._known.get(key, {}).get(identity)
        if before is not None:
            return self._done(key, messages, count_answer(before.position))
        recorded_at = self._clock()
        return self._work(key, messages, {identity: count_rejections(command, recorded_at)}, recorded_at)

    def _webhook(self, workflow_id: str, trigger_id: str) -> Rule | None:
        rule = self.definitions.index.rule((workflow_id, trigger_id))
        return rule if rule is not None and isinstance(rule.trigger, WebhookTrigger) else None

    def _decide_arrivals(self, key: Hashable, messages: Sequence[Message]) -> Work:
        known = self._known.get(key, {})
        arrivals: dict[bytes, Arrival] = {}
        for arrival in (arrival for message in messages for arrival in arrivals_of(message)):
            if arrival.identity not in known:
                arrivals.setdefault(arrival.identity, arrival)
        if not arrivals:
            answer = self._answer_events(key, messages, {})
            aside = [one for message in messages for one in _aside_if_different(message, known)]
            return msgspec.structs.replace(self._done(key, messages, answer), aside=aside)
        recorded_at = self._instant(arrivals)
        fired: set[bytes] = set()
        work = self._work(
            key,
            messages,
            {identity: self._decide_arrival(arrival, recorded_at, fired) for identity, arrival in arrivals.items()},
            recorded_at,
        )
        work.later = _repeated(messages)
        return work

    def _decide_arrival(self, arrival: Arrival, recorded_at: datetime, fired: set[bytes]) -> Decided:
        """`fired`: the workflows that jobs reported before in the same group have started."""
        cause = ReceivedCause(arrival.event, arrival.body, recorded_at, arrival.addressee)
        if arrival.addressee is None:
            rules = self.definitions.index.candidates(cause)
            job, watchers = self._deciding(lambda: self._jobs.reported(cause, fired)) or (None, ())
        else:
            rule = self._webhook(*arrival.addressee)
            rules, job, watchers = [] if rule is None else [rule], None, ()
        deciding = self._occasions.deciding(recorded_at)
        decided = self._deciding(lambda: decide_received(deciding, rules, cause, job, watchers))
        if decided.remembered:
            self._recalled.keep(cause)
        return decided

    def _instant(self, identities: Collection[bytes]) -> datetime:
        """Now; but what another key of this turn brings too gets a moment of its own, and so a stream of its own."""
        recorded_at = self._clock()
        if len(self._claimed) and not self._claimed.isdisjoint(identities):
            recorded_at += timedelta(milliseconds=1 + len(self._open))
        return recorded_at

    def _work(
        self,
        key: Hashable,
        messages: Sequence[Message],
        decided: dict[bytes | None, Decided],
        recorded_at: datetime,
    ) -> Work:
        self._require_blobs(key, decided)
        self._open[key] = _Open(decided, recorded_at)
        self._claimed.update(decided)
        is_one = len(decided) == 1
        first = next(iter(decided.values()))
        first_id = first.cause.event_id
        event = messages[0].event
        return Work(
            Append(
                streams_of_all(decided),
                recorded_at,
                correlation_id=_first_cause(first),
                causation_id=first_id if is_one else None,
                actor=_actor(messages[0]),
                traceparent=None if event.traceparent is None else traceparent_of(event),
                definitions_position=self.definitions.index.position,
            ),
            answers=[(message, b"") for message in messages if message.origin == "command"],
        )

    def _require_blobs(self, key: Hashable, decided: dict[bytes | None, Decided]) -> None:
        missing = [
            payload
            for one in decided.values()
            for payload in one.blobs
            if sha256(payload).hexdigest() not in self._kept_blobs
        ]
        if missing:
            self._wanted_blobs[key] = missing
            raise LoadAgain(f"{len(missing)} payloads are to be kept first")

    def _done(self, key: Hashable, messages: Sequence[Message], answer: bytes) -> Work:
        self._known.pop(key, None)
        self._tried_at.pop(key, None)
        return Work(answers=[(message, answer) for message in messages if message.origin == "command"])

    # --- afterwards -----------------------------------------------------------------------------------------------

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Say the runs that start; answer the commands."""
        opened = self._close(key)
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
            self._fill_answers(key, work, opened, events)
        for one in opened.decided.values():
            for grown in one.grown:
                self._recalled.grew(grown.first_event_id, grown.count + len(grown.facts))
            self._kept_blobs.difference_update(sha256(payload).hexdigest() for payload in one.blobs)
        self._known.pop(key, None)
        self._tried_at.pop(key, None)
        return self._said(events)

    def _said(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        return [said(event, self.subjects) for event in events if event.type in self.says]

    def _fill_answers(self, key: Hashable, work: Work, opened: _Open, events: Sequence[StoredEvent]) -> None:
        messages = [message for message, _ in work.answers]
        if isinstance(command_of(messages[0]), RequestRun):
            [decided] = opened.decided.values()
            answer = run_answer(decided.runs[0], next(event.position for event in events if event.type == FIRED))
        elif isinstance(command_of(messages[0]), CountRejections):
            answer = count_answer(events[-1].position)
        else:
            self._tried_at[key] = self._tried_at.get(key, frozenset()) | {opened.recorded_at}
            firsts = {event.stream_id: event for event in events if event.version == 1}
            answer = self._answer_events(
                key,
                messages,
                {identity: _place(firsts[one.stream_id], one) for identity, one in opened.decided.items() if identity},
            )
        work.answers = [(message, answer) for message in messages]

    def _answer_events(self, key: Hashable, messages: Sequence[Message], new: dict[bytes, Logged]) -> bytes:
        if messages[0].origin != "command":
            return b""
        before = {
            identity: Logged(known.event_id, known.position, known.recorded_at, _received(known))
            for identity, known in self._known.get(key, {}).items()
        }
        return events_answer(
            arrivals_of(messages[0]),
            before | new,
            self._tried_at.get(key, frozenset()),
            is_one=isinstance(command_of(messages[0]), ReceiveWebhook),
        )

    def refused(self, key: Hashable, answer: Answer) -> None:
        """Known already, or decided on definitions that are no longer the newest."""
        opened = self._close(key)
        self.ledger.not_logged()
        self.slots.not_logged()
        self._recalled.not_logged()
        if answer != _NOT_TRIED:
            self._jobs.settled()
        if isinstance(answer, DefinitionsChanged):
            self.definitions.is_stale = True
        elif isinstance(answer, Conflict):
            self._conflicted(key, answer, opened)
        elif isinstance(key, JobKey):
            pass  # the job has started a workflow meanwhile: which, is looked up
        elif isinstance(answer, Duplicate) and answer.position:
            self._known.pop(key, None)
            tried_at = self._tried_at.get(key, frozenset[datetime]())
            self._tried_at[key] = tried_at if opened is None else tried_at | {opened.recorded_at}

    def _conflicted(self, key: Hashable, conflict: Conflict, opened: _Open | None) -> None:
        """What was decided before in this turn was refused, or somebody else was there."""
        if isinstance(key, ScheduledKey) and conflict.stream_id == key.stream_id:
            self._tried_at[key] = frozenset()
            return
        for decided in () if opened is None else opened.decided.values():
            if isinstance(key, JobKey) and conflict.stream_id == decided.stream_id:
                self._tried_at[key] = frozenset()
            for one in decided.remembered:
                if one.stream_id == conflict.stream_id:
                    self.ledger.doubt((one.facts[0].workflow_id, one.facts[0].trigger_id), conflict.actual_version)
            for grown in decided.grown:
                if conflict.stream_id == chain_stream(grown.first_event_id):
                    self._recalled.doubt(grown.first_event_id)
            if any(one.slot_id == conflict.stream_id for one in decided.slotted):
                self.slots.doubt(conflict.stream_id, conflict.actual_version)

    def _close(self, key: Hashable) -> _Open | None:
        opened = self._open.pop(key, None)
        if opened is not None:
            self._claimed.difference_update(opened.decided)
        return opened

    # --- the shell's other occasions ------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The runs that started and the timers that were set, once more."""
        return self._said(events)

    def forget_all(self) -> None:
        """Everything is read anew from the log."""
        self.definitions.forget_all()
        self.ledger.is_stale = True
        self.slots.is_stale = True
        self._occasions.forget_all()
        for kept in (self._open, self._claimed, self._tried_at, self._known, self._wanted_blobs, self._kept_blobs):
            kept.clear()

    async def nats_was_away(self) -> None:
        """The inbox keeps its messages on disk, the shell catches up with runs and timers; a save may not have been heard."""
        self.definitions.is_stale = True

    async def tick(self) -> None:
        """Have the index before the first message needs it; write down what is remembered."""
        try:
            await self.definitions.look()
            self._tell_changed()
            await self.ledger.keep()
            await self.slots.keep()
        except Unavailable as fault:
            _log.warning("definitions cannot be read yet: %s", fault)


def _first_cause(decided: Decided) -> UUID:
    """The first cause of all, where one is known."""
    chains = [run.chain.first_event_id for run in decided.runs if run.chain is not None]
    return chains[0] if chains else decided.cause.event_id


def _place(stored: StoredEvent, decided: Decided) -> Logged:
    assert isinstance(decided.first, EventReceived)
    return Logged(stored.event_id, stored.position, stored.recorded_at, decided.first)


def _received(known: KnownCause) -> EventReceived:
    assert isinstance(known.fact, EventReceived)
    return known.fact


def _actor(message: Message) -> str | None:
    if message.origin != "command":
        return None
    command = command_of(message)
    return None if isinstance(command, Refusal) else command.actor or None


def _repeated(messages: Sequence[Message]) -> list[Message]:
    """Those of one event's messages that say something else than the first: they are looked at once it is logged.
    Senders of commands are told in their answers."""
    first, *others = messages
    if first.origin == "command" or not others:
        return []
    [counts] = arrivals_of(first)
    fact = received(counts.event, counts.body)
    return [message for message in others if any(differs(fact, again) for again in arrivals_of(message))]


def _aside_if_different(message: Message, known: dict[bytes, KnownCause]) -> list[Aside]:
    """A message that tells an event anew with other content, to be put aside: its sender hears of nothing."""
    if message.origin == "command":
        return []
    [again] = arrivals_of(message)
    before = known[again.identity]
    if not differs(_received(before), again):
        return []
    event = again.event
    reason = (
        f"an event with the id '{event.id}' of the source '{event.source}' came before with other content: position"
        f" {before.position}, event {before.event_id}. The first one counts, and this one has started nothing; to have it"
        " count, publish it with an id of its own"
    )
    said = sha256(content(received(event, again.body))).hexdigest()
    return [Aside(message, reason, identity_key("differing", event.source, event.id, said))]
