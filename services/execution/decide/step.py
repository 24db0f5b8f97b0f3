"""One step of a run: each event is folded as soon as it is decided, so that what follows sees it. Pure."""

from datetime import datetime
from typing import Any

from flowforge.events import RunEvent, TimerSet
from flowforge.identity import part_uuid

from services.execution.state import Run, Unit, evolve


class Step:
    """One run, the time of this step, and the events decided so far (each folded already)."""

    __slots__ = ("events", "now", "run")

    def __init__(self, run: Run, now: datetime) -> None:
        self.run = run
        self.now = now
        self.events: list[RunEvent] = []

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)
        evolve(self.run, event, self.now)


def set_timer(step: Step, purpose: Any, due_at: datetime, unit: Unit | None = None, attempt: int = 0) -> None:
    """The scheduler is to fire at `due_at`; the id is the same however often this is decided."""
    node_id, instance = (unit.node_id, unit.instance) if unit else ("", "")
    timer_id = part_uuid(step.run.id, "timer", purpose, node_id, instance, attempt)
    step.emit(
        TimerSet(timer_id=timer_id, due_at=due_at, purpose=purpose, node_id=node_id, instance=instance, attempt=attempt)
    )
