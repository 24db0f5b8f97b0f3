"""A filter that was checked at save, as one of very many: little is kept of it, and little is read anew.

Most filters are plain: a chain of `&&`, in which `event.a.b == constant` names one customer, region or kind, and the rest
is the same for many. A plain filter is split without reading it, its equalities are compared here, and CEL is asked for
the rest only, whose compiled form all filters with the same rest share.
"""

import re
from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any, cast

from infra.expressions.conjuncts import Constant, equalities, explain_false
from infra.expressions.expression import Expression, compile_lazily
from infra.expressions.faults import Fault
from infra.expressions.scope import Scope

Path = tuple[str, ...]
_STRINGS = re.compile(r"\"[^\"]*\"|'[^']*'")
_NOT_PLAIN = re.compile(r"[|?`\r\n]|//")
_BRACKET = re.compile(r"[(\[{]")
_EQUALITY = re.compile(
    r"""\s*(event(?:\.[A-Za-z_][A-Za-z0-9_]*)+)\s*==\s*(?:"([^"]*)"|'([^']*)'|(-?[0-9]+)|(true|false))\s*"""
)
_MISSING = object()


def plain_parts(text: str) -> list[str] | None:
    """The text cut at its `&&`, where that can be done without reading it; None where it is not so plain."""
    if "\\" in text or "\0" in text or ('"' in text and "'" in text) or '"""' in text or "'''" in text:
        return None
    parts = text.split("&&")
    bare = _STRINGS.sub('""', text)
    if _NOT_PLAIN.search(bare) is not None:
        return None
    bare_parts = bare.split("&&")
    if len(bare_parts) != len(parts):
        return None
    if len(parts) > 1 and _BRACKET.search(bare) is not None and not all(map(_is_balanced, bare_parts)):
        return None
    return parts


def _is_balanced(part: str) -> bool:
    return all(part.count(opening) == part.count(closing) for opening, closing in ("()", "[]", "{}"))


def _plain_equality(part: str) -> tuple[Path, Constant] | None:
    found = _EQUALITY.fullmatch(part)
    if found is None:
        return None
    path, double_quoted, single_quoted, number, truth = found.groups()
    if number is not None:
        constant: Constant = int(number)
    elif truth is not None:
        constant = truth == "true"
    else:
        constant = double_quoted if double_quoted is not None else single_quoted
    return tuple(map(intern, path.split("."))), constant


class Condition:
    """A condition that was checked before. Immutable; holds and explains exactly as its `Expression` does."""

    __slots__ = ("_equalities", "_parts", "_rest", "scope", "text")

    def __init__(self, text: str, scope: Scope) -> None:
        self.text = text
        self.scope = scope
        self._parts = plain_parts(text)
        self._equalities: list[tuple[Path, Constant]] = []
        self._rest: list[str] = []
        for part in self._parts or ():
            equality = _plain_equality(part)
            if equality is None:
                self._rest.append(part.strip())
            else:
                self._equalities.append(equality)

    def demanded(self) -> dict[Path, Constant]:
        """The `equalities` of its expression. Raises ExpressionFault."""
        if self._parts is None:
            return equalities(Expression(self.text, self.scope))
        found: dict[Path, Constant] = {}
        for path, constant in self._equalities:
            found.setdefault(path, constant)
        for part in self._rest:
            if "==" in part:
                for path, constant in equalities(Expression(part, self.scope)).items():
                    found.setdefault(path, constant)
        return found

    def holds(self, bindings: Mapping[str, object]) -> bool:
        """Whether it is true. Raises EvaluationFault, also when its value is not a bool, and ExpressionFault."""
        if self._parts is not None and all(_is_met(bindings, *equality) for equality in self._equalities):
            if not self._rest:
                return True
            try:
                return compile_lazily(" && ".join(self._rest), self.scope).holds(bindings)
            except Fault:
                pass  # told of the whole text
        return compile_lazily(self.text, self.scope).holds(bindings)

    def explain_false(self, bindings: Mapping[str, object]) -> str:
        """As `explain_false`. Raises ExpressionFault."""
        try:
            for part in self._parts_in_doubt(bindings):
                if part.evaluate(bindings) is False:
                    return explain_false(part, bindings)
        except Fault:
            pass  # a later part may be false: told of the whole text
        return explain_false(compile_lazily(self.text, self.scope), bindings)

    def _parts_in_doubt(self, bindings: Mapping[str, object]) -> Iterator[Expression]:
        for part in self._parts or ():
            equality = _plain_equality(part)
            if equality is None or not _is_met(bindings, *equality):
                yield compile_lazily(part.strip(), self.scope)


def _is_met(bindings: Mapping[str, object], path: Path, constant: Constant) -> bool:
    """Whether the equality is true for certain: same type, same value. What else CEL finds equal is left to it."""
    value: Any = bindings
    for step in path:
        if not isinstance(value, dict):
            value = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
        value = value.get(step, _MISSING)
    return type(value) is type(constant) and value == constant
