"""A plain filter is held against an event in pieces, and nobody can tell: same answers, same words, same faults."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.expressions import Condition, EvaluationFault, Scope, compile_lazily, equalities, explain_false

PARTS = [
    'event.data.kind == "csv"',
    "event.data.kind == 'csv'",
    'event.data.kind=="a && b"',
    'event.data.kind != "x && event.data.size == 1 && y"',
    'event.data.kind == ""',
    "event.data.size == 1",
    "event.data.size == -1",
    "event.data.urgent == true",
    "event.data.deep.er == 1",
    '"csv" == event.data.kind',
    'event.data["kind"] == "csv"',
    "event.data.size > 1",
    "event.data.urgent",
    "event.data.size",
    'event.data.kind in ["csv", "json"]',
    "event.data.tags.exists(tag, tag == event.data.kind && true)",
    "size(event.data.kind) == 3",
    "(event.data.size == 1)",
    "(event.data.size == 1 && event.data.urgent)",
    "(event.data.size == 1 || event.data.urgent)",
    "event.data.size == 1 || event.data.urgent",
    "!event.data.urgent",
    "has(event.data.size)",
    'event.data.kind.startsWith("c")',
    '"\'" + \'a && event.data.kind == "b" && c\' + "\'" != event.data.kind',
    "event.data.kind == '''csv'''",
    "event.data.size == 1 // && event.data.urgent == true",
    "event.data.size / 0 == 1",
    "event.type == 'http://x'",
    "true",
]
values = st.one_of(
    st.sampled_from(["csv", "json", "", "a && b", 1, 1.0, -1, 2, True, False, None, "a\0b", 2**70, [1], {}]),
)
data = st.fixed_dictionaries(
    {},
    optional={
        "kind": values,
        "size": values,
        "urgent": values,
        "deep": st.one_of(values, st.fixed_dictionaries({"er": values})),
        "tags": st.lists(values, max_size=3),
    },
)
texts = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map(" && ".join)


def outcome(holds: Any, why_not: Any) -> str:
    try:
        return "true" if holds() else why_not()
    except EvaluationFault as fault:
        return f"{fault} {fault.missing}"


@settings(max_examples=400, deadline=None)
@given(texts, st.one_of(data, values))
def test_a_condition_answers_as_its_expression_does(text: str, payload: object):
    bindings: dict[str, object] = {"event": {"type": "http://x", "data": payload}}
    condition, expression = Condition(text, Scope.FILTER), compile_lazily(text, Scope.FILTER)
    assert outcome(lambda: condition.holds(bindings), lambda: condition.explain_false(bindings)) == outcome(
        lambda: expression.holds(bindings), lambda: explain_false(expression, bindings)
    )


@settings(max_examples=200, deadline=None)
@given(texts)
def test_it_demands_what_its_expression_demands(text: str):
    found, wanted = Condition(text, Scope.FILTER).demanded(), equalities(compile_lazily(text, Scope.FILTER))
    assert found.keys() == wanted.keys(), "of two constants for one path either may be told"


@settings(max_examples=200, deadline=None)
@given(texts, data)
def test_a_condition_that_holds_meets_what_it_demands(text: str, payload: dict[str, object]):
    bindings: dict[str, object] = {"event": {"type": "http://x", "data": payload}}
    condition = Condition(text, Scope.FILTER)
    try:
        holds = condition.holds(bindings)
    except EvaluationFault:
        return
    for path, constant in condition.demanded().items():
        value: Any = bindings
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        assert not holds or value == constant
