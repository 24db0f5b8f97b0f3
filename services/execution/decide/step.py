"""One step of a run: each event is folded as soon as it is decided, so that what follows sees it. Pure."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from flowforge.events import RunEvent, TimerSet
from flowforge.identity import part_uuid
from flowforge.reports import OUTPUT_BYTES_MAX, OUTPUT_INLINE_BYTES_MAX, BlobRef

from services.execution.around import Around, Wanted
from services.execution.inputs import TooLarge, check_depth
from services.execution.settings import STEP_EVENTS_MAX
from services.execution.state import Run, Unit, evolve


class Step:
    """One run, the time of this step, and the events decided so far (each folded already).

    `around` is what the run shares with others, where it may have to ask for that. Once there are `events_max` events,
    what else is to be done is left to a step that follows at once.
    """

    __slots__ = ("around", "blobs", "events", "events_max", "is_cut", "now", "run", "wanted")

    def __init__(
        self, run: Run, now: datetime, around: Around | None = None, events_max: int = STEP_EVENTS_MAX
    ) -> None:
        self.run = run
        self.now = now
        self.around = around
        self.events_max = events_max
        self.is_cut = False
        """The timer is set that brings about the step to follow."""
        self.events: list[RunEvent] = []
        self.wanted: set[Wanted] = set()
        """What has to be loaded before the rest can be decided."""
        self.blobs: dict[str, bytes] = {}
        """Outputs too large for an event, by their content hash: kept before the events that refer to them are logged."""

    @property
    def is_fail_fast(self) -> bool:
        return self.run.plan.workflow.settings.is_fail_fast

    @property
    def is_full(self) -> bool:
        return len(self.events) >= self.events_max

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)
        evolve(self.run, event, self.now)
        if self.around is not None:
            self.around.noted(self.run, event, self.now)

    def kept(self, output: msgspec.Raw) -> msgspec.Raw:
        """The output itself, or a reference to it where it is large. Raises `TooLarge`."""
        text = bytes(output)
        check_depth(text)
        if len(text) <= OUTPUT_INLINE_BYTES_MAX:
            return output
        if len(text) > OUTPUT_BYTES_MAX:
            raise TooLarge(f"the output has {len(text)} bytes, the limit is {OUTPUT_BYTES_MAX}")
        name = hashlib.sha256(text).hexdigest()
        self.blobs[name] = text
        self.run.blobs[name] = msgspec.json.decode(text)
        return msgspec.Raw(msgspec.json.encode(BlobRef(hash=name, size=len(text))))


def set_timer(step: Step, purpose: Any, due_at: datetime, unit: Unit | None = None, attempt: int = 0) -> None:
    """The scheduler is to fire at `due_at`. It fires an id once: each timer that is logged has its own, by its place in the
    run's stream, and the same however often this is decided."""
    node_id, instance = (unit.node_id, unit.instance) if unit else ("", "")
    timer_id = part_uuid(step.run.id, "timer", step.run.version)
    step.emit(
        TimerSet(timer_id=timer_id, due_at=due_at, purpose=purpose, node_id=node_id, instance=instance, attempt=attempt)
    )
