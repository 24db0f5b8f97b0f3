"""From a message to the command in it."""

from functools import lru_cache

import msgspec
from flowforge.commands import (
    COMMANDS,
    Command,
    CreateWorkflow,
    SaveTemplate,
    UpdateWorkflow,
    ValidateWorkflow,
    definition_of,
)
from flowforge.refusals import Refusal

from infra.bus import Message
from services.catalog.settings import unpacked_kept_max

WITH_DEFINITION = (CreateWorkflow, UpdateWorkflow, ValidateWorkflow, SaveTemplate)
_MINE = {name: kind for name, (service, kind) in COMMANDS.items() if service == "catalog"}


class Undecodable(msgspec.Struct):
    """A message that is no command of catalog's, and the answer to it."""

    refusal: Refusal


class _Named(msgspec.Struct):
    id: str


def command_of(message: Message) -> Command | Undecodable:
    """The command, with its definition unpacked."""
    kind = _MINE.get(message.event.type)
    if kind is None:
        return _malformed(f"catalog knows no command '{message.event.type}'")
    try:
        command = msgspec.json.decode(message.event.data, type=kind)
        if isinstance(command, WITH_DEFINITION) and command.definition_packed:
            return msgspec.structs.replace(
                command, definition=_unpacked(command.definition_packed), definition_packed=""
            )
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        return _malformed(str(fault))
    return command


def workflow_id_of(command: Command | Undecodable) -> str | None:
    """The workflow that the command changes, if it says which."""
    if isinstance(command, CreateWorkflow):
        try:
            return msgspec.json.decode(command.definition, type=_Named).id
        except msgspec.ValidationError:
            return None  # the validation says why
    return getattr(command, "workflow_id", None)


@lru_cache(maxsize=unpacked_kept_max)
def _unpacked(definition_packed: str) -> msgspec.Raw:
    """A command is looked at several times; a large definition is unpacked once. Raises ValueError."""
    return definition_of(ValidateWorkflow(command_id="", definition_packed=definition_packed))


def _malformed(detail: str) -> Undecodable:
    return Undecodable(Refusal(code="MALFORMED", status=400, title="Malformed command", detail=detail))
