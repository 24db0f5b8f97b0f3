"""A filter taken apart at its `&&`: why it was false, and which equalities it demands."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from infra.expressions.expression import Expression, compile_lazily
from infra.expressions.faults import EvaluationFault
from infra.expressions.lexer import Kind, Token, Tokens, string_value
from infra.expressions.limits import compiled_count_max, explanation_chars_max, shown_chars_max
from infra.expressions.paths import follow
from infra.expressions.reading import Chain

Constant = str | int | bool
_BOOL_KEYS = ("bool", False), ("bool", True)
_encode = msgspec.json.Encoder(enc_hook=str).encode


def explain_false(expression: Expression, bindings: Mapping[str, object]) -> str:
    """Why a condition is not true: the first part of its conjunction that is false, and the values seen in it.

    `event.data.size > 10 was false, event.data.size was 5`. Values are compact JSON, cut to 200 characters. A part that
    cannot be evaluated is told if none is false.
    """
    trouble = ""
    for part in conjuncts(expression):
        try:
            if part.evaluate(bindings) is False:
                return _explained(part, bindings)
        except EvaluationFault as fault:
            trouble = trouble or f"{part.text} could not be evaluated: {fault.message}"
    return trouble or f"{expression.text} was not false"


def equalities(expression: Expression) -> dict[tuple[str, ...], Constant]:
    """The equalities without which a condition is never true: `event.data.kind == "x" && …` gives
    `{("event", "data", "kind"): "x"}`. Either order; constants are strings, ints and bools.

    For CEL an int and a double of the same value are equal, a bool and a number never (see `index_key`).
    """
    found: dict[tuple[str, ...], Constant] = {}
    for part in conjuncts(expression):
        for path, constant in _equality(part):
            found.setdefault(path, constant)
    return found


def index_key(value: object) -> Hashable | None:
    """A dictionary key that two values share when CEL finds them equal; None for what can be no such constant.

    A text or a number is its own key; bools have keys of their own, since for Python they are numbers.

    Beyond 2^53, where CEL compares an int with a double as doubles, unequal integers may share one: evaluating decides.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return _BOOL_KEYS[value]
    if isinstance(value, int):
        return float(value) if 2**53 < abs(value) < 2**64 else value
    return value if isinstance(value, float) else None


@lru_cache(maxsize=compiled_count_max)
def conjuncts(expression: Expression) -> tuple[Expression, ...]:
    """The parts of the text that must all be true, in order; the expression itself where there is no `&&` on top."""
    words = expression.tokens
    items = words.items
    spans = list(_spans(words, 0, len(items)))
    if spans == [(0, len(items))]:
        return (expression,)
    return tuple(
        compile_lazily(expression.text[items[start].start : items[end - 1].end], expression.scope)
        for start, end in spans
    )


def _spans(words: Tokens, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Between which tokens the conjuncts stand."""
    items, closing = words
    if items[start].text == "(" and closing[start] == end - 1:
        yield from _spans(words, start + 1, end - 1)
        return
    cuts = [start - 1]
    at = start
    while at < end:
        if items[at].text in {"||", "?"} and items[at].kind is Kind.SIGN:
            yield start, end
            return
        if items[at].text == "&&":
            cuts.append(at)
        at = closing.get(at, at) + 1
    if len(cuts) == 1:
        yield start, end
        return
    for before, after in zip(cuts, [*cuts[1:], end], strict=True):
        yield from _spans(words, before + 1, after)


def _explained(part: Expression, bindings: Mapping[str, object]) -> str:
    values = {chain.text(): _shown(chain, bindings) for chain in part.chains}
    return _cut(
        ", ".join([f"{part.text} was false", *(f"{path} was {value}" for path, value in values.items())]),
        explanation_chars_max,
    )


def _shown(chain: Chain, bindings: Mapping[str, object]) -> str:
    is_there, value = follow(chain, bindings)
    return _cut(_encode(value).decode(), shown_chars_max) if is_there else "missing"


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def _equality(part: Expression) -> Iterator[tuple[tuple[str, ...], Constant]]:
    items = part.tokens.items
    at = next((at for at, token in enumerate(items) if token.text == "=="), None)
    if at is None or len(part.chains) != 1 or part.reading.uses_optionals:
        return
    chain = part.chains[0]
    if (chain.first, chain.last) == (0, at - 1):
        constant = _constant(items[at + 1 :])
    elif (chain.first, chain.last) == (at + 1, len(items) - 1):
        constant = _constant(items[:at])
    else:
        return
    steps = tuple(step for step in chain.steps if isinstance(step, str))
    if constant is not None and len(steps) == len(chain.steps):
        yield (chain.name, *steps), constant


def _constant(items: Sequence[Token]) -> Constant | None:
    sign = -1 if len(items) == 2 and items[0].text == "-" else 1
    if len(items) != (1 if sign == 1 else 2):
        return None
    token = items[-1]
    if token.kind is Kind.NUMBER:
        return sign * int(token.text) if token.text.isdecimal() else None
    if sign == 1 and token.text in {"true", "false"}:
        return token.text == "true"
    return string_value(token) if sign == 1 else None
