"""A run's events one line each: for logs, pipes and `events list`. Pure."""

from datetime import datetime
from typing import Any

import msgspec
from flowforge import events as e
from rich.text import Text

from services.cli.glyphs import STYLES, Glyphs

VALUE_CHARACTERS_MAX = 80
TYPE_CELLS = 18
NODE_CELLS = 24

_STATES: dict[str, str] = {
    "RunStarted": "running", "RunCompleted": "completed", "RunFailed": "failed", "RunCancelled": "cancelled",
    "RunFailing": "failed", "RunCancelRequested": "cancelled", "RunPaused": "paused", "NodeQueued": "queued",
    "NodeStarted": "running", "NodeProgressed": "running", "NodeCompleted": "completed", "NodeFailed": "failed",
    "NodeRetried": "waiting", "NodeWaiting": "waiting", "NodeSkipped": "skipped", "NodeCancelled": "cancelled",
    "RunQueued": "pending", "TimerSet": "idle", "ReportIgnored": "idle", "WorkflowTriggered": "idle",
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
        case e.NodeFailed() | e.RunFailed() | e.RunFailing():
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
