"""One expression: read, compiled, evaluated.

Measured on two shared cores: reading and compiling takes 55 µs and 4 KB; evaluating a filter of one or two comparisons
5 to 7 µs, saying why it was false 8 µs; a plain value path such as `input.a.b` 0.4 µs (in Python, without CEL). Only
the parts of the bindings that the text names are converted: with an `input` of 100 KB of JSON `input.a + 1` takes 5 µs,
but `size(input.rows)` over all of it 2.3 ms. `map` and `filter` take quadratic time in the library: 22 ms for 1,500
rows, 1.5 s for the 10,000 at which they stop; `exists` and `all` are linear.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from cel_expr_python import cel

from infra.expressions.faults import EvaluationFault, ExpressionFault, fault_at
from infra.expressions.lexer import Tokens, tokens
from infra.expressions.library import TYPES, environment
from infra.expressions.limits import compiled_count_max, expression_chars_max
from infra.expressions.paths import follow, kind_of, missing
from infra.expressions.reading import Chain, Reading, alike, plain_path, read
from infra.expressions.scope import Scope
from infra.expressions.values import Need, Unfit, check_exploding, json_of, needed
from infra.expressions.wording import Source, compile_fault, runtime_message


class Expression:
    """A CEL expression within a scope. Immutable; evaluating it changes nothing and depends on the bindings only."""

    __slots__ = (
        "_compiled",
        "_is_certain",
        "_needs",
        "_path",
        "chains",
        "names",
        "node_ids",
        "reading",
        "scope",
        "text",
    )

    def __init__(self, text: str, scope: Scope) -> None:
        """Reads the text, without compiling it: see compile_expression and compile_lazily."""
        self.text = text
        self.scope = scope
        plain = plain_path(text)
        words = None if plain is not None else _read_tokens(text)
        self.reading: Reading = Reading([plain] if plain is not None else []) if words is None else read(words)
        self.chains = [chain for chain in self.reading.chains if not chain.is_local and chain.name in scope.names]
        self._needs: dict[str, Need] = {}
        for chain in self.chains:
            self._needs.setdefault(chain.name, Need()).add(chain.steps)
        self.names = frozenset(self._needs)
        """The visible names that the text uses; variables of macros are none."""
        self.node_ids = frozenset(filter(None, map(_node_id, self.chains)))
        """The ids in `nodes.<id>` and `nodes["<id>"]`."""
        self._path = (self.chains[0] if self.chains else None) if words is None else self._only_chain(len(words.items))
        self._is_certain = words is None and self._path is not None and self._path.name not in TYPES
        self._compiled: cel.Expression | None = None

    def __repr__(self) -> str:
        return f"Expression({self.text!r}, {self.scope.name})"

    @property
    def uses_all_nodes(self) -> bool:
        """Whether it reads `nodes` otherwise than by constant ids, so that node_ids do not tell all."""
        return "nodes" in self._needs and self._needs["nodes"].is_whole

    @property
    def tokens(self) -> Tokens:
        """The words of the text, read again: most expressions live long and are asked once."""
        return _read_tokens(self.text)

    @property
    def path(self) -> Chain | None:
        """The value path, if the text is nothing else, as `nodes.a.output`."""
        return self._path

    def check(self) -> cel.Type:
        """The type of its values, as far as CEL can tell. Raises ExpressionFault for what is no expression.

        A plain path into a value of any type cannot be wrong. Expressions that differ in ids of nodes and in numbers only
        are right or wrong together: in a large definition many are alike, and looked at once.
        """
        if self._is_certain:
            return cel.Type.DYN
        return _type_of(alike(self.text), self.scope) or self.compiled().return_type()

    def compiled(self) -> cel.Expression:
        """Raises ExpressionFault."""
        if self._compiled is None:
            try:
                self._compiled = environment(self.scope).compile(self.text)
            except RuntimeError as problem:
                raise compile_fault(
                    str(problem), Source(self.text, self.tokens, self.reading, self.scope.names)
                ) from None
        return self._compiled

    def evaluate(self, bindings: Mapping[str, object]) -> Any:
        """The value as JSON data (see values.py). Parts of the bindings come back as they are: do not change them.

        Names of the scope may be absent from the bindings: reading one is then a fault. Raises EvaluationFault.
        """
        if self._path is not None:
            found, value = follow(self._path, bindings)
            if found:
                return value
        result = self._evaluated(bindings)
        try:
            return json_of(result, carefully=self.reading.may_multiply or self.reading.uses_optionals)
        except Unfit as problem:
            raise EvaluationFault(self.text, f"the result {problem}") from None

    def holds(self, bindings: Mapping[str, object]) -> bool:
        """Whether a condition is true. Raises EvaluationFault, also when its value is not a bool."""
        value = self.evaluate(bindings)
        if not isinstance(value, bool):
            raise EvaluationFault(self.text, f"a condition must be true or false, this is {kind_of(value)}")
        return value

    def _only_chain(self, words_count: int) -> Chain | None:
        if len(self.chains) != 1 or self.reading.uses_optionals:
            return None
        chain = self.chains[0]
        return chain if chain.first == 0 and chain.last == words_count - 1 else None

    def _evaluated(self, bindings: Mapping[str, object]) -> cel.Value:
        try:
            compiled = self.compiled()
        except ExpressionFault as fault:
            raise EvaluationFault(self.text, str(fault)) from None
        try:
            result = compiled.eval(data=self._activated(bindings))
        except RuntimeError as problem:
            raise EvaluationFault(self.text, runtime_message(str(problem))) from None
        if result.type() == cel.Type.ERROR:
            raise self._fault_of(result, bindings)
        return result

    def _activated(self, bindings: Mapping[str, object]) -> dict[str, object]:
        """The bindings as far as the text reads them."""
        activated: dict[str, object] = {}
        for name, need in self._needs.items():
            if name not in bindings:
                continue
            value = bindings[name]
            try:
                activated[name] = value if name == "now" else needed(value, need)
            except Unfit as problem:
                raise EvaluationFault(self.text, f"{name} {problem}") from None
        if self.reading.may_explode:
            try:
                check_exploding(activated)
            except Unfit as problem:
                raise EvaluationFault(self.text, str(problem)) from None
        return activated

    def _fault_of(self, result: cel.Value, bindings: Mapping[str, object]) -> EvaluationFault:
        try:
            native = cast("str", result.plain_value())
        except TypeError:
            return EvaluationFault(self.text, "the result is an optional value: end it with .orValue(…)")
        found = missing(native, self.reading.chains, bindings)
        if found is None:
            return EvaluationFault(self.text, runtime_message(native))
        return EvaluationFault(self.text, found.message, found.path)


def _node_id(chain: Chain) -> str:
    return chain.steps[0] if chain.name == "nodes" and chain.steps and isinstance(chain.steps[0], str) else ""


def _read_tokens(text: str) -> Tokens:
    if len(text) > expression_chars_max:
        raise fault_at(
            text, 0, f"an expression may have at most {expression_chars_max:,} characters, this one has {len(text):,}"
        )
    found = tokens(text)
    if not found.items:
        raise fault_at(text, 0, "the expression is empty")
    return found


@lru_cache(maxsize=compiled_count_max)
def _type_of(text: str, scope: Scope) -> cel.Type | None:
    """The type of the values of an expression; None for what is none."""
    try:
        return environment(scope).compile(text).return_type()
    except RuntimeError:
        return None


@lru_cache(maxsize=compiled_count_max)
def compile_expression(text: str, scope: Scope) -> Expression:
    """Reads and checks an expression. Cached. Raises ExpressionFault."""
    expression = compile_lazily(text, scope)
    expression.check()
    return expression


@lru_cache(maxsize=compiled_count_max)
def compile_lazily(text: str, scope: Scope) -> Expression:
    """The same for a text that was checked before, as a stored definition's: CEL compiles it at its first evaluation.

    Raises ExpressionFault for what the lexer refuses; other faults appear as EvaluationFault.
    """
    return Expression(text, scope)


def compile_condition(text: str, scope: Scope) -> Expression:
    """compile_expression for a filter or condition: refuses what can never be true or false. Raises ExpressionFault."""
    expression = compile_expression(text, scope)
    kind = expression.check()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        raise fault_at(text, 0, f"a condition must be true or false, this is a value of type {kind.name().lower()}")
    return expression
