"""What each type of node needs, and which of its settings contradict one another."""

from datetime import datetime
from urllib.parse import urlsplit

from flowforge.definition import (
    ApprovalNode,
    ConditionNode,
    DataTransformNode,
    DelayNode,
    EndNode,
    LoopNode,
    MergeNode,
    Node,
    ParallelNode,
    PromptNode,
    ScriptNode,
    SqlNode,
    StartNode,
    WaitEventNode,
    WebhookNode,
    WorkNode,
)
from msgspec import UNSET

from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.loops import is_one_expression
from services.catalog.validation.report import Findings
from services.catalog.validation.schemas import check_schema

MARKERS = (StartNode, EndNode, ConditionNode, ParallelNode, MergeNode)
"""Nodes that steer: they take no time, and run once."""

_DONE_AT_ONCE = (*MARKERS, DataTransformNode)
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


def check_kinds(draft: Draft, findings: Findings) -> None:
    """Every node by its type."""
    for placed in draft.nodes():
        _check_repeating(placed, findings)
        _check_policies(placed, findings)
        match placed.item:
            case DelayNode() as node:
                _check_delay(placed, node, findings)
            case PromptNode() as node:
                _check_prompt(placed, node, findings)
            case WebhookNode() as node:
                _check_webhook(placed, node, findings)
            case SqlNode() as node:
                _check_sql(placed, node, findings)
            case ScriptNode() as node:
                _check_script(placed, node, findings)
            case WaitEventNode() | ApprovalNode():
                _check_waiting(placed, findings)
            case _:
                pass


def _check_repeating(placed: Placed[Node], findings: Findings) -> None:
    node = placed.item
    if node.for_each is not None and isinstance(node, MARKERS):
        kind = node.__struct_config__.tag
        findings.error(
            "FOR_EACH_MISPLACED",
            placed.path("for_each"),
            f"'{node.id}' is a {kind} node, which steers the run and cannot be repeated for each item",
            "put the nodes that are to be repeated into the body of a loop, this one among them",
            [node.id],
        )
    if isinstance(node.for_each, str) and not is_one_expression(node.for_each):
        findings.error(
            "EXPRESSION_ERROR",
            placed.path("for_each"),
            f"for_each of '{node.id}' must give a list, this is a text",
            "write a list, or one expression that gives one: ${input.items}",
            [node.id],
        )
    if node.max_parallel is not None and node.for_each is None and not isinstance(node, LoopNode):
        findings.warning(
            "WITHOUT_EFFECT", placed.path("max_parallel"),
            "max_parallel has a meaning only beside for_each, and in loops",
            "add for_each, or leave it out", [node.id],
        )  # fmt: skip


def _check_policies(placed: Placed[Node], findings: Findings) -> None:
    """Settings of work on nodes that do none."""
    node = placed.item
    if node.retry_policy is None and node.timeout_ms is None and isinstance(node, WorkNode):
        return
    kind = str(node.__struct_config__.tag)
    useless: list[tuple[str, str]] = []
    if isinstance(node, (*_DONE_AT_ONCE, DelayNode)):
        useless += [("retry_policy", "never fails by chance, so it is not tried again")]
    if isinstance(node, _DONE_AT_ONCE):
        useless += [("timeout_ms", "is done at once")]
    if isinstance(node, MARKERS):
        useless += [("cache_key", "computes nothing"), ("pool", "takes no time")]
    if not isinstance(node, WorkNode):
        useless += [("resources", "takes nothing of a worker"), ("circuit_breaker", "calls nothing outside")]
    for field, why in useless:
        if getattr(node, field) is not None:
            findings.warning(
                "WITHOUT_EFFECT", placed.path(field), f"{field} has no effect here: a {kind} node {why}",
                "leave it out", [node.id],
            )  # fmt: skip


def _check_delay(placed: Placed[Node], node: DelayNode, findings: Findings) -> None:
    duration, until = node.duration_ms, node.until
    if (duration is None) == (until is None):
        both = "both duration_ms and until" if until is not None else "neither duration_ms nor until"
        message = f"the delay '{node.id}' has {both}, and needs one of them"
        mend = "keep duration_ms (milliseconds, such as 5000) or until (such as ${input.start_at})"
        findings.error("ONE_OF", placed.at, message, mend, [node.id])
    if isinstance(duration, int) and duration < 0:
        message = f"duration_ms of '{node.id}' is {duration}: nobody can wait less than 0 ms"
        findings.error("OUT_OF_RANGE", placed.path("duration_ms"), message, "write milliseconds from 0 on", [node.id])
    if isinstance(duration, str) and not is_one_expression(duration):
        message = f"duration_ms of '{node.id}' must give a number, this is a text"
        mend = "write milliseconds as a number, or one expression that gives it: ${input.wait_ms}"
        findings.error("EXPRESSION_ERROR", placed.path("duration_ms"), message, mend, [node.id])
    if until is not None and "${" not in until and not _is_instant(until):
        message = f"until of '{node.id}' is '{until}', which is no instant"
        mend = "write it as RFC 3339 says, such as 2030-01-31T08:00:00Z, or as an expression: ${input.start_at}"
        findings.error("INVALID_INSTANT", placed.path("until"), message, mend, [node.id])


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_prompt(placed: Placed[Node], node: PromptNode, findings: Findings) -> None:
    if (node.prompt is UNSET) == (node.prompt_id is None):
        both = "both prompt and prompt_id" if node.prompt_id is not None else "neither prompt nor prompt_id"
        message = f"'{node.id}' has {both}, and needs one of them"
        findings.error(
            "ONE_OF", placed.at, message, "write the text as prompt, or name a stored one by prompt_id", [node.id]
        )
    if node.prompt_version is not None and node.prompt_id is None:
        message = f"'{node.id}' has a prompt_version, and no prompt_id whose version it would be"
        mend = "add prompt_id, or leave out prompt_version"
        findings.error("INVALID_FIELD", placed.path("prompt_version"), message, mend, [node.id])
    if node.response_schema is not None:
        check_schema(node.response_schema, placed.path("response_schema"), "response_schema", findings, [node.id])


def _check_webhook(placed: Placed[Node], node: WebhookNode, findings: Findings) -> None:
    if fault := _fault_of_url(node.url):
        findings.error(
            "INVALID_URL", placed.path("url"), f"the url of '{node.id}' {fault}",
            "write the whole address, such as https://api.example.com/orders/${input.id}", [node.id],
        )  # fmt: skip
    if node.body is not UNSET and node.method in _WITHOUT_BODY:
        message = f"'{node.id}' sends a body with {node.method}, which most servers ignore or refuse"
        findings.warning("WITHOUT_EFFECT", placed.path("body"), message, "leave out body, or use POST", [node.id])


def _fault_of_url(url: str) -> str:
    """Of what stands before its first expression; an address may be computed whole."""
    fixed, opening, _ = url.partition("${")
    if opening and "://" not in fixed:
        is_too_short = fixed and not "https://".startswith(fixed.lower()) and not "http://".startswith(fixed.lower())
        return "does not begin with http:// or https://" if is_too_short else ""
    try:
        parts = urlsplit(fixed)
    except ValueError as fault:
        return f"cannot be read: {fault}"
    if parts.scheme.lower() not in ("http", "https"):
        return "does not begin with http:// or https://"
    return "names no host" if not parts.netloc and not opening else ""


def _check_sql(placed: Placed[Node], node: SqlNode, findings: Findings) -> None:
    if "${" in node.query:
        findings.warning(
            "NOT_AN_EXPRESSION", placed.path("query"),
            f"the query of '{node.id}' is sent as it is written: expressions in it are not evaluated",
            "write $1, $2, … in the query and the expressions in parameters, where they can do no harm", [node.id],
        )  # fmt: skip


def _check_script(placed: Placed[Node], node: ScriptNode, findings: Findings) -> None:
    if node.isolation == "container" and not node.image:
        message = f"the script '{node.id}' asks for a container, and no image is given"
        findings.error(
            "MISSING_IMAGE", placed.path("isolation"), message, "add image, such as python:3.13-slim", [node.id]
        )
    elif node.isolation != "container" and node.image is not None:
        message = f"image has no effect: the script '{node.id}' runs in a process of its own"
        findings.warning("WITHOUT_EFFECT", placed.path("image"), message, "add isolation: container", [node.id])


def _check_waiting(placed: Placed[Node], findings: Findings) -> None:
    node = placed.item
    if node.timeout_ms is None and placed.has("on_timeout"):
        message = f"on_timeout has no effect: '{node.id}' has no timeout_ms, so it waits for as long as it takes"
        findings.warning("WITHOUT_EFFECT", placed.path("on_timeout"), message, "add timeout_ms", [node.id])
