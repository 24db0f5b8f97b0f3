"""Expressions and templates: that they can be read, and that what they name exists."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import msgspec
from flowforge.definition import (
    DataTransformNode,
    DependencyTrigger,
    EndNode,
    EventTrigger,
    JobNode,
    Node,
    ScriptNode,
    WebhookTrigger,
)
from msgspec import UNSET

from infra.expressions import (
    Expression,
    ExpressionFault,
    Scope,
    compile_condition,
    compile_expression,
    compile_template,
)
from infra.expressions.limits import template_depth_max
from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.report import Findings
from services.catalog.validation.structure import Shape

NODE_PARTS = ("output", "status", "error")
RUN_PARTS = ("id", "workflow_id", "version", "trigger", "labels")
_ONLY_IN_FOR_EACH = frozenset({"item", "index"})
_ONLY_IN_LOOPS = frozenset({"previous"})
_LOOKS_LIKE_EXPRESSION = re.compile(r"^\s*(?:input|variables|nodes|run|event|output|item)\s*[.\[]\s*[\w\"']")
_ANY_NODE = -1
_PATH_CHARS_SHOWN_MAX = 200


class Text(NamedTuple):
    """One expression or template of the document. `node` is the number of the node it belongs to (-1: of none), `sees`
    whether that node itself has ended when it is evaluated; `absent` are names of the scope without a value there."""

    path: str
    value: Any
    scope: Scope
    is_condition: bool = False
    is_expression: bool = False
    """Whether the text is one expression of any type, without `${…}`."""
    node: int = _ANY_NODE
    sees_itself: bool = False
    absent: frozenset[str] = frozenset()
    is_computed: bool = False
    """Whether a constant text is probably a forgotten `${…}`."""


def check_texts(draft: Draft, shape: Shape, findings: Findings) -> None:
    """Every expression and every template of the document."""
    reader = _Reader(draft, shape, findings)
    for text in _texts(draft, shape):
        reader.check(text)


def _texts(draft: Draft, shape: Shape) -> Iterator[Text]:
    for number, placed in enumerate(shape.nodes):
        yield from _node_texts(number, placed)
    for source, _, edge in shape.edges:
        if edge.item.condition is not None:
            path = f"{edge.at}.condition"
            absent = _ONLY_IN_FOR_EACH | _ONLY_IN_LOOPS
            yield Text(path, edge.item.condition, Scope.EDGE, True, node=source, sees_itself=True, absent=absent)
    for placed in draft.triggers:
        if isinstance(placed.item, EventTrigger | WebhookTrigger) and placed.item.config.filter is not None:
            yield Text(f"{placed.at}.config.filter", placed.item.config.filter, Scope.FILTER, is_condition=True)
        if isinstance(placed.item, DependencyTrigger) and placed.item.config.correlate_by is not None:
            yield Text(
                f"{placed.at}.config.correlate_by", placed.item.config.correlate_by, Scope.CORRELATE, is_expression=True
            )
        if placed.item.input is not UNSET:
            yield Text(f"{placed.at}.input", placed.item.input, Scope.TRIGGER_INPUT)
    concurrency = draft.head.settings.concurrency
    if concurrency is not None and concurrency.key is not None:
        yield Text("$.settings.concurrency.key", concurrency.key, Scope.RUN_START, is_computed=True)
    if draft.head.output_mapping is not None:
        yield Text("$.output_mapping", draft.head.output_mapping, Scope.RUN_OUTPUT, is_computed=True)


def _node_texts(number: int, placed: Placed[Node]) -> Iterator[Text]:
    node = placed.item
    absent = _ONLY_IN_LOOPS if node.for_each is not None else _ONLY_IN_FOR_EACH | _ONLY_IN_LOOPS

    def text(field: str, value: Any, scope: Scope = Scope.NODE, *, is_computed: bool = False) -> Text:
        return Text(
            placed.path(field), value, scope, node=number, absent=absent, is_computed=is_computed,
            sees_itself=scope is Scope.NODE_OUTPUT,
        )  # fmt: skip

    if node.for_each is not None:
        yield text("for_each", node.for_each)._replace(absent=_ONLY_IN_FOR_EACH | _ONLY_IN_LOOPS)
    if node.input_mapping:
        yield text("input_mapping", node.input_mapping, is_computed=True)
    if node.output_mapping:
        yield text("output_mapping", node.output_mapping, Scope.NODE_OUTPUT, is_computed=True)
    if isinstance(node, JobNode):
        yield text("payload", node.payload)
    elif isinstance(node, ScriptNode):
        yield text("env", node.env, Scope.NODE_WITH_SECRETS)
    elif isinstance(node, DataTransformNode):
        yield text("expressions", node.expressions, is_computed=True)
    elif isinstance(node, EndNode) and node.output is not UNSET:
        yield text("output", node.output)


class _Reader:
    def __init__(self, draft: Draft, shape: Shape, findings: Findings) -> None:
        self._shape = shape
        self._findings = findings
        self._unread_ids = draft.unread_ids
        self._nodes_are_known = "nodes" not in draft.unread
        self._variables = {variable.name for variable in draft.head.variables}
        for placed in draft.nodes:
            self._variables.update(placed.item.output_mapping)
        self._variables_are_known = "variables" not in draft.unread and not draft.unread_ids

    def check(self, text: Text) -> None:
        before = len(self._findings.found)
        for path, part in _parts(text.path, text.value):
            self._check_part(text, path, part)
        if len(self._findings.found) == before and _may_be_too_large(text.value):
            self._check_whole(text)

    def _check_whole(self, text: Text) -> None:
        """Depth and length of a template, which no part of it tells."""
        try:
            compile_template(text.value, text.scope)
        except ExpressionFault as fault:
            path = text.path if len(fault.path) > _PATH_CHARS_SHOWN_MAX else text.path + fault.path
            self._findings.error("EXPRESSION_ERROR", path, fault.message, fault.suggestion, self._owner(text))

    def _check_part(self, text: Text, path: str, part: str) -> None:
        try:
            if text.is_condition:
                expressions: tuple[Expression, ...] = (compile_condition(part, text.scope),)
            elif text.is_expression:
                expressions = (compile_expression(part, text.scope),)
            else:
                expressions = compile_template(part, text.scope).expressions
        except ExpressionFault as fault:
            mend = fault.suggestion or "see the CEL language definition; names in ${…} are input, variables, nodes, run"
            message = fault.message if fault.expression in ("", part) else f"{fault.message} of `{fault.expression}`"
            self._findings.error("EXPRESSION_ERROR", path, message, mend, self._owner(text))
            return
        if not expressions and text.is_computed and _LOOKS_LIKE_EXPRESSION.match(part):
            self._findings.warning(
                "NOT_AN_EXPRESSION",
                path,
                f"'{part}' is a plain text here, not an expression",
                f"write ${{{part}}} to have its value",
                self._owner(text),
            )
        for expression in expressions:
            self._check_names(text, path, expression)

    def _check_names(self, text: Text, path: str, expression: Expression) -> None:
        for chain in expression.chains:
            first = chain.steps[0] if chain.steps and isinstance(chain.steps[0], str) else None
            is_asked_for = chain.is_tested and len(chain.steps) == 1
            if chain.name in text.absent:
                self._absent(text, path, chain.name)
            elif first is None:
                continue
            elif chain.name == "nodes":
                self._check_node(text, path, first, chain.steps)
            elif chain.name == "variables" and not is_asked_for and self._variables_are_known:
                self._check_variable(text, path, first)
            elif chain.name == "run" and first not in RUN_PARTS:
                mend = self._findings.did_you_mean(first, RUN_PARTS, f"a run has {', '.join(RUN_PARTS)}")
                self._findings.error("EXPRESSION_ERROR", path, f"a run has no '{first}'", mend, self._owner(text))

    def _absent(self, text: Text, path: str, name: str) -> None:
        where = "loops" if name in _ONLY_IN_LOOPS else "for_each"
        self._findings.error(
            "EXPRESSION_ERROR",
            path,
            f"'{name}' has no value here: it exists only inside {where}",
            "give the node a for_each, or use input or variables" if where == "for_each" else "leave it out",
            self._owner(text),
        )

    def _check_variable(self, text: Text, path: str, name: str) -> None:
        if name not in self._variables:
            mend = self._findings.did_you_mean(name, self._variables, f"declare it: variables: [{{name: {name}}}]")
            self._findings.error("UNKNOWN_VARIABLE", path, f"there is no variable '{name}'", mend, self._owner(text))

    def _check_node(self, text: Text, path: str, name: str, steps: tuple[str | int, ...]) -> None:
        number = self._shape.number.get(name)
        if number is None:
            if self._nodes_are_known and name not in self._unread_ids:
                mend = self._findings.did_you_mean(name, self._shape.number, "name a node of this workflow")
                self._findings.error(
                    "MISSING_DEPENDENCY", path, f"the expression names a node '{name}' that does not exist", mend,
                    [*self._owner(text), name],
                )  # fmt: skip
            return
        if len(steps) > 1 and steps[1] not in NODE_PARTS:
            part = str(steps[1])
            mend = self._findings.did_you_mean(part, NODE_PARTS, f"did you mean nodes.{name}.output.{part}?")
            self._findings.error(
                "EXPRESSION_ERROR", path, f"a node has {', '.join(NODE_PARTS)}, but no '{part}'", mend,
                self._owner(text),
            )  # fmt: skip
        if text.node == _ANY_NODE or (number == text.node and text.sees_itself):
            return
        if not self._shape.is_upstream(number, text.node):
            owner = self._shape.id(text.node)
            self._findings.warning(
                "NOT_UPSTREAM",
                path,
                f"'{owner}' reads the node '{name}', which need not have ended before: no path of edges leads from it",
                f"add an edge {name} → {owner}, or a path",
                [owner, name],
            )

    def _owner(self, text: Text) -> list[str]:
        return [] if text.node == _ANY_NODE else [self._shape.id(text.node)]


def _may_be_too_large(value: Any) -> bool:
    """Whether it has room for more levels than a template may have: two brackets each."""
    return isinstance(value, (dict, list)) and len(msgspec.json.encode(value)) >= 2 * template_depth_max


def _parts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, with its path."""
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        at, part = stack.pop()
        if isinstance(part, str):
            yield at, part
        elif isinstance(part, dict):
            stack += reversed([(f"{at}.{key}", item) for key, item in cast("dict[str, Any]", part).items()])
        elif isinstance(part, list):
            stack += reversed([(f"{at}[{index}]", item) for index, item in enumerate(cast("list[Any]", part))])
