"""Stored prompts, read from the log when a run that uses them is loaded."""

from typing import cast

import msgspec
from flowforge.events import PromptSaved, decode
from flowforge.identity import named_stream
from flowforge.raw import present

from infra.eventlog import EventLog
from services.execution.state import StoredPrompt


async def stored_prompt(log: EventLog, prompt_id: str, version: int | None) -> StoredPrompt | None:
    """The prompt at that version, or at its newest; None where there is none. May raise `Unavailable`."""
    found: PromptSaved | None = None
    for stored in await log.read_stream(named_stream("prompt", prompt_id)):
        if stored.type == PromptSaved.__name__:
            saved = cast("PromptSaved", decode(stored.type, stored.data))
            if version is None or saved.prompt_version == version:
                found = saved
        elif version is None:
            found = None  # deleted: only who names a version still finds it
    if found is None:
        return None
    system = present(found.system)
    return StoredPrompt(
        found.prompt_version, msgspec.json.decode(found.prompt), None if system is None else msgspec.json.decode(system)
    )
