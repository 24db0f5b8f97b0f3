"""What expressions give, and what they say when they give nothing."""

import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.expressions import EvaluationFault, Expression, Scope, compile_condition, compile_expression, compile_lazily
from infra.expressions.limits import iterations_max, result_bytes_max, value_depth_max

NOW = datetime(2026, 11, 21, 1, 35, 0, 250_000, tzinfo=UTC)
BINDINGS: dict[str, object] = {
    "event": {"type": "file", "data": {"size": 5, "ratio": 2.5, "none": None, "list": [1, 2, 3], "name": "héé😀"}},
    "input": {"rows": [{"id": 1, "ok": True}, {"id": 2}], "whole": 3.0},
    "nodes": {"my-node": {"output": {"path": "/x"}, "status": "completed"}},
    "now": NOW,
}


def value_of(text: str, bindings: Mapping[str, object] = BINDINGS) -> Any:
    return compile_expression(text, Scope.NODE).evaluate(bindings)


def fault_of(text: str, bindings: Mapping[str, object] = BINDINGS) -> EvaluationFault:
    with pytest.raises(EvaluationFault) as caught:
        value_of(text, bindings)
    assert caught.value.expression == text
    assert f"`{text}`" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("event.data.size + 1", 6),
        ("event.data.size == 5.0", True),
        ("event.data.size > 4.5", True),
        ("double(event.data.size) * 1.5", 7.5),
        ("event.data.ratio * 2.0", 5.0),
        ("input.whole", 3.0),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("1.0 / 0.0 > 1.0", True),
        ("event.data.none == null", True),
        ("event.data.none", None),
        ("has(event.data.none)", True),
        ("has(event.data.nope)", False),
        ("has(event.data.nope) && event.data.nope > 3", False),
        ("event.?data.?nope.orValue('none')", "none"),
        ("event.data.size > 3 ? 'big' : 'small'", "big"),
        ("event.nope || true", True),
        ("event.nope && false", False),
        ('nodes["my-node"].output.path', "/x"),
        ("nodes['my-node'].output.path + '!'", "/x!"),
        ("size(event.data.name)", 4),
        ("event.data.name + '😀'", "héé😀😀"),
        ("event.data.list.map(x, x * 2).filter(x, x > 2)", [4, 6]),
        ("event.data.list.map(event, event + 1)", [2, 3, 4]),
        ("event.data.list.exists(x, x == 2) && event.data.list.all(x, x > 0)", True),
        ("event.data.list.exists_one(x, x > 2)", True),
        ("input.rows.filter(r, has(r.ok)).map(r, r.id)", [1]),
        ("event.data.list[0] + event.data.list[size(event.data.list) - 1]", 4),
        ("2 in event.data.list", True),
        ("'size' in event.data", True),
        ("'a,b'.split(',').map(s, s.upperAscii()).join('-')", "A-B"),
        ("'%s has %d'.format(['x', 3])", "x has 3"),
        ("math.greatest(1, 5, 3)", 5),
        ("base64.encode(b'abc')", "YWJj"),
        ("event.type.matches('^f.*e$')", True),
        ("{'a': [1, {'b': null}]}", {"a": [1, {"b": None}]}),
        ("{1: 'a', 2u: 'b'}", {"1": "a", "2": "b"}),
        ("{true: 'a', false: 'b'}", {"true": "a", "false": "b"}),
        ("b'abc'", "YWJj"),
        ("18446744073709551615u", 2**64 - 1),
        ("now", "2026-11-21T01:35:00.250Z"),
        ("now - duration('1h') - duration('250ms')", "2026-11-21T00:35:00Z"),
        ("now > timestamp('2026-11-21T02:34:00+01:00')", True),
        ("[now, now - timestamp('2026-11-21T01:34:58Z')]", ["2026-11-21T01:35:00.250Z", "2.250s"]),
        ("now.getHours('Europe/Berlin')", 2),
        ("duration('1h')", "3600s"),
        ("duration('-1.5s')", "-1.500s"),
        ("type(event.data.size) == int", True),
    ],
)
def test_an_expression_gives_json(text: str, value: object) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "missing", "message"),
    [
        ("event.data.nope", "event.data.nope", "event.data.nope is missing"),
        ("event.nope.deeper + 1", "event.nope", "event.nope is missing"),
        ("1 + event.data.list[7]", "event.data.list[7]", "event.data.list[7] is missing: event.data.list has 3 items"),
        ("event.data.size.x", "event.data.size.x", "event.data.size.x is missing: event.data.size is an int"),
        ("event.data.none.x == 1", "event.data.none.x", "event.data.none.x is missing: event.data.none is null"),
        ("event.data.list.x", "event.data.list.x", "event.data.list.x is missing: event.data.list is a list"),
        ("has(event.nope.x)", "event.nope", "event.nope is missing"),
        ("has(event.nope) || event.zip.nope", "event.zip", "event.zip is missing"),
        ("has(event.nope) || event.data.nope", "event.data.nope", "event.data.nope is missing"),
        ('nodes["other-node"].output', 'nodes["other-node"]', 'nodes["other-node"] is missing'),
        ("item", "item", "item has no value here"),
        ("index + 1", "index", "index has no value here"),
        ("has(item.x)", "item", "item has no value here"),
        ("input.rows.map(r, r.ok)", "r.ok", "r.ok is missing"),
        ("{'a': 1}[event.type]", "file", 'the key "file" is missing'),
    ],
)
def test_what_is_missing_is_named_by_its_path(text: str, missing: str, message: str) -> None:
    fault = fault_of(text)
    assert fault.missing == missing
    assert fault.message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("event.data.size / 0", "division by zero"),
        ("event.data.size % 0", "division by zero (%)"),
        ("event.data.ratio + 1", "'+' does not work on (double, int); CEL does not mix them: JSON 3 is int"),
        ("event.data.size < 'a'", "'<' does not work on (int, string)"),
        ("event.data.size.matches('a')", "'matches' does not work on (int, string)"),
        ("event.data.size ? 1 : 2", "the condition of ? : or filter() is not a bool"),
        ("event.data.size && true", "'&&' works on bools only"),
        ("!event.type", "'!' works on bools only"),
        ("event.type.map(x, x)", "a macro such as map() works on a list or an object only"),
        ("event.data.list.map(x, x.y)", "a field is read, as in x.name, from a value that is no object"),
        ("int(event.type)", "int(…) of a text that is no integer"),
        ("timestamp(event.type)", "timestamp(…) of a text that is no RFC 3339 time"),
        ("'a'.matches('(')", "invalid regular expression"),
        ("9223372036854775807 + event.data.size", "integer overflow"),
        ("double('NaN')", "the result is not a number (NaN), which JSON cannot hold"),
        ("[1.0 / 0.0]", "the result is infinite, which JSON cannot hold"),
        ("type(1)", "the result is a type"),
        ("{1: 'a', '1': 'b'}", "the result is an object with two keys that are the same as text"),
        ("{'a': 1, 'a': 2}", "duplicate key in map"),
        ("event.?data", "the result is an optional value: end it with .orValue(…)"),
        ("{'a': [optional.of(1)]}", "the result holds an optional value: end it with .orValue(…)"),
        ("event.?nope.value()", "value() of an optional value that is not there"),
    ],
)
def test_a_fault_is_told_in_plain_words(text: str, message: str) -> None:
    fault = fault_of(text)
    assert fault.message.startswith(message)
    assert fault.missing is None


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize("depth", [value_depth_max, 10_000])
def test_deep_values_are_refused_before_they_overrun_the_stack(depth: int) -> None:
    assert fault_of("size(input)", {"input": nested(depth)}).message == (
        f"input is nested more than {value_depth_max} levels deep"
    )


def test_deep_values_pass_where_nobody_looks() -> None:
    deep = nested(10_000)
    assert value_of("input.a + 1", {"input": {"a": 1, "deep": deep}}) == 2
    assert value_of("input", {"input": deep}) is deep


def test_the_deepest_value_that_passes_comes_back_whole() -> None:
    value = nested(value_depth_max // 2)
    assert value_of("[input][0]", {"input": value}) == value


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    assert fault_of("input.a == 1", {"input": {"a": number}}).message == (
        f"the integer {number} at input['a'] does not fit in 64 bits"
    )


def test_integers_from_2_to_the_63_are_unsigned() -> None:
    assert value_of("[input][0]", {"input": 2**63}) == 2**63
    assert "does not work on (uint, int)" in fault_of("input + 1", {"input": 2**63}).message


def test_texts_that_the_library_would_cut_are_refused() -> None:
    assert "U+0000" in fault_of("size(input)", {"input": "a\0b"}).message
    assert "U+0000" in fault_of("size(input)", {"input": {"a\0b": 1}}).message
    assert "U+0000" in fault_of("size(input)", {"input": [{"a": ["a\0b"]}]}).message
    assert "surrogate" in fault_of("size(input)", {"input": "a\ud800b"}).message
    assert value_of("size(input)", {"input": ["\\u0000"]}) == 1


def test_what_is_no_json_is_refused() -> None:
    assert "is no JSON value" in fault_of("size(input)", {"input": object()}).message


def test_nan_among_the_values_compares_to_nothing() -> None:
    assert value_of("input == input", {"input": math.nan}) is False


def test_macros_have_an_iteration_budget() -> None:
    bindings = {"input": list(range(200))}
    assert value_of("input.all(x, x >= 0)", bindings) is True
    assert f"more than {iterations_max:,} iterations" in fault_of("input.all(x, input.all(y, true))", bindings).message


def test_results_have_a_size_limit() -> None:
    bindings = {"input": {"big": "x" * 100_000, "list": list(range(500))}}
    assert len(value_of("input.list.map(x, input.big).size() > 400 ? input.big + 'a' : ''", bindings)) == 100_001
    for text in ("input.list.map(x, input.big)", "input.list.map(x, {'all': input})"):
        assert f"larger than {result_bytes_max // 1024 // 1024} MiB" in fault_of(text, bindings).message


def test_objects_are_sorted_by_key() -> None:
    keys = [f"k{at}" for at in range(50)]
    built = "{" + ", ".join(f"'{key}': 1" for key in keys) + "}"
    assert list(value_of(built)) == sorted(keys)
    assert list(value_of("[input][0]", {"input": dict.fromkeys(reversed(keys), 1)})) == sorted(keys)


_MANY_NULLS = """
from infra.expressions import Scope, compile_expression
expression = compile_expression("[input.a, input.a, null, {'b': null}]", Scope.NODE)
for _ in range(20_000):
    expression.evaluate({"input": {"a": None}})
print("whole")
"""


def test_nulls_do_not_wear_none_out() -> None:
    """The library loses a reference to None for each; a process of its own shows whether Python survives it."""
    ended = subprocess.run([sys.executable, "-c", _MANY_NULLS], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("whole\n", "", 0)


def test_texts_do_not_explode_by_computed_replacements() -> None:
    bindings = {"input": {"text": "a" * 30_000, "other": "b" * 30_000, "list": ["a"] * 3000}}
    for text in ("input.text.replace('a', input.other)", "input.list.join(input.other)"):
        assert "read at most 32 KiB in all" in fault_of(text, bindings).message
    assert value_of("input.text.replace('a', 'bc')", bindings) == "bc" * 30_000
    assert len(value_of("input.list.join(', ')", bindings)) == 3 * 3000 - 2
    assert value_of("'{x}!'.replace('{x}', input.small)", {"input": {"small": "y"}}) == "y!"


class _Lazy(Mapping[str, object]):
    """Builds its parts when asked."""

    def __init__(self, *keys: str) -> None:
        self.keys_asked: list[str] = []
        self._keys = keys

    def __getitem__(self, key: str) -> object:
        if key not in self._keys:
            raise KeyError(key)
        self.keys_asked.append(key)
        return {"output": key.upper()}

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@pytest.mark.parametrize(
    ("text", "value", "asked"),
    [
        ("nodes.a.output", "A", ["a"]),
        ("nodes.a.output + nodes.b.output", "AB", ["a", "b"]),
        ("nodes", {"a": {"output": "A"}, "b": {"output": "B"}, "c": {"output": "C"}}, ["a", "b", "c"]),
        ("size(nodes)", 3, ["a", "b", "c"]),
        ("has(nodes.x)", False, []),
    ],
)
def test_bindings_are_built_only_as_far_as_they_are_read(text: str, value: object, asked: list[str]) -> None:
    lazy = _Lazy("a", "b", "c")
    assert value_of(text, {"nodes": lazy}) == value
    assert lazy.keys_asked == asked
    assert fault_of("nodes.x.output", {"nodes": lazy}).missing == "nodes.x"


def test_only_what_is_read_is_checked() -> None:
    bindings = {"input": {"a": {"b": 1, "wrong": object()}, "wrong": 10**30}}
    assert value_of("input.a.b + 1", bindings) == 2


def test_times_in_other_zones_are_told_in_utc() -> None:
    now = NOW.astimezone(timezone(timedelta(hours=2)))
    assert value_of("now", {"now": now}) == "2026-11-21T01:35:00.250Z"
    assert value_of("[now][0]", {"now": now}) == "2026-11-21T01:35:00.250Z"


# the library's own texts come through a double, which holds microseconds for 285 years around 1970
@given(st.datetimes(datetime(1700, 1, 1), datetime(2240, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_times_are_told_as_cel_tells_them(now: datetime) -> None:
    assert value_of("now", {"now": now}) == value_of("string(now)", {"now": now}) == value_of("[now][0]", {"now": now})


@given(st.timedeltas(min_value=timedelta(days=-3000), max_value=timedelta(days=3000)))
def test_durations_are_told_as_cel_tells_them(length: timedelta) -> None:
    bindings = {"now": NOW, "input": (NOW - length).isoformat()}
    assert value_of("now - timestamp(input)", bindings) == value_of("string(now - timestamp(input))", bindings)


def test_a_condition_that_is_no_bool_is_a_fault() -> None:
    condition = compile_condition("event.data.size", Scope.FILTER)
    with pytest.raises(EvaluationFault, match="a condition must be true or false, this is an int"):
        condition.holds(BINDINGS)
    assert compile_condition("event.data.size == 5", Scope.FILTER).holds(BINDINGS)


def test_a_lazily_compiled_expression_fails_when_evaluated() -> None:
    with pytest.raises(EvaluationFault, match="undeclared name 'nod' at 1:1"):
        compile_lazily("nod.x", Scope.NODE).evaluate(BINDINGS)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
_KEYS = st.sampled_from(["a", "b", "c-d", "", "ü"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5
)
_JSON = st.recursive(_SCALARS, lambda part: st.lists(part, max_size=4) | st.dictionaries(_KEYS, part, max_size=4))
_STEPS = st.lists(st.sampled_from([".a", ".b", '["c-d"]', "['']", '["ü"]', "[0]", "[1]", "[2]"]), max_size=4)


def outcome(expression: Expression, bindings: Mapping[str, object]) -> object:
    try:
        return expression.evaluate(bindings)
    except EvaluationFault as fault:
        return EvaluationFault, fault.message, fault.missing


@given(_JSON, _STEPS)
def test_a_path_gives_the_same_with_and_without_cel(value: object, steps: list[str]) -> None:
    path = "input" + "".join(steps)
    bindings = {"input": value}
    fast = compile_expression(path, Scope.NODE)
    through_cel = compile_expression(f"[{path}][0]", Scope.NODE)
    assert fast.path is not None
    assert through_cel.path is None
    found, expected = outcome(fast, bindings), outcome(through_cel, bindings)
    assert found == expected
    assert type(found) is type(expected)


@given(_JSON)
def test_json_goes_through_cel_unchanged(value: object) -> None:
    assert value_of("[input][0]", {"input": value}) == value
    assert value_of("[input].map(x, x)[0]", {"input": value}) == value
