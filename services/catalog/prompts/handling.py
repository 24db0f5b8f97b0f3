"""Stored prompts as the shell runs them: what is their own among the things saved as versions."""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

from flowforge.commands import DeletePrompt, SavePrompt
from flowforge.events import PromptSaved
from flowforge.identity import named_stream
from flowforge.subjects import Subjects

from infra.eventlog import EventLog
from services.catalog.prompts.decide import decide
from services.catalog.prompts.prompt import State, evolve, initial
from services.catalog.versioned import Kind, Saying, Versioned


def prompts(log: EventLog, namespace: str, clock: Callable[[], datetime]) -> Versioned[State]:
    """The part of catalog that has to do with stored prompts."""
    kind = Kind(
        word="prompt",
        commands=(SavePrompt, DeletePrompt),
        id_of=attrgetter("prompt_id"),
        stream=lambda prompt_id: named_stream("prompt", prompt_id),
        initial=initial,
        evolve=evolve,
        decide=decide,
        saying=Saying(frozenset({"PromptSaved", "PromptDeleted"}), Subjects(namespace).prompt, _head),
    )
    return Versioned(kind, log, namespace, clock)


def _head(event: PromptSaved) -> dict[str, Any]:
    return {"prompt_id": event.prompt_id, "prompt_version": event.prompt_version, "name": event.name}
