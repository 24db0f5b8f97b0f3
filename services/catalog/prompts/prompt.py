"""What a stored prompt is, and what its stream tells of one. Pure."""

from typing import assert_never

import msgspec
from flowforge.events import NULL, PromptDeleted, PromptEvent, PromptSaved
from flowforge.raw import present


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """Its newest version. `prompt` is a template of a text or of messages; `system` one of a text, or null."""

    name: str
    description: str
    prompt: msgspec.Raw
    system: msgspec.Raw = NULL


class State(msgspec.Struct, frozen=True):
    """`version` counts its saves; no prompt: there is none, or it was deleted."""

    version: int = 0
    prompt: Prompt | None = None


initial = State()


def evolve(state: State, event: PromptEvent) -> State:
    """The state after the event."""
    match event:
        case PromptSaved():
            prompt = Prompt(
                name=event.name,
                description=event.description,
                prompt=event.prompt,
                system=present(event.system) or NULL,
            )
            return State(event.prompt_version, prompt)
        case PromptDeleted():
            return State(state.version)
        case _:
            assert_never(event)
