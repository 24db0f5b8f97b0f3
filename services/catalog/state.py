"""What catalog knows of one workflow: its versions, and whether it is archived. Pure."""

from typing import assert_never

import msgspec
from flowforge.events import NULL, WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated


class State(msgspec.Struct, frozen=True):
    """`definitions[n - 1]` is version n as JSON. No definitions: there is no such workflow."""

    definitions: tuple[msgspec.Raw, ...] = ()
    is_archived: bool = False

    @property
    def version(self) -> int:
        """The newest one, 0 where there is none."""
        return len(self.definitions)

    @property
    def definition(self) -> msgspec.Raw:
        return self.definitions[-1] if self.definitions else NULL


initial = State()


def evolve(state: State, event: WorkflowEvent) -> State:
    """The state after the event."""
    match event:
        case WorkflowCreated() | WorkflowUpdated():
            return State((*state.definitions, event.definition))
        case WorkflowArchived():
            return State(state.definitions, is_archived=True)
        case _:
            assert_never(event)
