"""A play of what triggers remember: a service on its stage, which dies and comes back, and the oracle that is told the same."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from unittest.mock import patch
from uuid import UUID

from flowforge.events import EventReceived, TriggerDecided, TriggerTimerFired, TriggerTimerSet, WorkflowTriggered
from flowforge.events import decode as decode_event
from remembering_histories import (
    UPSTREAMS,
    written,
)
from remembering_oracle import Cause, Config, Key, Oracle
from triggers_spec import Spec, command, inbox, own

from infra.bus import Message
from infra.eventlog import Answer, Append, Duplicate, MemoryEventLog, StoredEvent, Unavailable
from services.triggers import kept_up
from services.triggers.ledger import Ledger
from services.triggers.memory import Memory, evolve

ENDINGS = {"success": "completed", "failure": "failed", "cancel": "cancelled"}
TURNS_MAX = 500


class Died(Exception):
    """The process was killed."""


class Log(MemoryEventLog):
    """A log whose client may be killed before or after an append, or never hear that it was done."""

    death: Literal["", "before", "after", "unsaid"] = ""

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        death, self.death = (self.death, "") if groups else ("", self.death)
        if death == "before":
            raise Died
        answers = await super().append(groups)
        if death == "after":
            raise Died
        if death == "unsaid":
            raise Unavailable("the answer was lost")
        return answers


class Stage(Spec):
    """Time stands still until it is passed."""

    def __init__(self) -> None:
        self.memory_log = Log()
        super().__init__(self.memory_log)
        self.tells_definitions = False

    def _clock(self) -> datetime:
        return self._instant

    @property
    def now(self) -> datetime:
        return self._instant

    def pass_to(self, instant: datetime) -> None:
        self._instant = max(self._instant, instant)

    async def told(self, workflow_id: str, stored: StoredEvent) -> None:
        await self.turn([own(stored, f"ns.workflows.{workflow_id}.{stored.type}")])

    async def firing(self, stored: StoredEvent) -> Message:
        """What the scheduler says of a timer that was set; the same one whenever it is asked."""
        fact = decode_event(stored.type, stored.data)
        assert isinstance(fact, TriggerTimerSet)
        fired = await self.log.read_stream(fact.timer_id)
        if not fired:
            firing = TriggerTimerFired(
                timer_id=fact.timer_id, trigger_stream_id=stored.stream_id, workflow_id=fact.workflow_id,
                trigger_id=fact.trigger_id, due_at=fact.due_at,
            )  # fmt: skip
            fired = [await self.append("timer", fact.timer_id, firing)]
        return own(fired[0], f"ns.timers.triggers.{fact.workflow_id}")


@dataclass
class Play:
    """One history, on the service and on the oracle."""

    stage: Stage = field(default_factory=Stage)
    oracle: Oracle = field(default_factory=Oracle)
    names: dict[UUID, str] = field(default_factory=dict[UUID, str])
    """Event of a cause → its name."""
    sent: list[Message] = field(default_factory=list[Message])
    ends: dict[UUID, Cause] = field(default_factory=dict[UUID, Cause])
    untold: dict[str, StoredEvent] = field(default_factory=dict[str, StoredEvent])
    seen: int = 0
    fired_timers: set[int] = field(default_factory=set[int])
    limits: dict[Key, list[Any]] = field(default_factory=dict[Key, list[Any]])

    async def begin(self) -> None:
        for name in UPSTREAMS:
            await self.stage.workflow(name)

    async def step(self, step: Any) -> None:
        match step:
            case ("save", workflow, configs, status, is_told):
                await self.save(workflow, configs, status, is_told=is_told)
            case ("switch", workflow, is_told) if workflow in self.oracle.workflows:
                configs, status = self.oracle.workflows[workflow]
                others = {name: {**c, "enabled": not c.get("enabled", True)} for name, c in configs.items()}
                await self.save(workflow, others, "active" if status == "archived" else status, is_told=is_told)
            case ("archive", workflow, is_told) if workflow in self.oracle.workflows:
                await self.tell(workflow)
                await self.stage.archived(workflow)
                self.oracle.archived(workflow)
                await self.defined(workflow, is_told=is_told)
            case ("turn", messages, death):
                await self.turn(messages, death)
            case ("stumble", milliseconds, number, death):
                self.stage.pass_to(self.stage.now + timedelta(milliseconds=milliseconds))
                await self.turn([("again", number), ("timer", -1)], death)
            case ("time", milliseconds, is_late):
                until = self.stage.now + timedelta(milliseconds=milliseconds)
                if not is_late:
                    await self.until(until)
                self.stage.pass_to(until)
            case ("restart",):
                self.stage.restart()
            case ("keep",):
                await self.stage.service.tick()
            case _:
                pass
        await self.remembers_what_the_log_says()

    async def save(self, workflow: str, configs: dict[str, Config], status: str, *, is_told: bool) -> None:
        await self.tell(workflow)
        for name, config in configs.items():
            self.limits.setdefault((workflow, name), []).append(config.get("limit"))
        await self.stage.workflow(workflow, *(written(*each) for each in configs.items()), status=status)
        self.oracle.saved(workflow, configs, status)
        await self.defined(workflow, is_told=is_told)

    async def defined(self, workflow: str, *, is_told: bool) -> None:
        self.untold[workflow] = (await self.stage.log.read(0, 100_000, stream_types={"workflow"}))[-1]
        if is_told:
            await self.tell(workflow)

    async def tell(self, workflow: str) -> None:
        """The service hears of the last save, twice."""
        stored = self.untold.pop(workflow, None)
        if stored is None:
            return
        for _ in range(2):
            await self.stage.told(workflow, stored)
        self.oracle.told(workflow, stored.recorded_at, self.stage.now)
        await self.accept(())

    # --- a turn -------------------------------------------------------------------------------------------------------

    async def turn(self, parts: Sequence[Any], death: Any = "") -> None:
        messages: list[Message] = []
        claimed: dict[str, str] = {}
        for number, part in enumerate(parts):
            await self.add(part, f"{len(self.sent)}-{number}", messages, claimed)
        self.sent += messages
        await self.deliver(messages, death)

    async def add(self, part: Any, name: str, messages: list[Message], claimed: dict[str, str]) -> None:
        """The message, unless another key of the turn brings the same event."""
        match part:
            case ("event", number, kind, n):
                if claimed.setdefault(f"e{number}", "inbox") == "inbox":
                    messages.append(inbox(f"e{number}", kind, {"n": n} if n is not None else {}))
            case ("command", parts):
                bodies = [
                    {"specversion": "1.0", "id": f"e{number}", "source": "/shop", "type": kind,
                     "data": {} if n is None else {"n": n}}
                    for _, number, kind, n in parts if claimed.setdefault(f"e{number}", name) == name
                ]  # fmt: skip
                if bodies:
                    messages.append(command("ReceiveEvents", command_id=f"c{name}", events=bodies))
            case ("ends", workflow, ending, day):
                run = await self.stage.begin(workflow, labels={"day": day} if day else {})
                message = await self.stage.ending(run, ENDINGS[ending])
                event_id = UUID(message.event.id)
                self.ends[event_id] = Cause(f"end {len(self.ends)}", workflow=workflow, status=ending, day=day)
                self.names[event_id] = self.ends[event_id].name
                messages.append(message)
            case ("again", number) if self.sent:
                message = self.sent[number % len(self.sent)]
                if all(claimed.setdefault(one, message.subject) == message.subject for one in _ids(message)):
                    messages.append(message)
            case ("timer", number):
                if due := [stored for stored, due_at in await self.timers() if due_at <= self.stage.now]:
                    messages.append(await self.fire(due[number % len(due)]))
            case _:
                pass

    async def fire(self, stored: StoredEvent) -> Message:
        self.fired_timers.add(stored.position)
        return await self.stage.firing(stored)

    async def deliver(self, messages: Sequence[Message], death: Any = "") -> None:
        if death:
            self.stage.memory_log.death = death
            try:
                await self.stage.turn(messages)
            except Died:
                self.stage.restart()
            except Unavailable:
                for message in messages:  # as the shell does when a turn fails
                    self.stage.service.refused(self.stage.service.key(message), Duplicate(0))
            self.stage.memory_log.death = ""
        await self.stage.turn(messages)
        for message in messages:
            if (key := _looked_at(message)) is not None:
                self.oracle.timer(key, message.event.id, self.stage.now)
        await self.accept(messages)

    async def accept(self, messages: Sequence[Message]) -> None:
        """Tell the oracle what was accepted, in the order in which it was."""
        log = await self.stage.log.read(self.seen, 100_000)
        self.seen = log[-1].position if log else self.seen
        pending = {UUID(message.event.id) for message in messages if message.event.type in _ENDED} & self.ends.keys()
        for stored in log:
            fact = decode_event(stored.type, stored.data)
            if isinstance(fact, EventReceived):
                self.names[stored.event_id] = fact.id
                n = json.loads(bytes(fact.data)).get("n")
                self.oracle.happened(Cause(fact.id, type=fact.type, n=n), stored.recorded_at)
            elif stored.causation_id is not None and stored.causation_id in self.ends and stored.stream_type != "chain":
                cause = self.ends[stored.causation_id]
                if cause.name not in self.accepted:
                    self.accepted.add(cause.name)
                    self.oracle.happened(cause, stored.recorded_at)
        known = {fact.id for fact in await self.stage.logged(EventReceived)}
        for message in messages:
            assert known.issuperset(_ids(message))
        for event_id in pending:
            cause = self.ends[event_id]
            assert cause.name in self.accepted or not self.oracle.dependents(cause.workflow), f"{cause} was lost"

    accepted: set[str] = field(default_factory=set[str])

    # --- time ---------------------------------------------------------------------------------------------------------

    async def timers(self) -> list[tuple[StoredEvent, datetime]]:
        """All that were set, earliest first."""
        stored = await self.stage.log.read(0, 100_000, types={TriggerTimerSet.__name__})
        facts = [(event, decode_event(event.type, event.data)) for event in stored]
        found = [(event, fact.due_at) for event, fact in facts if isinstance(fact, TriggerTimerSet)]
        return sorted(found, key=lambda each: (each[1], each[0].position))

    async def until(self, until: datetime) -> None:
        """Time passes, and every timer fires when it is due."""
        for _ in range(TURNS_MAX):
            waiting = [each for each in await self.timers() if each[0].position not in self.fired_timers]
            expected = self.oracle.earliest() or until
            next_at = min([expected, *(due_at for _, due_at in waiting)])
            if next_at > until or not (waiting or self.oracle.due_by(next_at)):
                return
            self.stage.pass_to(next_at)
            before = set(self.oracle.due_by(self.stage.now))
            messages = [await self.fire(stored) for stored, due_at in waiting if due_at <= self.stage.now]
            assert before <= {_looked_at(message) for message in messages}, "something is due, and no timer says so"
            if not messages:
                return
            await self.deliver(messages)
        raise AssertionError("timers are set for ever")

    async def end(self) -> None:
        """Everything comes due."""
        for workflow in list(self.untold):
            await self.tell(workflow)
        while self.oracle.earliest() is not None or any(
            stored.position not in self.fired_timers for stored, _ in await self.timers()
        ):
            await self.until(self.stage.now + timedelta(seconds=10))
            self.stage.pass_to(self.stage.now + timedelta(seconds=10))
            await self.remembers_what_the_log_says()
        assert not self.oracle.is_waiting()

    # --- what must hold -----------------------------------------------------------------------------------------------

    async def remembers_what_the_log_says(self) -> None:
        """The service remembers what the streams of the triggers say, and so does one that starts now."""
        folded: dict[Key, Memory] = {}
        for stored in await self.stage.log.read(0, 100_000, stream_types={"trigger"}):
            fact: Any = decode_event(stored.type, stored.data)
            memory = folded.setdefault((fact.workflow_id, fact.trigger_id), Memory())
            assert stored.version == memory.version + 1
            evolve(memory, fact, stored.recorded_at)
        another = Ledger(self.stage.log)
        await another.refresh()
        assert _memories(another) == folded
        if not self.stage.service.ledger.is_stale:
            assert _memories(self.stage.service.ledger) == folded

    async def decisions(self) -> dict[tuple[Key, str], list[tuple[str, str]]]:
        """(trigger, cause) → its decisions in the order of the log, the words only."""
        found: dict[tuple[Key, str], list[tuple[str, str]]] = {}
        for stored in await self.stage.log.read(
            0, 100_000, types={TriggerDecided.__name__, WorkflowTriggered.__name__}
        ):
            fact = decode_event(stored.type, stored.data)
            if isinstance(fact, WorkflowTriggered) and fact.workflow_id not in UPSTREAMS:
                key = (fact.workflow_id, fact.trigger.id)
                found.setdefault((key, self.name(key, fact.cause)), []).append(("fired", ""))
            elif isinstance(fact, TriggerDecided):
                key = (fact.workflow_id, fact.trigger_id)
                is_word = fact.decision in {"held", "suppressed"} or fact.reason == "absent_for_ms"
                found.setdefault((key, self.name(key, fact.cause)), []).append(
                    (fact.decision, fact.reason if is_word else "")
                )
        return found

    def name(self, key: Key, cause: Any) -> str:
        if cause.type == TriggerTimerFired.__name__ and cause.event_id not in self.names:
            number = sum(self.absent.get(event_id) == key for event_id in self.names) + 1
            self.absent[cause.event_id] = key
            self.names[cause.event_id] = f"absence {number}"
        return self.names[cause.event_id]

    absent: dict[UUID, Key] = field(default_factory=dict[UUID, Key])

    async def agrees(self) -> None:
        decisions = await self.decisions()
        assert decisions == self.oracle.decisions
        for made in decisions.values():
            assert [decision == "held" for decision, _ in made] == [True] * (len(made) - 1) + [False]
        runs = await self.runs()
        assert runs == self.oracle.runs
        used = [(key, cause) for (key, _), (causes, _) in runs.items() for cause in causes]
        assert len(used) == len(set(used)), "a cause was consumed twice"
        for key, saved in self.limits.items():
            if saved[0] is not None and all(limit == saved[0] for limit in saved):
                keeps_limit(sorted(at for (of, _), (_, at) in runs.items() if of == key), **saved[0])

    async def runs(self) -> dict[tuple[Key, str], tuple[list[str], datetime]]:
        """(trigger, leading cause) → what the run consumed, and when it started."""
        found: dict[tuple[Key, str], tuple[list[str], datetime]] = {}
        for stored in await self.stage.log.read(0, 100_000, types={WorkflowTriggered.__name__}):
            fact = decode_event(stored.type, stored.data)
            assert isinstance(fact, WorkflowTriggered)
            if fact.workflow_id not in UPSTREAMS:
                key = (fact.workflow_id, fact.trigger.id)
                found[key, self.names[fact.cause.event_id]] = (
                    [self.names[each] for each in fact.consumed], stored.recorded_at,
                )  # fmt: skip
        return found


_ENDED = {"RunCompleted", "RunFailed", "RunCancelled"}


def _ids(message: Message) -> set[str]:
    """The external events that a message brings."""
    if message.origin == "command":
        return {event["id"] for event in json.loads(bytes(message.event.data))["events"]}
    return {message.event.id} if message.tokens[1] == "inbox" else set()


def _looked_at(message: Message) -> Key | None:
    """The trigger whose timer it is."""
    if message.event.type != TriggerTimerFired.__name__:
        return None
    fact = decode_event(message.event.type, message.event.data)
    assert isinstance(fact, TriggerTimerFired)
    return fact.workflow_id, fact.trigger_id


def _memories(ledger: Ledger) -> dict[Key, Memory]:
    return dict(ledger.memories())


def keeps_limit(fired_at: Sequence[datetime], max_fires: int, per_ms: int) -> None:
    for first, beyond in zip(fired_at, fired_at[max_fires:], strict=False):
        assert beyond - first >= timedelta(milliseconds=per_ms)


def small_ledgers(count: int) -> Any:
    return patch.multiple(kept_up, LEDGER_KEPT_AFTER_COUNT=count, LEDGER_PAGE_COUNT=7)


async def played(history: Sequence[Any], play: Play | None = None) -> Play:
    play = play or Play()
    await play.begin()
    for step in history:
        await play.step(step)
    await play.end()
    await play.agrees()
    return play
