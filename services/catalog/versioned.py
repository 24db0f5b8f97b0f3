"""Things that are saved as versions under an id, as the shell runs them: streams in, commands decided, events said.

Templates, stored prompts and secrets set by name are such things; each says by a `Kind` what is its own. The stream of
one is read whole for every command, as that of a workflow is. A command that comes again is found among the causes of the
stream's events, and answered as it was the first time.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
from flowforge.commands import Command
from flowforge.envelope import encode as encode_envelope
from flowforge.events import decode
from flowforge.refusals import Refusal, unavailable

from infra.bus import Message, Outgoing, Work
from infra.bus.message import logged_event
from infra.eventlog import EventLog, StoredEvent, StreamAppend
from services.catalog.answers import Saved, append_of, cause_of, new_events, rejected, saved_answer
from services.catalog.decided import Decided
from services.catalog.settings import followers_max, said_bytes_max
from services.catalog.validation import Finding


class _Counted(Protocol):
    """What a stream is folded to: `version` counts the saves."""

    @property
    def version(self) -> int: ...


StateT = TypeVar("StateT", bound=_Counted)


class Key(NamedTuple):
    """What commands about one thing have in common."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Saying:
    """How events of one kind are said on the bus."""

    types: frozenset[str]
    subject: Callable[[str, str], str]
    """Of an event, by id and type."""
    head: Callable[[Any], dict[str, Any]]
    """What is said of an event that is too large for the bus."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[StateT]):
    """What one kind of things has of its own."""

    word: str
    """The type of its streams, and what a refusal calls it."""
    commands: tuple[type[Command], ...]
    id_of: Callable[[Any], str]
    """Of a command or an event."""
    stream: Callable[[str], UUID]
    initial: StateT
    evolve: Callable[[StateT, Any], StateT]
    decide: Callable[[StateT, Any], Decided[Any] | Refusal]
    saying: Saying | None = None
    """Without it nobody is told."""
    answer: Callable[[str, Saved, list[Finding]], bytes] = saved_answer


class _Loaded(msgspec.Struct, Generic[StateT]):
    state: StateT
    stream_version: int = 0
    position: int = 0
    past: dict[UUID, Saved] = {}


class Versioned(Generic[StateT]):
    """The part of catalog that has to do with one kind of things."""

    def __init__(self, kind: Kind[StateT], log: EventLog, namespace: str, clock: Callable[[], datetime]) -> None:
        self.kind = kind
        self._log = log
        self._namespace = namespace
        self._clock = clock
        self._loaded: dict[Key, _Loaded[StateT]] = {}
        self._pending: dict[Key, tuple[Message, list[Finding]]] = {}

    def key(self, command: object) -> Key | None:
        """Of a command that changes such a thing."""
        return Key(self.kind.word, self.kind.id_of(command)) if isinstance(command, self.kind.commands) else None

    async def load(self, keys: Collection[Hashable]) -> None:
        """The streams of those that are of this kind."""
        mine = {self.kind.stream(key.id): key for key in keys if isinstance(key, Key) and key.kind == self.kind.word}
        if mine:
            for stream_id, events in (await self._log.read_streams(list(mine))).items():
                self._loaded[mine[stream_id]] = self._folded(events)

    async def state(self, name: str) -> StateT:
        """As its stream tells it now. May raise `Unavailable`."""
        return self._folded(await self._log.read_stream(self.kind.stream(name))).state

    async def states(self, names: Iterable[str]) -> dict[str, StateT]:
        """As their streams tell them now. May raise `Unavailable`."""
        streams = {self.kind.stream(name): name for name in names}
        found = await self._log.read_streams(list(streams)) if streams else {}
        return {streams[stream_id]: self._folded(events).state for stream_id, events in found.items()}

    def decide(self, key: Key, commands: Sequence[tuple[Message, Command]]) -> Work:
        """Commands are taken until one changes something; the others are decided after that is logged."""
        work = Work()
        for at, (message, command) in enumerate(commands):
            if self._decide_one(key, message, command, work):
                followers = [message for message, _ in commands[at + 1 :]]
                work.later = followers[:followers_max]
                busy = rejected(unavailable(f"many changes of the {key.kind} '{key.id}' at once; try again"))
                work.answers += [(follower, busy) for follower in followers[followers_max:]]
                return work
        self._loaded.pop(key, None)
        return work

    def _decide_one(self, key: Key, message: Message, command: Command, work: Work) -> bool:
        """Whether the command leads to an append; all else is answered at once."""
        loaded = self._loaded[key]
        if (saved := loaded.past.get(cause_of(command.command_id))) is not None:
            work.answers.append((message, self._answer(key, saved, [])))
            return False
        decided = self.kind.decide(loaded.state, command)
        if isinstance(decided, Refusal):
            work.answers.append((message, rejected(decided)))
            return False
        if not decided.events:
            place = Saved(loaded.state.version, loaded.position)
            work.answers.append((message, self._answer(key, place, decided.warnings)))
            return False
        stream = self.kind.stream(key.id)
        streams = [StreamAppend(key.kind, stream, loaded.stream_version, new_events(decided.events))]
        work.append = append_of(streams, message, command, self._clock())
        self._pending[key] = (message, decided.warnings)
        return True

    def logged(self, key: Key, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Answer the command, and say its events where they are said."""
        message, warnings = self._pending.pop(key)
        state = self._loaded.pop(key).state
        for stored in events:
            state = self.kind.evolve(state, decode(stored.type, stored.data))
        work.answers.append((message, self._answer(key, Saved(state.version, events[0].position), warnings)))
        return [outgoing for stored in events if (outgoing := self.outgoing(stored)) is not None]

    def refused(self, key: Key) -> None:
        """Somebody saved first: what is in memory is read anew at the next `load`."""
        self._loaded.pop(key, None)
        self._pending.pop(key, None)

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        self._loaded.clear()
        self._pending.clear()

    def outgoing(self, stored: StoredEvent) -> Outgoing | None:
        """A logged event as it is said; None for one that is not said, or is of another kind."""
        saying = self.kind.saying
        if saying is None or stored.type not in saying.types:
            return None
        event, envelope = decode(stored.type, stored.data), logged_event(stored, self._namespace)
        body = encode_envelope(envelope)
        if len(body) > said_bytes_max:
            envelope.data = msgspec.Raw(msgspec.json.encode(saying.head(event)))
            body = encode_envelope(envelope)
        return Outgoing(saying.subject(self.kind.id_of(event), stored.type), body, envelope.id)

    def _folded(self, events: Sequence[StoredEvent]) -> _Loaded[StateT]:
        loaded = _Loaded(self.kind.initial, len(events), events[-1].position if events else 0, {})
        for stored in events:
            loaded.state = self.kind.evolve(loaded.state, decode(stored.type, stored.data))
            if stored.causation_id is not None:
                loaded.past[stored.causation_id] = Saved(loaded.state.version, stored.position)
        return loaded

    def _answer(self, key: Key, saved: Saved, warnings: list[Finding]) -> bytes:
        return self.kind.answer(key.id, saved, warnings)
