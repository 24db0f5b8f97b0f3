"""Which values an expression uses, read off its text.

A *chain* is a name with the selections that follow it, as far as they are constant: `event.data.items` in
`event.data.items[index].size()`. Chains tell which bindings to build, which parts of them to convert for CEL, and what
to name when something is missing.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from infra.expressions.lexer import Kind, Token, Tokens, string_value

Step = str | int
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_PLAIN_STEPS_MAX = 16
"""Half of what the library's parser follows."""
RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop", "package"}
    | {"namespace", "return", "var", "void", "while", "true", "false", "null"}
)
"""Words that CEL keeps for itself."""
_NODE_ID = re.compile(r"""nodes(?:\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?![A-Za-z0-9_(])|\["[a-z0-9_-]*"\])""")
_INTEGER = re.compile(r"(?<![\w.\\])[0-9]{1,9}(?![\w.])")
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter", "optMap", "optFlatMap"})
_EXPLOSIVE = frozenset({"replace", "join"})
_LITERALS = frozenset({"true", "false", "null", "in"})
_OPTIONAL_SIGNS = frozenset({".?", "[?"})


class Chain(NamedTuple):
    """Tokens `first` (the name) to `last`.

    `is_local`: the name is the variable of a macro such as `map`. `is_tested`: it is the argument of `has`.
    """

    name: str
    steps: tuple[Step, ...]
    first: int
    last: int
    is_local: bool
    is_tested: bool

    def text(self, upto: int | None = None) -> str:
        """In CEL's notation: `nodes["my-node"].output`, with the first `upto` steps only."""
        return self.name + "".join(map(step_text, self.steps[:upto]))


@dataclass(slots=True)
class Reading:
    """What an expression uses.

    `may_multiply`: the result may repeat what went in many times over. `may_explode`: a text on the way may be as long
    as the product of two that went in. `uses_optionals`: optional values occur.
    """

    chains: list[Chain] = field(default_factory=list[Chain])
    may_multiply: bool = False
    may_explode: bool = False
    uses_optionals: bool = False


def read(tokens: Tokens) -> Reading:
    reader = _Reader(tokens)
    reader.scan(0, len(tokens.items), frozenset())
    return reader.reading


def step_text(step: Step) -> str:
    """A selection in CEL's notation: `.name`, `["my-node"]`, `[0]`."""
    if isinstance(step, int):
        return f"[{step}]"
    if _IDENTIFIER.fullmatch(step):
        return f".{step}"
    return '["' + step.replace("\\", "\\\\").replace('"', '\\"') + '"]'


def plain_path(text: str) -> Chain | None:
    """The chain in a text that is nothing but names with dots between them, told without reading its words."""
    if _PLAIN_PATH.fullmatch(text) is None:
        return None
    name, *steps = text.split(".")
    if len(steps) > _PLAIN_STEPS_MAX or not RESERVED.isdisjoint((name, *steps)):
        return None
    return Chain(name, tuple(steps), 0, 2 * len(steps), is_local=False, is_tested=False)


def alike(text: str) -> str:
    """The text with one id for all nodes and one integer for all: what CEL makes of it is the same."""
    return _INTEGER.sub("1", _NODE_ID.sub(_any_node, text))


def _any_node(match: re.Match[str]) -> str:
    return match[0] if match["name"] in RESERVED else "nodes.any"


class _Reader:
    def __init__(self, tokens: Tokens) -> None:
        self.items = tokens.items
        self.closing = tokens.closing
        self.reading = Reading()

    def scan(self, start: int, end: int, local: frozenset[str]) -> None:
        """Finds the chains between two tokens; `local` are the macro variables that hide names there."""
        at = start
        while at < end:
            token = self.items[at]
            if token.text in _OPTIONAL_SIGNS:
                self.reading.uses_optionals = True
            if self._is_selection(at, start):
                at = self._selection(at, local)
            elif token.kind is Kind.NAME and token.text not in _LITERALS:
                at = self._name(at, end, local)
            else:
                at += 1

    def _is_selection(self, at: int, start: int) -> bool:
        """Whether a `.` here selects from the value before it (a leading one means: from the outermost names)."""
        if self.items[at].text not in {".", ".?"} or at == start:
            return False
        before = self.items[at - 1]
        return before.kind is not Kind.SIGN or before.text in {")", "]", "}"}

    def _selection(self, at: int, local: frozenset[str]) -> int:
        """`.name` or `.name(…)` after a value that is no chain, or that ends one."""
        name, opening = at + 1, at + 2
        if self._text(opening) != "(":
            return opening
        close = self.closing[opening]
        variable = self.items[opening + 1]
        if self.items[name].text in _MACROS and variable.kind is Kind.NAME and self._text(opening + 2) == ",":
            self.reading.may_multiply |= self.items[name].text == "map"
            self.scan(opening + 3, close, local | {variable.text})
        else:
            self.reading.may_explode |= self.items[name].text in _EXPLOSIVE and not self._is_literal(opening + 1, close)
            self.scan(opening + 1, close, local)
        return close + 1

    def _is_literal(self, start: int, end: int) -> bool:
        return all(word.kind is not Kind.NAME for word in self.items[start:end])

    def _name(self, at: int, end: int, local: frozenset[str]) -> int:
        name = self.items[at].text
        self.reading.uses_optionals |= name == "optional"
        if self._text(at + 1) == "(":
            return at + 1
        steps: list[Step] = []
        last = at
        while last + 1 < end and (step := self._step(last + 1)) is not None:
            steps.append(step[0])
            last = step[1]
        is_absolute = at > 0 and self.items[at - 1].text == "."
        is_tested = at > 1 and self.items[at - 1].text == "(" and self.items[at - 2].text == "has"
        self.reading.chains.append(Chain(name, tuple(steps), at, last, name in local and not is_absolute, is_tested))
        return last + 1

    def _step(self, at: int) -> tuple[Step, int] | None:
        """The constant selection that begins at this token, and its last token."""
        sign = self._text(at)
        if sign in {".", ".?"} and at + 1 < len(self.items) and self.items[at + 1].kind is Kind.NAME:
            self.reading.uses_optionals |= sign == ".?"
            return None if self._text(at + 2) == "(" else (self.items[at + 1].text.strip("`"), at + 1)
        if sign in {"[", "[?"} and self.closing[at] == at + 2:
            self.reading.uses_optionals |= sign == "[?"
            key = _constant_key(self.items[at + 1])
            return None if key is None else (key, at + 2)
        return None

    def _text(self, at: int) -> str:
        return self.items[at].text if at < len(self.items) else ""


def _constant_key(token: Token) -> Step | None:
    if token.kind is Kind.NUMBER:
        return int(token.text) if token.text.isdecimal() else None
    return string_value(token)
