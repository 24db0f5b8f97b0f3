"""Secrets for built-in workers: asked for over the bus at the last moment, given to the job whose node refers to them.

Any catalog answers, whether it owns the definitions or stands by: nothing is decided here, only looked up. A secret is
given for a node of a run that there is, if that node's text, as of the version that the run has, refers to it; or the
stored prompt that it names, in the version that it names, or in any.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator
from typing import cast
from uuid import UUID

import msgspec
from flowforge.definition import LoopNode, Node, PromptNode, SqlNode, every_node, parse_stored
from flowforge.events import PromptSaved, WorkflowCreated, WorkflowTriggered, WorkflowUpdated, decode
from flowforge.identity import named_stream
from flowforge.raw import present
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.eventlog import EventLog, Unavailable
from infra.expressions import ExpressionFault, Scope, compile_template
from infra.secrets import Secrets, WrongKey
from infra.secrets.asking import NAMES_MAX, SecretsAsked, SecretsGiven, Unsealable, sealed_for, subject
from services.catalog.named_secrets import Secret
from services.catalog.secret_names import values_of
from services.catalog.settings import nodes_with_secrets_cached_max
from services.catalog.versioned import Versioned

_log = logging.getLogger(__name__)
_asked = msgspec.json.Decoder(SecretsAsked)
_NO_TEMPLATES = frozenset({"source", "name", "description"})


class Referring(msgspec.Struct, frozen=True):
    """What a node refers to: secrets, and the stored prompt by id and version, if it names one."""

    secrets: frozenset[str]
    prompt: tuple[str, int | None] | None = None


_References = dict[str, Referring]
"""By node id, of those that refer to anything."""


class Giving:
    """Answers questions for secrets."""

    def __init__(self, log: EventLog, named: Versioned[Secret], secrets: Secrets | None) -> None:
        self._log = log
        self._named = named
        self._secrets = secrets
        self._known: OrderedDict[tuple[str, int], _References] = OrderedDict()
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, client: Client, subjects: Subjects) -> None:
        """Begin to hear questions."""
        await client.subscribe(subject(subjects), queue="catalog", cb=self._heard)

    async def _heard(self, question: Msg) -> None:
        task = asyncio.create_task(self._answer(question))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, question: Msg) -> None:
        try:
            given = await self.given(_asked.decode(question.data))
        except (msgspec.DecodeError, UnicodeDecodeError, Unsealable) as fault:
            given = SecretsGiven(refused=f"the question cannot be read: {fault}")
        except Unavailable:
            given = SecretsGiven(refused="the event log does not answer", is_worth_asking_again=True)
        except WrongKey as fault:
            _log.error("%s", fault)
            given = SecretsGiven(
                refused="the key for secrets is not the right one: restore the one that was here before"
            )
        try:
            await question.respond(msgspec.json.encode(given))
        except NatsError as fault:
            _log.warning("a question for secrets is not answered: %s", fault)

    async def given(self, asked: SecretsAsked) -> SecretsGiven:
        """The answer. Raises Unsealable, WrongKey; may raise `Unavailable`."""
        if self._secrets is None:
            return SecretsGiven(refused="there is no key for secrets: set FLOWFORGE_SECRETS_KEY")
        if len(asked.names) > NAMES_MAX:
            return SecretsGiven(refused=f"a job names at most {NAMES_MAX} secrets, this one {len(asked.names)}")
        referred = await self._referred_by(asked.run_id, asked.node_id)
        if strange := [name for name in asked.names if name not in referred]:
            return SecretsGiven(refused=f"the node '{asked.node_id}' of this run does not refer to '{strange[0]}'")
        values = await values_of(self._named, self._secrets, asked.names)
        if missing := [name for name in asked.names if name not in values]:
            return SecretsGiven(missing=missing)
        return sealed_for(asked, values)

    async def _referred_by(self, run_id: UUID, node_id: str) -> frozenset[str]:
        first = await self._log.read_stream(run_id, limit=1)
        if not first or first[0].type != WorkflowTriggered.__name__:
            return frozenset()
        triggered = cast("WorkflowTriggered", decode(first[0].type, first[0].data))
        references = await self._references(triggered.workflow_id, triggered.workflow_version)
        node = references.get(node_id)
        if node is None:
            return frozenset()
        return node.secrets if node.prompt is None else node.secrets | await self._in_prompt(*node.prompt)

    async def _in_prompt(self, prompt_id: str, version: int | None) -> frozenset[str]:
        """Of any version where none is named: which one was the newest when the node was queued is not looked at."""
        names: set[str] = set()
        for stored in await self._log.read_stream(named_stream("prompt", prompt_id)):
            event = decode(stored.type, stored.data)
            if isinstance(event, PromptSaved) and version in (None, event.prompt_version):
                parts = (event.prompt, present(event.system))
                names.update(_secrets_in([msgspec.json.decode(part) for part in parts if part is not None]))
        return frozenset(names)

    async def _references(self, workflow_id: str, version: int) -> _References:
        known = self._known.get((workflow_id, version))
        if known is not None:
            return known
        for stored in await self._log.read_stream(named_stream("workflow", workflow_id)):
            event = decode(stored.type, stored.data)
            if isinstance(event, WorkflowCreated | WorkflowUpdated) and event.workflow_version == version:
                known = self._known[workflow_id, version] = references_by_node(msgspec.json.decode(event.definition))
        while len(self._known) > nodes_with_secrets_cached_max:
            self._known.popitem(last=False)
        return known or {}


def references_by_node(definition: object) -> _References:
    """What each node of a stored definition refers to, those in the bodies of loops among them."""
    workflow, _ = parse_stored(definition)
    nodes = () if workflow is None else every_node(workflow.nodes)
    found = {node.id: _references_of(node) for node in nodes}
    return {node_id: refers for node_id, refers in found.items() if refers.secrets or refers.prompt}


def _references_of(node: Node) -> Referring:
    secrets: set[str] = {node.connection} if isinstance(node, SqlNode) else set()
    if not isinstance(node, LoopNode):
        fields = msgspec.to_builtins(node)
        secrets.update(_secrets_in({name: part for name, part in fields.items() if name not in _NO_TEMPLATES}))
    prompt = None
    if isinstance(node, PromptNode) and node.prompt_id is not None:
        prompt = (node.prompt_id, node.prompt_version)
    return Referring(frozenset(secrets), prompt)


def _secrets_in(value: object) -> Iterator[str]:
    for text in _texts(value):
        if "secrets" in text:
            try:
                yield from compile_template(text, Scope.NODE_WITH_SECRETS, lazily=True).secret_names
            except ExpressionFault:
                continue  # a text that is no template


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in cast("dict[str, object]", value).values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from _texts(part)
