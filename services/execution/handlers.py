"""Messages in; load, decide, append, say: the service as the shell runs it."""

import logging
import time
from collections.abc import Collection, Hashable, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.commands import (
    CancelRun,
    ChangeRun,
    Command,
    DecideApproval,
    DecideNode,
    PauseRun,
    ReceiveCallback,
    ResumeRun,
    RetryRun,
)
from flowforge.envelope import CloudEvent, NotAnEvent, now
from flowforge.events import (
    ChildCancelRequested,
    ChildRunEnded,
    ChildRunRefused,
    NodeQueued,
    RunAdmitted,
    RunDisplaced,
    RunEvent,
    TimerFired,
    WorkflowTriggered,
)
from flowforge.refusals import Accepted, Refusal, Rejected, not_found
from flowforge.reports import REPORT_TYPES, JobCompleted, JobFailed, JobRequested, Report, ReportedError
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from infra.bus import Aside, Envelopes, Message, Outgoing, Shell, Work
from infra.bus.stranded import free_all
from infra.eventlog import Answer, Append, EventLog, NewEvent, StoredEvent, StreamAppend
from services.execution import decide as deciding
from services.execution import inputs, jobs
from services.execution.lost_jobs import queued_jobs
from services.execution.runs import Runs
from services.execution.settings import (
    JOBS_LOOKED_AT_AFTER_S,
    OPEN_RUNS_KEPT_EVERY_S,
    SPENT_JOBS_LOOKED_FOR_EVERY_S,
)
from services.execution.spent_jobs import look_for_spent_jobs
from services.execution.state import Run
from services.execution.waits import EventCame, Waits

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_reports = {name: msgspec.json.Decoder(kind) for name, kind in REPORT_TYPES.items()}
_triggered = msgspec.json.Decoder(WorkflowTriggered)
_fired = msgspec.json.Decoder(TimerFired)
_admitted = msgspec.json.Decoder(RunAdmitted)
_displaced = msgspec.json.Decoder(RunDisplaced)
_child_ended = msgspec.json.Decoder(ChildRunEnded)
_child_refused = msgspec.json.Decoder(ChildRunRefused)
_child_cancel = msgspec.json.Decoder(ChildCancelRequested)
_event_came = msgspec.json.Decoder(EventCame)
_commands = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (CancelRun, PauseRun, ResumeRun, RetryRun, DecideNode, ChangeRun, ReceiveCallback, DecideApproval)
}
_job = msgspec.json.Decoder(JobRequested)
_OPEN_CURSOR = "open:execution"
_ADVISORY = "io.nats.jetstream.advisory.v1.max_deliver"


class _Place(msgspec.Struct):
    """Whose report it is."""

    node_id: str = ""
    instance: str = ""


_place = msgspec.json.Decoder(_Place)


class Advisory(msgspec.Struct):
    """JetStream delivered a job as often as it may, and nobody acknowledged it."""

    type: str
    id: str
    stream: str
    consumer: str
    stream_seq: int
    deliveries: int


class NoSuchJob(LookupError):
    """A report names a job that its run never had."""


def decode_advisory(body: bytes) -> CloudEvent:
    """A server advisory in the envelope that the shell knows."""
    try:
        advisory = msgspec.json.decode(body, type=Advisory)
    except msgspec.DecodeError as fault:
        raise NotAnEvent(f"no advisory: {fault}") from fault
    return CloudEvent(id=advisory.id, source="/nats", type=advisory.type, data=msgspec.Raw(body))


class ExecutionService:
    """Runs in memory, their history in the log."""

    name = "execution"
    says = frozenset(kind for kind in facts.EVENT_TYPES if facts.EVENT_TYPES[kind] in facts.RunEvent.__args__) - {
        "WorkflowTriggered"
    }
    hears = frozenset(
        {
            "WorkflowTriggered",
            "RunAdmitted",
            "RunDisplaced",
            "TimerFired",
            "ChildRunEnded",
            "ChildRunRefused",
            "ChildCancelRequested",
        }
    )

    def __init__(self, log: EventLog, namespace: str, callbacks: jobs.Callbacks = jobs.NO_CALLBACKS) -> None:
        self._log = log
        self._callbacks = callbacks
        self._subjects = Subjects(namespace)
        self._envelopes = Envelopes(namespace)
        self._open: dict[UUID, int] = {}
        """Runs that have not ended, with the position of their first event."""
        self._is_open_known = False
        self._is_nudged = False
        self._steps: dict[UUID, deciding.Step] = {}
        self._signs_of_life: set[UUID] = set()
        self._look_at: float | None = None
        self._open_kept = 0
        self._open_kept_at = 0.0
        self._spent_jobs: list[int] = []
        self._passed_jobs: dict[str, int] = {}
        self._spent_looked_at = 0.0
        self.inbound = {self._subjects.advisories_stream: decode_advisory}

    def attached(self, shell: Shell) -> None:
        """The shell's connection, its intake, and its publisher."""
        self._client: Client = shell.client
        self._shell = shell
        self._runs = Runs(self._log, shell.client, self._subjects)
        self._waits = Waits(self._log, self._put)

    # --- the shell asks --------------------------------------------------------------------------------------------

    def key(self, message: Message) -> Hashable:
        """The run. Raises ValueError for a subject or body that names none."""
        kind = message.event.type
        if kind == "WorkflowTriggered":
            return _triggered.decode(message.event.data).run_id
        if kind in REPORT_TYPES and message.origin == "stream":
            return UUID(message.tokens[2])
        if kind == "TimerFired":
            return _fired.decode(message.event.data).run_id
        if kind == "RunAdmitted":
            return _admitted.decode(message.event.data).run_id
        if kind == "RunDisplaced":
            return _displaced.decode(message.event.data).run_id
        if kind == "ChildRunEnded":
            return _child_ended.decode(message.event.data).parent_run_id
        if kind == "ChildRunRefused":
            return _child_refused.decode(message.event.data).parent_run_id
        if kind == "ChildCancelRequested":
            return _child_cancel.decode(message.event.data).child_run_id
        if kind == EventCame.__name__:
            return _event_came.decode(message.event.data).run_id
        if kind in _commands:
            return _run_of(_commands[kind].decode(message.event.data))
        if kind == _ADVISORY:
            return f"advisory {msgspec.json.decode(message.event.data)['stream_seq']}"
        raise ValueError(f"execution does not know messages of type {kind}")

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Runs from the cache, from their first event, or from the log; blobs of large outputs made safe."""
        for key in keys:
            if isinstance(key, str):
                await self._hand_over(key, messages)
        await self._runs.load([key for key in keys if isinstance(key, UUID)], messages, self._open)

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """One step for all messages of the run."""
        if not isinstance(key, UUID):
            return Work()
        run = self._runs.get(key)
        if run is None:
            return _of_no_run(key, messages)
        step = deciding.Step(run, now())
        version = run.version
        answers: list[tuple[Message, bytes]] = []
        aside: list[Aside] = []
        actor: str | None = None
        for message in messages:
            try:
                refusal = self._apply(step, message)
            except NoSuchJob as strange:
                aside.append(Aside(message, str(strange)))
                continue
            if message.origin == "command":
                actor = message.event.actor or actor
                answers.append((message, b"" if refusal is None else _rejected(refusal)))
        if not step.events:
            return Work(answers=[(m, body or _accepted(run, 0)) for m, body in answers], aside=aside)
        self._steps[key] = step
        stream = StreamAppend(
            "run", run.id, version, [NewEvent(type(e).__name__, facts.encode(e)) for e in step.events]
        )
        append = Append(
            [stream],
            step.now,
            correlation_id=run.triggered.cause.event_id,
            causation_id=_causation(messages[0]),
            actor=actor,
        )
        return Work(append=append, answers=answers, aside=aside, blobs=list(step.blobs.values()))

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Everything about the run to its subject; jobs to their queues; stops to workers."""
        run = self._runs.get(cast("UUID", key))
        assert run is not None
        step = self._steps.pop(run.id)
        position = events[-1].position
        work.answers = [(message, body or _accepted(run, position)) for message, body in work.answers]
        said: list[Outgoing] = []
        for event, stored in zip(step.events, events, strict=True):
            said += self._said(run, event, stored)
        self._waits.note(run, step.events, position)
        if run.is_ended:
            self._open.pop(run.id, None)
            self._runs.drop(run.id)
        else:
            self._open[run.id] = run.position
        return said

    def refused(self, key: Hashable, answer: Answer) -> None:  # noqa: ARG002 - whatever the reason, it is read anew
        """Somebody appended first (or a decision failed half way): what is in memory is no longer the truth."""
        if isinstance(key, UUID):
            self._runs.doubt(key)
            self._steps.pop(key, None)

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The same messages again; jobs only while they are still wanted."""
        await self._runs.load({stored.stream_id for stored in events}, [])
        said: list[Outgoing] = []
        for stored in events:
            run = self._runs.get(stored.stream_id)
            if run is None:
                continue
            event = cast("RunEvent", facts.decode(stored.type, stored.data))
            if isinstance(event, NodeQueued) and not _is_wanted(run, event):
                said.append(self._event_message(run, stored))
            else:
                said += self._said(run, event, stored)
        return said

    def forget_all(self) -> None:
        """Start afresh: another owner may have been here."""
        self._runs.clear()
        self._steps.clear()
        self._waits.forget()
        self._open.clear()
        self._is_open_known = False
        self._look_soon()

    async def nats_was_away(self) -> None:
        """Jobs may be lost; workers get time to speak first."""
        self._runs.consumers_may_be_gone()
        await free_all(self._client.jetstream(timeout=2), self._subjects.jobs_stream)
        self._look_soon()

    async def tick(self) -> None:
        """Each second: evict what is long unused, look for lost jobs when it is time."""
        self._runs.evict()
        if not self._is_nudged:
            self._is_nudged = True
            await self._client.subscribe(self._subjects.appended, cb=self._waits.nudged)
        await self._find_open_runs()
        await self._waits.look(self._open)
        await self._keep_open_position()
        await self._look_for_spent_jobs()
        await self._drop_spent_jobs()
        if self._look_at is not None and time.monotonic() >= self._look_at and self._client.is_connected:
            self._look_at = None
            try:
                await self._say_lost_jobs()
            except (TimeoutError, NatsError, NotFoundError) as fault:
                _log.warning("cannot look for lost jobs yet: %s", fault)
                self._look_soon()

    # --- deciding --------------------------------------------------------------------------------------------------

    def _apply(self, step: deciding.Step, message: Message) -> Refusal | None:
        kind, data = message.event.type, message.event.data
        if kind == "WorkflowTriggered":
            deciding.start(step, is_wanted=self._is_wanted(step.run))
        elif kind == "RunAdmitted":
            deciding.admitted(step)
        elif kind == "RunDisplaced":
            deciding.displaced(step, _displaced.decode(data))
        elif kind == "TimerFired":
            deciding.timer(step, _fired.decode(data))
        elif kind == "ChildRunEnded":
            deciding.child_ended(step, _stream_of(message), _child_ended.decode(data))
        elif kind == "ChildRunRefused":
            deciding.child_refused(step, _child_refused.decode(data))
        elif kind == "ChildCancelRequested":
            deciding.cancel(step, f"its parent waits for it no more: {_child_cancel.decode(data).reason}", "")
        elif kind == EventCame.__name__:
            came = _event_came.decode(data)
            deciding.event_came(step, came.node_id, came.instance, came.event)
        elif kind in _commands:
            return _carried_out(step, _commands[kind].decode(data), message)
        else:
            job_id = UUID(message.tokens[3])
            if job_id not in step.run.jobs and not _was_of(step.run, data):
                raise NoSuchJob(f"run {step.run.id} has no job {job_id}")
            if self._look_at is not None:
                self._signs_of_life.add(job_id)
            deciding.report(step, job_id, self._report(step.run, message))
        return None

    def _report(self, run: Run, message: Message) -> Report:
        said = _reports[message.event.type].decode(message.event.data)
        if (
            isinstance(said, JobCompleted)
            and (reference := inputs.blob_hash(said.output))
            and reference not in run.blobs
        ):
            error = ReportedError(code="WORKER_LOST", message=f"the output {reference} was lost before it was stored")
            return JobFailed(attempt=said.attempt, delivery=said.delivery, worker=said.worker, error=error)
        return said

    def _is_wanted(self, run: Run) -> bool:
        """Whether the parent of a child still waits for it."""
        parent_id = run.triggered.parent_run_id
        parent = None if parent_id is None or not run.triggered.parent_node_id else self._runs.get(parent_id)
        if parent is None:
            return parent_id is None or not run.triggered.parent_node_id
        unit = parent.find(run.triggered.parent_node_id, run.triggered.parent_instance)
        return unit is not None and isinstance(unit.wait, facts.ChildWait) and unit.wait.child_run_id == run.id

    def _put(self, came: "EventCame", event_id: str) -> None:
        data = msgspec.Raw(_encode(came))
        event = CloudEvent(id=event_id, source="/execution/waits", type=EventCame.__name__, data=data)
        self._shell.intake.put(Message(f"{self._subjects.namespace}.log.EventCame", bytes(data), event, "log", ""))

    # --- loading ---------------------------------------------------------------------------------------------------

    async def _hand_over(self, key: str, messages: Sequence[Message]) -> None:
        """JetStream gave a job up: let it be reported as lost, under the advisory's own acknowledgement."""
        for message in messages:
            if message.event.type != _ADVISORY or self.key(message) != key:
                continue
            sequence = int(key.split()[1])
            try:
                found = await self._client.jetstream().get_msg(self._subjects.jobs_stream, seq=sequence)
            except NotFoundError:
                continue
            job = _job.decode(msgspec.json.decode(cast("bytes", found.data), type=CloudEvent).data)
            error = ReportedError(
                code="WORKER_LOST", message="three workers took the job and none of them reported its end"
            )
            lost = JobFailed(attempt=job.attempt, delivery=2**31, error=error)
            subject = self._subjects.report(job.run_id, job.job_id, "JobFailed")
            event = CloudEvent(id=f"lost-{sequence}", source="/nats", type="JobFailed", data=msgspec.Raw(_encode(lost)))
            self._shell.intake.put(Message(subject, message.body, event, message.origin, message.reply_to))
            self._spent_jobs.append(sequence)
            message.origin = "log"

    async def _look_for_spent_jobs(self) -> None:
        now_s = time.monotonic()
        if not self._open or not self._client.is_connected:
            return
        if now_s < self._spent_looked_at + SPENT_JOBS_LOOKED_FOR_EVERY_S:
            return
        self._spent_looked_at = now_s
        try:
            await look_for_spent_jobs(self._client, self._subjects.jobs_stream)
            await free_all(self._client.jetstream(timeout=2), self._subjects.jobs_stream, self._passed_jobs)
        except (TimeoutError, NatsError) as fault:
            _log.warning("cannot look for spent jobs now: %s", fault)

    async def _drop_spent_jobs(self) -> None:
        while self._spent_jobs and self._client.is_connected:
            sequence = self._spent_jobs.pop()
            try:
                await self._client.jetstream().delete_msg(self._subjects.jobs_stream, sequence)
            except (TimeoutError, NatsError) as fault:
                _log.warning("job message %d stays on the queue, never to be delivered: %s", sequence, fault)

    # --- lost jobs -------------------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        self._signs_of_life.clear()
        self._look_at = time.monotonic() + JOBS_LOOKED_AT_AFTER_S

    async def _say_lost_jobs(self) -> None:
        await self._find_open_runs()
        if not self._open:
            return
        queued = await queued_jobs(self._client, self._subjects.jobs_stream)
        await self._runs.load(self._open, [])
        lost: list[Outgoing] = []
        for run_id in list(self._open):
            run = self._runs.get(run_id)
            if run is None or run.is_ended:
                self._open.pop(run_id, None)
                continue
            lost += await self._lost_jobs(run, queued)
        if lost:
            _log.warning("%d jobs were lost with NATS, handing them out again", len(lost))
            await self._shell.say(lost)

    async def _lost_jobs(self, run: Run, queued: set[tuple[UUID, int]]) -> list[Outgoing]:
        silent = [
            unit
            for job_id, unit in run.jobs.items()
            if unit.status in ("queued", "running")
            and job_id not in self._signs_of_life
            and (job_id, unit.attempt) not in queued
        ]
        if not silent:
            return []
        wanted = {(unit.node_id, unit.instance, unit.attempt) for unit in silent}
        said: list[Outgoing] = []
        for stored in await self._log.read_stream(run.id):
            if stored.type == "NodeQueued":
                event = cast("NodeQueued", facts.decode(stored.type, stored.data))
                if (event.node_id, event.instance, event.attempt) in wanted:
                    said.append(self._job_message(run, event, stored, f"-again-{time.time_ns()}"))
        return said

    async def _find_open_runs(self) -> None:
        """Once per process: every run that was triggered and has not ended, above the position kept for that."""
        if self._is_open_known:
            return
        position, kinds = await self._log.get_cursor(_OPEN_CURSOR), {"WorkflowTriggered", *facts.RUN_ENDINGS}
        found: dict[UUID, int] = {}
        while page := await self._log.read(position, 5_000, types=kinds):
            for stored in page:
                if stored.type == "WorkflowTriggered":
                    found[stored.stream_id] = stored.position
                else:
                    found.pop(stored.stream_id, None)
            position = page[-1].position
        self._open = found | self._open
        self._is_open_known = True

    async def _keep_open_position(self) -> None:
        """Below it no run is open, so that the next process need not look there."""
        now_s = time.monotonic()
        if not self._is_open_known or now_s < self._open_kept_at + OPEN_RUNS_KEPT_EVERY_S:
            return
        self._open_kept_at = now_s
        position = min(min(self._open.values(), default=2**62) - 1, self._shell.heard_position)
        if position > self._open_kept:
            await self._log.set_cursor(_OPEN_CURSOR, position)
            self._open_kept = position

    # --- saying ----------------------------------------------------------------------------------------------------

    def _said(self, run: Run, event: RunEvent, stored: StoredEvent) -> list[Outgoing]:
        message = self._event_message(run, stored)
        if isinstance(event, NodeQueued) and event.job_id is not None:
            # the job first: a worker waits for it, and nobody for the order between the two streams
            return [self._job_message(run, event, stored), message]
        if (
            isinstance(event, facts.NodeCancelled | facts.NodeFailed | facts.NodeRetried | facts.NodeDecidedByHand)
            and event.job_id is not None
        ):
            return [message, jobs.stop_message(run, event, event.job_id, self._subjects)]
        return [message]

    def _job_message(self, run: Run, queued: NodeQueued, stored: StoredEvent, again: str = "") -> Outgoing:
        return jobs.job_message(run, queued, stored, self._subjects, self._callbacks, again)

    def _event_message(self, run: Run, stored: StoredEvent) -> Outgoing:
        subject = self._subjects.run(run.plan.workflow_id, run.id, stored.type)
        name, body = self._envelopes.of(stored)
        return Outgoing(subject, body, name, is_covered=True)


def _causation(message: Message) -> UUID | None:
    """What led to a step: the event or the command that came, or the job that was reported on."""
    name = message.tokens[3] if message.event.type in REPORT_TYPES else message.event.id
    try:
        return UUID(name)
    except ValueError:
        return None


def _is_wanted(run: Run, queued: NodeQueued) -> bool:
    if run.is_ended:
        return False
    unit = run.find(queued.node_id, queued.instance)
    return unit is not None and unit.status in ("queued", "running") and unit.attempt == queued.attempt


def _run_of(command: Any) -> UUID:
    """The run that a command is for. Raises ValueError where it names none."""
    name = command.approval_id.partition(":")[0] if isinstance(command, DecideApproval) else command.run_id
    return UUID(name)


def _stream_of(message: Message) -> UUID:
    """The stream of a logged event that was heard."""
    return UUID(message.event.source.rpartition("/")[2])


def _was_of(run: Run, data: msgspec.Raw) -> bool:
    """Whether a report is on a job of an iteration, or of a map, that is no more: it is too late, and no wonder."""
    said = _place.decode(data)
    node = run.plan.all_nodes.get(said.node_id)
    return node is not None and bool(said.instance) and run.find(said.node_id, said.instance) is None


def _carried_out(step: deciding.Step, command: Command, message: Message) -> Refusal | None:
    operations = deciding.operations
    match command:
        case CancelRun():
            return deciding.cancel(step, command.reason, command.command_id)
        case PauseRun():
            return operations.pause(step, command)
        case ResumeRun():
            return operations.resume(step, command)
        case RetryRun():
            return operations.retry(step, command)
        case DecideNode():
            return operations.decide_node(step, command)
        case ChangeRun():
            return operations.change(step, command)
        case ReceiveCallback():
            return operations.callback(step, command)
        case DecideApproval():
            return operations.decide_approval(step, command, message.event.actor or command.actor)
        case _:
            raise ValueError(f"execution does not know the command {type(command).__name__}")


def _accepted(run: Run, position: int) -> bytes:
    return _encode(Accepted({"run_id": str(run.id), "status": run.status, "position": position}))


def _of_no_run(run_id: UUID, messages: Sequence[Message]) -> Work:
    refused = [(m, _rejected(not_found("run", str(run_id)))) for m in messages if m.origin == "command"]
    strange = [m for m in messages if m.origin == "stream" and _expects_run(m)]
    return Work(answers=refused, aside=[Aside(m, f"there is no run {run_id} in the log") for m in strange])


def _expects_run(message: Message) -> bool:
    """A child may be cancelled before it has begun, and then it never will."""
    return message.event.type != ChildCancelRequested.__name__


def _rejected(refusal: Refusal) -> bytes:
    return _encode(Rejected(refusal))
