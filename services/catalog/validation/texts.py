"""Expressions and templates: that they can be read, and that what they name exists."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec

from infra.expressions import (
    Expression,
    ExpressionFault,
    compile_condition,
    compile_expression,
    compile_template,
)
from infra.expressions.limits import template_depth_max
from infra.expressions.reading import Chain
from services.catalog.validation.draft import Draft
from services.catalog.validation.places import Text, texts_of
from services.catalog.validation.report import Findings
from services.catalog.validation.structure import Seen, Shapes

NODE_PARTS = ("output", "status", "error")
RUN_PARTS = ("id", "workflow_id", "version", "trigger", "labels")
CALLBACK_PARTS = ("url",)
_LOOKS_LIKE_EXPRESSION = re.compile(r"^\s*(?:input|variables|nodes|run|event|output|item)\s*[.\[]\s*[\w\"']")
_PATH_CHARS_SHOWN_MAX = 200
_NO_SECRETS = "undeclared name 'secrets'"


def check_texts(draft: Draft, shapes: Shapes, findings: Findings) -> None:
    """Every expression and every template of the document."""
    reader = _InWorkflow(draft, shapes, findings)
    for text in texts_of(draft, shapes):
        reader.check(text)


def check_alone(texts: Iterable[Text], findings: Findings) -> None:
    """Texts outside of any workflow: all that can be said without knowing its nodes and variables."""
    reader = _Reader(findings)
    for text in texts:
        reader.check(text)


class _Reader:
    """What is wrong with a text wherever it stands."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

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
            self._findings.error("EXPRESSION_ERROR", path, fault.message, fault.suggestion, text.owner)

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
            if _NO_SECRETS in fault.message:
                mend = "secrets are known to workers only: use them in webhook, sql, prompt_execution or script.env"
            message = fault.message if fault.expression in ("", part) else f"{fault.message} of `{fault.expression}`"
            self._findings.error("EXPRESSION_ERROR", path, message, mend, text.owner)
            return
        if not expressions and text.is_computed and _LOOKS_LIKE_EXPRESSION.match(part):
            self._findings.warning(
                "NOT_AN_EXPRESSION",
                path,
                f"'{part}' is a plain text here, not an expression",
                f"write ${{{part}}} to have its value",
                text.owner,
            )
        for expression in expressions:
            self._check_names(text, path, expression)

    def _check_names(self, text: Text, path: str, expression: Expression) -> None:
        for chain in expression.chains:
            first = chain.steps[0] if chain.steps and isinstance(chain.steps[0], str) else None
            if chain.name in text.absent:
                self._absent(text, path, chain.name)
            elif first is None:
                continue
            elif chain.name == "run" and first not in RUN_PARTS:
                mend = self._findings.did_you_mean(first, RUN_PARTS, f"a run has {', '.join(RUN_PARTS)}")
                self._findings.error("EXPRESSION_ERROR", path, f"a run has no '{first}'", mend, text.owner)
            elif chain.name == "callback" and first not in CALLBACK_PARTS:
                message = f"a callback has no '{first}'"
                self._findings.error("EXPRESSION_ERROR", path, message, "write callback.url", text.owner)
            else:
                self._check_chain(text, path, chain, first)

    def _check_chain(self, text: Text, path: str, chain: Chain, first: str) -> None:
        """What a workflow's own names are good for is known there only."""

    def _absent(self, text: Text, path: str, name: str) -> None:
        why, mend = text.absent[name]
        self._findings.error("EXPRESSION_ERROR", path, f"'{name}' has no value here: {why}", mend, text.owner)


class _InWorkflow(_Reader):
    """Also whether nodes and variables exist."""

    def __init__(self, draft: Draft, shapes: Shapes, findings: Findings) -> None:
        super().__init__(findings)
        self._shapes = shapes
        self._unread_ids = frozenset[str]().union(*(region.unread_ids for region in draft.regions))
        self._nodes_are_known = not any(region.has_unread_nodes for region in draft.regions)
        self._variables = {variable.name for variable in draft.head.variables}
        for placed in draft.nodes():
            self._variables.update(placed.item.output_mapping)
        self._variables_are_known = "variables" not in draft.unread and not draft.has_unread_nodes

    def _check_chain(self, text: Text, path: str, chain: Chain, first: str) -> None:
        is_asked_for = chain.is_tested and len(chain.steps) == 1
        if chain.name == "nodes":
            self._check_node(text, path, first, chain.steps)
        elif chain.name == "variables" and not is_asked_for and self._variables_are_known:
            self._check_variable(text, path, first)

    def _check_variable(self, text: Text, path: str, name: str) -> None:
        if name not in self._variables:
            mend = self._findings.did_you_mean(name, self._variables, f"declare it: variables: [{{name: {name}}}]")
            self._findings.error("UNKNOWN_VARIABLE", path, f"there is no variable '{name}'", mend, text.owner)

    def _check_node(self, text: Text, path: str, name: str, steps: tuple[str | int, ...]) -> None:
        if name not in self._shapes.of:
            if self._nodes_are_known and name not in self._unread_ids:
                mend = self._findings.did_you_mean(name, self._shapes.of, "name a node of this workflow")
                self._findings.error(
                    "MISSING_DEPENDENCY", path, f"the expression names a node '{name}' that does not exist", mend,
                    [*text.owner, name],
                )  # fmt: skip
            return
        if len(steps) > 1 and steps[1] not in NODE_PARTS:
            part = str(steps[1])
            mend = self._findings.did_you_mean(part, NODE_PARTS, f"did you mean nodes.{name}.output.{part}?")
            self._findings.error(
                "EXPRESSION_ERROR", path, f"a node has {', '.join(NODE_PARTS)}, but no '{part}'", mend,
                text.owner,
            )  # fmt: skip
        self._check_seen(text, path, name)

    def _check_seen(self, text: Text, path: str, name: str) -> None:
        shape = text.shape
        if shape is None:
            if self._shapes.of[name] is not self._shapes.own:
                self._hidden(text, path, name)
            return
        owner = shape.id(text.node)
        if name == owner and text.sees_itself:
            return
        match self._shapes.seen(name, shape, text.node):
            case Seen.UPSTREAM:
                pass
            case Seen.HIDDEN:
                self._hidden(text, path, name)
            case Seen.AROUND:
                self._findings.error(
                    "NOT_VISIBLE", path, f"'{owner}' stands in the body of '{name}', whose output is there only after it",
                    "use previous, the output of the last iteration", [owner, name],
                )  # fmt: skip
            case Seen.NOT_UPSTREAM:
                self._findings.warning(
                    "NOT_UPSTREAM",
                    path,
                    f"'{owner}' reads the node '{name}', which need not have ended before: no path of edges leads from it",
                    f"add an edge {name} → {owner}, or a path",
                    [owner, name],
                )

    def _hidden(self, text: Text, path: str, name: str) -> None:
        loop = self._shapes.visible_loop(name, text.shape or self._shapes.own)
        self._findings.error(
            "NOT_VISIBLE",
            path,
            f"the node '{name}' stands in the body of the loop '{loop}', and is seen in there only",
            f"use nodes.{loop}.output, the list of what its iterations gave",
            [*text.owner, name],
        )


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
