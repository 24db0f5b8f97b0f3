"""What follows from a command about stored prompts. Pure; a refusal is a value."""

import re
from typing import Any

import msgspec
from flowforge.commands import DeletePrompt, SavePrompt
from flowforge.definition import SLUG_PATTERN
from flowforge.events import NULL, PromptDeleted, PromptEvent, PromptSaved
from flowforge.raw import ABSENT
from flowforge.refusals import Refusal, is_expected, not_found, too_large, version_changed

from services.catalog.decided import Decided
from services.catalog.documents import refused
from services.catalog.prompts.prompt import Prompt, State
from services.catalog.settings import prompt_bytes_max
from services.catalog.validation import check_prompt, encoded

Command = SavePrompt | DeletePrompt


def decide(state: State, command: Command) -> Decided[PromptEvent] | Refusal:
    """The event that carries the command out; none where the newest version says the same already."""
    if isinstance(command, SavePrompt):
        return _save(state, command)
    if state.prompt is None:
        return not_found("prompt", command.prompt_id)
    if not is_expected(state.version, command.expected_version):
        return version_changed(command.prompt_id, command.expected_version, state.version)
    return Decided([PromptDeleted(prompt_id=command.prompt_id)])


def _save(state: State, command: SavePrompt) -> Decided[PromptEvent] | Refusal:
    if state.prompt is None and not command.may_be_new:
        return not_found("prompt", command.prompt_id)
    if not is_expected(state.version, command.expected_version):
        return version_changed(command.prompt_id, command.expected_version, state.version)
    if not re.fullmatch(SLUG_PATTERN, command.prompt_id):
        return _bad_id(command.prompt_id)
    prompt = Prompt(
        name=command.name or command.prompt_id,
        description=command.description,
        prompt=command.prompt,
        system=NULL if _decoded(command.system) in (None, "") else command.system,
    )
    size_bytes = len(bytes(prompt.prompt)) + len(bytes(prompt.system))
    if size_bytes > prompt_bytes_max:
        return too_large(f"the prompt has {size_bytes // 1024} KiB, the limit is {prompt_bytes_max // 1024} KiB")
    report = check_prompt(_document(prompt))
    if report.errors:
        return refused("Prompt invalid", msgspec.to_builtins(report.errors))
    return Decided([] if _is_same(state.prompt, prompt) else [_saved(state, command, prompt)], report.warnings)


def _saved(state: State, command: SavePrompt, prompt: Prompt) -> PromptSaved:
    return PromptSaved(
        prompt_id=command.prompt_id,
        prompt_version=state.version + 1,
        name=prompt.name,
        description=prompt.description,
        prompt=prompt.prompt,
        system=ABSENT if prompt.system is NULL else prompt.system,
    )


def _is_same(before: Prompt | None, after: Prompt) -> bool:
    return before is not None and encoded(_document(before)) == encoded(_document(after))


def _document(prompt: Prompt) -> dict[str, Any]:
    return {
        "name": prompt.name,
        "description": prompt.description,
        "prompt": _decoded(prompt.prompt),
        "system": _decoded(prompt.system),
    }


def _decoded(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _bad_id(prompt_id: str) -> Refusal:
    message = f"'{prompt_id[:100]}' is no id of a prompt: small letters, digits, `-` and `_`, at most 63 in all"
    return refused("Prompt invalid", [{"type": "INVALID_FIELD", "path": "$.id", "message": message}])
