"""Stored prompts: stream type `prompt`, one for each id, written by catalog."""

import msgspec

from flowforge.events.event import Event
from flowforge.raw import ABSENT


class PromptSaved(Event, kw_only=True, frozen=True):
    """A version of a stored prompt, counted from 1. `prompt` and `system` are templates of the node that uses it."""

    prompt_id: str
    prompt_version: int
    name: str = ""
    description: str = ""
    prompt: msgspec.Raw
    system: msgspec.Raw = ABSENT


class PromptDeleted(Event, kw_only=True, frozen=True):
    """The prompt is offered no more; runs that name one of its versions still find it."""

    prompt_id: str
