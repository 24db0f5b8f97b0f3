"""The service as the shell runs it: what is loaded, decided, logged and said, key by key."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
from flowforge.commands import (
    ChangeTriggers,
    CreateWorkflow,
    InstantiateTemplate,
    ListTemplates,
    UpdateWorkflow,
    ValidateWorkflow,
)
from flowforge.commands import Command as AnyCommand
from flowforge.envelope import encode as encode_envelope
from flowforge.envelope import now
from flowforge.events import WorkflowArchived
from flowforge.subjects import Subjects

from infra.bus import Message, Outgoing, Shell, Work
from infra.bus.message import Decode, logged_event
from infra.eventlog import Answer, EventLog, StoredEvent, Unavailable
from infra.secrets import Secrets, WrongKey
from services.catalog.answers import fitting, rejected, saved_answer
from services.catalog.decide import Beside, Command, Decided, decide
from services.catalog.giving import Giving
from services.catalog.handlers.reading import WITH_DEFINITION, Undecodable, command_of, workflow_id_of
from services.catalog.handlers.several import Several
from services.catalog.handlers.stream import Loaded, event_of
from services.catalog.handlers.workflows import Workflows
from services.catalog.job_queues import JobQueues
from services.catalog.looking_up import known_of
from services.catalog.people import people
from services.catalog.prompts import prompts
from services.catalog.secret_names import Sweeping, secret_names
from services.catalog.secrets import Keeping
from services.catalog.settings import reports_kept_max, said_bytes_max
from services.catalog.state import initial
from services.catalog.templates import Template, Templates
from services.catalog.templates.handling import listed
from services.catalog.validation import NOTHING_KNOWN, validate
from services.catalog.versioned import Key, Versioned

_log = logging.getLogger(__name__)
_Read = Sequence[tuple[Hashable, AnyCommand | Undecodable]]
"""The commands of a turn, each with its key."""


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
        self._namespace = namespace
        self._subjects = Subjects(namespace)
        self._workflows = Workflows(log, clock)
        self._several = Several(log, clock)
        self._templates = Templates(log, namespace, clock)
        self._prompts = prompts(log, namespace, clock)
        self._names = secret_names(log, namespace, clock)
        self._people = people(log, namespace, clock)
        self._sweeping = None if secrets is None else Sweeping(self._names, secrets)
        self._versioned: dict[str, Versioned[Any]] = {
            each.kind.word: each for each in (self._templates.changes, self._prompts, self._names, self._people)
        }
        self._reports: OrderedDict[str, bytes] = OrderedDict()
        """Answers to validations of late, by command: who waits long asks again."""
        self._known = NOTHING_KNOWN
        """Of what the definitions of a turn name, what there is."""
        self._queues: JobQueues | None = None

    def attached(self, shell: Shell) -> None:
        """Queues of job types are made over the shell's connection, and secrets are asked for there."""
        self._queues = JobQueues(shell.client, self._subjects)
        giving = Giving(self._log, self._names, self._secrets)
        self._starting = asyncio.create_task(giving.start(shell.client, self._subjects))

    # --- load ---------------------------------------------------------------------------------------------------------

    def key(self, message: Message) -> Hashable:
        """The id of the workflow, or of a thing of another kind; messages that concern none stand alone."""
        command = command_of(message)
        keys = (each.key(command) for each in self._versioned.values())
        return next(filter(None, keys), None) or workflow_id_of(command) or (message.reply_to, message.event.id)

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Read the streams that these are about, and have what must be there before changes of workflows are logged."""
        read = [(self.key(message), command_of(message)) for message in messages]
        await self._templates.load(keys, [command for _, command in read])
        await self._prompts.load(keys)
        await self._names.load(keys)
        await self._people.load(keys)
        await self._workflows.load([key for key in keys if isinstance(key, str)])
        for key, command in read:
            if isinstance(command, ChangeTriggers):
                await self._several.load(key, command)
        await self._prepare(self._foresee(read, await self._beside(read)))

    async def _beside(self, read: _Read) -> Beside:
        """What there is of all that these commands, or the definitions they change, name."""
        templates: dict[str, Template] = {}
        for _, command in read:
            if isinstance(command, InstantiateTemplate):
                template = await self._templates.find(command.template_id)
                templates |= {} if template is None else {template.id: template}
        self._known = await known_of(self._definitions(read, templates), self._log, self._prompts)
        keeping = None if self._secrets is None else Keeping(self._secrets.fingerprint, self._clock())
        return Beside(keeping, self._known, templates)

    def _definitions(self, read: _Read, templates: dict[str, Template]) -> Iterator[msgspec.Raw]:
        for key, command in read:
            if isinstance(command, WITH_DEFINITION):
                yield command.definition
            if isinstance(command, InstantiateTemplate):
                if command.template_id in templates:
                    yield templates[command.template_id].definition
            elif isinstance(key, str) and not isinstance(command, CreateWorkflow | UpdateWorkflow):
                newest = self._workflows.newest(key)
                if newest is not None:
                    yield newest

    def _foresee(self, read: _Read, beside: Beside) -> list[Decided]:
        changes: dict[str, list[Command]] = {}
        found: list[Decided] = []
        for key, command in read:
            if isinstance(key, str):
                changes.setdefault(key, []).append(cast("Command", command))
            elif isinstance(command, ChangeTriggers):
                found += self._several.foresee(key, beside)
        return found + self._workflows.foresee(changes, beside)

    async def _prepare(self, foreseen: Sequence[Decided]) -> None:
        """Secrets are stored before the event that refers to them; if that does not come about, they are never used."""
        new = [secret for each in foreseen for secret in each.secrets]
        if new:
            assert self._secrets is not None
            await self._secrets.put(new)
        if self._queues is not None:
            await self._queues.make(pair for each in foreseen for pair in each.job_queues)

    # --- decide -------------------------------------------------------------------------------------------------------

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """What the commands for one thing lead to, as it was foreseen."""
        if isinstance(key, Key):
            commands = [(message, cast("AnyCommand", command_of(message))) for message in messages]
            return self._versioned[key.kind].decide(key, commands)
        if isinstance(key, str):
            return self._workflows.decide(key, messages)
        if self._several.is_underway(key):
            return self._several.decide(key, messages)
        return Work(answers=[(message, self._answer(key, command_of(message))) for message in messages])

    def _answer(self, key: Hashable, command: AnyCommand | Undecodable) -> bytes:
        """To what changes nothing."""
        if isinstance(command, Undecodable):
            return rejected(command.refusal)
        if isinstance(command, ValidateWorkflow):
            return self._report(command)
        if isinstance(command, ListTemplates):
            return listed(command)
        decided = decide(initial, cast("Command", command))
        if isinstance(decided, Decided):
            return saved_answer(str(key), Loaded().place, decided.warnings)
        return rejected(decided)

    def _report(self, command: ValidateWorkflow) -> bytes:
        if command.command_id not in self._reports:
            report = validate(msgspec.json.decode(command.definition), self._known)
            self._reports[command.command_id] = fitting(cast("dict[str, Any]", msgspec.to_builtins(report)))
            if len(self._reports) > reports_kept_max:
                self._reports.popitem(last=False)
        return self._reports[command.command_id]

    # --- after the append ---------------------------------------------------------------------------------------------

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Answer the command, and say its events."""
        if isinstance(key, Key):
            return self._versioned[key.kind].logged(key, work, events)
        if isinstance(key, str):
            self._workflows.logged(key, work, events)
        else:
            self._several.logged(key, work, events)
        return [self._outgoing(stored) for stored in events]

    def refused(self, key: Hashable, answer: Answer) -> None:  # noqa: ARG002
        """Somebody saved first: what is in memory is read anew at the next `load`."""
        if isinstance(key, Key):
            self._versioned[key.kind].refused(key)
        elif isinstance(key, str):
            self._workflows.refused(key)
        else:
            self._several.refused(key)

    # --- the shell's other questions ----------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The same messages under the same ids."""
        return [self._outgoing(stored) for stored in events]

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        for each in (self._workflows, self._several, self._templates, self._prompts, self._names, self._people):
            each.forget_all()

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
        event, envelope = event_of(stored), logged_event(stored, self._namespace)
        body = encode_envelope(envelope)
        if len(body) > said_bytes_max and not isinstance(event, WorkflowArchived):
            head = {"workflow_id": event.workflow_id, "workflow_version": event.workflow_version}
            envelope.data = msgspec.Raw(msgspec.json.encode(head))
            body = encode_envelope(envelope)
        return Outgoing(self._subjects.workflow(event.workflow_id, stored.type), body, envelope.id)
