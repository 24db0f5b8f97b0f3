"""The equalities of a plain filter are found without reading it as an expression, and are the same."""

import pytest

from infra.expressions import Condition, Scope, compile_lazily, equalities


@pytest.mark.parametrize(
    "text",
    [
        'event.data.kind == "x"',
        "event.data.kind=='x'&&event.data.n == 3",
        'event.data.a == "x" && event.data.b > 10 && event.data.c == true && event.data.d == -7',
        'event.data.a == "x" && event.data.a == "y"',
        'event.data.a == "it\'s"',
        'event.data.a == "a && b" && event.data.b == 1',
        'event.data.a != "x && event.data.b == 1 && y"',
        'event.data.a < "&&" && event.data.b == "=="',
        'event.data.a == "a // b"',
        "event.data.a == 1 // && event.data.b == 2",
        'event.data.a == "x" || event.data.b == 1',
        "!event.data.a == true",
        "event.data.a == 1.5 && event.data.b == 5u",
        '"x" == event.data.a && event["b"] == 1',
        '(event.data.a == "x") && event.data.b == 1',
        r'event.data.a == "\u0041" && event.data.b == r"\n"',
        "event.data.a == 1 ? true : false",
        "event.data.a\n== 1",
        "event.data.a == event.data.b && event.type == 'x'",
        "size(event.data.a) == 1",
        "true",
    ],
)
def test_they_are_the_same_as_the_lexer_finds(text: str):
    assert Condition(text, Scope.FILTER).demanded() == equalities(compile_lazily(text, Scope.FILTER))
