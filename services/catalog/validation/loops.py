"""Loops: the fields that go with their type, and numbers that could never be met."""

from typing import Any

from flowforge.definition import LoopNode, Node

from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.report import Findings

_FIELD_OF = {"for_each": "array_source", "while": "condition", "count": "count"}
_EXAMPLES = {
    "for_each": "array_source: ${input.items}",
    "while": 'condition: index == 0 || previous.status != "ready"',
    "count": "count: 3",
}


def check_loops(draft: Draft, findings: Findings) -> None:
    """Every loop, those in the bodies of others too."""
    for placed in draft.nodes():
        if isinstance(placed.item, LoopNode):
            _check_fields(placed, placed.item, findings)
            _check_numbers(placed, placed.item, findings)
            _check_parallel(placed, placed.item, findings)


def _check_fields(placed: Placed[Node], node: LoopNode, findings: Findings) -> None:
    needed = _FIELD_OF[node.loop_type]
    for field in _FIELD_OF.values():
        is_given = getattr(node, field) is not None
        if field == needed and not is_given:
            message = f"the loop '{node.id}' is of type {node.loop_type} and has no {field}"
            findings.error("LOOP_INCOMPLETE", placed.at, message, f"add {_EXAMPLES[node.loop_type]}", [node.id])
        elif field != needed and is_given:
            kind = next(kind for kind, name in _FIELD_OF.items() if name == field)
            message = f"{field} belongs to loops of type {kind}, and '{node.id}' is of type {node.loop_type}"
            mend = f"leave out {field}, or write loop_type: {kind}"
            findings.error("LOOP_CONFUSED", placed.path(field), message, mend, [node.id])


def _check_numbers(placed: Placed[Node], node: LoopNode, findings: Findings) -> None:
    source, count = node.array_source, node.count
    for field, value, example in (("array_source", source, "${input.items}"), ("count", count, "${input.times}")):
        if isinstance(value, str) and not is_one_expression(value):
            wanted = "a list" if field == "array_source" else "a number"
            message = f"{field} of '{node.id}' must give {wanted}, this is a text"
            mend = f"write {wanted}, or one expression that gives one: {example}"
            findings.error("EXPRESSION_ERROR", placed.path(field), message, mend, [node.id])
    if isinstance(count, int) and count < 0:
        findings.error(
            "OUT_OF_RANGE", placed.path("count"), f"count of '{node.id}' is {count}: a loop cannot run its body less "
            "than 0 times", "write a number from 0 on", [node.id],
        )  # fmt: skip
    times: Any = len(source) if isinstance(source, list) else count
    if isinstance(times, int) and times > node.max_iterations:
        field = "array_source" if isinstance(source, list) else "count"
        message = f"'{node.id}' would run its body {times} times, and max_iterations is {node.max_iterations}"
        findings.error(
            "LOOP_LIMIT_EXCEEDED", placed.path(field), message, f"raise max_iterations to {times}, or lower {field}",
            [node.id],
        )  # fmt: skip


def _check_parallel(placed: Placed[Node], node: LoopNode, findings: Findings) -> None:
    if node.loop_type == "while" and (node.max_parallel or 1) > 1:
        message = f"'{node.id}' is tested before each iteration, so its iterations never run side by side"
        mend = "leave out max_parallel, or use a loop of type for_each or count"
        findings.warning("WITHOUT_EFFECT", placed.path("max_parallel"), message, mend, [node.id])


def is_one_expression(text: str) -> bool:
    """Whether a template may give something else than a text; what stands inside is looked at elsewhere."""
    return text.startswith("${") and text.endswith("}")
