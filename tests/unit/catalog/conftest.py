"""Specs of catalog: given what happened, when a command comes, then this follows; the command again changes nothing.

The second time goes through the whole service over a log in memory, as a redelivered command does.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self, cast
from uuid import uuid4

import msgspec
import pytest
from flowforge.commands import Command
from flowforge.envelope import CloudEvent, now
from flowforge.events import WorkflowEvent, decode, encode
from flowforge.identity import named_stream

from infra.bus import Message, Outgoing
from infra.eventlog import Append, Appended, MemoryEventLog, NewEvent, StoredEvent, StreamAppend
from infra.secrets import MemorySecrets, SecretKey
from services.catalog.handlers import Catalog
from services.catalog.state import evolve, initial


def as_raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


class Running:
    """The catalog over a log in memory, turned by hand."""

    def __init__(self, log: MemoryEventLog | None = None) -> None:
        self.log = log or MemoryEventLog()
        self.secrets = MemorySecrets(SecretKey(bytes(32)))
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.service = Catalog(self.log, "flowforge", self.secrets, lambda: self.now)
        self.said: list[Outgoing] = []
        self.before_append: Callable[[], Awaitable[Any]] | None = None
        """Done once, between a decision and its append."""

    async def history(self, workflow_id: str, events: Sequence[WorkflowEvent]) -> None:
        logged = [NewEvent(type(event).__name__, encode(event)) for event in events]
        stream = StreamAppend("workflow", named_stream("workflow", workflow_id), 0, logged)
        if events:
            await self.log.append([Append([stream], recorded_at=now())])

    async def turn(self, *commands: Command) -> list[dict[str, Any]]:
        """The answers to commands that arrive together, as the shell's turn gives them."""
        messages = [_message(command) for command in commands]
        answers: dict[int, bytes] = {}
        pending: dict[Any, list[Message]] = {}
        for message in messages:
            pending.setdefault(self.service.key(message), []).append(message)
        while pending:
            await self.service.load(pending.keys(), [message for group in pending.values() for message in group])
            following: dict[Any, list[Message]] = {}
            for key, group in pending.items():
                work = self.service.decide(key, group)
                if work.append is not None:
                    if self.before_append is not None:
                        meanwhile, self.before_append = self.before_append, None
                        await meanwhile()
                    [answer] = await self.log.append([work.append])
                    if not isinstance(answer, Appended):
                        self.service.refused(key, answer)
                        following[key] = group
                        continue
                    stored = await self.log.read(answer.positions[0] - 1)
                    self.said += self.service.logged(key, work, stored)
                    if work.later:
                        following[key] = work.later
                answers.update((id(message), body) for message, body in work.answers)
            pending = following
        return [msgspec.json.decode(answers[id(message)]) for message in messages]

    async def events(self) -> list[StoredEvent]:
        return await self.log.read(0)


def _message(command: Command) -> Message:
    name = type(command).__name__
    event = CloudEvent(id=command.command_id, source="/test", type=name, data=as_raw(command), actor=command.actor)
    return Message(f"flowforge.commands.catalog.{name}", b"", event, "command", f"_INBOX.{uuid4()}")


class Spec:
    """`given(events).when(command)`, then `then(events)` or `refused(status, code)`."""

    def __init__(self, workflow_id: str, events: Sequence[WorkflowEvent]) -> None:
        self._workflow_id = workflow_id
        self._events = events
        self._command: Command | None = None

    def when(self, command: Command) -> Self:
        self._command = command
        return self

    async def then(self, *expected: WorkflowEvent) -> dict[str, Any]:
        """Exactly these events follow; the same command again is answered alike and logs nothing. The answer."""
        running, first = await self._carried_out()
        logged = [decode(stored.type, stored.data) for stored in (await running.events())[len(self._events) :]]
        assert _plain(logged) == _plain(expected)
        assert "ok" in first, first
        return cast("dict[str, Any]", first["ok"])

    async def refused(self, status: int, code: str) -> dict[str, Any]:
        """Nothing follows. The refusal."""
        running, first = await self._carried_out()
        assert len(await running.events()) == len(self._events)
        assert (first["refused"]["status"], first["refused"]["code"]) == (status, code)
        return cast("dict[str, Any]", first["refused"])

    async def _carried_out(self) -> tuple[Running, dict[str, Any]]:
        assert self._command is not None
        running = Running()
        await running.history(self._workflow_id, self._events)
        [first] = await running.turn(self._command)
        before = await running.events()
        [second] = await running.turn(self._command)
        assert await running.events() == before, "the command again changed something"
        assert second == first, "the command again was answered otherwise"
        return running, first


def _plain(events: Sequence[Any]) -> list[Any]:
    return [(type(event).__name__, msgspec.json.decode(encode(event))) for event in events]


@pytest.fixture
def given() -> Callable[..., Spec]:
    """Begin a spec with what happened to the workflow `hello`."""
    return lambda *events: Spec("hello", events)  # type: ignore[misc]


@pytest.fixture
def running() -> Running:
    return Running()


@pytest.fixture
def folded() -> Callable[..., Any]:
    """The state after these events."""

    def fold(*events: WorkflowEvent) -> Any:
        state = initial
        for event in events:
            state = evolve(state, event)
        return state

    return fold
