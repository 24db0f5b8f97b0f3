"""Message in, decide, append: what triggers do in each step of the shell's turn.

A cause that the log knows already answers `Duplicate`; the turn then asks again, and this time what is known is looked
up and left out. A definition that changed meanwhile answers `DefinitionsChanged`; the index catches up first.
"""

import logging
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from uuid import UUID

import msgspec
from flowforge import envelope as envelopes
from flowforge.commands import RequestRun
from flowforge.envelope import decode_external
from flowforge.events import EventReceived
from flowforge.refusals import Refusal
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Shell, Work
from infra.bus.message import Decode
from infra.bus.settling import answer
from infra.eventlog import Answer, Append, Conflict, DefinitionsChanged, Duplicate, EventLog, StoredEvent, Unavailable
from services.triggers.answers import FIRED, Logged, events_answer, refusal_answer, run_answer, said, streams_of
from services.triggers.cause import ReceivedCause, received, same_event
from services.triggers.decide import Decided, decide_received, decide_request
from services.triggers.definitions import Definitions
from services.triggers.known import KnownCause, find_known
from services.triggers.questions import Questions
from services.triggers.reading import (
    SCHEDULE_TYPES,
    Arrival,
    Question,
    arrivals_of,
    command_identity,
    command_of,
    identities_of,
    key_of,
    schedule_identity,
    schedule_stream,
    scheduled_of,
    traceparent_of,
)
from services.triggers.scheduled import decide_scheduled

_log = logging.getLogger(__name__)


class BlobsWanted(LookupError):
    """A payload is too large for an event and is not kept yet: the next `load` keeps it, then it is decided again."""


class _Place(msgspec.Struct):
    workflow_id: str


class _Open(msgspec.Struct, gc=False):
    """What was decided for a key and waits for the log."""

    decided: dict[bytes, Decided]
    recorded_at: datetime


class Triggers:
    """The service as the shell runs it."""

    name = "triggers"
    says = frozenset({FIRED})
    hears = SCHEDULE_TYPES

    def __init__(self, log: EventLog, namespace: str, clock: Callable[[], datetime] = envelopes.now) -> None:
        self.subjects = Subjects(namespace)
        self.inbound: dict[str, Decode] = {self.subjects.inbox_stream: decode_external}
        self.definitions = Definitions(log)
        self.questions = Questions(log, clock)
        self._log = log
        self._clock = clock
        self._open: dict[Hashable, _Open] = {}
        self._claimed: set[bytes] = set()
        self._tried_at: dict[Hashable, frozenset[datetime]] = {}
        """Keys to look up before they are decided, with the moments at which this process tried to log them."""
        self._known: dict[Hashable, dict[bytes, KnownCause]] = {}
        self._wanted_blobs: dict[Hashable, list[msgspec.Raw]] = {}
        self._kept_blobs: set[str] = set()

    def attached(self, shell: Shell) -> None:
        """Long answers are given outside the turn."""
        self.questions.reply = partial(answer, shell.client)

    def key(self, message: Message) -> Hashable:
        """The identity of the cause; of a command, its name and id."""
        return key_of(message)

    # --- load -----------------------------------------------------------------------------------------------------

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Definitions as they are now, where a decision showed that they changed; what is known of repeated causes."""
        await self.definitions.refresh()
        if self._open:
            for key in keys:
                self._close(key)
        if self._wanted_blobs:
            for key in keys:
                for payload in self._wanted_blobs.pop(key, ()):
                    self._kept_blobs.add(await self._log.put_blob(bytes(payload)))
        for message in messages:
            if message.origin == "command":
                await self._load_for(message)
        if self._tried_at and not self._tried_at.keys().isdisjoint(keys):
            await self._recall([message for message in messages if not _is_scheduled(self.key(message))])

    async def _load_for(self, message: Message) -> None:
        command = command_of(message)
        if isinstance(command, Question):
            await self.definitions.look()
            await self.questions.prepare(message, command, self.definitions.index)
        if not isinstance(command, RequestRun):
            return
        await self.definitions.load_version(command.workflow_id, command.version)
        if not isinstance(self._decide_request(command, self._clock()), Refusal):
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
        if _is_scheduled(key):
            return self._decide_scheduled(key, messages)
        if messages[0].origin == "command":
            command = command_of(messages[0])
            if isinstance(command, Refusal):
                return self._done(key, messages, refusal_answer(command))
            if isinstance(command, RequestRun):
                return self._decide_run(key, command, messages)
            if isinstance(command, Question):
                return Work(answers=self.questions.answers(messages))
        return self._decide_arrivals(key, messages)

    def _decide_scheduled(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """A firing is decided once; the identity says whether it was."""
        if key in self._tried_at:
            return self._done(key, messages, b"")
        [first, *_] = messages
        stream_id = schedule_stream(first)
        fact, event_id = scheduled_of(first), UUID(first.event.id)
        decided = decide_scheduled(self.definitions.index, fact, event_id, stream_id, self.subjects.namespace)
        return self._work(key, messages, {schedule_identity(stream_id): decided}, self._clock())

    def _decide_run(self, key: Hashable, command: RequestRun, messages: Sequence[Message]) -> Work:
        identity = command_identity(command.command_id)
        before = self._known.get(key, {}).get(identity)
        if before is not None and before.run is not None:
            return self._done(key, messages, run_answer(before.run, before.run_position))
        recorded_at = self._clock()
        decided = self._decide_request(command, recorded_at)
        if isinstance(decided, Refusal):
            return self._done(key, messages, refusal_answer(decided))
        return self._work(key, messages, {identity: decided}, recorded_at)

    def _decide_request(self, command: RequestRun, recorded_at: datetime) -> Decided | Refusal:
        found = self.definitions.find(command.workflow_id, command.version)
        if isinstance(found, Refusal):
            return found
        return decide_request(
            *found, command, recorded_at, self.definitions.index.workflows[command.workflow_id].trigger_versions
        )

    def _decide_arrivals(self, key: Hashable, messages: Sequence[Message]) -> Work:
        known = self._known.get(key, {})
        arrivals: dict[bytes, Arrival] = {}
        for message in messages:
            for arrival in arrivals_of(message):
                if (first := arrivals.setdefault(arrival.identity, arrival)) is not arrival:
                    _tell_if_different(received(first.event, first.body), arrival)
        for identity, before in known.items():
            if (again := arrivals.pop(identity, None)) is not None:
                assert isinstance(before.fact, EventReceived)
                _tell_if_different(before.fact, again)
        if not arrivals:
            return self._done(key, messages, self._answer_events(key, messages, {}))
        recorded_at = self._instant(arrivals)
        index = self.definitions.index
        decided = {
            identity: decide_received(index, ReceivedCause(arrival.event, arrival.body, recorded_at))
            for identity, arrival in arrivals.items()
        }
        return self._work(key, messages, decided, recorded_at)

    def _instant(self, identities: Collection[bytes]) -> datetime:
        """Now; but what another key of this turn brings too gets a moment of its own, and so a stream of its own."""
        recorded_at = self._clock()
        if len(self._claimed) and not self._claimed.isdisjoint(identities):
            recorded_at += timedelta(milliseconds=1 + len(self._open))
        return recorded_at

    def _work(
        self, key: Hashable, messages: Sequence[Message], decided: dict[bytes, Decided], recorded_at: datetime
    ) -> Work:
        self._require_blobs(key, decided)
        self._open[key] = _Open(decided, recorded_at)
        self._claimed.update(decided)
        is_one = len(decided) == 1
        first_id = next(iter(decided.values())).cause.event_id
        event = messages[0].event
        return Work(
            Append(
                [stream for identity, one in decided.items() for stream in streams_of(one, identity)],
                recorded_at,
                correlation_id=first_id,
                causation_id=first_id if is_one else None,
                actor=_actor(messages[0]),
                traceparent=None if event.traceparent is None else traceparent_of(event),
                definitions_position=self.definitions.index.position,
            ),
            answers=[(message, b"") for message in messages if message.origin == "command"],
        )

    def _require_blobs(self, key: Hashable, decided: dict[bytes, Decided]) -> None:
        missing = [
            payload
            for one in decided.values()
            for payload in one.blobs
            if sha256(payload).hexdigest() not in self._kept_blobs
        ]
        if missing:
            self._wanted_blobs[key] = missing
            raise BlobsWanted(f"{len(missing)} payloads are to be kept first")

    def _done(self, key: Hashable, messages: Sequence[Message], answer: bytes) -> Work:
        self._known.pop(key, None)
        self._tried_at.pop(key, None)
        return Work(answers=[(message, answer) for message in messages if message.origin == "command"])

    # --- afterwards -----------------------------------------------------------------------------------------------

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Say the runs that start; answer the commands."""
        opened = self._close(key)
        assert opened is not None
        runs = {run.run_id: run for one in opened.decided.values() for run in one.runs}
        if work.answers:
            self._fill_answers(key, work, opened, events)
        for one in opened.decided.values():
            self._kept_blobs.difference_update(sha256(payload).hexdigest() for payload in one.blobs)
        self._known.pop(key, None)
        self._tried_at.pop(key, None)
        return [
            said(event, runs[event.stream_id].workflow_id, self.subjects) for event in events if event.type == FIRED
        ]

    def _fill_answers(self, key: Hashable, work: Work, opened: _Open, events: Sequence[StoredEvent]) -> None:
        messages = [message for message, _ in work.answers]
        if isinstance(command_of(messages[0]), RequestRun):
            [decided] = opened.decided.values()
            answer = run_answer(decided.runs[0], events[-1].position)
        else:
            self._tried_at[key] = self._tried_at.get(key, frozenset()) | {opened.recorded_at}
            firsts = {event.stream_id: event for event in events if event.version == 1}
            answer = self._answer_events(
                key, messages, {identity: _place(firsts[one.stream_id]) for identity, one in opened.decided.items()}
            )
        work.answers = [(message, answer) for message in messages]

    def _answer_events(self, key: Hashable, messages: Sequence[Message], new: dict[bytes, Logged]) -> bytes:
        if messages[0].origin != "command":
            return b""
        before = {
            identity: Logged(known.event_id, known.position, known.recorded_at)
            for identity, known in self._known.get(key, {}).items()
        }
        return events_answer(arrivals_of(messages[0]), before | new, self._tried_at.get(key, frozenset()))

    def refused(self, key: Hashable, answer: Answer) -> None:
        """Known already, or decided on definitions that are no longer the newest."""
        opened = self._close(key)
        if isinstance(answer, DefinitionsChanged):
            self.definitions.is_stale = True
        elif isinstance(answer, Conflict) and _is_scheduled(key):
            self._tried_at[key] = frozenset()
        elif isinstance(answer, Duplicate) and answer.position:
            self._known.pop(key, None)
            tried_at = self._tried_at.get(key, frozenset[datetime]())
            self._tried_at[key] = tried_at if opened is None else tried_at | {opened.recorded_at}

    def _close(self, key: Hashable) -> _Open | None:
        opened = self._open.pop(key, None)
        if opened is not None:
            self._claimed.difference_update(opened.decided)
        return opened

    # --- the shell's other occasions ------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The runs that started, once more."""
        return [said(event, _place_of.decode(event.data).workflow_id, self.subjects) for event in events]

    def forget_all(self) -> None:
        """Everything is read anew from the log."""
        self.definitions = Definitions(self._log)
        for kept in (self._open, self._claimed, self._tried_at, self._known, self._wanted_blobs, self._kept_blobs):
            kept.clear()

    async def nats_was_away(self) -> None:
        """The inbox keeps its messages on disk, and nothing else here depends on NATS."""

    async def tick(self) -> None:
        """Have the index before the first message needs it."""
        try:
            await self.definitions.refresh()
        except Unavailable as fault:
            _log.warning("definitions cannot be read yet: %s", fault)


def _is_scheduled(key: Hashable) -> bool:
    return isinstance(key, UUID)


_place_of = msgspec.json.Decoder(_Place)


def _place(stored: StoredEvent) -> Logged:
    return Logged(stored.event_id, stored.position, stored.recorded_at)


def _actor(message: Message) -> str | None:
    if message.origin != "command":
        return None
    command = command_of(message)
    return None if isinstance(command, Refusal) else command.actor or None


def _tell_if_different(first: EventReceived, again: Arrival) -> None:
    if not same_event(first, received(again.event, again.body)):
        _log.warning(
            "event %s of %s came again with other content; the first one counts", again.event.id, again.event.source
        )
