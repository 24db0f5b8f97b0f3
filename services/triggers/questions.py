"""Questions to triggers, which change nothing: one event tried, a past decision explained, a history rehearsed.

The short ones are answered within the turn. A rehearsal reads the whole history page by page in a task of its own,
and lets the turns go first between its steps.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime
from typing import cast

import msgspec
from flowforge.commands import CheckUpstreams, ExplainDecision, RehearseTrigger, TryTrigger
from flowforge.definition import Trigger
from flowforge.envelope import NotAnEvent, decode_external
from flowforge.events import EventReceived, WorkflowEvent, decode
from flowforge.identity import named_stream
from flowforge.refusals import Accepted, Refusal, invalid, not_found, unavailable
from flowforge.subjects import Subjects

from infra.bus import Message
from infra.eventlog import EventLog, StoredEvent, Unavailable
from services.triggers.answers import refusal_answer
from services.triggers.cause import ReceivedCause
from services.triggers.dry import Rehearsal
from services.triggers.index import Index
from services.triggers.jobs import reported, ruled_out
from services.triggers.reading import Question
from services.triggers.rehearsing import recalled, rehearse
from services.triggers.settings import REHEARSALS_AT_ONCE_MAX
from services.triggers.state import JobTrigger, Workflow, evolve
from services.triggers.upstreams import advice

_trigger = msgspec.json.Decoder(Trigger)
_encode = msgspec.json.encode
_log = logging.getLogger(__name__)
Reply = Callable[[Message, bytes], Awaitable[None]]


class Questions:
    """Who asked what, until it is answered. `reply` answers outside a turn; `tell` says how far a rehearsal is."""

    def __init__(self, log: EventLog, clock: Callable[[], datetime], subjects: Subjects) -> None:
        self.reply: Reply | None = None
        self.tell: Callable[[str, bytes], Awaitable[None]] = _nobody
        self._subjects = subjects
        self._log = log
        self._clock = clock
        self._ready: dict[Hashable, dict[int, bytes]] = {}
        """Of each key, by message; forgotten with the turn, since another message may later be where this one was."""
        self._asking: dict[str, list[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(REHEARSALS_AT_ONCE_MAX)

    async def prepare(self, key: Hashable, message: Message, command: Question, index: Index) -> None:
        """Have the answer for `answers`, or begin what takes longer. May raise `Unavailable`."""
        match command:
            case TryTrigger():
                answer = _answer(self._tried(command, index))
            case ExplainDecision():
                answer = _answer({"decision": await explained(self._log, command)})
            case RehearseTrigger():
                self._begin(message, command, index)
                return
            case CheckUpstreams():
                answer = _answer(advice(index, command.workflow_id, command.upstreams))
        self._ready.setdefault(key, {})[id(message)] = answer

    def answers(self, key: Hashable, messages: Sequence[Message]) -> list[tuple[Message, bytes]]:
        """What can be answered now."""
        ready = self._ready.pop(key, {})
        return [(message, ready[id(message)]) for message in messages if id(message) in ready]

    def forget(self, key: Hashable) -> None:
        """What was to be answered is not."""
        self._ready.pop(key, None)

    def _tried(self, command: TryTrigger, index: Index) -> dict[str, object] | Refusal:
        rehearsal = _rehearsal(command, index, self._subjects.namespace)
        if isinstance(rehearsal, Refusal):
            return rehearsal
        try:
            event = decode_external(bytes(command.event))
        except NotAnEvent as fault:
            return invalid("No CloudEvent", str(fault), [{"path": "$.event", "message": str(fault)}])
        return rehearsal.answer(ReceivedCause(event, command.event, self._clock()))

    def _begin(self, message: Message, command: RehearseTrigger, index: Index) -> None:
        """The same command again waits for the answer that is under way."""
        asking = self._asking.get(command.command_id)
        if asking is not None:
            if all(one.reply_to != message.reply_to for one in asking):
                asking.append(message)
            return
        self._asking[command.command_id] = [message]
        task = asyncio.get_running_loop().create_task(
            self._rehearse(command, _rehearsal(command, index, self._subjects.namespace))
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rehearse(self, command: RehearseTrigger, rehearsal: Rehearsal | Refusal) -> None:
        answer: dict[str, object] | Refusal
        try:
            async with self._at_once:
                answer = rehearsal if isinstance(rehearsal, Refusal) else await self._history(rehearsal, command)
        except Unavailable as fault:
            _log.warning("a rehearsal cannot read the log: %s", fault)
            answer = unavailable("the event log does not answer")
        except Exception as bug:  # noqa: BLE001 - it is of no turn: who asked would wait for an answer that never comes
            _log.exception("a rehearsal failed")
            answer = _failed(bug)
        finally:
            asking = self._asking.pop(command.command_id)
        if self.reply is not None:
            for message in asking:
                await self.reply(message, _answer(answer))

    async def _history(self, rehearsal: Rehearsal, command: RehearseTrigger) -> dict[str, object]:
        async def progress(evaluated: int, position: int, last: int) -> None:
            told = {"evaluated": evaluated, "position": position, "last": last}
            await self.tell(self._subjects.rehearsal(command.command_id), _encode(told))

        return await rehearse(self._log, rehearsal, command, self._clock(), progress)


async def _nobody(subject: str, body: bytes) -> None:
    """Where nobody listens."""


def _answer(content: dict[str, object] | Refusal) -> bytes:
    return refusal_answer(content) if isinstance(content, Refusal) else _encode(Accepted(content))


def _failed(bug: Exception) -> Refusal:
    detail = f"the history could not be looked through: {type(bug).__name__}; the log of triggers says where"
    return Refusal(code="INTERNAL_ERROR", status=500, title="Internal error", detail=detail)


def _rehearsal(command: TryTrigger | RehearseTrigger, index: Index, namespace: str) -> Rehearsal | Refusal:
    workflow = None if command.workflow_id is None else index.workflows.get(command.workflow_id)
    if command.workflow_id is not None and workflow is None:
        return not_found("workflow", command.workflow_id)
    try:
        trigger = _trigger.decode(command.trigger)
    except msgspec.DecodeError as fault:
        return invalid("Trigger invalid", str(fault), [{"path": "$.trigger", "message": str(fault)}])
    return Rehearsal(trigger, workflow, namespace)


async def explained(log: EventLog, command: ExplainDecision) -> dict[str, object] | None:
    """What the trigger, as it was when the event was logged, answers to it; None where the event does not concern it.

    May raise `Unavailable`.
    """
    stored = await log.read_position(command.position)
    if stored is None:
        return None
    workflow = await _workflow_at(log, command.workflow_id, stored)
    trigger = None if workflow is None else workflow.newest.trigger(command.trigger_id)
    if workflow is None or trigger is None:
        return None
    if isinstance(trigger, JobTrigger):
        is_received = stored.type == EventReceived.__name__
        return _explained_job(trigger, workflow, await recalled(log, stored)) if is_received else None
    rehearsal = Rehearsal(trigger, workflow)
    if stored.type != rehearsal.fact_type:
        return None
    cause = await recalled(log, stored)
    if not rehearsal.concerns(cause.fact.type, cause.fact.source):
        return None
    answer = rehearsal.answer(cause)
    if answer["decision"] == "fired":
        return None  # it would be on record
    return {"trigger_version": workflow.trigger_versions[trigger.id], **answer}


def _explained_job(trigger: JobTrigger, workflow: Workflow, cause: ReceivedCause) -> dict[str, object] | None:
    """Why a job was not put before the trigger: it is disabled, or of another experiment."""
    job = reported(cause.fact.type, cause.fact.source, cause.data)
    if job is None or job.job_type != trigger.config.trigger_type:
        return None
    answer = ruled_out(trigger, workflow.newest.definition.experiment_id, job)
    if answer is None:
        return None
    version = workflow.trigger_versions.get(trigger.id, workflow.newest.number)
    told = {"decision": answer.decision, "reason": answer.reason, "detail": answer.detail or None}
    return {"trigger_version": version, **told}


async def _workflow_at(log: EventLog, workflow_id: str, cause: StoredEvent) -> Workflow | None:
    workflow: Workflow | None = None
    for event in await log.read_stream(named_stream("workflow", workflow_id)):
        if event.position < cause.position:
            workflow = evolve(workflow, cast("WorkflowEvent", decode(event.type, event.data)), event.version)
    return workflow
