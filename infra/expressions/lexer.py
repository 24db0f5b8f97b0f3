"""The words of a CEL expression (CEL specification, "Syntax"), with their places.

Only as much as FlowForge needs beside the library's own parser: where an expression ends inside a text, which names and
value paths it uses, where its conjuncts are. What this lexer lets through the library may still refuse.
"""

import re
from enum import Enum
from typing import NamedTuple

from infra.expressions.faults import fault_at
from infra.expressions.limits import expression_chars_max


class Kind(Enum):
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"


class Token(NamedTuple):
    kind: Kind
    text: str
    start: int
    end: int


class Tokens(NamedTuple):
    """`closing` leads from the index of each opening bracket to the index of the one that closes it."""

    items: list[Token]
    closing: dict[int, int]


_TOKEN = re.compile(
    r"""
    (?P<space>  (?: [ \t\r\n\f] | //[^\n]* )+ )
  | (?P<string>
        (?: [rR][bB]? | [bB][rR] ) (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\r\n]*" | '[^'\r\n]*' )
      | [bB]? (?: \"{3}(?:[^\\]|\\.)*?\"{3} | '{3}(?:[^\\]|\\.)*?'{3} | "(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*' )
    )
  | (?P<number> 0[xX][0-9a-fA-F]+[uU]? | [0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)? | [0-9]+(?:[eE][+-]?[0-9]+|[uU])? )
  | (?P<name>   [A-Za-z_][A-Za-z0-9_]* | `[^`\r\n]*` )
  | (?P<sign>   && | \|\| | [<>=!]= | \.\? | \[\? | [-+*/%!<>?:.,()\[\]{}] )
    """,
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = re.compile(
    r"""(?: [=!<>]= | && | \|\| | '[^'\\{}\r\n]*' | "[^"\\{}\r\n]*" | [A-Za-z0-9_ .,+\-*%!<>?:] )* \}""", re.VERBOSE
)
"""An expression in a template, to its end, in which nothing is nested and no text holds a brace."""
_KINDS = {kind.value: kind for kind in Kind}
_CLOSES = {"(": ")", "[": "]", "[?": "]", "{": "}"}
_HINTS = {
    "=": "to compare write ==",
    "&": "for `and` write &&",
    "|": "for `or` write ||",
    "$": "inside an expression names stand alone, without ${ }",
    "'": "the text is not closed",
    '"': "the text is not closed",
    ";": "an expression is one value; there are no statements",
}


def tokens(text: str) -> Tokens:
    """All of `text`. Raises ExpressionFault for what is no word of CEL and for brackets that do not match."""
    found, end = _read(text, 0, inside_template=False)
    assert end == len(text)
    return found


def end_of_expression(text: str, start: int) -> int:
    """Where the `}` is that ends the expression which begins at `start`. Raises ExpressionFault if there is none."""
    simple = _SIMPLE.match(text, start, start + expression_chars_max)
    if simple is not None:
        return simple.end() - 1
    _, end = _read(text, start, inside_template=True)
    return end


def _read(text: str, start: int, *, inside_template: bool) -> tuple[Tokens, int]:
    items: list[Token] = []
    closing: dict[int, int] = {}
    opened: list[int] = []
    at = start
    while at < len(text):
        if at - start > expression_chars_max:
            raise fault_at(
                text, start, f"an expression may have at most {expression_chars_max:,} characters; this begins"
            )
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        at = match.end()
        kind = match.lastgroup
        if kind == "space" or kind is None:
            continue
        word = match.group()
        if word == "}" and not opened and inside_template:
            return Tokens(items, closing), match.start()
        if word in _CLOSES:
            opened.append(len(items))
        elif word in {")", "]", "}"}:
            if not opened or _CLOSES[items[opened[-1]].text] != word:
                raise fault_at(text, match.start(), f"unexpected '{word}'")
            closing[opened.pop()] = len(items)
        items.append(Token(_KINDS[kind], word, match.start(), at))
    if opened:
        raise fault_at(text, items[opened[-1]].start, f"'{items[opened[-1]].text}' is never closed; it is opened")
    if inside_template:
        raise fault_at(text, max(start - 2, 0), "'${' has no closing '}'; it is opened")
    return Tokens(items, closing), at


def _unreadable(text: str, at: int) -> Exception:
    character = text[at]
    return fault_at(text, at, f"unexpected {character!r}", _HINTS.get(character, ""))


_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)


def string_value(token: Token) -> str | None:
    """What a string literal stands for; None for bytes literals and other tokens."""
    if token.kind is not Kind.STRING:
        return None
    body = token.text.lstrip("rRbB")
    prefix = token.text[: len(token.text) - len(body)].lower()
    if "b" in prefix:
        return None
    quotes = 3 if len(body) >= 6 and body[:3] in {'"""', "'''"} else 1
    body = body[quotes:-quotes]
    return body if "r" in prefix else _ESCAPE.sub(_unescaped, body)


def _unescaped(match: re.Match[str]) -> str:
    hexadecimal = match[1] or match[2] or match[3]
    if hexadecimal:
        code = int(hexadecimal, 16)
        return chr(code) if code < 0x110000 else "\ufffd"  # CEL refuses such a literal anyway
    return chr(int(match[4], 8)) if match[4] else _ESCAPES.get(match[5], match[5])
