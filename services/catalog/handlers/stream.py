"""What the stream of a workflow tells of it."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import WorkflowEvent, decode
from flowforge.identity import named_stream

from infra.eventlog import StoredEvent, StreamAppend
from services.catalog.answers import Saved, new_events
from services.catalog.state import State, evolve, initial


class Loaded(msgspec.Struct):
    """One workflow as its stream tells it. `past`: what each command that was carried out led to."""

    state: State = initial
    stream_version: int = 0
    position: int = 0
    past: dict[UUID, Saved] = {}

    @property
    def place(self) -> Saved:
        return Saved(self.state.version, self.position)


def stream_of(workflow_id: str) -> UUID:
    """The id of its stream."""
    return named_stream("workflow", workflow_id)


def event_of(stored: StoredEvent) -> WorkflowEvent:
    """A logged event of such a stream."""
    return cast("WorkflowEvent", decode(stored.type, stored.data))


def folded(events: Sequence[StoredEvent]) -> Loaded:
    """The workflow after the events of its stream."""
    loaded = Loaded(stream_version=len(events), position=events[-1].position if events else 0)
    for stored in events:
        loaded.state = evolve(loaded.state, event_of(stored))
        if stored.causation_id is not None:
            loaded.past[stored.causation_id] = Saved(loaded.state.version, stored.position)
    return loaded


def further(workflow_id: str, loaded: Loaded, events: Sequence[WorkflowEvent]) -> StreamAppend:
    """These events after those that were loaded."""
    return StreamAppend("workflow", stream_of(workflow_id), loaded.stream_version, new_events(events))
