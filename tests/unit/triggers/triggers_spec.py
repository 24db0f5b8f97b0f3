"""Given workflows, when messages come, then this is logged, said and answered.

Each message is delivered twice: the second time must change nothing. The loop here is the shell's turn without NATS.
"""

import json
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from flowforge.envelope import CloudEvent, decode_external, encode
from flowforge.errors import RunError
from flowforge.events import (
    AnyEvent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPartiallyCompleted,
    TriggerDecided,
    TriggerTimerFired,
    TriggerTimerSet,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowTriggered,
    WorkflowUpdated,
)
from flowforge.events import decode as decode_event
from flowforge.events import encode as encode_event
from flowforge.identity import named_stream

from infra.bus import Aside, LoadAgain, Message, Outgoing, Work, envelope
from infra.bus.message import logged_event
from infra.eventlog import Append, Appended, Duplicate, EventLog, MemoryEventLog, NewEvent, StoredEvent, StreamAppend
from services.triggers.handlers import Triggers

START = datetime(2026, 1, 1, tzinfo=UTC)
Kind = TypeVar("Kind", bound=AnyEvent)


class Spec:
    """One log and one service; `restart` gives a new service on the same log."""

    def __init__(self, log: EventLog | None = None) -> None:
        self.log = log or MemoryEventLog()
        self.said: list[Outgoing] = []
        self.answers: list[dict[str, Any]] = []
        self.aside: list[Aside] = []
        self.before_append: Callable[[], Awaitable[object]] | None = None
        """Done once, between a decision and its append."""
        self._instant = START
        self.tells_definitions = True
        """Whether the service hears of a save at once."""
        self._versions: dict[str, int] = {}
        self._runs_begun = 0
        self.service = self._new_service()

    def _new_service(self) -> Triggers:
        return Triggers(self.log, "ns", self._clock)

    def _clock(self) -> datetime:
        self._instant += timedelta(microseconds=100)
        return self._instant

    @property
    def now(self) -> datetime:
        return self._instant

    def restart(self) -> None:
        self.service = self._new_service()

    # --- given ----------------------------------------------------------------------------------------------------

    async def workflow(self, workflow_id: str, *triggers: dict[str, Any], **fields: Any) -> int:
        """Save a version; answers its number."""
        version = self._versions[workflow_id] = self._versions.get(workflow_id, 0) + 1
        kind = WorkflowCreated if version == 1 else WorkflowUpdated
        document = {"id": workflow_id, "name": workflow_id, "nodes": [], "triggers": list(triggers), **fields}
        definition = msgspec.Raw(json.dumps(document).encode())
        await self._log(workflow_id, kind(workflow_id=workflow_id, workflow_version=version, definition=definition))
        return version

    async def archived(self, workflow_id: str) -> None:
        await self._log(workflow_id, WorkflowArchived(workflow_id=workflow_id))

    async def _log(self, workflow_id: str, fact: WorkflowCreated | WorkflowUpdated | WorkflowArchived) -> None:
        stored = await self.append("workflow", named_stream("workflow", workflow_id), fact, changes_definitions=True)
        self.service.defined(stored.position)
        if self.tells_definitions:
            await self.deliver([own(stored, f"ns.workflows.{workflow_id}.{stored.type}")])

    async def append(
        self, stream_type: str, stream_id: UUID, fact: AnyEvent, *, changes_definitions: bool = False
    ) -> StoredEvent:
        """What another service logs."""
        version = len(await self.log.read_stream(stream_id))
        stream = StreamAppend(stream_type, stream_id, version, [NewEvent(type(fact).__name__, encode_event(fact))])
        [answer] = await self.log.append([Append([stream], self._clock(), changes_definitions=changes_definitions)])
        assert isinstance(answer, Appended)
        return (await self.log.read_stream(stream_id))[-1]

    # --- when -----------------------------------------------------------------------------------------------------

    async def event(
        self, event_id: str = "e1", event_type: str = "file.arrived", data: Any = None, **more: Any
    ) -> None:
        await self.deliver([inbox(event_id, event_type, data, **more)])

    async def command(self, name: str, **data: Any) -> dict[str, Any]:
        """The answer, which a repeat of the command gets too."""
        await self.deliver([command(name, **data)])
        first, again = self.answers[-2:]
        if name == "RequestRun":
            assert again == first
        return first

    async def deliver(self, batch: Sequence[Message]) -> list[StoredEvent]:
        """One turn with these messages, then another; answers what the first one logged."""
        before = (await self.log.head()).position
        await self.turn(batch)
        logged = await self.log.read(before, 100_000)
        said_count = len(self.said)
        await self.turn(batch)
        assert (await self.log.head()).position == before + len(logged), "a message delivered again changed something"
        assert len(self.said) == said_count
        return logged

    async def turn(self, batch: Sequence[Message]) -> None:
        pending: dict[Hashable, list[Message]] = {}
        for message in batch:
            pending.setdefault(self.service.key(message), []).append(message)
        for _ in range(20):
            if not pending:
                return
            pending = await self._race(pending)
        raise AssertionError("the turn does not end")

    async def _race(self, pending: dict[Hashable, list[Message]]) -> dict[Hashable, list[Message]]:
        await self.service.load(pending.keys(), [message for messages in pending.values() for message in messages])
        works: dict[Hashable, Work] = {}
        for key, messages in pending.items():
            try:
                works[key] = self.service.decide(key, messages)
            except LoadAgain:
                works[key] = await self._decide_again(key, messages)
        if self.before_append is not None:
            happening, self.before_append = self.before_append, None
            await happening()
        answers = await self.log.append([work.append for work in works.values() if work.append is not None])
        lost: dict[Hashable, list[Message]] = {}
        for key, work in works.items():
            if work.append is not None:
                answer = answers.pop(0)
                if not isinstance(answer, Appended):
                    self.service.refused(key, answer)
                    lost[key] = pending[key]
                    continue
                self.said += self.service.logged(key, work, await self._stored(work.append))
            self.answers += [json.loads(body) for _, body in work.answers]
            self.aside += work.aside
            if work.later:
                lost[key] = work.later
        return lost

    async def _decide_again(self, key: Hashable, messages: Sequence[Message]) -> Work:
        for _ in range(8):
            self.service.refused(key, Duplicate(0))
            await self.service.load([key], messages)
            try:
                return self.service.decide(key, messages)
            except LoadAgain:
                continue
        raise AssertionError("it asks for more and more")

    async def _stored(self, append: Append) -> list[StoredEvent]:
        streams = await self.log.read_streams([stream.stream_id for stream in append.streams])
        return [
            event
            for stream in append.streams
            for event in streams[stream.stream_id][stream.expected_version :][: len(stream.events)]
        ]

    async def run_ends(self, workflow_id: str, ending: str = "completed", output: Any = None, **run: Any) -> UUID:
        """A run that somebody asked for has ended; answers its id."""
        begun = await self.begin(workflow_id, **run)
        await self.ends(begun, ending, output)
        return begun.run_id

    async def begin(self, workflow_id: str, **run: Any) -> WorkflowTriggered:
        """A run by hand."""
        self._runs_begun += 1
        asked: dict[str, Any] = {"command_id": f"run {self._runs_begun}", "workflow_id": workflow_id, "input_data": {}}
        await self.command("RequestRun", **asked | run)
        return (await self.runs())[-1]

    async def ends(self, run: WorkflowTriggered, ending: str = "completed", output: Any = None) -> list[StoredEvent]:
        """What execution says of its end; answers what follows in the log."""
        return await self.deliver([await self.ending(run, ending, output)])

    async def ending(self, run: WorkflowTriggered, ending: str = "completed", output: Any = None) -> Message:
        fact = {
            "completed": RunCompleted(output=msgspec.Raw(json.dumps(output).encode())),
            "failed": RunFailed(error=RunError("JOB_FAILED", "it broke")),
            "cancelled": RunCancelled(reason="enough"),
            "partial": RunPartiallyCompleted(
                output=msgspec.Raw(json.dumps(output).encode()), error=RunError("JOB_FAILED", "one broke")
            ),
        }[ending]
        stored = await self.append("run", run.run_id, fact)
        return own(stored, f"ns.runs.{run.workflow_id}.{run.run_id}.{stored.type}")

    async def time_passes(self, milliseconds: float) -> None:
        """Timers that come due on the way fire, each at its time."""
        until = self._instant + timedelta(milliseconds=milliseconds)
        while timers := sorted((due_at, at) for at, due_at in (await self._timers()).items() if due_at <= until):
            due_at, position = timers[0]
            self._instant = max(self._instant, due_at)
            await self.deliver([await self._timer(position)])
        self._instant = max(self._instant, until)

    def pass_without_timers(self, milliseconds: float) -> None:
        """The scheduler is late."""
        self._instant += timedelta(milliseconds=milliseconds)

    def the_clock_is_set_back(self, milliseconds: float) -> None:
        self._instant -= timedelta(milliseconds=milliseconds)

    async def timer(self) -> Message:
        """The first timer that is set, come due."""
        timers = await self._timers()
        return await self._timer(min(timers, key=lambda position: (timers[position], position)))

    async def _timers(self) -> dict[int, datetime]:
        """Those that are set and have not fired, by the position of their `TriggerTimerSet`."""
        fired = {fact.timer_id for fact in await self.logged(TriggerTimerFired)}
        stored = await self.log.read(0, 100_000, types={TriggerTimerSet.__name__})
        facts = {event.position: decode_event(event.type, event.data) for event in stored}
        return {
            position: fact.due_at
            for position, fact in facts.items()
            if isinstance(fact, TriggerTimerSet) and fact.timer_id not in fired
        }

    async def _timer(self, position: int) -> Message:
        stored = await self.log.read_position(position)
        assert stored is not None
        fact = decode_event(stored.type, stored.data)
        assert isinstance(fact, TriggerTimerSet)
        fired = TriggerTimerFired(
            timer_id=fact.timer_id,
            trigger_stream_id=stored.stream_id,
            workflow_id=fact.workflow_id,
            trigger_id=fact.trigger_id,
            due_at=fact.due_at,
        )
        return own(await self.append("timer", fact.timer_id, fired), f"ns.timers.triggers.{fact.workflow_id}")

    # --- then -----------------------------------------------------------------------------------------------------

    async def logged(self, kind: type[Kind]) -> list[Kind]:
        """All facts of that type, in order."""
        events = await self.log.read(0, 100_000, types={kind.__name__})
        facts = [decode_event(event.type, event.data) for event in events]
        return [fact for fact in facts if isinstance(fact, kind)]

    async def runs(self) -> list[WorkflowTriggered]:
        return await self.logged(WorkflowTriggered)

    async def decisions(self) -> list[tuple[str, str, str]]:
        return [(fact.trigger_id, fact.decision, fact.reason) for fact in await self.logged(TriggerDecided)]


def inbox(event_id: str, event_type: str = "file.arrived", data: Any = None, **more: Any) -> Message:
    """A message of an external system."""
    body = json.dumps(
        {"specversion": "1.0", "id": event_id, "source": "/shop", "type": event_type, "data": data} | more
    ).encode()
    return Message("ns.inbox.events", body, decode_external(body), "stream", "$JS.ACK.INBOX.triggers.1.1.1.1.0")


def own(stored: StoredEvent, subject: str) -> Message:
    """A message of another service of ours."""
    return Message(
        subject, envelope(stored, "ns"), logged_event(stored, "ns"), "stream", "$JS.ACK.S.triggers.1.1.1.1.0"
    )


def command(name: str, **data: Any) -> Message:
    event = CloudEvent(id="m", source="/gateway", type=name, data=msgspec.Raw(json.dumps(data).encode()))
    return Message(f"ns.commands.triggers.{name}", encode(event), event, "command", "_INBOX.1")


def on_event(trigger_id: str = "t", event_type: str = "file.arrived", **more: Any) -> dict[str, Any]:
    config = {"event_type": event_type}
    config |= {name: more.pop(name) for name in ("source", "filter", "batch", "absent_for_ms") if name in more}
    return {"id": trigger_id, "type": "event", "config": config, **more}


def on_upstreams(*names: str, trigger_id: str = "t", condition: str = "on_success", **more: Any) -> dict[str, Any]:
    """A dependency trigger; what belongs to its config may stand among the others."""
    config: dict[str, Any] = {"upstreams": [{"workflow_id": name, "condition": condition} for name in names]}
    config |= {name: more.pop(name) for name in ("logic", "window_ms", "correlate_by") if name in more}
    return {"id": trigger_id, "type": "dependency", "config": config, **more}


def plain(raw: msgspec.Raw) -> Any:
    return json.loads(bytes(raw))
