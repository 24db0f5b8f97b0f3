"""The library's messages in plain words."""

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from infra.expressions.faults import ExpressionFault, fault_at, position
from infra.expressions.lexer import Tokens
from infra.expressions.limits import expression_depth_max, iterations_max, native_chars_max
from infra.expressions.reading import RESERVED, Reading

_STATUS = re.compile(r" \[[A-Z_]+\]$")
_PLACED = re.compile(r"<input>:(\d+):(\d+): (.*)")
_NO_OVERLOAD = re.compile(r"found no matching overload for '(.+?)' applied to '(.*?)'")
_UNDECLARED = re.compile(r"undeclared reference to '(.+?)'")
_SYNTAX = re.compile(
    r"(?:mismatched|extraneous) input '(.*?)' expecting"
    r"|no viable alternative at input '(.*)'"
    r"|reserved identifier: (\w+)",
    re.DOTALL,
)
_NO_RUNTIME_OVERLOAD = re.compile(r"No matching overloads found : (?:\((.*?)\)\.)?([^(]+)(?:\((.*)\))?")
_OUT_OF_RANGE = re.compile(r"Integer value '(-?\d+)' out of range for '(.*?)(?: -> -?\d+)?'\.", re.DOTALL)

_MIXED_NUMBERS = "CEL does not mix them: JSON 3 is int, 3.0 is double; use double(x), or write 3.0"
_TOO_DEEP = (
    f"the expression is nested too deeply (at most {expression_depth_max} levels of brackets, selections and operators)"
)
_BACKSLASH = r'in a string a backslash is written \\, or the string r"…"'
_FOREIGN_WORDS = {
    "and": "&&",
    "or": "||",
    "not": "!",
    "None": "null",
    "nil": "null",
    "undefined": "null",
    "True": "true",
    "False": "false",
    "len": "size",
    "str": "string",
    "float": "double",
}
_OPERATORS = {"_[_]": "[ ]", "@in": "in", "_?_:_": "? :"}


class Source(NamedTuple):
    """A text that was refused, with all that helps to say why."""

    text: str
    tokens: Tokens
    reading: Reading
    visible: Sequence[str]


def compile_fault(native: str, source: Source) -> ExpressionFault:
    """What the compiler said, for the author."""
    text = source.text
    native = native.replace("google.protobuf.Timestamp", "timestamp").replace("google.protobuf.Duration", "duration")
    if "recursion" in native:
        return fault_at(text, 0, _TOO_DEEP, "split it, for instance with a data_transform node")
    found = _PLACED.search(native)
    if found is None:
        return fault_at(text, 0, _STATUS.sub("", native.split(": ", 1)[-1]))
    offset = _offset(text, int(found[1]), int(found[2]))
    message = _STATUS.sub("", found[3])
    if undeclared := _UNDECLARED.match(message):
        return _undeclared(undeclared[1], offset, source)
    if message.startswith(("Syntax error", "reserved identifier")):
        return _syntax(message, offset, text)
    if overload := _NO_OVERLOAD.match(message):
        return fault_at(text, offset, *_overload(overload[1], overload[2]))
    return fault_at(text, offset, message)


def _offset(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return min(start + column - 1, len(text))


def _undeclared(name: str, offset: int, source: Source) -> ExpressionFault:
    text, items = source.text, source.tokens.items
    if text[offset : offset + 1] == "(":
        instead = _FOREIGN_WORDS.get(name, "")
        return fault_at(text, offset, f"unknown function '{name}'", f"write {instead}" if instead else "")
    head = name.split(".", maxsplit=1)[0]
    if head in source.visible:
        return fault_at(text, offset, f"'{head}' is a value, not a type", 'an object is written {"key": value}')
    for at, chain in enumerate(source.reading.chains):
        start = items[chain.first].start
        if chain.name == head and start <= offset <= items[chain.last].end:
            return _not_visible(head, start, source, _instead_of(at, source))
    return _not_visible(head, offset, source, _near(head, source.visible))


def _not_visible(name: str, offset: int, source: Source, suggestion: str) -> ExpressionFault:
    line, column = position(source.text, offset)
    return ExpressionFault(
        f"undeclared name '{name}' at {line}:{column}; visible here: {', '.join(source.visible)}",
        line=line,
        column=column,
        expression=source.text,
        suggestion=suggestion,
    )


def _instead_of(at: int, source: Source) -> str:
    """A next step: `nodes.my-node` is read as `nodes.my` minus `node`."""
    chain, items = source.reading.chains[at], source.tokens.items
    if at > 0 and chain.first > 1:
        before, minus = source.reading.chains[at - 1], items[chain.first - 1]
        is_touching = minus.text == "-" and items[chain.first].start == minus.end
        if is_touching and before.steps and before.last == chain.first - 2:
            whole = f"{before.steps[-1]}-{chain.name}"
            return f'for the name "{whole}" write {before.text(len(before.steps) - 1)}["{whole}"]'
    return _near(chain.name, source.visible)


def _near(name: str, visible: Sequence[str]) -> str:
    if name in _FOREIGN_WORDS:
        return f"write {_FOREIGN_WORDS[name]}"
    near = difflib.get_close_matches(name, visible, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _overload(function: str, types: str) -> tuple[str, str]:
    kinds = [kind.strip() for kind in types.strip("()").split(",")]
    if function == "_?_:_" and kinds[0] in {"bool", "dyn"}:
        return f"the two values of ? : are of different types ({kinds[1]}, {kinds[2]})", "wrap one in dyn(…)"
    message = f"'{_operator(function)}' does not work on ({', '.join(kinds)})"
    return message, _MIXED_NUMBERS if _mixes_numbers(kinds) else _conversion(function, kinds)


def _operator(function: str) -> str:
    return _OPERATORS.get(function) or (
        function.replace("_", "") if function.startswith(("_", "-_", "!_")) else function
    )


def _mixes_numbers(kinds: Sequence[str]) -> bool:
    return len({kind for kind in kinds if kind in {"int", "double", "uint"}}) > 1


def _conversion(function: str, kinds: Sequence[str]) -> str:
    return "string(x) makes a text" if function == "_+_" and "string" in kinds else ""


def _syntax(message: str, offset: int, text: str) -> ExpressionFault:
    found = _SYNTAX.search(message)
    unexpected = next(filter(None, found.groups()), "") if found else ""
    if unexpected == "<EOF>":
        return fault_at(text, offset, "the expression ends too early")
    word = unexpected.lstrip(".")
    if word in RESERVED:
        return _reserved(word, offset, text)
    suggestion = f"write {_FOREIGN_WORDS[word]}" if word in _FOREIGN_WORDS else ""
    if unexpected:
        return fault_at(text, offset, f"unexpected '{unexpected}'", suggestion)
    unreadable = message.removeprefix("Syntax error: ").replace("token recognition error at:", "cannot read")
    return fault_at(text, offset, unreadable, _BACKSLASH if "\\" in unreadable else "")


def _reserved(word: str, offset: int, text: str) -> ExpressionFault:
    suggestion = f"write {_FOREIGN_WORDS[word]}" if word in _FOREIGN_WORDS else f'as a key write ["{word}"]'
    return fault_at(text, offset, f"'{word}' is a reserved word of CEL", suggestion)


def runtime_message(native: str) -> str:
    """What an evaluation said, where no value path explains it better."""
    message = native.split(": ", 1)[-1][:native_chars_max]
    message = _STATUS.sub("", message)
    if "Iteration budget exceeded" in message:
        return f"more than {iterations_max:,} iterations of macros in one evaluation"
    if out_of_range := _OUT_OF_RANGE.search(message):
        return f"the integer {out_of_range[1]} at {out_of_range[2]} does not fit in 64 bits"
    if overload := _NO_RUNTIME_OVERLOAD.search(message):
        return _runtime_overload(overload[1], overload[2], overload[3])
    return _PLAIN.get(message, message)


_PLAIN = {
    "Applying SELECT to non-message type": "a field is read, as in x.name, from a value that is no object",
    "divide by zero": "division by zero",
    "modulus by zero": "division by zero (%)",
    "optional.none() dereference": "value() of an optional value that is not there; use .orValue(…)",
    "cannot convert string to int": "int(…) of a text that is no integer",
    "cannot convert string to double": "double(…) of a text that is no number",
    "String to Timestamp conversion failed": "timestamp(…) of a text that is no RFC 3339 time",
    "String to Duration conversion failed": "duration(…) of a text that is no duration such as 90s or 1h30m",
}
_KINDS = {"int64": "int", "uint64": "uint", "null_type": "null"}


def _runtime_overload(target: str | None, function: str, types: str | None) -> str:
    if function == "<jump_condition>":
        return "the condition of ? : or filter() is not a bool"
    if function == "<iter_range>":
        return "a macro such as map() works on a list or an object only"
    if function in {"_&&_", "_||_", "!_"}:
        return f"'{_operator(function)}' works on bools only"
    listed = ", ".join(filter(None, (target, types)))
    kinds = [_KINDS.get(kind.strip(), kind.strip()) for kind in listed.split(",")]
    message = f"'{_operator(function)}' does not work on ({', '.join(kinds)})"
    return f"{message}; {_MIXED_NUMBERS}" if _mixes_numbers(kinds) else message
