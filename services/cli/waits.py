"""What a node waits for, in words. Pure."""

from datetime import datetime

from flowforge import events as e

from services.cli.glyphs import duration

NAMES_SHOWN_MAX = 3


def in_words(wait: e.AnyWait | e.WorkerAwaited, now: datetime | None = None) -> str:
    """What it waits for; with `now`, how much longer at most."""
    text = _what(wait)
    due_at = None if isinstance(wait, e.WorkerAwaited) else wait.due_at
    if now is None or due_at is None:
        return text
    left = duration(due_at - now)
    return f"for {left}" if isinstance(wait, e.TimerWait) else f"{text}, {left} left"


def _what(wait: e.AnyWait | e.WorkerAwaited) -> str:
    match wait:
        case e.TimerWait():
            return "for its time" if wait.due_at is None else f"until {wait.due_at.astimezone():%H:%M:%S}"
        case e.EventWait():
            source = "" if wait.source == "*" else f" from {wait.source}"
            return f"for an event {wait.event_type}{source}"
        case e.ApprovalWait():
            return f"for approval by {_names(wait.approvers)}"
        case e.CallbackWait():
            return "for its callback"
        case e.ChildWait():
            return f"for run {wait.child_run_id} of {wait.workflow_id}"
        case e.PoolWait():
            return f"for one of {wait.limit} places ({wait.pool})"
        case e.BreakerWait():
            return f"for the breaker {wait.breaker} to close"
        case e.WorkerAwaited():
            return f"for a worker that serves {wait.job_type} on queue {wait.queue}"


def _names(names: list[str]) -> str:
    if not names:
        return "anybody who may"
    more = f" and {len(names) - NAMES_SHOWN_MAX} others" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(names[:NAMES_SHOWN_MAX]) + more
