"""Templates as the shell runs them: streams in, commands decided, events said.

The stream of a template is read whole for every command, as that of a workflow is. A command that comes again is found
among the causes of the stream's events, and answered as it was the first time.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from flowforge.commands import Command, DeleteTemplate, ListTemplates, SaveTemplate
from flowforge.envelope import encode as encode_envelope
from flowforge.events import TemplateEvent, TemplateSaved, decode, encode
from flowforge.identity import lasting_stream, named_stream
from flowforge.refusals import Refusal, unavailable
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Work
from infra.bus.message import logged_event
from infra.eventlog import Append, EventLog, NewEvent, StoredEvent, StreamAppend
from services.catalog.answers import Saved, accepted, cause_of, rejected, saved_answer, uuid_of
from services.catalog.settings import followers_max, said_bytes_max
from services.catalog.state import State as WorkflowState
from services.catalog.state import evolve as evolve_workflow
from services.catalog.state import initial as no_workflow
from services.catalog.templates.decide import Decided, decide
from services.catalog.templates.ready_made import ready_made
from services.catalog.templates.template import State, Template, evolve, initial
from services.catalog.validation import Finding

SAYS = frozenset({"TemplateSaved", "TemplateDeleted"})


class TemplateKey(NamedTuple):
    """What commands about one template have in common."""

    template_id: str


class _Loaded(msgspec.Struct):
    state: State = initial
    stream_version: int = 0
    position: int = 0
    past: dict[UUID, Saved] = {}


class Templates:
    """The part of catalog that has to do with templates."""

    def __init__(self, log: EventLog, namespace: str, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._namespace = namespace
        self._subjects = Subjects(namespace)
        self._clock = clock
        self._loaded: dict[TemplateKey, _Loaded] = {}
        self._sources: dict[str, WorkflowState] = {}
        self._pending: dict[TemplateKey, tuple[Message, list[Finding]]] = {}

    @staticmethod
    def key(command: object) -> TemplateKey | None:
        """Of a command that changes a template."""
        return TemplateKey(command.template_id) if isinstance(command, SaveTemplate | DeleteTemplate) else None

    async def load(self, keys: Collection[Hashable], commands: Sequence[object]) -> None:
        """The streams of these templates, and of the workflows that they are taken from."""
        for key in keys:
            if isinstance(key, TemplateKey):
                self._loaded[key] = _folded(await self._log.read_stream(_stream(key.template_id)))
        for command in commands:
            if isinstance(command, SaveTemplate) and command.workflow_id is not None:
                self._sources[command.workflow_id] = await self._workflow(command.workflow_id)

    async def find(self, template_id: str) -> Template | None:
        """A template by its id, ready-made or one's own."""
        if template_id in ready_made():
            return ready_made()[template_id]
        return _folded(await self._log.read_stream(_stream(template_id))).state.template

    async def _workflow(self, workflow_id: str) -> WorkflowState:
        state = no_workflow
        for stored in await self._log.read_stream(named_stream("workflow", workflow_id)):
            state = evolve_workflow(state, cast("Any", decode(stored.type, stored.data)))
        return state

    def decide(self, key: TemplateKey, commands: Sequence[tuple[Message, Command]]) -> Work:
        """Commands are taken until one changes something; the others are decided after that is logged."""
        work = Work()
        for at, (message, command) in enumerate(commands):
            if self._decide_one(key, message, cast("SaveTemplate | DeleteTemplate", command), work):
                followers = [message for message, _ in commands[at + 1 :]]
                work.later = followers[:followers_max]
                busy = rejected(unavailable(f"many changes of the template '{key.template_id}' at once; try again"))
                work.answers += [(follower, busy) for follower in followers[followers_max:]]
                return work
        self._loaded.pop(key, None)
        return work

    def _decide_one(
        self, key: TemplateKey, message: Message, command: SaveTemplate | DeleteTemplate, work: Work
    ) -> bool:
        """Whether the command leads to an append; all else is answered at once."""
        loaded, cause = self._loaded[key], cause_of(command.command_id)
        if (saved := loaded.past.get(cause)) is not None:
            work.answers.append((message, _answer(key, saved, [])))
            return False
        source = self._sources.get(getattr(command, "workflow_id", None) or "", no_workflow)
        decided = decide(loaded.state, command, source, key.template_id in ready_made())
        if isinstance(decided, Refusal):
            work.answers.append((message, rejected(decided)))
            return False
        if not decided.events:
            work.answers.append((message, _answer(key, _place(loaded), decided.warnings)))
            return False
        work.append = self._append(key, loaded, message, command, decided)
        self._pending[key] = (message, decided.warnings)
        return True

    def _append(
        self, key: TemplateKey, loaded: _Loaded, message: Message, command: Command, decided: Decided
    ) -> Append:
        events = [NewEvent(type(event).__name__, encode(event)) for event in decided.events]
        cause = cause_of(command.command_id)
        return Append(
            [StreamAppend("template", _stream(key.template_id), loaded.stream_version, events)],
            recorded_at=self._clock(),
            correlation_id=uuid_of(message.event.correlationid) or cause,
            causation_id=cause,
            actor=command.actor or None,
            traceparent=message.event.traceparent,
        )

    def logged(self, key: TemplateKey, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Answer the command, and say its events."""
        message, warnings = self._pending.pop(key)
        loaded = self._loaded.pop(key)
        state = loaded.state
        for stored in events:
            state = evolve(state, _event(stored))
        work.answers.append((message, _answer(key, Saved(state.version, events[0].position), warnings)))
        return [self.outgoing(stored) for stored in events]

    def refused(self, key: TemplateKey) -> None:
        """Somebody saved first: what is in memory is read anew at the next `load`."""
        self._loaded.pop(key, None)
        self._pending.pop(key, None)

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        for kept in (self._loaded, self._sources, self._pending):
            kept.clear()

    def outgoing(self, stored: StoredEvent) -> Outgoing:
        """A logged event as it is said; a very large definition is left out."""
        event, envelope = _event(stored), logged_event(stored, self._namespace)
        body = encode_envelope(envelope)
        if len(body) > said_bytes_max and isinstance(event, TemplateSaved):
            head = {"template_id": event.template_id, "template_version": event.template_version, "name": event.name}
            envelope.data = msgspec.Raw(msgspec.json.encode(head))
            body = encode_envelope(envelope)
        return Outgoing(self._subjects.template(event.template_id, stored.type), body, envelope.id)


def listed(command: ListTemplates) -> bytes:
    """The answer with the ready-made templates, or the one that is asked for."""
    wanted = [one for one in ready_made().values() if command.template_id in (None, one.id)]
    return accepted({"items": [one.shown() for one in wanted]})


def _stream(template_id: str) -> UUID:
    return lasting_stream("template", template_id)


def _folded(events: Sequence[StoredEvent]) -> _Loaded:
    loaded = _Loaded(stream_version=len(events), position=events[-1].position if events else 0)
    for stored in events:
        loaded.state = evolve(loaded.state, _event(stored))
        if stored.causation_id is not None:
            loaded.past[stored.causation_id] = Saved(loaded.state.version, stored.position)
    return loaded


def _event(stored: StoredEvent) -> TemplateEvent:
    return cast("TemplateEvent", decode(stored.type, stored.data))


def _place(loaded: _Loaded) -> Saved:
    return Saved(loaded.state.version, loaded.position)


def _answer(key: TemplateKey, saved: Saved, warnings: list[Finding]) -> bytes:
    return saved_answer(key.template_id, saved, warnings, {})
