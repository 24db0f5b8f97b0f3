"""Whether a stored prompt can be used: its shape, and what its expressions name. Pure.

Which nodes and variables there are is known only to the workflow that uses it, so that of these nothing is said.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from infra.expressions import Scope
from services.catalog.validation.places import NO_CALLBACK, Text
from services.catalog.validation.report import Findings, Report
from services.catalog.validation.texts import check_alone
from services.catalog.validation.values import encoded, nul_paths

_A_PROMPT = "write a text, or a list of messages: [{role: user, content: Greet ${input.name}}]"


def check_prompt(document: Mapping[str, Any]) -> Report:
    """Everything that is wrong with `{name, description, prompt, system}`; `system` may be null."""
    findings = Findings()
    for path in nul_paths(document, encoded(document)):
        findings.error("INVALID_TEXT", path, "a text holds the character U+0000", "remove it")
    for path, message in _misfits(document["prompt"]):
        findings.error("INVALID_FIELD", path, message, _A_PROMPT)
    if not isinstance(document["system"], str | None):
        findings.error("INVALID_FIELD", "$.system", "the system prompt is no text", "write a text, or leave it out")
    absent = {"callback": NO_CALLBACK}
    texts = [
        Text(f"$.{field}", document[field], Scope.NODE_WITH_SECRETS, absent=absent) for field in ("prompt", "system")
    ]
    check_alone(texts, findings)
    return findings.report()


def _misfits(prompt: object) -> Iterator[tuple[str, str]]:
    """Path and message of what is neither a text nor a message."""
    if isinstance(prompt, str):
        if not prompt.strip():
            yield "$.prompt", "the prompt is empty"
        return
    if not isinstance(prompt, list) or not prompt:
        yield "$.prompt", "the prompt is neither a text nor a list of messages"
        return
    for index, message in enumerate(cast("list[object]", prompt)):
        fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
        if not isinstance(fields.get("role"), str) or "content" not in fields:
            yield f"$.prompt[{index}]", "a message has a role, which is a text, and its content"
