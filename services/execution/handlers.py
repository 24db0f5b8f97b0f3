"""Messages in; load, decide, append, say: the service as the shell runs it."""

import logging
from collections.abc import Collection, Hashable, Sequence
from typing import cast
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.envelope import CloudEvent, encode, now
from flowforge.events import (
    ChildCancelRequested,
    NodeQueued,
    RunEvent,
)
from flowforge.refusals import Accepted, Refusal, Rejected, invalid_state, not_found
from flowforge.reports import REPORT_TYPES
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.bus import Aside, Envelopes, Message, Outgoing, Shell, Work
from infra.bus.stranded import free_all
from infra.eventlog import Answer, Append, EventLog, NewEvent, StoredEvent, StreamAppend
from infra.telemetry import Tracing
from services.execution import decide as deciding
from services.execution import jobs, meaning
from services.execution.awaited import AwaitedWorkers
from services.execution.breakers import BreakerTold
from services.execution.lost_jobs import LostJobs
from services.execution.open_runs import OpenRuns
from services.execution.outputs import Outputs
from services.execution.places import Limits
from services.execution.reported import ReportedOutputs
from services.execution.runs import Runs
from services.execution.sharing import BREAKER_KEY, Sharing
from services.execution.spent_jobs import ADVISORY, SpentJobs, decode_advisory, spent_sequence
from services.execution.state import Run
from services.execution.traces import RunTraces
from services.execution.waits import Waits

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_STOPS_JOB = (facts.NodeCancelled, facts.NodeFailed, facts.NodeRetried, facts.NodeDecidedByHand)
"""Where they name a job, its worker is told."""


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
            "RetryRefused",
        }
    )

    def __init__(
        self,
        log: EventLog,
        namespace: str,
        outputs: Outputs,
        limits: Limits,
        callbacks: jobs.Callbacks = jobs.NO_CALLBACKS,
    ) -> None:
        self._log = log
        self._outputs = outputs
        self._limits = limits
        self._callbacks = callbacks
        self._subjects = Subjects(namespace)
        self._envelopes = Envelopes(namespace)
        self._open = OpenRuns(log)
        self._is_nudged = False
        self._traces = RunTraces(log)
        self._steps: dict[UUID, tuple[deciding.Step, Message, Sequence[Message]]] = {}
        """What is decided and not logged yet, by which message it came about, and all that it was decided on."""
        self.inbound = {self._subjects.advisories_stream: decode_advisory}

    def attached(self, shell: Shell) -> None:
        """The shell's connection, its intake, and its publisher."""
        self._client: Client = shell.client
        self._shell = shell
        self._sharing = Sharing(self._log, self._outputs, self._limits, self._put)
        self._runs = Runs(self._log, shell.client, self._subjects, self._sharing.read)
        self._awaited = AwaitedWorkers(shell.client, self._subjects, self._runs, self._put)
        self._waits = Waits(self._log, self._put, self._sharing.holds, shell.is_ready.is_set)
        self._lost = LostJobs(self._log, shell, self._subjects, self._runs, self._open, self._job_message)
        self._reported = ReportedOutputs(self._log, shell.client, self._subjects, self._runs, self._lost.hand_out_again)
        self._spent = SpentJobs(shell, self._subjects)

    def traced_by(self, tracing: Tracing) -> None:
        """Traces are recorded."""
        self._traces = RunTraces(self._log, tracing)

    # --- the shell asks --------------------------------------------------------------------------------------------

    def key(self, message: Message) -> Hashable:
        """The run; of an advisory, the job. Raises ValueError for a subject or body that names none."""
        if message.event.type == ADVISORY:
            return f"advisory {spent_sequence(message)}"
        if message.event.type == BreakerTold.__name__:
            return BREAKER_KEY + msgspec.json.decode(message.event.data)["breaker"]
        return meaning.run_id_of(message)

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:
        """Runs from the cache, from their first event, or from the log; blobs of large outputs made safe."""
        for message in messages:
            if message.event.type == ADVISORY:
                await self._spent.hand_over(message)
        run_ids = [key for key in keys if isinstance(key, UUID)]
        told = [key.removeprefix(BREAKER_KEY) for key in keys if isinstance(key, str) and key.startswith(BREAKER_KEY)]
        await self._sharing.load(run_ids, told, self._runs, self._open)
        # last: while places were counted, any run in memory may have been let go
        await self._runs.load(run_ids, messages, self._open)
        await self._reported.keep(messages)

    def ranked(self, keys: Collection[Hashable]) -> Collection[Hashable]:
        """Runs of a higher priority first: they are the first to have what there is room for, and on the queues."""
        runs = self._runs
        ranks = [0 if (run := runs.get(key)) is None else run.priority for key in keys if isinstance(key, UUID)]
        if not any(ranks):
            return keys

        def rank(key: Hashable) -> int:
            run = runs.get(key) if isinstance(key, UUID) else None
            return 0 if run is None else -run.priority

        return sorted(keys, key=rank)

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """One step for the messages of the run, up to one that somebody else has sent: a step has one actor."""
        if not isinstance(key, UUID):
            name = cast("str", key)
            is_breaker = name.startswith(BREAKER_KEY)
            return self._sharing.decide_breaker(name.removeprefix(BREAKER_KEY), messages) if is_breaker else Work()
        run = self._runs.get(key)
        if run is None:
            self._answered(None, messages)
            return _of_no_run(key, messages)
        if run.archive is not None:
            self._answered(run, messages)
            return _of_archived(run, run.archive, messages)
        around = self._sharing.around
        step = deciding.Step(run, now(), around if around.concerns(run) else None)
        version = run.version
        answers: list[tuple[Message, bytes]] = []
        aside: list[Aside] = []
        first, later = messages[0], list[Message]()
        for at, message in enumerate(messages):
            if message.is_settled or self._reported.is_unheard(message):
                continue
            if step.events and _actor(message) != _actor(first):
                later = list(messages[at:])
                break
            if not step.events:
                first = message
            try:
                refusal = self._apply(step, message)
            except meaning.NoSuchJob as strange:
                aside.append(Aside(message, str(strange)))
                continue
            if message.origin == "command":
                answers.append((message, b"" if refusal is None else _rejected(refusal)))
        if step.around is not None:
            self._sharing.decided(run, step.wanted, is_step=bool(step.events))
        handled = messages[: len(messages) - len(later)]
        if not step.events:
            self._answered(run, handled)
            known = _accepted(run, run.last_position)
            return Work(answers=[(m, body or known) for m, body in answers], aside=aside)
        self._steps[key] = step, first, handled
        stream = StreamAppend(
            "run", run.id, version, [NewEvent(type(e).__name__, facts.encode(e)) for e in step.events]
        )
        append = Append(
            [stream],
            step.now,
            correlation_id=run.triggered.cause.event_id,
            causation_id=_causation(first),
            actor=_actor(first),
            traceparent=self._traces.traceparent(run),
        )
        return Work(append=append, answers=answers, aside=aside, later=later, blobs=list(step.blobs.values()))

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Everything about the run to its subject; jobs to their queues; stops to workers."""
        if not isinstance(key, UUID):
            self._sharing.breaker_logged()
            return []
        step, cause, handled = self._steps.pop(key)
        run = step.run
        position = run.last_position = events[-1].position
        if run.asked_version >= events[0].version:
            run.asked_position = events[run.asked_version - events[0].version].position
        work.answers = [(message, body or _accepted(run, position)) for message, body in work.answers]
        said: list[Outgoing] = []
        for event, stored in zip(step.events, events, strict=True):
            said += self._said(run, event, stored)
        self._note(run, step.events, events)
        self._answered(run, handled)
        self._outputs.reached(position)
        if step.around is not None:
            self._sharing.logged(run)
        self._traces.logged(run, cause, step.events, events)
        if run.is_ended:
            self._runs.drop(run.id)
        return said

    def refused(self, key: Hashable, answer: Answer) -> None:  # noqa: ARG002 - whatever the reason, it is read anew
        """Somebody appended first (or a decision failed half way): what is in memory is no longer the truth."""
        if isinstance(key, UUID):
            self._runs.doubt(key)
            self._steps.pop(key, None)
            self._sharing.refused(key)
        elif isinstance(key, str) and key.startswith(BREAKER_KEY):
            self._sharing.breaker_refused(key.removeprefix(BREAKER_KEY))

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """The same messages again; jobs only while they are still wanted."""
        run_ids = dict.fromkeys(stored.stream_id for stored in events)
        await self._runs.read_readable([run_id for run_id in run_ids if self._runs.get(run_id) is None])
        said: list[Outgoing] = []
        for stored in events:
            run = self._runs.get(stored.stream_id)
            if run is None:
                continue
            event = cast("RunEvent", facts.decode(stored.type, stored.data))
            said += self._said(run, event, stored)
            self._note(run, [event], [stored])
        return said

    def _note(self, run: Run, events: Sequence[RunEvent], logged: Sequence[StoredEvent]) -> None:
        """What is kept besides the runs hears of what is in the log, once more where it may never have heard."""
        self._waits.note(run, events, logged[-1].position)
        self._outputs.note(events, logged)
        self._open.note(run, events, logged[0].position)

    def forget_all(self) -> None:
        """Start afresh: another owner may have been here."""
        self._runs.clear()
        self._steps.clear()
        self._waits.forget()
        self._open.forget()
        self._outputs.forget()
        self._reported.forget()
        self._sharing.forget()
        self._awaited.forget()
        self._traces.forget()
        self._lost.forget()

    async def nats_was_away(self) -> None:
        """Jobs may be lost; workers get time to speak first."""
        self._runs.consumers_may_be_gone()
        await free_all(self._client.jetstream(timeout=2), self._subjects.jobs_stream)
        self._lost.look_soon()

    async def tick(self) -> None:
        """Each second: evict what is long unused, look for lost jobs when it is time."""
        self._runs.evict()
        if not self._is_nudged:
            self._is_nudged = True
            await self._client.subscribe(self._subjects.appended, cb=self._waits.nudged)
        await self._open.find()
        await self._waits.look(self._open)
        await self._open.keep_position(self._shell.heard_position)
        await self._outputs.tick()
        await self._sharing.tick(self._runs, self._open)
        if self._open:
            await self._spent.look()
            await self._awaited.look(self._open)
        await self._spent.drop()
        await self._lost.look()

    def _answered(self, run: Run | None, messages: Sequence[Message]) -> None:
        """What the run had to say to these is in the log, if there was anything."""
        self._waits.answered(meaning.offers(messages), run)
        self._spent.answered(messages)

    # --- deciding --------------------------------------------------------------------------------------------------

    def _apply(self, step: deciding.Step, message: Message) -> Refusal | None:
        if message.event.type in REPORT_TYPES:
            self._lost.spoke_of(UUID(message.tokens[3]))
        if meaning.is_of_a_round_before(step.run, message):
            return None
        return meaning.apply(step, message, self._is_wanted)

    def _is_wanted(self, run: Run) -> bool:
        """Whether the parent of a child still waits for it."""
        parent_id = run.triggered.parent_run_id
        parent = None if parent_id is None or not run.triggered.parent_node_id else self._runs.get(parent_id)
        if parent is None:
            return parent_id is None or not run.triggered.parent_node_id
        unit = parent.find(run.triggered.parent_node_id, run.triggered.parent_instance)
        return unit is not None and isinstance(unit.wait, facts.ChildWait) and unit.wait.child_run_id == run.id

    def _put(self, told: msgspec.Struct, event_id: str) -> None:
        """A message of this service to itself."""
        data, kind = msgspec.Raw(_encode(told)), type(told).__name__
        event = CloudEvent(id=event_id, source="/execution", type=kind, data=data)
        self._shell.intake.put(Message(f"{self._subjects.namespace}.log.{kind}", encode(event), event, "log", ""))

    # --- saying ----------------------------------------------------------------------------------------------------

    def _said(self, run: Run, event: RunEvent, stored: StoredEvent) -> list[Outgoing]:
        message = self._event_message(run, stored)
        if isinstance(event, NodeQueued):
            if event.job_id is None or not _is_wanted(run, event):
                return [message]
            # the job first: a worker waits for it, and nobody for the order between the two streams
            return [self._job_message(run, event, stored), message]
        if isinstance(event, _STOPS_JOB) and event.job_id is not None:
            return [message, jobs.stop_message(run, event, event.job_id, self._subjects)]
        return [message]

    def _job_message(self, run: Run, queued: NodeQueued, stored: StoredEvent, again: str = "") -> Outgoing:
        trace = self._traces.of_attempt(run, queued)
        return jobs.job_message(run, queued, stored, self._subjects, self._callbacks, again, trace)

    def _event_message(self, run: Run, stored: StoredEvent) -> Outgoing:
        subject = self._subjects.run(run.plan.workflow_id, run.id, stored.type)
        name, body = self._envelopes.of(stored)
        return Outgoing(subject, body, name, is_covered=True)


def _actor(message: Message) -> str | None:
    """Who has sent a command; what is no command nobody has."""
    return message.event.actor if message.origin == "command" else None


def _causation(message: Message) -> UUID | None:
    """What led to a step: the event or the command that came, or the job that was reported on."""
    name = message.tokens[3] if message.event.type in REPORT_TYPES else message.event.id
    try:
        return UUID(name)
    except ValueError:
        return None


def _is_wanted(run: Run, queued: NodeQueued) -> bool:
    """Whether somebody still waits for the attempt: not where the same step, or what came since, has ended it."""
    if run.is_ended:
        return False
    unit = run.find(queued.node_id, queued.instance)
    return unit is not None and unit.status in ("queued", "running") and unit.attempt == queued.attempt


def _accepted(run: Run, position: int) -> bytes:
    return _encode(Accepted({"run_id": str(run.id), "status": run.status, "position": position}))


def _of_no_run(run_id: UUID, messages: Sequence[Message]) -> Work:
    refused = [(m, _rejected(not_found("run", str(run_id)))) for m in messages if m.origin == "command"]
    strange = [m for m in messages if m.origin == "stream" and _expects_run(m)]
    return Work(answers=refused, aside=[Aside(m, f"there is no run {run_id} in the log") for m in strange])


def _of_archived(run: Run, archive: str, messages: Sequence[Message]) -> Work:
    """It has ended long ago: whoever asks something of it hears where it is; what else comes means nothing any more."""
    refusal = invalid_state(
        f"run {run.id} is in the archive {archive}, where it can be read and forked; to go on with it, first put it back "
        f"with: flowforge restore {archive}"
    )
    return Work(answers=[(m, _rejected(refusal)) for m in messages if m.origin == "command"])


def _expects_run(message: Message) -> bool:
    """A child may be cancelled before it has begun, and then it never will."""
    return message.event.type != ChildCancelRequested.__name__


def _rejected(refusal: Refusal) -> bytes:
    return _encode(Rejected(refusal))
