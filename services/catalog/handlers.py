"""Command in, load, decide, append, answer: catalog as the shell runs it.

The stream of a workflow is read whole for every command: people save seldom, and nothing kept in memory can be wrong.
A group of events has one actor and one cause, so of several commands for one workflow each gets an append of its own.
A command that comes again is found among the causes of the stream's events, and answered as it was the first time.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.commands import (
    COMMANDS,
    ChangeTriggers,
    CreateWorkflow,
    InstantiateTemplate,
    ListTemplates,
    SaveTemplate,
    SetTriggerConfigs,
    UpdateWorkflow,
    ValidateWorkflow,
    definition_of,
)
from flowforge.commands import Command as AnyCommand
from flowforge.definition import readable
from flowforge.envelope import encode as encode_envelope
from flowforge.envelope import now
from flowforge.events import WorkflowArchived, WorkflowEvent, decode, encode
from flowforge.identity import named_stream
from flowforge.refusals import Refusal, unavailable
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Shell, Work
from infra.bus.message import Decode, logged_event
from infra.eventlog import Answer, Append, EventLog, NewEvent, StoredEvent, StreamAppend, Unavailable
from infra.secrets import Secrets, WrongKey
from services.catalog.answers import Saved, accepted, cause_of, fitting, rejected, saved_answer, uuid_of
from services.catalog.decide import Beside, Command, Decided, decide
from services.catalog.giving import Giving
from services.catalog.job_queues import JobQueues
from services.catalog.looking_up import known_of
from services.catalog.prompts import prompts
from services.catalog.secret_names import Sweeping, secret_names
from services.catalog.secrets import Keeping
from services.catalog.settings import (
    answer_bytes_max,
    followers_max,
    kept_secrets_max,
    reports_kept_max,
    said_bytes_max,
    unpacked_kept_max,
)
from services.catalog.state import State, evolve, initial
from services.catalog.templates import Template, Templates
from services.catalog.templates.handling import listed
from services.catalog.together import change_together
from services.catalog.validation import NOTHING_KNOWN, Finding, check, validate
from services.catalog.versioned import Key, Versioned

_WITH_DEFINITION = (CreateWorkflow, UpdateWorkflow, ValidateWorkflow, SaveTemplate)
_MAY_HOLD_SECRETS = (b'"secret"', b"\\u00")
"""Without any of these a command holds no secret; `\\u00` may be how a letter of the word is written."""
_log = logging.getLogger(__name__)
_MINE = {name: kind for name, (service, kind) in COMMANDS.items() if service == "catalog"}


class Loaded(msgspec.Struct):
    """One workflow as its stream tells it. `past`: what each command that was carried out led to."""

    state: State = initial
    stream_version: int = 0
    position: int = 0
    past: dict[UUID, Saved] = {}


class _Named(msgspec.Struct):
    id: str


class _Undecodable(msgspec.Struct):
    refusal: Refusal


class Catalog:
    """The service that the shell turns."""

    name = "catalog"
    says = frozenset(
        {"WorkflowCreated", "WorkflowUpdated", "WorkflowArchived", "TemplateSaved", "TemplateDeleted", "PromptSaved",
         "PromptDeleted"}
    )  # fmt: skip
    hears: frozenset[str] = frozenset()

    def __init__(
        self, log: EventLog, namespace: str, secrets: Secrets | None = None, clock: Callable[[], datetime] = now
    ) -> None:
        """Without `secrets` a definition that brings one is refused."""
        self.inbound: dict[str, Decode] = {}
        self._log = log
        self._secrets = secrets
        self._clock = clock
        self._templates = Templates(log, namespace, clock)
        self._prompts = prompts(log, namespace, clock)
        self._names = secret_names(log, namespace, clock)
        self._sweeping = None if secrets is None else Sweeping(self._names, secrets)
        self._versioned: dict[str, Versioned[Any]] = {
            each.kind.word: each for each in (self._templates.changes, self._prompts, self._names)
        }
        self._named_templates: dict[str, Template] = {}
        """Of which the workflows of a turn are made."""
        self._reports: OrderedDict[str, bytes] = OrderedDict()
        """Answers to validations of late, by command: who waits long asks again."""
        self._known = NOTHING_KNOWN
        """Of what the definitions of a turn name, what there is."""
        self._kept: set[tuple[str, str]] = set()
        """Owner and fingerprint of secrets that were kept of late."""
        self._namespace = namespace
        self._subjects = Subjects(namespace)
        self._loaded: dict[str, Loaded] = {}
        self._pending: dict[str, tuple[Message, list[Finding]]] = {}
        self._together: dict[Hashable, dict[str, list[StoredEvent]]] = {}
        """Changes of several workflows at once: what their streams hold."""
        self._decided_together: dict[Hashable, dict[str, Decided]] = {}
        self._queues: JobQueues | None = None

    def attached(self, shell: Shell) -> None:
        """Queues of job types are made over the shell's connection, and secrets are asked for there."""
        self._queues = JobQueues(shell.client, self._subjects)
        giving = Giving(self._log, self._names, self._secrets)
        self._starting = asyncio.create_task(giving.start(shell.client, self._subjects))

    # --- load ---------------------------------------------------------------------------------------------------------

    def key(self, message: Message) -> Hashable:
        """The id of the workflow, or of a thing of another kind; messages that concern none stand alone."""
        command = _command(message)
        keys = (each.key(command) for each in self._versioned.values())
        return next(filter(None, keys), None) or _workflow_id(command) or (message.reply_to, message.event.id)

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Read the streams of these workflows; have the queues that their new versions name."""
        commands = [_command(message) for message in messages]
        await self._templates.load(keys, commands)
        await self._prompts.load(keys)
        await self._names.load(keys)
        self._named_templates.clear()
        for command in commands:
            if isinstance(command, InstantiateTemplate):
                template = await self._templates.find(command.template_id)
                self._named_templates |= {} if template is None else {template.id: template}
        if self._queues is not None:
            await self._queues.make(c for c in commands if isinstance(c, CreateWorkflow | UpdateWorkflow))
        for message in messages:
            if message.event.type == ChangeTriggers.__name__:
                await self._load_together(self.key(message), _command(message))
        streams = {named_stream("workflow", key): key for key in keys if isinstance(key, str)}
        if streams:
            for stream_id, events in (await self._log.read_streams(list(streams))).items():
                self._loaded[streams[stream_id]] = _folded(events)
        await self._look_up(messages)
        if self._secrets is not None:
            if len(self._kept) > kept_secrets_max:
                self._kept.clear()
            for message in messages:
                if _may_hold_secrets(message):
                    await self._keep_secrets(self._secrets, message)

    async def _look_up(self, messages: Sequence[Message]) -> None:
        """What there is of all that these commands, or the definitions they change, name."""
        definitions: list[msgspec.Raw] = []
        for message in messages:
            command, loaded = _command(message), self._loaded.get(cast("str", self.key(message)))
            if isinstance(command, _WITH_DEFINITION):
                definitions.append(command.definition)
            if isinstance(command, InstantiateTemplate) and command.template_id in self._named_templates:
                definitions.append(self._named_templates[command.template_id].definition)
            if loaded is not None and not isinstance(command, CreateWorkflow | UpdateWorkflow | InstantiateTemplate):
                definitions += loaded.state.definitions[-1:]
        self._known = await known_of(definitions, self._log, self._prompts)

    async def _keep_secrets(self, secrets: Secrets, message: Message) -> None:
        """Have them stored before the event that refers to them; if that does not come about, they are never used."""
        key, command = self.key(message), _command(message)
        decided: Refusal | dict[str, Decided] | Decided | None = None
        if isinstance(command, ChangeTriggers):
            states = {name: _folded(events).state for name, events in self._together[key].items()}
            decided = change_together(states, command, self._beside())
        elif not isinstance(command, _Undecodable | ValidateWorkflow) and key in self._loaded:
            decided = decide(self._loaded[cast("str", key)].state, cast("Command", command), self._beside())
        if decided is None or isinstance(decided, Refusal):
            return
        parts = [decided] if isinstance(decided, Decided) else decided.values()
        new = [secret for part in parts for secret in part.secrets]
        if new:
            await secrets.put(new)
        self._kept.update((secret.owner, secret.fingerprint) for secret in new)

    def _beside(self) -> Beside:
        keeping = None if self._secrets is None else Keeping(self._secrets.fingerprint, self._clock())
        return Beside(keeping, self._known, self._named_templates)

    def _assert_kept(self, decided: Decided) -> None:
        """What refers to a secret is not logged before the secret is kept: both were decided on one state."""
        assert self._kept.issuperset((secret.owner, secret.fingerprint) for secret in decided.secrets)

    async def _load_together(self, key: Hashable, command: AnyCommand | _Undecodable) -> None:
        if isinstance(command, ChangeTriggers):
            ids = {named_stream("workflow", item.workflow_id): item.workflow_id for item in command.items}
            streams = await self._log.read_streams(list(ids))
            self._together[key] = {ids[stream_id]: events for stream_id, events in streams.items()}

    # --- decide -------------------------------------------------------------------------------------------------------

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """Commands are taken until one changes something; the others are decided after that is logged."""
        if isinstance(key, Key):
            commands = [(message, cast("AnyCommand", _command(message))) for message in messages]
            return self._versioned[key.kind].decide(key, commands)
        first = _command(messages[0])
        if isinstance(first, ChangeTriggers):
            return self._decide_together(key, first, messages)
        work = Work()
        for at, message in enumerate(messages):
            command = _command(message)
            if isinstance(command, _Undecodable):
                work.answers.append((message, rejected(command.refusal)))
            elif isinstance(command, ValidateWorkflow):
                work.answers.append((message, self._report(command)))
            elif isinstance(command, ListTemplates):
                work.answers.append((message, listed(command)))
            elif not isinstance(key, str):
                work.answers.append(
                    (message, _answer_of(key, Loaded(), decide(initial, cast("Command", command)), command))
                )
            elif self._decide_one(key, message, cast("Command", command), work):
                followers = messages[at + 1 :]
                work.later = list(followers[:followers_max])
                busy = rejected(unavailable(f"many changes of the workflow '{key}' at once; try again"))
                work.answers += [(follower, busy) for follower in followers[followers_max:]]
                return work
        self._loaded.pop(cast("str", key), None)
        return work

    def _report(self, command: ValidateWorkflow) -> bytes:
        if command.command_id not in self._reports:
            report = validate(msgspec.json.decode(command.definition), self._known)
            self._reports[command.command_id] = fitting(cast("dict[str, Any]", msgspec.to_builtins(report)))
            if len(self._reports) > reports_kept_max:
                self._reports.popitem(last=False)
        return self._reports[command.command_id]

    def _decide_one(self, key: str, message: Message, command: Command, work: Work) -> bool:
        """Whether the command leads to an append; all else is answered at once."""
        loaded = self._loaded[key]
        cause = cause_of(command.command_id)
        saved = loaded.past.get(cause)
        if saved is not None:
            definition = loaded.state.definitions[saved.version - 1]
            warnings = check(msgspec.json.decode(definition), self._known).report.warnings
            work.answers.append((message, saved_answer(key, saved, warnings, _set_by(command, definition))))
            return False
        decided = decide(loaded.state, command, self._beside())
        if isinstance(decided, Refusal) or not decided.events:
            work.answers.append((message, _answer_of(key, loaded, decided, command)))
            return False
        self._assert_kept(decided)
        events = [NewEvent(type(event).__name__, encode(event)) for event in decided.events]
        stream = StreamAppend("workflow", named_stream("workflow", key), loaded.stream_version, events)
        work.append = Append(
            [stream],
            recorded_at=self._clock(),
            correlation_id=uuid_of(message.event.correlationid) or cause,
            causation_id=cause,
            actor=command.actor or None,
            traceparent=message.event.traceparent,
            changes_definitions=True,
        )
        self._pending[key] = (message, decided.warnings)
        return True

    def _decide_together(self, key: Hashable, command: ChangeTriggers, messages: Sequence[Message]) -> Work:
        """All or nothing: one group of the log changes every workflow that is named."""
        loaded, cause = self._together.pop(key), cause_of(command.command_id)
        before = [event.position for events in loaded.values() for event in events if event.causation_id == cause]
        if before:
            at_the_time = {
                name: _folded([e for e in events if e.position <= max(before)]) for name, events in loaded.items()
            }
            return Work(answers=[(message, _saved_together(_places(at_the_time))) for message in messages])
        folded = {name: _folded(events) for name, events in loaded.items()}
        decided = change_together({name: one.state for name, one in folded.items()}, command, self._beside())
        if isinstance(decided, Refusal):
            return Work(answers=[(message, rejected(decided)) for message in messages])
        for one in decided.values():
            self._assert_kept(one)
        streams = [
            StreamAppend(
                "workflow",
                named_stream("workflow", name),
                folded[name].stream_version,
                [NewEvent(type(event).__name__, encode(event)) for event in one.events],
            )
            for name, one in decided.items()
            if one.events
        ]
        if not streams:
            return Work(answers=[(message, _saved_together(_places(folded))) for message in messages])
        self._together[key], self._decided_together[key] = loaded, decided
        event = messages[0].event
        append = Append(
            streams,
            recorded_at=self._clock(),
            correlation_id=uuid_of(event.correlationid) or cause,
            causation_id=cause,
            actor=command.actor or None,
            traceparent=event.traceparent,
            changes_definitions=True,
        )
        return Work(append, answers=[(message, b"") for message in messages])

    def _logged_together(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        loaded, decided = self._together.pop(key), self._decided_together.pop(key)
        new = {event.stream_id: event for event in events}
        folded: dict[str, Loaded] = {}
        for name, before in loaded.items():
            latest = new.get(named_stream("workflow", name))
            folded[name] = _folded(before if latest is None else [*before, latest])
        warnings = {name: one.warnings for name, one in decided.items()}
        answer = _saved_together(_places(folded), warnings)
        work.answers = [(message, answer) for message, _ in work.answers]
        return [self._outgoing(stored) for stored in events]

    # --- after the append ---------------------------------------------------------------------------------------------

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Answer the command, and say its events."""
        if isinstance(key, Key):
            return self._versioned[key.kind].logged(key, work, events)
        if key in self._decided_together:
            return self._logged_together(key, work, events)
        workflow_id = cast("str", key)
        message, warnings = self._pending.pop(workflow_id)
        state = self._loaded.pop(workflow_id).state
        for stored in events:
            state = evolve(state, _event(stored))
        saved, further = Saved(state.version, events[0].position), _set_by(_command(message), state.definition)
        work.answers.append((message, saved_answer(workflow_id, saved, warnings, further)))
        return [self._outgoing(stored) for stored in events]

    def refused(self, key: Hashable, answer: Answer) -> None:  # noqa: ARG002
        """Somebody saved first: what is in memory is read anew at the next `load`."""
        self._together.pop(key, None)
        self._decided_together.pop(key, None)
        if isinstance(key, Key):
            self._versioned[key.kind].refused(key)
        if isinstance(key, str):
            self._loaded.pop(key, None)
            self._pending.pop(key, None)

    # --- the shell's other questions ----------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The same messages under the same ids."""
        return [self._outgoing(stored) for stored in events]

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        self._templates.forget_all()
        self._prompts.forget_all()
        for kept in (self._loaded, self._pending, self._together, self._decided_together, self._kept):
            kept.clear()
        self._names.forget_all()

    async def nats_was_away(self) -> None:
        """The queues may be lost; execution makes those anew that are in use."""
        if self._queues is not None:
            self._queues.may_be_gone()

    async def tick(self) -> None:
        """Secrets that no name stands for are removed."""
        if self._sweeping is not None:
            try:
                await self._sweeping.tick()
            except (Unavailable, WrongKey) as fault:
                _log.warning("replaced secrets are not removed yet: %s", fault)

    def _outgoing(self, stored: StoredEvent) -> Outgoing:
        for each in self._versioned.values():
            if (outgoing := each.outgoing(stored)) is not None:
                return outgoing
        event = _event(stored)
        envelope = logged_event(stored, self._namespace)
        body = encode_envelope(envelope)
        if len(body) > said_bytes_max and not isinstance(event, WorkflowArchived):
            envelope.data = msgspec.Raw(
                msgspec.json.encode({"workflow_id": event.workflow_id, "workflow_version": event.workflow_version})
            )
            body = encode_envelope(envelope)
        return Outgoing(self._subjects.workflow(event.workflow_id, stored.type), body, envelope.id)


def _may_hold_secrets(message: Message) -> bool:
    if message.event.type == SaveTemplate.__name__:
        return False  # a template keeps none
    if message.event.type == InstantiateTemplate.__name__:
        return True
    data = bytes(message.event.data)
    if b'"definition_packed"' in data:
        data = bytes(getattr(_command(message), "definition", b""))
    return any(mark in data for mark in _MAY_HOLD_SECRETS)


@lru_cache(maxsize=unpacked_kept_max)
def _unpacked(definition_packed: str) -> msgspec.Raw:
    """A command is looked at several times; a large definition is unpacked once. Raises ValueError."""
    return definition_of(ValidateWorkflow(command_id="", definition_packed=definition_packed))


def _command(message: Message) -> AnyCommand | _Undecodable:
    kind = _MINE.get(message.event.type)
    if kind is None:
        return _Undecodable(_malformed(f"catalog knows no command '{message.event.type}'"))
    try:
        command = msgspec.json.decode(message.event.data, type=kind)
        if isinstance(command, _WITH_DEFINITION) and command.definition_packed:
            return msgspec.structs.replace(
                command, definition=_unpacked(command.definition_packed), definition_packed=""
            )
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        return _Undecodable(_malformed(str(fault)))
    return command


def _malformed(detail: str) -> Refusal:
    return Refusal(code="MALFORMED", status=400, title="Malformed command", detail=detail)


def _workflow_id(command: AnyCommand | _Undecodable) -> str | None:
    if isinstance(command, CreateWorkflow):
        try:
            return msgspec.json.decode(command.definition, type=_Named).id
        except msgspec.ValidationError:
            return None  # the validation says why
    return getattr(command, "workflow_id", None)


def _folded(events: Sequence[StoredEvent]) -> Loaded:
    loaded = Loaded(stream_version=len(events), position=events[-1].position if events else 0)
    for stored in events:
        loaded.state = evolve(loaded.state, _event(stored))
        if stored.causation_id is not None:
            loaded.past[stored.causation_id] = Saved(loaded.state.version, stored.position)
    return loaded


def _event(stored: StoredEvent) -> WorkflowEvent:
    return cast("WorkflowEvent", decode(stored.type, stored.data))


def _answer_of(key: Hashable, loaded: Loaded, decided: Decided | Refusal, command: AnyCommand) -> bytes:
    """The answer to what changes nothing."""
    if isinstance(decided, Refusal):
        return rejected(decided)
    further = _set_by(command, loaded.state.definition)
    return saved_answer(str(key), Saved(loaded.state.version, loaded.position), decided.warnings, further)


def _set_by(command: AnyCommand | _Undecodable, definition: msgspec.Raw) -> dict[str, Any]:
    """What a command that sets a part of the definition is told of it."""
    if not isinstance(command, SetTriggerConfigs):
        return {}
    return {"trigger_configs": readable(msgspec.json.decode(definition))["trigger_configs"]}


def _places(loaded: dict[str, Loaded]) -> dict[str, Saved]:
    return {name: Saved(one.state.version, one.position) for name, one in loaded.items()}


def _saved_together(places: dict[str, Saved], warnings: dict[str, list[Finding]] | None = None) -> bytes:
    def answer(told: dict[str, list[Finding]]) -> bytes:
        items = [
            {
                "id": name,
                "version": saved.version,
                "position": saved.position,
                "warnings": msgspec.to_builtins(told.get(name, [])),
            }
            for name, saved in places.items()
        ]
        return accepted({"items": items, "position": max(saved.position for saved in places.values())})

    body = answer(warnings or {})
    return body if len(body) <= answer_bytes_max else answer({})
