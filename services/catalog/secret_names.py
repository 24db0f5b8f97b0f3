"""Commands about secrets by name: load, decide, log, answer. A part of catalog's service, one stream per name.

Also removes what no name stands for any more: a value that was replaced or deleted is gone from the table of secrets
some minutes later, whatever happened in between.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge.commands import DeleteSecret, SetSecret
from flowforge.events import SecretEvent, decode, encode
from flowforge.identity import lasting_stream
from flowforge.refusals import Accepted, Refusal, Rejected

from infra.bus import Message, Work
from infra.eventlog import Append, EventLog, NewEvent, StoredEvent, StreamAppend
from infra.secrets import Secrets, owner_of_named
from services.catalog.named_secrets import Secret, decide, evolve, initial
from services.catalog.settings import secrets_swept_every_s

Command = SetSecret | DeleteSecret


class NamedSecret(msgspec.Struct, frozen=True):
    """The aggregate that commands about one name are for."""

    name: str


class _Loaded(msgspec.Struct):
    """One name as its stream tells it. `past`: version and position after each command that was carried out."""

    state: Secret = initial
    stream_version: int = 0
    position: int = 0
    past: dict[UUID, tuple[int, int]] = {}


def stream_of(name: str) -> UUID:
    """The stream of the secret of that name."""
    return lasting_stream("secret", name)


def folded(events: Iterable[StoredEvent]) -> Secret:
    """What the name stands for after the events of its stream."""
    return _folded(events).state


def _folded(events: Iterable[StoredEvent]) -> _Loaded:
    loaded = _Loaded(past={})
    for stored in events:
        loaded.state = evolve(loaded.state, cast("SecretEvent", decode(stored.type, stored.data)))
        loaded.stream_version, loaded.position = stored.version, stored.position
        if stored.causation_id is not None:
            loaded.past[stored.causation_id] = (loaded.state.version, stored.position)
    return loaded


class SecretNames:
    """As much of a service as concerns secrets by name."""

    def __init__(self, log: EventLog, clock: Callable[[], datetime], cause: Callable[[str], UUID]) -> None:
        self._log = log
        self._clock = clock
        self._cause = cause
        self._loaded: dict[NamedSecret, _Loaded] = {}
        self._swept_at = 0.0

    async def load(self, keys: Iterable[NamedSecret]) -> None:
        """Read the streams of these names."""
        streams = {stream_of(key.name): key for key in keys}
        if streams:
            for stream_id, events in (await self._log.read_streams(list(streams))).items():
                self._loaded[streams[stream_id]] = _folded(events)

    def decide(self, key: NamedSecret, messages: Sequence[Message], commands: Sequence[Command]) -> Work:
        """Commands are taken until one changes something; the others are decided after that is logged."""
        loaded, work = self._loaded[key], Work()
        for at, (message, command) in enumerate(zip(messages, commands, strict=True)):
            cause = self._cause(command.command_id)
            if cause in loaded.past:
                work.answers.append((message, _done(key, *loaded.past[cause])))
                continue
            decided = decide(loaded.state, command)
            if isinstance(decided, Refusal):
                work.answers.append((message, msgspec.json.encode(Rejected(decided))))
            elif not decided:
                work.answers.append((message, _done(key, loaded.state.version, loaded.position)))
            else:
                work.append = self._append(key, loaded, message, command, decided)
                work.answers.append((message, b""))
                work.later = list(messages[at + 1 :])
                return work
        del self._loaded[key]
        return work

    def _append(
        self, key: NamedSecret, loaded: _Loaded, message: Message, command: Command, decided: Sequence[SecretEvent]
    ) -> Append:
        events = [NewEvent(type(event).__name__, encode(event)) for event in decided]
        cause = self._cause(command.command_id)
        return Append(
            [StreamAppend("secret", stream_of(key.name), loaded.stream_version, events)],
            recorded_at=self._clock(),
            correlation_id=cause,
            causation_id=cause,
            actor=command.actor or None,
            traceparent=message.event.traceparent,
        )

    def logged(self, key: NamedSecret, work: Work, events: Sequence[StoredEvent]) -> None:
        """Answer the command; nobody is told on the bus."""
        state = self._loaded.pop(key).state
        for stored in events:
            state = evolve(state, cast("SecretEvent", decode(stored.type, stored.data)))
        answer = _done(key, state.version, events[-1].position)
        work.answers = [(message, body or answer) for message, body in work.answers]

    def refused(self, key: NamedSecret) -> None:
        """Somebody was faster."""
        self._loaded.pop(key, None)

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        self._loaded.clear()

    async def sweep(self, secrets: Secrets) -> None:
        """Now and then: remove values that no name stands for."""
        if time.monotonic() < self._swept_at + secrets_swept_every_s:
            return
        self._swept_at = time.monotonic()
        prefix = owner_of_named("")
        for owner in await secrets.owners(prefix):
            state = folded(await self._log.read_stream(stream_of(owner.removeprefix(prefix))))
            await secrets.forget_others(owner, state.ref)


def _done(key: NamedSecret, version: int, position: int) -> bytes:
    return msgspec.json.encode(Accepted({"name": key.name, "version": version, "position": position}))


async def values_of(log: EventLog, secrets: Secrets, names: Iterable[str]) -> dict[str, str]:
    """The values of these secrets now; those that are not kept are left out. May raise `Unavailable`, WrongKey."""
    streams = {stream_of(name): name for name in names}
    found: dict[str, str] = {}
    for stream_id, events in (await log.read_streams(list(streams))).items():
        name, ref = streams[stream_id], folded(events).ref
        if ref and (value := (await secrets.get(owner_of_named(name), [ref])).get(ref)) is not None:
            found[name] = value
    return found
