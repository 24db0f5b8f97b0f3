"""Values that are wrong by themselves: defaults, the input's schema, limits that contradict each other."""

from collections.abc import Iterator
from typing import Any, cast

import jsonschema_rs
import msgspec
from flowforge.definition import Node, ScriptNode

from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.ports import type_of
from services.catalog.validation.report import Findings

_METASCHEMA = jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})
_NUL = "\x00"


def check_values(draft: Draft, findings: Findings) -> None:
    """Everything that one field alone tells."""
    _check_variables(draft, findings)
    if draft.head.input_schema is not None:
        _check_schema(draft.head.input_schema, findings)
    for placed in draft.nodes:
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


def _check_schema(schema: dict[str, Any], findings: Findings) -> None:
    try:
        faults = list(_METASCHEMA.iter_errors(schema))
        for fault in faults:
            _schema_error(_steps(fault.instance_path), fault.message, findings)
        if not faults:
            jsonschema_rs.Draft202012Validator(schema, retriever=_refuse)
    except jsonschema_rs.ValidationError as fault:
        _schema_error(_steps(fault.instance_path), fault.message, findings)
    except (ValueError, jsonschema_rs.ReferencingError) as fault:
        _schema_error("", str(fault).partition("\n")[0], findings)


def _steps(path: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _schema_error(below: str, message: str, findings: Findings) -> None:
    mend = "input_schema is a JSON Schema of draft 2020-12, without references to other documents"
    findings.error("SCHEMA_INVALID", f"$.input_schema{below}", message, mend)


def _refuse(uri: str) -> Any:
    raise ValueError(f"references to other documents are not followed: {uri}")


def _check_node(placed: Placed[Node], run_timeout_ms: int | None, findings: Findings) -> None:
    node = placed.item
    if isinstance(node, ScriptNode) and (node.isolation == "container" or node.image is not None):
        findings.error(
            "NOT_AVAILABLE",
            placed.path("isolation" if node.isolation == "container" else "image"),
            f"the script '{node.id}' asks for a container, and there is no container engine",
            "leave out isolation and image: scripts run in a process of their own",
            [node.id],
        )
    if isinstance(node.for_each, str) and not _is_one_expression(node.for_each):
        findings.error(
            "EXPRESSION_ERROR",
            placed.path("for_each"),
            f"for_each of '{node.id}' must give a list, this is a text",
            "write a list, or one expression that gives one: ${input.items}",
            [node.id],
        )
    if node.max_parallel is not None and node.for_each is None:
        findings.warning(
            "WITHOUT_EFFECT", placed.path("max_parallel"), "max_parallel has a meaning only beside for_each",
            "add for_each, or leave it out", [node.id],
        )  # fmt: skip
    if node.timeout_ms is not None and run_timeout_ms is not None and node.timeout_ms > run_timeout_ms:
        findings.warning(
            "WITHOUT_EFFECT", placed.path("timeout_ms"),
            f"an attempt may take {node.timeout_ms} ms, but the whole run only {run_timeout_ms} ms",
            "lower it, or raise settings.timeout_ms", [node.id],
        )  # fmt: skip
    _check_retries(placed, findings)


def _is_one_expression(text: str) -> bool:
    """Whether a template may give something else than a text; what stands inside is looked at elsewhere."""
    return text.startswith("${") and text.endswith("}")


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
