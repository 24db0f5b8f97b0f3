"""The one turn of the shell, the same for every service: take, load, decide, append, say, acknowledge.

    take      what has arrived, 1 to `BATCH_MAX` messages, from streams, commands and the log
    load      the state of every aggregate that the batch names, in as few questions as can be
    decide    pure, aggregate by aggregate: what to log and what to answer
    append    everything in one transaction; a group that lost a race is loaded and decided again
    say       answers to commands, then the logged events to their subjects, pipelined
    acknowledge   what caused them, once everything said is acknowledged, some turns together; turns overlap here, and
                  here only

Killed at any line, the next owner starts again at `take`: what was logged meets its own past and changes nothing, and
what was logged and not said is said (`Shell` says it again).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import Protocol, runtime_checkable

import msgspec
from flowforge.envelope import now
from flowforge.refusals import Rejected, unavailable
from flowforge.subjects import Subjects
from flowforge.tracing import NOTHING, about
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.bus import settling
from infra.bus.acknowledging import Acknowledgements
from infra.bus.appending import UNAVAILABLE_WAIT_S, Appending, stored_events
from infra.bus.aside import Aside
from infra.bus.intake import Intake
from infra.bus.message import Message, Outgoing, Work
from infra.bus.nudging import Nudges
from infra.bus.publisher import Publication, Publisher
from infra.bus.spans import GroupSpans
from infra.eventlog import (
    Answer,
    Append,
    Appended,
    Duplicate,
    EventLog,
    PartUnavailable,
    StoredEvent,
    Unavailable,
)
from infra.failpoints import failpoint
from infra.telemetry.logs import AboutWork
from infra.telemetry.measures import MEASURES

BATCH_MAX = 500
RACES_MAX = 20
"""How often what lost a race is decided again in one turn before the messages are put back. What is decided later, after
what a group has logged, lost none: there is less of it each time."""
LOADS_MAX = 8
"""How often what is decided may ask for more to be loaded."""
UNSETTLED_TURNS_MAX = 8
_log = logging.getLogger(__name__)


class LoadAgain(LookupError):
    """Raised by `Service.decide`: it needs something that is not in memory, and the next `load` of the key brings it."""


class Service(Protocol):
    """What the shell needs of a service; everything in it that decides is pure."""

    name: str

    def key(self, message: Message) -> Hashable:
        """The aggregate that the message is for. Raises ValueError for a message that makes no sense: quarantined."""
        ...

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Have the state of these aggregates in memory."""
        ...

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """What follows from these messages, in order, for this aggregate. May raise `LoadAgain`."""
        ...

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The group is in the log: what is to be said of it."""
        ...

    def refused(self, key: Hashable, answer: Answer) -> None:
        """The group was not appended: forget what was assumed, so that `load` reads it anew."""
        ...


@runtime_checkable
class Ranks(Protocol):
    """A service in which some aggregates are to go first."""

    def ranked(self, keys: Collection[Hashable]) -> Collection[Hashable]:
        """The same, loaded ones, in the order in which they are decided, logged and said."""
        ...


class Turn:
    """Runs turns for one service until stopped."""

    def __init__(
        self,
        service: Service,
        log: EventLog,
        client: Client,
        publisher: Publisher,
        intake: Intake,
        subjects: Subjects,
    ) -> None:
        self.service = service
        self._ranks = service if isinstance(service, Ranks) else None
        self.log = log
        self.said_position = 0
        self.handled_position = 0
        self.last_turn_at = now()
        self.on_unknown_outcome: Callable[[], Awaitable[None]] | None = None
        self.spans: GroupSpans | None = None
        """Where what is logged is traced."""
        self._client = client
        self._publisher = publisher
        self._intake = intake
        self._subjects = subjects
        self._nudges = Nudges(lambda position: publisher.tell(subjects.appended, b"%d" % position))
        self._acknowledgements = Acknowledgements(self._acknowledge)
        self._unsettled = asyncio.Semaphore(UNSETTLED_TURNS_MAX)
        self._tail: asyncio.Task[None] | None = None
        self._point = service.name
        self._running: asyncio.Task[None] | None = None
        self._stopping = False
        self._in_hand = AboutWork()
        self._appending = Appending(log, service.name, self._outcome_is_unknown)
        self.aside = Aside(service.name, client, self._appending, self.tell_growth)

    async def run(self) -> None:
        """Turn after turn. Ends with `stop`; a bug of the shell itself is logged, and the next turn tried."""
        about.set(self._in_hand)
        while not self._stopping or len(self._intake):
            self._running = None
            batch = await self._intake.take(BATCH_MAX)
            self._running = asyncio.current_task()
            began = time.perf_counter()
            try:
                await self._turn(batch)
            except asyncio.CancelledError:
                for message in batch:
                    if not message.is_settled:
                        self._intake.put(message)
                raise
            except Unavailable as fault:
                MEASURES.add("turns_failed_total")
                _log.warning(
                    "%s: the log is unavailable, %d messages put back: %s", self.service.name, len(batch), fault
                )
                await self._put_back(batch, "the event log does not answer")
            except Exception:  # noqa: BLE001 - the pull loop is one of the two places that catch everything
                MEASURES.add("turns_failed_total")
                _log.exception("%s: a turn failed, %d messages put back", self.service.name, len(batch))
                await self._put_back(batch, f"{self.service.name} met a fault of its own, which its log tells")
            self.last_turn_at = now()
            MEASURES.time("turn_duration_seconds", time.perf_counter() - began)
            MEASURES.add("messages_total", len(batch))

    @property
    def is_busy(self) -> bool:
        """Whether a batch is being turned."""
        return self._running is not None

    async def settled(self) -> None:
        """Wait until every turn so far is acknowledged, and told to those who follow the log."""
        if self._tail is not None:
            await asyncio.wait({self._tail})
        await self._acknowledgements.tell_rest()
        await self._nudges.tell_rest()

    def stop(self) -> None:
        """Take no further batch."""
        self._stopping = True

    async def _put_back(self, batch: Sequence[Message], why: str) -> None:
        await self._outcome_is_unknown()  # the turn may have failed between its append and its publishing
        for message in batch:
            if message.is_ours_alone:
                asyncio.get_running_loop().call_later(settling.LATER_S, self._intake.put, message)
        await self.give_back(batch, why)
        await asyncio.sleep(UNAVAILABLE_WAIT_S[-1])

    async def give_back(self, messages: Sequence[Message], why: str) -> None:
        """Tell who asked why nothing is done, and have the streams deliver theirs again soon, to whoever turns then."""
        body = msgspec.json.encode(Rejected(unavailable(why)))
        try:
            for message in messages:
                await settling.answer(self._client, message, body)
            await settling.ask_again_later(self._client, messages, settling.LATER_S)
        except NatsError as fault:
            _log.warning("%s: not put back, they come again by themselves: %s", self.service.name, fault)

    async def _outcome_is_unknown(self) -> None:
        if self.on_unknown_outcome is not None:
            await self.on_unknown_outcome()

    async def _turn(self, batch: Sequence[Message]) -> None:
        service, point = self.service, self._point
        failpoint(f"{point}.turn_taken")
        if self.spans is not None:
            self.spans.begin()
        pending = await self._by_key(batch)
        try:
            said, position = await self._decide_and_log(pending)
        except BaseException:
            for key in pending:  # what was decided and perhaps not logged is not to be taken for the truth
                service.refused(key, Duplicate(0))
            raise
        publication = await self._publisher.send(said)
        failpoint(f"{point}.after_publish")
        if position:
            self._nudges.grew(position)
        await self._unsettled.acquire()
        self._tail = asyncio.create_task(self._settle(batch, publication, position, self._tail))

    async def _decide_and_log(self, pending: dict[Hashable, list[Message]]) -> tuple[list[Outgoing], int]:
        """What is to be said of the batch, and the last position that it was logged at (0: nothing was)."""
        service = self.service
        said: list[Outgoing] = []
        position = races_count = 0
        while pending:
            if races_count == RACES_MAX:
                raise Unavailable(f"{len(pending)} groups lost {RACES_MAX} races in a row")
            works = await self._decide(pending)
            answers = await self._append_all(works, pending)
            lost: dict[Hashable, list[Message]] = {}
            for key, work in works.items():
                if work.append is None:
                    await self._answer(work)
                    said += work.also_say
                    if work.later:
                        lost[key] = work.later
                    continue
                answer = answers[key]
                if answer is None:
                    continue
                if not isinstance(answer, Appended):
                    service.refused(key, answer)
                    lost[key] = [message for message in pending[key] if not message.is_settled]
                    continue
                events = stored_events(work.append, answer)
                if self.spans is not None:
                    self.spans.logged(key, events)
                position = max(position, events[-1].position)
                if work.append.changes_definitions:
                    await self._publisher.tell(self._subjects.defined, b"%d" % position)
                said += service.logged(key, work, events)
                said += work.also_say
                await self._answer(work)
                if work.later:
                    lost[key] = work.later
            races_count += sum(map(len, lost.values())) >= sum(map(len, pending.values()))
            pending = lost
        return said, position

    async def _settle(
        self, batch: Sequence[Message], publication: Publication, position: int, before: asyncio.Task[None] | None
    ) -> None:
        about.set(NOTHING)  # the next turn goes on meanwhile
        try:
            await self._publisher.arrive(publication)
            await self._acknowledgements.due(batch)
            if before is not None:
                await asyncio.wait({before})
            self.said_position = max(self.said_position, position)
            heard = max((message.event.position or 0 for message in batch), default=0)
            self.handled_position = max(self.handled_position, heard)
        except Exception:  # noqa: BLE001 - of the pull loop: unacknowledged messages come again
            _log.exception("%s: a turn is logged, and could not be said", self.service.name)
            await self._outcome_is_unknown()
        finally:
            self._unsettled.release()

    async def _acknowledge(self, messages: Sequence[Message]) -> None:
        try:
            failpoint(f"{self._point}.before_acknowledge")
            await settling.acknowledge(self._client, messages)
            failpoint(f"{self._point}.after_acknowledge")
        except Exception:  # noqa: BLE001 - of the pull loop: unacknowledged messages come again
            _log.exception("%s: what is logged and said could not be acknowledged", self.service.name)
            await self._outcome_is_unknown()

    async def _by_key(self, batch: Sequence[Message]) -> dict[Hashable, list[Message]]:
        pending: dict[Hashable, list[Message]] = {}
        for message in batch:
            try:
                pending.setdefault(self.service.key(message), []).append(message)
            except ValueError as fault:
                await self.aside.quarantine(message, str(fault))
            except Exception as bug:  # noqa: BLE001 - of the pull loop: alone, or it would put back all others for ever
                await self._bug(message, bug)
        return pending

    async def _decide(self, pending: dict[Hashable, list[Message]]) -> dict[Hashable, Work]:
        """Load and decide all; what asks for more is loaded and decided again."""
        works: dict[Hashable, Work] = {}
        for _ in range(LOADS_MAX):
            pending = await self._decide_once(pending, works)
            if not pending:
                break
        for key, messages in pending.items():
            for message in messages:
                await self._bug(message, _asks_without_end(key))
        return works

    async def _decide_once(
        self, pending: dict[Hashable, list[Message]], works: dict[Hashable, Work]
    ) -> dict[Hashable, list[Message]]:
        """What has to be loaded again; where deciding fails for a bug, or for a part of the log that cannot be read, the
        message that does it is put aside, alone."""
        service = self.service
        again: dict[Hashable, list[Message]] = {}
        try:
            await service.load(pending.keys(), [message for messages in pending.values() for message in messages])
            broken = False
        except PartUnavailable:
            broken = True
        except Unavailable:
            raise
        except Exception:  # one aggregate that cannot be loaded must not stop the others  # noqa: BLE001
            broken = True
        for key in pending if self._ranks is None else self._ranks.ranked(pending):
            messages = pending[key]
            self._in_hand_is(messages[0])
            try:
                if broken:
                    await service.load([key], messages)
                works[key] = service.decide(key, messages)
            except LoadAgain:
                service.refused(key, Duplicate(0))
                again[key] = messages
            except Exception as fault:  # a bug, or a message that breaks a rule nobody thought of: alone
                if _is_all_away(fault):
                    raise
                work = await self._decide_one_by_one(key, messages)
                if work is not None:
                    works[key] = work
        self._in_hand.clear()
        return again

    async def _decide_one_by_one(self, key: Hashable, messages: Sequence[Message]) -> Work | None:
        good: list[Message] = []
        for message in messages:
            try:
                await self._decided_anew(key, [*good, message])
                good.append(message)
            except Exception as bug:
                if _is_all_away(bug):
                    raise
                await self._bug(message, bug)
        if good:
            return await self._decided_anew(key, good)
        self.service.refused(key, Duplicate(0))
        return None

    async def _decided_anew(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """What follows from these, whatever was decided of the key before. Raises LoadAgain for what can never be loaded."""
        for _ in range(LOADS_MAX):
            self.service.refused(key, Duplicate(0))
            await self.service.load([key], messages)
            try:
                return self.service.decide(key, messages)
            except LoadAgain:
                continue
        raise _asks_without_end(key)

    def _in_hand_is(self, message: Message) -> None:
        event = message.event
        self._in_hand.set(message.subject, event.type, event.id, event.traceparent)

    async def _bug(self, message: Message, bug: Exception) -> None:
        self._in_hand_is(message)
        await self.aside.bug(message, bug)

    async def tell_growth(self) -> None:
        """Something was logged outside a turn."""
        self._nudges.grew(0)

    async def _append_all(
        self, works: dict[Hashable, Work], pending: dict[Hashable, list[Message]]
    ) -> dict[Hashable, Answer | None]:
        """The log's answer for each group. One that no log could take (None) is put aside with its messages, alone."""
        groups = {key: work.append for key, work in works.items() if work.append is not None}
        if not groups:
            return {}
        if self.spans is not None:
            self.spans.decided(works, pending)
        for work in works.values():
            for blob in work.blobs:
                await self.log.put_blob(blob)
        failpoint(f"{self._point}.before_append")
        answers: dict[Hashable, Answer | None]
        try:
            answers = dict(zip(groups, await self._appending.append(list(groups.values())), strict=True))
        except ValueError:
            answers = await self._append_one_by_one(groups, pending)
        failpoint(f"{self._point}.after_append")
        return answers

    async def _append_one_by_one(
        self, groups: dict[Hashable, Append], pending: dict[Hashable, list[Message]]
    ) -> dict[Hashable, Answer | None]:
        answers: dict[Hashable, Answer | None] = {}
        for key, group in groups.items():
            try:
                answers[key] = (await self._appending.append([group]))[0]
            except ValueError as fault:
                answers[key] = None
                self.service.refused(key, Duplicate(0))
                for message in pending[key]:
                    await self._bug(message, fault)
        return answers

    async def _answer(self, work: Work) -> None:
        """What is due to messages once their group is logged: answers, and quarantine for those that mean nothing."""
        for message, body in work.answers:
            await settling.answer(self._client, message, body)
        for aside in work.aside:
            await self.aside.quarantine(*aside)


def _asks_without_end(key: Hashable) -> LoadAgain:
    return LoadAgain(f"{key} was loaded {LOADS_MAX} times and asks for more")


def _is_all_away(fault: Exception) -> bool:
    """Whether the log does not answer at all: then nothing is wrong with a message."""
    return isinstance(fault, Unavailable) and not isinstance(fault, PartUnavailable)
