"""Orders to the catalog: workflows, their triggers, templates. Definitions travel as they are, or compressed."""

import base64
import zlib

import msgspec

from flowforge.command import Command
from flowforge.events import NULL
from flowforge.refusals import ExpectedVersion

UNPACKED_BYTES_MAX = 16 * 1024 * 1024


class CreateWorkflow(Command, kw_only=True, frozen=True):
    """To catalog. Answers `{id, version, position, warnings}`.

    A definition that is too large for the bus travels compressed: see `packed`.
    """

    definition: msgspec.Raw = NULL
    definition_packed: str = ""


class UpdateWorkflow(Command, kw_only=True, frozen=True):
    """To catalog: a new version; `expected_version` is what If-Match named."""

    workflow_id: str
    definition: msgspec.Raw = NULL
    definition_packed: str = ""
    expected_version: ExpectedVersion = None


class RollbackWorkflow(Command, kw_only=True, frozen=True):
    """To catalog: a new version that repeats an old one."""

    workflow_id: str
    version: int
    expected_version: ExpectedVersion = None


class ArchiveWorkflow(Command, kw_only=True, frozen=True):
    """To catalog."""

    workflow_id: str
    expected_version: ExpectedVersion = None


class ValidateWorkflow(Command, kw_only=True, frozen=True):
    """To catalog: answers the report of interface.md 1.5, stores nothing."""

    definition: msgspec.Raw = NULL
    definition_packed: str = ""


class AddTrigger(Command, kw_only=True, frozen=True):
    """To catalog: a new version of the workflow with one trigger more. Answers as a save."""

    workflow_id: str
    trigger: msgspec.Raw
    expected_version: ExpectedVersion = None


class ChangeTrigger(Command, kw_only=True, frozen=True):
    """To catalog: a new version with one trigger changed by a JSON merge patch (RFC 7396); its id stays."""

    workflow_id: str
    trigger_id: str
    patch: msgspec.Raw
    expected_version: ExpectedVersion = None


class RemoveTrigger(Command, kw_only=True, frozen=True):
    """To catalog: a new version without the trigger."""

    workflow_id: str
    trigger_id: str
    expected_version: ExpectedVersion = None


class SetTriggerConfigs(Command, kw_only=True, frozen=True):
    """To catalog: a new version with these job-type triggers, all six of them. Answers as a save, and `trigger_configs`."""

    workflow_id: str
    configs: msgspec.Raw = NULL
    expected_version: ExpectedVersion = None


class TriggerChange(msgspec.Struct, frozen=True):
    """One trigger and the JSON merge patch for it."""

    workflow_id: str
    trigger_id: str
    patch: msgspec.Raw


class ChangeTriggers(Command, kw_only=True, frozen=True):
    """To catalog: all these changes, or none; one new version per workflow that changes.

    Answers `{items: [{id, version, position, warnings}], position}`, one item per workflow.
    """

    items: list[TriggerChange]


class SaveTemplate(Command, kw_only=True, frozen=True):
    """To catalog: a template of one's own, made of `definition`, or of a version (default the newest) of a workflow.

    With `is_new` its id must be free, without it must be taken. Answers `{id, version, position, warnings}`.
    """

    template_id: str
    is_new: bool = True
    name: str = ""
    description: str = ""
    category: str = ""
    definition: msgspec.Raw = NULL
    definition_packed: str = ""
    workflow_id: str | None = None
    workflow_version: int | None = None
    expected_version: ExpectedVersion = None


class DeleteTemplate(Command, kw_only=True, frozen=True):
    """To catalog. Answers `{id, position}`."""

    template_id: str
    expected_version: ExpectedVersion = None


class InstantiateTemplate(Command, kw_only=True, frozen=True):
    """To catalog: a new workflow made of a template. Answers as a save.

    `variables` are other defaults for the template's; `secrets` those of its webhook triggers, by trigger id. What is
    left out of the others is the template's.
    """

    template_id: str
    workflow_id: str
    name: str = ""
    description: str | None = None
    experiment_id: str | None = None
    tags: list[str] | None = None
    status: str | None = None
    variables: dict[str, msgspec.Raw] = {}
    secrets: dict[str, str] = {}


class ListTemplates(Command, kw_only=True, frozen=True):
    """To catalog: the ready-made templates, or the one of that id. Answers `{items}`, each with its definition."""

    template_id: str | None = None


def packed(definition: bytes) -> str:
    """A definition compressed (zlib, base64), for `definition_packed`."""
    return base64.b64encode(zlib.compress(definition)).decode()


def definition_of(command: CreateWorkflow | UpdateWorkflow | ValidateWorkflow | SaveTemplate) -> msgspec.Raw:
    """The definition that a command carries, however it does. Raises ValueError for one that cannot be unpacked."""
    if not command.definition_packed:
        return command.definition
    unpacking = zlib.decompressobj()
    try:
        definition = unpacking.decompress(base64.b64decode(command.definition_packed), UNPACKED_BYTES_MAX)
    except zlib.error as fault:
        raise ValueError(f"the definition cannot be unpacked: {fault}") from fault
    if not unpacking.eof:
        raise ValueError(f"the definition is no whole one, or larger than {UNPACKED_BYTES_MAX} bytes")
    return msgspec.Raw(definition)
