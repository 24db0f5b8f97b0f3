"""What follows from a command about templates. Pure; a refusal is a value."""

import difflib
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from flowforge.commands import DeleteTemplate, InstantiateTemplate, SaveTemplate
from flowforge.definition import readable
from flowforge.events import TemplateDeleted, TemplateEvent, TemplateSaved
from flowforge.refusals import Refusal, already_exists, invalid, invalid_state, is_expected, not_found, version_changed

from services.catalog.decided import Decided
from services.catalog.documents import SET_BY_SERVER, refused, stored, unsound, webhooks
from services.catalog.state import State as WorkflowState
from services.catalog.templates.template import State, Template
from services.catalog.validation import check

_NOT_OF_A_TEMPLATE = (*SET_BY_SERVER, "status")
GIVEN_LATER = frozenset({"MISSING_SECRET"})
"""Errors of a template that whoever makes a workflow of it mends."""

Command = SaveTemplate | DeleteTemplate


def decide(
    state: State, command: Command, source: WorkflowState, is_ready_made: bool
) -> Decided[TemplateEvent] | Refusal:
    """`source` is the workflow that the template is taken from, where the command names one."""
    if is_ready_made:
        what = "cannot be deleted" if isinstance(command, DeleteTemplate) else "cannot be replaced: choose another id"
        return invalid_state(f"'{command.template_id}' is a ready-made template, which {what}")
    if isinstance(command, DeleteTemplate):
        if state.template is None:
            return not_found("template", command.template_id)
        if not is_expected(state.version, command.expected_version):
            return version_changed(command.template_id, command.expected_version, state.version)
        return Decided([TemplateDeleted(template_id=command.template_id)])
    return _save(state, command, source)


def _save(state: State, command: SaveTemplate, source: WorkflowState) -> Decided[TemplateEvent] | Refusal:
    if command.is_new and state.template is not None:
        return already_exists("template", command.template_id)
    if not command.is_new and state.template is None:
        return not_found("template", command.template_id)
    if not is_expected(state.version, command.expected_version):
        return version_changed(command.template_id, command.expected_version, state.version)
    if "\x00" in command.category:
        message = "the category holds the character U+0000"
        return invalid("Template invalid", message, [_error("$.category", message, "remove it")])
    document = _document(command, source)
    if isinstance(document, Refusal):
        return document
    checked = check(document)
    errors = [error for error in checked.report.errors if error.type not in GIVEN_LATER]
    if errors or checked.workflow is None:
        return unsound(checked, errors)
    definition = stored(checked)
    if isinstance(definition, Refusal):
        return definition
    saved = TemplateSaved(
        template_id=command.template_id,
        template_version=state.version + 1,
        name=checked.workflow.name,
        description=checked.workflow.description,
        category=command.category,
        definition=definition,
        workflow_id=command.workflow_id,
        workflow_version=(command.workflow_version or source.version) if command.workflow_id else None,
    )
    return Decided([] if _is_same(state.template, saved) else [saved], checked.report.warnings)


def _is_same(template: Template | None, saved: TemplateSaved) -> bool:
    return template is not None and (template.name, template.description, template.category) == (
        saved.name, saved.description, saved.category,
    ) and bytes(template.definition) == bytes(saved.definition)  # fmt: skip


def _document(command: SaveTemplate, source: WorkflowState) -> Any:
    """The definition under the template's id and name, without what belongs to one workflow alone: secrets, status."""
    given = msgspec.json.decode(command.definition)
    if (given is None) == (command.workflow_id is None):
        both = "both a definition and a workflow" if given is not None else "neither a definition nor a workflow"
        message = f"the template is to be made of {both}: give one of them"
        return invalid("Template invalid", message, [_error("$", message, "give definition, or workflow_id")])
    if command.workflow_id is not None:
        version = command.workflow_version or source.version
        if not source.version:
            return not_found("workflow", command.workflow_id)
        if version > source.version:
            return not_found(f"version of '{command.workflow_id}'", str(version))
        given = readable(msgspec.json.decode(source.definitions[version - 1]))
    if not isinstance(given, dict):
        return given
    fields = cast("dict[str, Any]", given)
    document = {name: value for name, value in fields.items() if name not in _NOT_OF_A_TEMPLATE}
    document["id"] = command.template_id
    document["name"] = command.name or fields.get("name") or command.template_id
    if command.description:
        document["description"] = command.description
    for _, config in webhooks(document):
        config.pop("secret", None)
        config.pop("secret_refs", None)
    return document


# --- a workflow of a template -----------------------------------------------------------------------------------------


def instantiated(template: Template, command: InstantiateTemplate) -> dict[str, Any] | Refusal:
    """The definition of the new workflow; that it is sound is looked at elsewhere."""
    document: dict[str, Any] = msgspec.json.decode(template.definition)
    document["id"] = command.workflow_id
    document["name"] = command.name or template.name
    for name in ("description", "experiment_id", "tags", "status"):
        if (value := getattr(command, name)) is not None:
            document[name] = value
    errors = [*_set_variables(document, command), *_set_secrets(document, command)]
    if errors:
        return refused("Template not applicable", errors)
    return document


def _set_variables(document: dict[str, Any], command: InstantiateTemplate) -> Iterator[dict[str, Any]]:
    known = {variable["name"]: variable for variable in document.get("variables", [])}
    for name, value in command.variables.items():
        if name in known:
            known[name]["default_value"] = msgspec.json.decode(value)
        else:
            message = f"the template '{command.template_id}' has no variable '{name}'"
            yield _error(f"$.variables.{name}", message, _known(name, list(known)))


def _set_secrets(document: dict[str, Any], command: InstantiateTemplate) -> Iterator[dict[str, Any]]:
    known = dict(webhooks(document))
    for name, secret in command.secrets.items():
        if name in known:
            known[name]["secret"] = secret
        else:
            message = f"the template '{command.template_id}' has no webhook trigger '{name}'"
            yield _error(f"$.secrets.{name}", message, _known(name, list(known)))


def _known(word: str, names: list[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(names) or 'none'}"


def _error(path: str, message: str, mend: str) -> dict[str, Any]:
    return {"type": "INVALID", "path": path, "message": message, "suggested_resolution": mend}
