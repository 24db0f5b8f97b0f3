"""What is decided for a key and waits for the log, and what the log knows already of keys that were tried before."""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

import msgspec
from flowforge.refusals import Refusal

from infra.bus import LoadAgain, Message, Work
from infra.eventlog import Append, EventLog
from services.triggers.answers import streams_of_all
from services.triggers.decide import Decided
from services.triggers.definitions import Definitions
from services.triggers.known import KnownCause, find_known
from services.triggers.reading import command_of, identities_of, traceparent_of
from services.triggers.verdict import Wanted

_T = TypeVar("_T")


def with_everything(decide: Callable[[], _T]) -> _T:
    """Whatever a decision wants that is not in memory is loaded, and it is made again. Raises LoadAgain."""
    try:
        return decide()
    except Wanted as wanted:
        raise LoadAgain(str(wanted)) from wanted


class Open(msgspec.Struct, gc=False):
    """What was decided for a key and waits for the log."""

    decided: dict[bytes | None, Decided]
    recorded_at: datetime


class Underway:
    """Of every key that is being decided."""

    def __init__(self, log: EventLog, definitions: Definitions, clock: Callable[[], datetime]) -> None:
        self.known: dict[Hashable, dict[bytes, KnownCause]] = {}
        self.tried_at: dict[Hashable, frozenset[datetime]] = {}
        """Keys to look up before they are decided, with the moments at which this process tried to log them."""
        self._log = log
        self._definitions = definitions
        self._clock = clock
        self._open: dict[Hashable, Open] = {}
        self._claimed: set[bytes | None] = set()
        self._wanted_blobs: dict[Hashable, list[msgspec.Raw]] = {}
        self._kept_blobs: set[str] = set()

    # --- load -----------------------------------------------------------------------------------------------------

    async def keep_blobs(self, keys: Iterable[Hashable]) -> None:
        """Payloads that decisions refer to, before they are logged. May raise `Unavailable`."""
        if self._wanted_blobs:
            for key in keys:
                for payload in self._wanted_blobs.pop(key, ()):
                    self._kept_blobs.add(await self._log.put_blob(bytes(payload)))

    def doubt(self, key: Hashable) -> None:
        """The log may know it already: look it up before it is decided."""
        self.tried_at.setdefault(key, frozenset())

    def was_tried(self, keys: Collection[Hashable]) -> bool:
        """Whether one of them is to be looked up."""
        return bool(self.tried_at) and not self.tried_at.keys().isdisjoint(keys)

    async def recall(self, messages: Iterable[tuple[Hashable, Message]]) -> None:
        """Have what the log knows of those that are to be looked up. May raise `Unavailable`."""
        wanted: dict[Hashable, set[bytes]] = {}
        for key, message in messages:
            if key in self.tried_at and key not in self.known:
                wanted.setdefault(key, set()).update(identities_of(message))
        known = await find_known(self._log, set[bytes]().union(*wanted.values()))
        for key, identities in wanted.items():
            self.known[key] = {identity: known[identity] for identity in identities if identity in known}

    # --- decide ---------------------------------------------------------------------------------------------------

    def instant(self, identities: Collection[bytes]) -> datetime:
        """Now; but what another key of this turn brings too gets a moment of its own, and so a stream of its own."""
        recorded_at = self._clock()
        if len(self._claimed) and not self._claimed.isdisjoint(identities):
            recorded_at += timedelta(milliseconds=1 + len(self._open))
        return recorded_at

    def work(
        self,
        key: Hashable,
        messages: Sequence[Message],
        decided: dict[bytes | None, Decided],
        recorded_at: datetime,
    ) -> Work:
        """The group to log. Raises LoadAgain where payloads are to be kept first."""
        self._require_blobs(key, decided)
        self._open[key] = Open(decided, recorded_at)
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
                actor=first.actor or _actor(messages[0]),
                traceparent=None if event.traceparent is None else traceparent_of(event),
                definitions_position=self._definitions.index.position,
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

    def done(self, key: Hashable, messages: Sequence[Message], answer: bytes) -> Work:
        """Nothing is to be logged; commands get the answer."""
        self.settled(key)
        return Work(answers=[(message, answer) for message in messages if message.origin == "command"])

    # --- afterwards -----------------------------------------------------------------------------------------------

    def settled(self, key: Hashable) -> None:
        """What was known of it is needed no more."""
        self.known.pop(key, None)
        self.tried_at.pop(key, None)

    def logged_blobs_of(self, opened: Open) -> None:
        """Payloads of what is logged are put anew when somebody else refers to them."""
        for one in opened.decided.values():
            self._kept_blobs.difference_update(sha256(payload).hexdigest() for payload in one.blobs)

    def is_known_now(self, key: Hashable, opened: Open | None) -> None:
        """The log refused what was decided: it, or a part of it, is there already."""
        self.known.pop(key, None)
        tried_at = self.tried_at.get(key, frozenset[datetime]())
        self.tried_at[key] = tried_at if opened is None else tried_at | {opened.recorded_at}

    def close_all(self, keys: Iterable[Hashable]) -> None:
        """What was decided for these is forgotten."""
        if self._open:
            for key in keys:
                self.close(key)

    def close(self, key: Hashable) -> Open | None:
        """The log has answered: what had been decided, if anything."""
        opened = self._open.pop(key, None)
        if opened is not None:
            self._claimed.difference_update(opened.decided)
        return opened

    def forget_all(self) -> None:
        """As at the start."""
        for kept in (self._open, self._claimed, self.tried_at, self.known, self._wanted_blobs, self._kept_blobs):
            kept.clear()


def _first_cause(decided: Decided) -> UUID:
    """The first cause of all, where one is known."""
    chains = [run.chain.first_event_id for run in decided.runs if run.chain is not None]
    return chains[0] if chains else decided.cause.event_id


def _actor(message: Message) -> str | None:
    if message.origin != "command":
        return None
    command = command_of(message)
    return None if isinstance(command, Refusal) else command.actor or None
