"""What follows from the passing of time (pure)."""

from datetime import datetime

from flowforge.events import TimerFired, TriggerTimerFired

from services.scheduler.state import Timer


def decide(timer: Timer | None, now: datetime) -> list[TimerFired | TriggerTimerFired]:
    """A timer that is due fires; one that is not due, or has fired, does not."""
    if timer is None or now < timer.due_at:
        return []
    if timer.purpose == "trigger":
        return [
            TriggerTimerFired(
                timer_id=timer.timer_id,
                trigger_stream_id=timer.run_id,
                workflow_id=timer.workflow_id,
                trigger_id=timer.node_id,
                due_at=timer.due_at,
            )
        ]
    return [
        TimerFired(
            timer_id=timer.timer_id,
            run_id=timer.run_id,
            workflow_id=timer.workflow_id,
            due_at=timer.due_at,
            purpose=timer.purpose,
            node_id=timer.node_id,
            instance=timer.instance,
            attempt=timer.attempt,
        )
    ]
