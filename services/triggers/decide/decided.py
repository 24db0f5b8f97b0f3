"""Everything that follows from one cause, to be logged as one group (pure)."""

from uuid import UUID

import msgspec
from flowforge.events import (
    Cause,
    ChainGrew,
    ChildRunRefused,
    EventReceived,
    RunRequested,
    TriggerDecided,
    TriggerEvent,
    WebhooksRejected,
    WorkflowTriggered,
)

from services.triggers.admission import SlotFact


class Remembered(msgspec.Struct, frozen=True):
    """Facts for the stream of one trigger, which is at `version`."""

    stream_id: UUID
    version: int
    facts: list[TriggerEvent]


class Grown(msgspec.Struct, frozen=True):
    """Runs that one first cause led to, which had led to `count` before."""

    first_event_id: UUID
    count: int
    facts: list[ChainGrew]


class Slotted(msgspec.Struct, frozen=True):
    """Facts for the stream of slots that is at `version`."""

    slot_id: UUID
    version: int
    facts: list[SlotFact]


class Decided(msgspec.Struct, frozen=True):
    """Everything that follows from one cause; `blobs` are to be kept before it is logged."""

    stream_id: UUID
    cause: Cause
    first: EventReceived | RunRequested | WebhooksRejected | None = None
    """The cause itself; None where it is in the log already."""
    stream_type: str = "cause"
    stream_version: int = 0
    decisions: list[TriggerDecided] = []
    runs: list[WorkflowTriggered] = []
    blobs: list[msgspec.Raw] = []
    remembered: list[Remembered] = []
    grown: list[Grown] = []
    slotted: list[Slotted] = []
    identities: dict[UUID, bytes] = {}
    """Of runs that are started once whatever else tells of their cause."""
    refused: ChildRunRefused | None = None
    """Of a child that does not start; it has the stream that the child would have had."""
    actor: str | None = None
    """Whose deed it is, where nobody asks for it now."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to log."""
        follows = self.decisions or self.runs or self.remembered or self.slotted
        return self.first is None and self.refused is None and not follows
