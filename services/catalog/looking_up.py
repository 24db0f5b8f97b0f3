"""Looks up what definitions name beside themselves, for the check of them."""

from collections.abc import Iterable

import msgspec
from flowforge.identity import named_stream

from infra.eventlog import EventLog
from services.catalog.prompts import State
from services.catalog.settings import referenced_max
from services.catalog.validation import Known, PromptVersions, names_in
from services.catalog.versioned import Versioned


async def known_of(definitions: Iterable[msgspec.Raw], log: EventLog, prompts: Versioned[State]) -> Known:
    """What there is of all that these definitions name, of the first `referenced_max`. May raise `Unavailable`."""
    names = {name: None for each in definitions for name in names_in(msgspec.json.decode(each), referenced_max)}
    workflows: dict[str, bool] = {}
    stored: dict[str, PromptVersions] = {}
    for name in list(names)[:referenced_max]:
        if name.kind == "workflow":
            workflows[name.id] = bool(await log.read_stream(named_stream("workflow", name.id), limit=1))
        else:
            state = await prompts.state(name.id)
            stored[name.id] = PromptVersions(state.version, state.prompt is not None)
    return Known(workflows, stored)
