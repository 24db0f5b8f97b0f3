"""What each message means: which run it is for, and what is to be decided because of it."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import msgspec
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
from flowforge.events import (
    ChildCancelRequested,
    ChildRunEnded,
    ChildRunRefused,
    RetryRefused,
    RunAdmitted,
    RunDisplaced,
    TimerFired,
    WorkflowTriggered,
)
from flowforge.refusals import Refusal
from flowforge.reports import REPORT_TYPES, JobCompleted, JobFailed, Report, ReportedError

from infra.bus import Message
from services.execution import decide as deciding
from services.execution import inputs
from services.execution.awaited import WorkerMissing
from services.execution.sharing import RunWoken
from services.execution.state import Run
from services.execution.waits import EventCame, Offer

_reports = {name: msgspec.json.Decoder(kind) for name, kind in REPORT_TYPES.items()}
_triggered = msgspec.json.Decoder(WorkflowTriggered)
_fired = msgspec.json.Decoder(TimerFired)
_admitted = msgspec.json.Decoder(RunAdmitted)
_displaced = msgspec.json.Decoder(RunDisplaced)
_retry_refused = msgspec.json.Decoder(RetryRefused)
_child_ended = msgspec.json.Decoder(ChildRunEnded)
_child_refused = msgspec.json.Decoder(ChildRunRefused)
_child_cancel = msgspec.json.Decoder(ChildCancelRequested)
_event_came = msgspec.json.Decoder(EventCame)
_woken = msgspec.json.Decoder(RunWoken)
_worker_missing = msgspec.json.Decoder(WorkerMissing)
_commands = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (CancelRun, PauseRun, ResumeRun, RetryRun, DecideNode, ChangeRun, ReceiveCallback, DecideApproval)
}
_of_run: dict[str, tuple[msgspec.json.Decoder[Any], str]] = {
    "WorkflowTriggered": (_triggered, "run_id"),
    "TimerFired": (_fired, "run_id"),
    "RunAdmitted": (_admitted, "run_id"),
    "RunDisplaced": (_displaced, "run_id"),
    "RetryRefused": (_retry_refused, "run_id"),
    "ChildRunEnded": (_child_ended, "parent_run_id"),
    "ChildRunRefused": (_child_refused, "parent_run_id"),
    "ChildCancelRequested": (_child_cancel, "child_run_id"),
    EventCame.__name__: (_event_came, "run_id"),
    RunWoken.__name__: (_woken, "run_id"),
    WorkerMissing.__name__: (_worker_missing, "run_id"),
}
"""Messages that name the run in a field of theirs."""
_OF_ONE_ROUND = frozenset({"RunDisplaced", "ChildCancelRequested", "TimerFired"})
"""What may be heard again, however long after it was dealt with, and means nothing to a run that was retried since."""


class _Place(msgspec.Struct):
    """Whose report it is."""

    node_id: str = ""
    instance: str = ""


_place = msgspec.json.Decoder(_Place)


class NoSuchJob(LookupError):
    """A report names a job that its run never had."""


def run_id_of(message: Message) -> UUID:
    """The run. Raises ValueError for a subject or body that names none."""
    kind = message.event.type
    if kind in REPORT_TYPES and message.origin == "stream":
        return UUID(message.tokens[2])
    if kind in _of_run:
        decoder, field = _of_run[kind]
        return getattr(decoder.decode(message.event.data), field)
    if kind in _commands:
        return _run_of(_commands[kind].decode(message.event.data))
    raise ValueError(f"execution does not know messages of type {kind}")


def offers(messages: Iterable[Message]) -> list[Offer]:
    """Which events these messages offered to nodes that wait."""
    return [_event_came.decode(m.event.data).offer for m in messages if m.event.type == EventCame.__name__]


def is_of_a_round_before(run: Run, message: Message) -> bool:
    """Whether it was meant for the run as it stood before it was retried."""
    position = message.event.position
    is_meant_once = message.event.type in _OF_ONE_ROUND and run.asked_version > 1
    return is_meant_once and position is not None and position < run.asked_position


def apply(step: deciding.Step, message: Message, is_wanted: Callable[[Run], bool]) -> Refusal | None:
    """Decide what follows; whether a command is refused. `is_wanted`: whether somebody waits for a run that is a child.

    Raises `NoSuchJob`.
    """
    kind, data = message.event.type, message.event.data
    if kind == "WorkflowTriggered":
        deciding.start(step, is_wanted=is_wanted(step.run))
    elif kind == "RunAdmitted":
        deciding.admitted(step, _admitted.decode(data).asked_version)
    elif kind == "RetryRefused":
        deciding.retry_refused(step, _retry_refused.decode(data))
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
    elif kind in _commands:
        return _carried_out(step, _commands[kind].decode(data), message)
    elif kind in REPORT_TYPES:
        job_id = UUID(message.tokens[3])
        if job_id not in step.run.jobs and not _was_of(step.run, data):
            raise NoSuchJob(f"run {step.run.id} has no job {job_id}")
        deciding.report(step, job_id, _report(step.run, message))
    else:
        _apply_own(step, kind, data)
    return None


def _apply_own(step: deciding.Step, kind: str, data: msgspec.Raw) -> None:
    """What this service tells itself."""
    if kind == EventCame.__name__:
        came = _event_came.decode(data)
        deciding.event_came(step, came.node_id, came.instance, came.event)
    elif kind == RunWoken.__name__:
        deciding.woken(step)
    elif kind == WorkerMissing.__name__:
        missing = _worker_missing.decode(data)
        deciding.worker_awaited(step, missing.queue, missing.job_type)


def _report(run: Run, message: Message) -> Report:
    said = _reports[message.event.type].decode(message.event.data)
    if isinstance(said, JobCompleted) and (reference := inputs.blob_hash(said.output)) and reference not in run.blobs:
        error = ReportedError(code="WORKER_LOST", message=f"the output {reference} was lost before it was stored")
        return JobFailed(attempt=said.attempt, delivery=said.delivery, worker=said.worker, error=error)
    return said


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
