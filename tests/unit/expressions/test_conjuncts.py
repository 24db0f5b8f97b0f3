"""Why a filter was false, and which equalities it demands."""

import pytest

from infra.expressions import (
    Scope,
    compile_condition,
    compile_expression,
    conjuncts,
    equalities,
    explain_false,
    index_key,
)

BINDINGS: dict[str, object] = {
    "event": {"type": "file", "data": {"size": 5, "none": None, "list": [1, 2], "name": "x" * 500, "a-b": {"c": True}}}
}


def why(text: str) -> str:
    return explain_false(compile_condition(text, Scope.FILTER), BINDINGS)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("event.data.size > 10", "event.data.size > 10 was false, event.data.size was 5"),
        (
            'event.type == "file" && event.data.size > 10 && event.data.size < 3',
            "event.data.size > 10 was false, event.data.size was 5",
        ),
        (
            "event.type == 'file' && (event.data.size == 5 && event.type == 'b')",
            "event.type == 'b' was false, event.type was \"file\"",
        ),
        (
            "(event.type == 'a' || event.data.size > 9)",
            "event.type == 'a' || event.data.size > 9 was false, event.type was \"file\", event.data.size was 5",
        ),
        ("has(event.data.nope)", "has(event.data.nope) was false, event.data.nope was missing"),
        ("event.data.none != null", "event.data.none != null was false, event.data.none was null"),
        ('event.data["a-b"].c == false', 'event.data["a-b"].c == false was false, event.data["a-b"].c was true'),
        (
            "event.data.list.exists(event, event > 2)",
            "event.data.list.exists(event, event > 2) was false, event.data.list was [1,2]",
        ),
        ("event.nope == 1 && event.data.size == 6", "event.data.size == 6 was false, event.data.size was 5"),
        ("event.nope == 1 && true", "event.nope == 1 could not be evaluated: event.nope is missing"),
        ("event.data.size == 5 && true", "event.data.size == 5 && true was not false"),
        ("false", "false was false"),
    ],
)
def test_the_false_part_is_told_with_its_values(text: str, explanation: str) -> None:
    assert why(text) == explanation


def test_long_values_are_cut() -> None:
    told = why("event.data.name == ''")
    assert told == "event.data.name == '' was false, event.data.name was \"" + "x" * 198 + "…"


def test_the_whole_explanation_is_bounded() -> None:
    assert len(why(" || ".join(f"event.data.name == '{at}'" for at in range(300)))) == 2000


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("event.a", ["event.a"]),
        ("event.a && event.b || event.c", ["event.a && event.b || event.c"]),
        ("event.a && event.b ? event.c : event.d", ["event.a && event.b ? event.c : event.d"]),
        (
            "event.a && ((event.b && event.c)) && (event.d || event.e)",
            ["event.a", "event.b", "event.c", "event.d || event.e"],
        ),
        ("event.a.all(x, x && true) && '&&' == event.b // && c", ["event.a.all(x, x && true)", "'&&' == event.b"]),
        (
            "(event.a) && (event.b).c && event.d[(true && false) ? 0 : 1]",
            ["event.a", "(event.b).c", "event.d[(true && false) ? 0 : 1]"],
        ),
    ],
)
def test_a_filter_is_split_where_all_parts_must_hold(text: str, parts: list[str]) -> None:
    expression = compile_expression(text, Scope.FILTER)
    assert [part.text for part in conjuncts(expression)] == parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('event.data.kind == "x"', {("event", "data", "kind"): "x"}),
        ("'x' == event.data['kind']", {("event", "data", "kind"): "x"}),
        (
            "event.a == 1 && (event.b == -2 && true == event.c)",
            {("event", "a"): 1, ("event", "b"): -2, ("event", "c"): True},
        ),
        (r'event.a == "\u00e9\n" && event.b == r"\n"', {("event", "a"): "é\n", ("event", "b"): r"\n"}),
        ("((event.a == 1))", {("event", "a"): 1}),
        ("event.a == 1 && event.a == 2", {("event", "a"): 1}),
        ("event.a == 1 || event.b == 2", {}),
        ("!(event.a == 1)", {}),
        ("event.a != 1", {}),
        ("event.a == 1.0", {}),
        ("event.a == null", {}),
        ("event.a == b'x'", {}),
        ("event.a == event.b", {}),
        ("event.a == 1 + 1", {}),
        ("event.a + 1 == 1", {}),
        ("event.l[0] == 1", {}),
        ("event.?a == optional.of(1)", {}),
        ("event.l.exists(x, x == 1)", {}),
        ("event.a == 1 ? true : false", {}),
        ("event.a == 1 == true", {}),
    ],
)
def test_equalities_are_found_on_top_only(text: str, found: dict[tuple[str, ...], object]) -> None:
    assert equalities(compile_expression(text, Scope.FILTER)) == found


def test_index_keys_agree_with_cel() -> None:
    values = [0, 1, 1.0, True, False, "1", "", 0.5, 2**53, 2**53 + 1, float(2**53)]
    equal = compile_expression("event.a == event.b", Scope.FILTER)
    for one in values:
        for other in values:
            if equal.evaluate({"event": {"a": one, "b": other}}):
                assert index_key(one) == index_key(other)
    assert len({index_key(value) for value in values}) == 8
    assert index_key(None) is None
    assert index_key([1]) is None
