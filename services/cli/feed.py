"""A run's events one line each: for logs, pipes and `events list`. Pure."""

from datetime import datetime
from typing import Any

import msgspec
from flowforge import events as e
from rich.text import Text

from services.cli import waits
from services.cli.glyphs import STYLES, Glyphs

VALUE_CHARACTERS_MAX = 80
TYPE_CELLS = 18
NODE_CELLS = 24

_STATES: dict[str, str] = {
    "RunStarted": "running", "RunCompleted": "completed", "RunFailed": "failed", "RunCancelled": "cancelled",
    "RunFailing": "failed", "RunCancelRequested": "cancelled", "RunPaused": "paused", "NodeQueued": "queued",
    "NodeStarted": "running", "NodeProgressed": "running", "NodeCompleted": "completed", "NodeFailed": "failed",
    "NodeRetried": "waiting", "NodeWaiting": "waiting", "NodeSkipped": "skipped", "NodeCancelled": "cancelled",
    "RunPartiallyCompleted": "partial", "RunResumed": "running", "RunRetryRequested": "pending",
    "RunRetried": "running", "RunSlaMissed": "warning", "RecoveryTaken": "warning", "WorkerAwaited": "queued",
    "IterationStarted": "running", "IterationEnded": "completed", "ApprovalDecided": "completed",
    "ChildRunRequested": "waiting", "NodeDecidedByHand": "warning", "RunQueued": "pending",
    "TimerSet": "idle", "ReportIgnored": "idle", "WorkflowTriggered": "idle",
}  # fmt: skip


def line(event_type: str, data: bytes | msgspec.Raw, at: datetime, glyphs: Glyphs, *, position: int = 0) -> Text:
    """One logged event: when, what, which node, and the part of it that a person looks for."""
    state = _STATES.get(event_type, "idle")
    text = Text.assemble((f"{at.astimezone():%H:%M:%S}.{at.microsecond // 1000:03d}  ", "dim"))
    if position:
        text.append(f"{position:>8}  ", "dim")
    text.append_text(glyphs.state(state)).append(" ")
    text.append(event_type.ljust(TYPE_CELLS), STYLES.get(state, ""))
    try:
        event: Any = e.decode(event_type, data)
    except (e.UnknownEvent, msgspec.ValidationError):
        return text + Text(f" {shortened(data)}", "dim")
    node, said = _node(event), _said(event)
    if node:
        text.append(f" {node.ljust(NODE_CELLS) if said else node}")
    if said:
        text.append(f" {' '.join(said.split())}", "red" if state == "failed" else "dim")
    text.no_wrap = True
    return text


def _node(event: Any) -> str:
    node, instance = getattr(event, "node_id", ""), getattr(event, "instance", "")
    return f"{node}[{instance}]" if instance else node


def _said(event: Any) -> str:
    match event:
        case e.WorkflowTriggered():
            return f"{event.workflow_id} v{event.workflow_version} by {event.trigger.type} trigger {event.trigger.id}"
        case e.RunQueued():
            held = ", ".join(map(str, event.waits.holders))
            return f"waits for a slot, place {event.waits.place} in the queue, behind {held or 'others'}"
        case e.RunStarted():
            return f"{event.total_nodes} nodes"
        case e.NodeQueued() | e.NodeStarted():
            return _tried(event)
        case e.NodeProgressed():
            return f"{event.progress:.0%} {event.message}".rstrip()
        case e.NodeCompleted() | e.RunCompleted():
            return shortened(event.output) if bytes(event.output) != b"null" else ""
        case e.NodeFailed() | e.RunFailed() | e.RunFailing() | e.RunPartiallyCompleted():
            return f"{event.error.code}: {event.error.message}"
        case e.NodeRetried():
            return f"attempt {event.attempt} at {event.due_at.astimezone():%H:%M:%S}: {event.error.message}"
        case e.NodeSkipped() | e.NodeCancelled() | e.RunCancelled() | e.RunCancelRequested():
            return event.reason.replace("_", " ")
        case e.TimerSet():
            return f"{event.purpose} due {event.due_at.astimezone():%H:%M:%S}"
        case e.ReportIgnored():
            return f"{event.report} of delivery {event.delivery}: {event.reason}"
        case _:
            return _waited(event) or _operated(event)


def _waited(event: Any) -> str:
    """Waiting, loops, children."""
    match event:
        case e.NodeWaiting():
            return f"waits {waits.in_words(event.wait)}"
        case e.WorkerAwaited():
            return f"waits {waits.in_words(event)}"
        case e.IterationStarted() | e.IterationEnded():
            return f"iteration {event.index}" + (f" {event.status}" if isinstance(event, e.IterationEnded) else "")
        case e.ApprovalDecided():
            return f"{event.decision} {event.comment}".rstrip()
        case e.ChildRunRequested():
            return f"asks for a run of {event.workflow_id}, {event.child_run_id}"
        case e.RecoveryTaken():
            return f"{event.action.replace('_', ' ')}: {event.detail}"
        case _:
            return ""


def _operated(event: Any) -> str:
    """What people did."""
    match event:
        case e.RunPaused():
            return f"before {', '.join(event.before)}" if event.before else event.reason
        case e.RunResumed():
            return "" if event.steps is None else f"for {event.steps} {'step' if event.steps == 1 else 'steps'}"
        case e.RunRetryRequested():
            return f"from {', '.join(event.cleared + event.resumed)}"
        case e.NodeDecidedByHand():
            return f"{event.action} by hand {event.comment}".rstrip()
        case e.RunChanged():
            given = {name: getattr(event, name) for name in ("priority", "labels", "breakpoints")}
            return ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
        case e.RunSlaMissed():
            return f"longer than {event.sla_ms} ms"
        case _:
            return ""


def _tried(event: e.NodeQueued | e.NodeStarted) -> str:
    parts = [f"attempt {event.attempt}"] if event.attempt > 1 else []
    if isinstance(event, e.NodeStarted):
        parts += [f"{event.instances_count} items"] if event.instances_count is not None else []
        parts += [f"on {event.worker}"] if event.worker else []
    return ", ".join(parts)


def shortened(value: bytes | msgspec.Raw, characters_max: int = VALUE_CHARACTERS_MAX) -> str:
    """JSON on one line, its end left out where it is long."""
    text = " ".join(bytes(value).decode(errors="replace").split())
    return text if len(text) <= characters_max else f"{text[: characters_max - 1]}…"
