"""Commands that change triggers of several workflows: one group of the log, all or nothing."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime

import msgspec
from flowforge.commands import ChangeTriggers
from flowforge.refusals import Refusal

from infra.bus import Message, Work
from infra.eventlog import EventLog, StoredEvent
from services.catalog.answers import Saved, accepted, append_of, cause_of, rejected
from services.catalog.decide import Beside, Decided
from services.catalog.handlers.stream import Loaded, folded, further, stream_of
from services.catalog.settings import answer_bytes_max
from services.catalog.together import change_together
from services.catalog.validation import Finding


class _Underway(msgspec.Struct):
    """One command: what the streams of its workflows hold, and what follows from it.

    `position`: where it was logged, if it was carried out before.
    """

    command: ChangeTriggers
    streams: dict[str, list[StoredEvent]]
    position: int = 0
    outcome: dict[str, Decided] | Refusal = {}

    def loaded(self) -> dict[str, Loaded]:
        """The workflows as the command found them, or left them when it was carried out."""
        until = self.position
        return {
            name: folded([event for event in events if not until or event.position <= until])
            for name, events in self.streams.items()
        }


class Several:
    """The part of catalog that has to do with several workflows at once."""

    def __init__(self, log: EventLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._underway: dict[Hashable, _Underway] = {}

    async def load(self, key: Hashable, command: ChangeTriggers) -> None:
        """Read the streams of all workflows that it names."""
        ids = {stream_of(item.workflow_id): item.workflow_id for item in command.items}
        streams = {ids[stream_id]: events for stream_id, events in (await self._log.read_streams(list(ids))).items()}
        cause = cause_of(command.command_id)
        its_own = [event.position for events in streams.values() for event in events if event.causation_id == cause]
        self._underway[key] = _Underway(command, streams, max(its_own, default=0))

    def foresee(self, key: Hashable, beside: Beside) -> list[Decided]:
        """What follows from the command; what that wants kept and made must be there before `decide` acts on it."""
        underway = self._underway[key]
        if underway.position:
            return []
        states = {name: one.state for name, one in underway.loaded().items()}
        underway.outcome = change_together(states, underway.command, beside)
        return [] if isinstance(underway.outcome, Refusal) else list(underway.outcome.values())

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """The same command, however often it came."""
        underway = self._underway[key]
        outcome, loaded = underway.outcome, underway.loaded()
        if isinstance(outcome, Refusal):
            return self._answered(key, messages, rejected(outcome))
        streams = [further(name, loaded[name], one.events) for name, one in outcome.items() if one.events]
        if not streams:
            return self._answered(key, messages, _saved(loaded, {}))
        append = append_of(streams, messages[0], underway.command, self._clock(), changes_definitions=True)
        return Work(append, answers=[(message, b"") for message in messages])

    def _answered(self, key: Hashable, messages: Sequence[Message], answer: bytes) -> Work:
        self.refused(key)
        return Work(answers=[(message, answer) for message in messages])

    def is_underway(self, key: Hashable) -> bool:
        """Whether this key is of such a command."""
        return key in self._underway

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> None:
        """Answer the command."""
        underway = self._underway.pop(key)
        assert not isinstance(underway.outcome, Refusal)
        new = {event.stream_id: event for event in events}
        for name, before in underway.streams.items():
            if (latest := new.get(stream_of(name))) is not None:
                underway.streams[name] = [*before, latest]
        answer = _saved(underway.loaded(), {name: one.warnings for name, one in underway.outcome.items()})
        work.answers = [(message, answer) for message, _ in work.answers]

    def refused(self, key: Hashable) -> None:
        """What is in memory is read anew at the next `load`."""
        self._underway.pop(key, None)

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        self._underway.clear()


def _saved(loaded: Mapping[str, Loaded], warnings: Mapping[str, list[Finding]]) -> bytes:
    places = {name: one.place for name, one in loaded.items()}
    body = _answer(places, warnings)
    return body if len(body) <= answer_bytes_max else _answer(places, {})


def _answer(places: Mapping[str, Saved], warnings: Mapping[str, list[Finding]]) -> bytes:
    items = [
        {
            "id": name,
            "version": saved.version,
            "position": saved.position,
            "warnings": msgspec.to_builtins(warnings.get(name, [])),
        }
        for name, saved in places.items()
    ]
    return accepted({"items": items, "position": max(saved.position for saved in places.values())})
