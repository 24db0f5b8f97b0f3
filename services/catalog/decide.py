"""What follows from a command to catalog. Pure; a refusal is a value."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, assert_never, cast

import msgspec
from flowforge.commands import (
    AddTrigger,
    ArchiveWorkflow,
    ChangeTrigger,
    CreateWorkflow,
    InstantiateTemplate,
    RemoveTrigger,
    RollbackWorkflow,
    SetTriggerConfigs,
    UpdateWorkflow,
)
from flowforge.definition import JobNode, every_node, readable
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated
from flowforge.refusals import (
    ExpectedVersion,
    Refusal,
    already_exists,
    invalid,
    invalid_state,
    is_expected,
    not_found,
    version_changed,
)

from infra.secrets import Secret
from services.catalog.documents import SET_BY_SERVER, refused, stored, unsound
from services.catalog.merge_patch import merged
from services.catalog.secrets import Keeping, has_secrets, refer_to_kept, take_out
from services.catalog.state import State
from services.catalog.templates.decide import instantiated
from services.catalog.templates.template import Template
from services.catalog.trigger_configs import errors_of
from services.catalog.validation import NOTHING_KNOWN, Checked, Finding, Known, check

Command = (
    CreateWorkflow
    | UpdateWorkflow
    | RollbackWorkflow
    | ArchiveWorkflow
    | AddTrigger
    | ChangeTrigger
    | RemoveTrigger
    | SetTriggerConfigs
    | InstantiateTemplate
)


JobQueue = tuple[str, str]
"""Queue and job type."""


class Decided(msgspec.Struct, frozen=True):
    """What is to be logged (nothing, where nothing would change), and what the author should look at.

    `secrets` are to be kept before it is logged; `job_queues` are those that the definition names, wherever in it.
    """

    events: list[WorkflowEvent]
    warnings: list[Finding] = []
    secrets: list[Secret] = []
    job_queues: frozenset[JobQueue] = frozenset()


class Beside(msgspec.Struct, frozen=True):
    """What a decision needs beside the workflow's state: how secrets are kept (without it none is taken), what there is of
    all that the definition names, as far as that is known, and the templates that are named."""

    keeping: Keeping | None = None
    known: Known = NOTHING_KNOWN
    templates: Mapping[str, Template] = MappingProxyType({})


NOTHING_BESIDE = Beside()


def decide(state: State, command: Command, beside: Beside = NOTHING_BESIDE) -> Decided | Refusal:
    """The events that carry the command out, or why it is not carried out."""
    match command:
        case CreateWorkflow():
            return _create(state, command, beside)
        case InstantiateTemplate():
            return _instantiate(state, command, beside)
        case UpdateWorkflow():
            return _update(state, command, beside)
        case RollbackWorkflow():
            return _roll_back(state, command, beside)
        case ArchiveWorkflow():
            return _archive(state, command)
        case AddTrigger():
            return _add_trigger(state, command, beside)
        case ChangeTrigger():
            return _change_trigger(state, command, beside)
        case RemoveTrigger():
            return _remove_trigger(state, command, beside)
        case SetTriggerConfigs():
            return _set_trigger_configs(state, command, beside)
        case _:
            assert_never(command)


def _create(state: State, command: CreateWorkflow, beside: Beside) -> Decided | Refusal:
    return _created(state, _decoded(command.definition), beside)


def _instantiate(state: State, command: InstantiateTemplate, beside: Beside) -> Decided | Refusal:
    template = beside.templates.get(command.template_id)
    if template is None:
        return not_found("template", command.template_id)
    document = instantiated(template, command)
    return document if isinstance(document, Refusal) else _created(state, document, beside, template.id)


def _created(state: State, document: object, beside: Beside, template_id: str | None = None) -> Decided | Refusal:
    refer_to_kept(document, None)
    checked = check(document, beside.known)
    if state.version:
        return already_exists("workflow", str(checked.document.get("id")))
    taken = _taken_apart(checked, beside.keeping)
    if isinstance(taken, Refusal):
        return taken
    definition, secrets = taken
    event = WorkflowCreated(
        workflow_id=_id(checked), workflow_version=1, definition=definition, template_id=template_id
    )
    return Decided([event], checked.report.warnings, secrets, _job_queues(checked))


def _update(state: State, command: UpdateWorkflow, beside: Beside) -> Decided | Refusal:
    refusal = _refusal(state, command.workflow_id, command.expected_version)
    if refusal is not None:
        return refusal
    document = _decoded(command.definition)
    if isinstance(document, dict):
        fields = cast("dict[str, Any]", document)
        if fields.setdefault("id", command.workflow_id) != command.workflow_id:
            return _other_id(command.workflow_id, fields["id"])
        for name in SET_BY_SERVER:
            fields.pop(name, None)
    return save(state, command.workflow_id, document, beside)


def _roll_back(state: State, command: RollbackWorkflow, beside: Beside) -> Decided | Refusal:
    refusal = _refusal(state, command.workflow_id, command.expected_version)
    if refusal is not None:
        return refusal
    if not 1 <= command.version <= state.version:
        return not_found(f"version of '{command.workflow_id}'", str(command.version))
    document = readable(_decoded(state.definitions[command.version - 1]))
    return save(state, command.workflow_id, document, beside, rolled_back_to=command.version)


def _archive(state: State, command: ArchiveWorkflow) -> Decided | Refusal:
    refusal = _refusal(state, command.workflow_id, command.expected_version)
    if refusal is not None:
        return refusal
    return Decided([] if state.is_archived else [WorkflowArchived(workflow_id=command.workflow_id)])


def _add_trigger(state: State, command: AddTrigger, beside: Beside) -> Decided | Refusal:
    document = _changeable(state, command)
    if isinstance(document, Refusal):
        return document
    trigger = _decoded(command.trigger)
    name = cast("dict[str, Any]", trigger).get("id") if isinstance(trigger, dict) else None
    if any(name is not None and existing["id"] == name for existing in document["triggers"]):
        return already_exists("trigger", str(name))
    document["triggers"] = [*document["triggers"], trigger]
    return save(state, command.workflow_id, document, beside)


def _change_trigger(state: State, command: ChangeTrigger, beside: Beside) -> Decided | Refusal:
    document = _changeable(state, command)
    if isinstance(document, Refusal):
        return document
    at = patch_trigger(document, command.workflow_id, command.trigger_id, command.patch)
    return at if isinstance(at, Refusal) else save(state, command.workflow_id, document, beside)


def patch_trigger(document: dict[str, Any], workflow_id: str, trigger_id: str, patch: msgspec.Raw) -> int | Refusal:
    """Which of the document's triggers was changed, in place, or why none was."""
    at = _trigger_at(document, trigger_id)
    if at is None:
        return not_found(f"trigger of '{workflow_id}'", trigger_id)
    changed = merged(document["triggers"][at], _decoded(patch))
    if isinstance(changed, dict) and cast("dict[str, Any]", changed).get("id") != trigger_id:
        return _other_id(trigger_id, cast("dict[str, Any]", changed).get("id"))
    document["triggers"][at] = changed
    return at


def _remove_trigger(state: State, command: RemoveTrigger, beside: Beside) -> Decided | Refusal:
    document = _changeable(state, command)
    if isinstance(document, Refusal):
        return document
    at = _trigger_at(document, command.trigger_id)
    if at is None:
        return not_found(f"trigger of '{command.workflow_id}'", command.trigger_id)
    del document["triggers"][at]
    return save(state, command.workflow_id, document, beside)


def _set_trigger_configs(state: State, command: SetTriggerConfigs, beside: Beside) -> Decided | Refusal:
    document = _changeable(state, command)
    if isinstance(document, Refusal):
        return document
    configs = _decoded(command.configs)
    if errors := errors_of(configs):
        return refused("Trigger configs invalid", errors)
    document["trigger_configs"] = configs
    return save(state, command.workflow_id, document, beside)


def _refusal(state: State, workflow_id: str, expected_version: ExpectedVersion) -> Refusal | None:
    if not state.version:
        return not_found("workflow", workflow_id)
    if not is_expected(state.version, expected_version):
        return version_changed(workflow_id, expected_version, state.version)
    return None


def _changeable(
    state: State, command: AddTrigger | ChangeTrigger | RemoveTrigger | SetTriggerConfigs
) -> dict[str, Any] | Refusal:
    """The newest definition, to be changed in part; an archived workflow is changed as a whole only."""
    refusal = _refusal(state, command.workflow_id, command.expected_version)
    return changeable(state, command.workflow_id) if refusal is None else refusal


def changeable(state: State, workflow_id: str) -> dict[str, Any] | Refusal:
    """The newest definition as a document of one's own."""
    if not state.version:
        return not_found("workflow", workflow_id)
    if state.is_archived:
        return invalid_state(f"the workflow '{workflow_id}' is archived; PUT of a definition revives it")
    return readable(_decoded(state.definition))


def _trigger_at(document: dict[str, Any], trigger_id: str) -> int | None:
    return next((at for at, trigger in enumerate(document["triggers"]) if trigger["id"] == trigger_id), None)


def save(
    state: State,
    workflow_id: str,
    document: object,
    beside: Beside,
    rolled_back_to: int | None = None,
) -> Decided | Refusal:
    """A new version with this document, where it is another one."""
    refer_to_kept(document, _decoded(state.definition), is_rollback=rolled_back_to is not None)
    checked = check(document, beside.known)
    taken = _taken_apart(checked, beside.keeping)
    if isinstance(taken, Refusal):
        return taken
    definition, secrets = taken
    if not state.is_archived and _same(definition, state.definition):
        return Decided([], checked.report.warnings, job_queues=_job_queues(checked))
    event = WorkflowUpdated(
        workflow_id=workflow_id,
        workflow_version=state.version + 1,
        definition=definition,
        rolled_back_to=rolled_back_to,
    )
    return Decided([event], checked.report.warnings, secrets, _job_queues(checked))


def _taken_apart(checked: Checked, keeping: Keeping | None) -> tuple[msgspec.Raw, list[Secret]] | Refusal:
    """The definition as it is logged, and the secrets that were taken out of it."""
    if checked.workflow is None or not checked.report.is_valid:
        return unsound(checked, checked.report.errors)
    if keeping is None and has_secrets(checked.document):
        return invalid_state("secrets cannot be kept here: there is no key for them; set FLOWFORGE_SECRETS_KEY")
    secrets = [] if keeping is None else take_out(checked.document, keeping)
    definition = stored(checked)
    return definition if isinstance(definition, Refusal) else (definition, secrets)


def _job_queues(checked: Checked) -> frozenset[JobQueue]:
    assert checked.workflow is not None
    jobs = (node for node in every_node(checked.workflow.nodes) if isinstance(node, JobNode))
    return frozenset((job.queue, job.job_type) for job in jobs)


def _other_id(expected: str, given: object) -> Refusal:
    message = f"the id is '{expected}' and cannot be changed to '{given}'"
    error = {"path": "$.id", "message": message, "suggested_resolution": f"use '{expected}', or leave it out"}
    return invalid("Another id", message, [error])


def _same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    """Equal as JSON, whatever the order of fields; 1 and true and 1.0 are three values."""
    return bytes(one) == bytes(other) or _canonical(one) == _canonical(other)


def _canonical(raw: msgspec.Raw) -> bytes:
    return msgspec.json.encode(readable(msgspec.json.decode(raw)), order="deterministic")


def _decoded(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _id(checked: Checked) -> str:
    assert checked.workflow is not None
    return checked.workflow.id
