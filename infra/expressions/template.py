"""Templates: JSON data with expressions in its texts (interface.md 1.4).

`"${expr}"` alone is the expression's value, of its type. With text around it, it is made a text: texts as they are,
`true`, `false` and `null` by these words, numbers, objects and lists as compact JSON. `$${` stands for `${`. Keys of
objects are never templates. A template without expressions renders to the very object it was compiled from (unless it
holds `$${`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from infra.expressions.expression import Expression, compile_expression, compile_lazily
from infra.expressions.faults import EvaluationFault, ExpressionFault, fault_at
from infra.expressions.lexer import end_of_expression
from infra.expressions.limits import result_bytes_max, template_chars_max, template_depth_max
from infra.expressions.reading import step_text
from infra.expressions.scope import WORKER_NAMES, Scope

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with expressions in it: literal parts and expressions in turn."""

    parts: tuple["str | Expression", ...]


_Part = Any  # JSON data in which an Expression or a _Text may take the place of a text
_Evaluate = Callable[[Expression], object]


class Template:
    """A compiled template. Immutable."""

    __slots__ = ("_compiled", "_expressions", "names", "node_ids", "secret_names")

    def __init__(self, compiled: _Part) -> None:
        self._compiled = compiled
        self._expressions = tuple(_expressions(compiled))
        self.names = frozenset[str]().union(*(expression.names for expression in self._expressions))
        """The visible names that its expressions use."""
        self.node_ids = frozenset[str]().union(*(expression.node_ids for expression in self._expressions))
        """The ids of the nodes that its expressions name."""
        self.secret_names = frozenset(
            str(expression.path.steps[0])
            for expression in self._expressions
            if expression.path is not None and _is_for_worker(expression) and expression.path.name == "secrets"
        )
        """The names in `${secrets.<name>}`."""

    @property
    def is_constant(self) -> bool:
        """Whether it holds no expression."""
        return not self._expressions

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return self._expressions

    @property
    def uses_all_nodes(self) -> bool:
        """Whether it reads `nodes` otherwise than by constant ids."""
        return any(expression.uses_all_nodes for expression in self._expressions)

    @property
    def uses_secrets(self) -> bool:
        return bool(self.secret_names)

    def render(self, bindings: Mapping[str, object]) -> Any:
        """The template's value. Parts of the bindings come back as they are: do not change them.

        Raises EvaluationFault.
        """
        if not self._expressions:
            return self._compiled
        return _rendered(self._compiled, lambda expression: expression.evaluate(bindings))

    def render_for_worker(self, bindings: Mapping[str, object]) -> Any:
        """A template of Scope.SECRETS with everything resolved but what only the worker knows; it renders it with that.

        Whatever the other values hold, they cannot bring in a `${secrets…}` of their own: their `${` is escaped.
        Raises EvaluationFault.
        """
        return _rendered_for_worker(self._compiled, bindings)


def compile_template(value: object, scope: Scope, *, lazily: bool = False) -> Template:
    """Reads a template: any JSON value. Raises ExpressionFault, whose `path` leads to the text at fault.

    `lazily` is for templates that were checked before: CEL compiles each expression at its first evaluation.
    In Scope.NODE_WITH_SECRETS what only the worker knows stands alone, as `${secrets.name}` or `${callback.url}`.
    """
    compiler = _Compiler(scope, compile_lazily if lazily else compile_expression)
    return Template(compiler.compile(value, 0))


def escaped(text: str) -> str:
    """A template that renders to `text`."""
    return text.replace("${", "$${")


class _Compiler:
    def __init__(self, scope: Scope, compile_one: Callable[[str, Scope], Expression]) -> None:
        self._scope = scope
        self._compile_one = compile_one
        self._chars = 0

    def compile(self, value: Any, depth: int) -> _Part:
        if isinstance(value, str):
            self._count(len(value))
            return self._text(value) if "${" in value else value
        if isinstance(value, (dict, list)) and depth == template_depth_max:
            raise fault_at("", 0, f"a template may be nested at most {template_depth_max} levels deep; it begins")
        if isinstance(value, dict):
            return self._object(cast("dict[str, Any]", value), depth)
        if isinstance(value, list):
            return self._list(cast("list[Any]", value), depth)
        return value

    def _object(self, value: dict[str, Any], depth: int) -> _Part:
        compiled: dict[str, Any] = {}
        for key, part in value.items():
            self._count(len(key))
            compiled[key] = self._below(step_text(key), part, depth)
        return compiled if _differ(compiled.values(), value.values()) else value

    def _list(self, value: list[Any], depth: int) -> _Part:
        compiled = [self._below(step_text(at), part, depth) for at, part in enumerate(value)]
        return compiled if _differ(compiled, value) else value

    def _below(self, path: str, part: Any, depth: int) -> _Part:
        try:
            return self.compile(part, depth + 1)
        except ExpressionFault as fault:
            raise fault.below(path) from None

    def _text(self, text: str) -> _Part:
        parts: list[str | Expression] = []
        literal: list[str] = []
        at = 0
        while (opening := text.find("${", at)) >= 0:
            if text[opening - 1 : opening] == "$" and opening > at:
                literal.append(text[at : opening - 1] + "${")
                at = opening + 2
                continue
            literal.append(text[at:opening])
            end = end_of_expression(text, opening + 2)
            parts += ["".join(literal), self._expression(text[opening + 2 : end])]
            literal = []
            at = end + 1
        parts.append("".join(literal) + text[at:])
        return _simplest([part for part in parts if part != ""])

    def _expression(self, text: str) -> Expression:
        expression = self._compile_one(text, self._scope)
        if not expression.names & WORKER_NAMES or _is_for_worker(expression):
            return expression
        if "secrets" in expression.names:
            raise fault_at(text, 0, "a secret stands alone, as ${secrets.name}; this uses one within an expression")
        raise fault_at(
            text, 0, "the callback address stands alone, as ${callback.url}; this does something else with it"
        )

    def _count(self, chars: int) -> None:
        self._chars += chars
        if self._chars > template_chars_max:
            raise fault_at("", 0, f"a template may have at most {template_chars_max:,} characters in all; it begins")


def _simplest(parts: list[str | Expression]) -> _Part:
    if not parts:
        return ""
    if len(parts) == 1:
        return parts[0]
    return _Text(tuple(parts))


def _differ(compiled: Any, source: Any) -> bool:
    return any(one is not other for one, other in zip(compiled, source, strict=True))


def _is_for_worker(expression: Expression) -> bool:
    """Whether it is `secrets.name` or `callback.url`, and nothing else."""
    path = expression.path
    if path is None or path.name not in WORKER_NAMES or len(path.steps) != 1:
        return False
    return path.name == "secrets" or path.steps[0] == "url"


def _expressions(part: _Part) -> Iterator[Expression]:
    if isinstance(part, Expression):
        yield part
    elif isinstance(part, _Text):
        yield from (piece for piece in part.parts if isinstance(piece, Expression))
    elif isinstance(part, (dict, list)):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _expressions(inner)


def _rendered(part: _Part, evaluate: _Evaluate) -> Any:
    if isinstance(part, Expression):
        return evaluate(part)
    if isinstance(part, _Text):
        return "".join([_as_text(piece, evaluate) for piece in part.parts])
    if isinstance(part, dict):
        return {key: _rendered(inner, evaluate) for key, inner in part.items()}
    if isinstance(part, list):
        return [_rendered(inner, evaluate) for inner in part]
    return part


def _as_text(piece: "str | Expression", evaluate: _Evaluate) -> str:
    if isinstance(piece, str):
        return piece
    value = evaluate(piece)
    if isinstance(value, str):
        return value
    text = _json(value, piece).decode()
    if len(text) > result_bytes_max:
        raise EvaluationFault(piece.text, f"the value as text is larger than {result_bytes_max // 1024 // 1024} MiB")
    return text


def _json(value: object, expression: Expression) -> bytes:
    try:
        return _encode(value)
    except RecursionError:
        raise EvaluationFault(expression.text, "the value is nested too deeply to be made a text") from None


def _rendered_for_worker(part: _Part, bindings: Mapping[str, object]) -> Any:
    if isinstance(part, Expression):
        return f"${{{part.text}}}" if _is_for_worker(part) else _escaped(part.evaluate(bindings), part)
    if isinstance(part, _Text):
        return _text_for_worker(part, bindings)
    if isinstance(part, dict):
        return {key: _rendered_for_worker(inner, bindings) for key, inner in part.items()}
    if isinstance(part, list):
        return [_rendered_for_worker(inner, bindings) for inner in part]
    return escaped(part) if isinstance(part, str) else part


def _text_for_worker(part: _Text, bindings: Mapping[str, object]) -> str:
    """Each run of resolved text is escaped as a whole: a `$` and a `{` may come from two pieces."""
    done, run = "", ""
    for piece in part.parts:
        if isinstance(piece, Expression) and _is_for_worker(piece):
            done, run = f"{done}{_before_reference(run)}${{{piece.text}}}", ""
        else:
            run += _as_text(piece, lambda expression: expression.evaluate(bindings))
    return done + escaped(run)


def _before_reference(run: str) -> str:
    """Escaped; with its last `$` signs as an expression, or they would escape what follows."""
    kept = run.rstrip("$")
    return escaped(kept) + ('${"' + "$" * (len(run) - len(kept)) + '"}' if len(kept) < len(run) else "")


def _escaped(value: Any, expression: Expression) -> Any:
    """Data as a template that renders to it."""
    if isinstance(value, str):
        return escaped(value)
    if not isinstance(value, (dict, list)) or b"${" not in _json(value, expression):
        return value
    if isinstance(value, dict):
        return {key: _escaped(part, expression) for key, part in value.items()}
    return [_escaped(part, expression) for part in value]
