"""Values that are wrong by themselves: defaults, the input's schema, limits that contradict each other."""

from collections.abc import Iterator
from typing import cast

import msgspec
from flowforge.definition import Node

from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.ports import type_of
from services.catalog.validation.report import Findings
from services.catalog.validation.schemas import check_schema

_NUL = "\x00"


def check_values(draft: Draft, findings: Findings) -> None:
    """Everything that one field alone tells."""
    _check_variables(draft, findings)
    if draft.head.input_schema is not None:
        check_schema(draft.head.input_schema, "$.input_schema", "input_schema", findings)
    for placed in draft.nodes():
        _check_node(placed, draft.head.settings.timeout_ms, findings)


def _check_variables(draft: Draft, findings: Findings) -> None:
    for index, variable in enumerate(draft.head.variables):
        value = variable.default_value
        if value is not None and type_of(value) != variable.type:
            findings.error(
                "TYPE_MISMATCH",
                f"$.variables[{index}].default_value",
                f"the variable '{variable.name}' is of type {variable.type}, its default of type {type_of(value)}",
                f"give a default of type {variable.type}, or make its type {type_of(value)}",
            )


def _check_node(placed: Placed[Node], run_timeout_ms: int | None, findings: Findings) -> None:
    node = placed.item
    if node.timeout_ms is not None and run_timeout_ms is not None and node.timeout_ms > run_timeout_ms:
        findings.warning(
            "WITHOUT_EFFECT", placed.path("timeout_ms"),
            f"an attempt may take {node.timeout_ms} ms, but the whole run only {run_timeout_ms} ms",
            "lower it, or raise settings.timeout_ms", [node.id],
        )  # fmt: skip
    _check_retries(placed, findings)


def _check_retries(placed: Placed[Node], findings: Findings) -> None:
    policy, node = placed.item.retry_policy, placed.item
    if policy is None:
        return
    path = placed.path("retry_policy")
    if policy.max_delay_ms < policy.delay_ms:
        findings.warning(
            "RETRY_DELAY", f"{path}.max_delay_ms",
            f"max_delay_ms ({policy.max_delay_ms}) is below delay_ms ({policy.delay_ms}), so it is what is waited",
            "raise max_delay_ms, or lower delay_ms", [node.id],
        )  # fmt: skip
    if policy.max_attempts == 1 and policy.retry_on_errors:
        findings.warning(
            "WITHOUT_EFFECT", f"{path}.max_attempts", "max_attempts counts the first attempt: 1 means no retry",
            "raise max_attempts, or leave out retry_policy", [node.id],
        )  # fmt: skip


def nul_paths(document: object, encoded: bytes) -> Iterator[str]:
    """Where a text holds U+0000, which databases do not store."""
    if b"\\u0000" not in encoded:
        return
    stack: list[tuple[str, object]] = [("$", document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str) and _NUL in value:
            yield path
        elif isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            if any(_NUL in key for key in fields):
                yield path
            stack += [(f"{path}.{key}", item) for key, item in fields.items()]
        elif isinstance(value, list):
            stack += [(f"{path}[{index}]", item) for index, item in enumerate(cast("list[object]", value))]


def encoded(document: object) -> bytes:
    """The document as JSON, the same for the same content."""
    return msgspec.json.encode(document, order="deterministic")
