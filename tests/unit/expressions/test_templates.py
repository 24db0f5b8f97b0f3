"""Templates: what they render to, and that secrets stay in the worker."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.expressions import EvaluationFault, ExpressionFault, Scope, compile_template, escaped
from infra.expressions.limits import result_bytes_max, template_chars_max, template_depth_max

BINDINGS: dict[str, object] = {
    "input": {"name": "Ada", "n": 3, "f": 3.0, "yes": True, "none": None, "list": [1, {"a": "é"}], "dollar": "$"},
    "nodes": {"a": {"output": 1}, "b-c": {"output": {"x": [2]}}},
}


def rendered(value: object, scope: Scope = Scope.NODE) -> Any:
    return compile_template(value, scope).render(BINDINGS)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${input.n}", 3),
        ("${input.f}", 3.0),
        ("${ input.yes }", True),
        ("${input.none}", None),
        ("${input.list}", [1, {"a": "é"}]),
        ("${input.n + 1}", 4),
        (" ${input.n}", " 3"),
        ("${input.n}${input.f}", "33.0"),
        ("${input.yes} and ${!input.yes}, ${input.none}", "true and false, null"),
        ("all: ${input.list}", 'all: [1,{"a":"é"}]'),
        ("to ${input.name}: ${nodes['b-c'].output.x[0]}.", "to Ada: 2."),
        ("${'}'}${\"{\"}${ {'a': {'b': 1}}.a.b }", "}{1"),
        ("${input.n // } a comment\n}", 3),
        ("$${input.n}", "${input.n}"),
        ("$$${input.n}", "$${input.n}"),
        ("a$${b} ${input.n} $${c}", "a${b} 3 ${c}"),
        ("${input.n}$${x}", "3${x}"),
        ("$${${input.n}", "${3"),
        ("$ {input.n} $x $", "$ {input.n} $x $"),
        ({"a": ["${input.n}", {"b": "x${input.n}"}], "c": 1}, {"a": [3, {"b": "x3"}], "c": 1}),
        ({"${input.n}": 1}, {"${input.n}": 1}),
    ],
)
def test_a_template_renders(template: object, value: object) -> None:
    found = rendered(template)
    assert found == value
    assert type(found) is type(value)


def test_what_templates_use_is_known() -> None:
    template = compile_template({"a": ["${nodes.a.output}", "x ${nodes['b-c'].output} ${item}"], "b": "c"}, Scope.NODE)
    assert template.names == {"nodes", "item"}
    assert template.node_ids == {"a", "b-c"}
    assert not template.is_constant
    assert not template.uses_secrets
    assert not template.uses_all_nodes
    assert [expression.text for expression in template.expressions] == [
        "nodes.a.output",
        "nodes['b-c'].output",
        "item",
    ]
    assert compile_template("${nodes[item]}", Scope.NODE).uses_all_nodes


_TEXT = st.text(st.sampled_from("ab${}'\"\\ é\n"), max_size=20)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT.filter(lambda text: "${" not in text),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(_TEXT, part, max_size=4),
)


@given(_PLAIN)
def test_a_template_without_expressions_is_itself(value: object) -> None:
    template = compile_template(value, Scope.NODE)
    assert template.is_constant
    assert template.render({}) is value


@given(_TEXT)
def test_an_escaped_text_renders_to_itself(text: str) -> None:
    template = compile_template(escaped(text), Scope.NODE)
    assert template.is_constant
    assert template.render({}) == text


@given(_TEXT)
def test_any_text_is_a_template_or_a_fault(text: str) -> None:
    try:
        compile_template({"a": [text]}, Scope.NODE)
    except ExpressionFault as caught:
        fault = caught
    else:
        return
    assert fault.path == ".a[0]"
    assert min(fault.line, fault.column) >= 1


@pytest.mark.parametrize(
    ("template", "message", "path"),
    [
        ("a ${b", "'${' has no closing '}'; it is opened at 1:3", ""),
        ("${(b}", "unexpected '}' at 1:5", ""),
        ("${(b", "'(' is never closed; it is opened at 1:3", ""),
        ("${}", "the expression is empty at 1:1", ""),
        ({"h": [{"x": "${nod.a}"}]}, "undeclared name 'nod' at 1:1", ".h[0].x"),
        (["ok", "\n${'a}"], 'unexpected "\'" at 2:3', "[1]"),
        ({"a-b c": "${"}, "'${' has no closing '}'", '["a-b c"]'),
    ],
)
def test_a_fault_names_position_and_path(template: object, message: str, path: str) -> None:
    with pytest.raises(ExpressionFault) as caught:
        compile_template(template, Scope.NODE)
    assert caught.value.message.startswith(message)
    assert caught.value.path == path
    assert (f"(in {path})" in str(caught.value)) is bool(path)


def test_a_missing_value_names_expression_and_path() -> None:
    with pytest.raises(EvaluationFault) as caught:
        rendered({"a": "x ${input.nope.deeper} y"})
    assert caught.value.missing == "input.nope"
    assert str(caught.value) == "input.nope is missing, in `input.nope.deeper`"


def test_lazily_compiled_templates_are_told_when_rendered() -> None:
    template = compile_template("${nod.a}", Scope.NODE, lazily=True)
    with pytest.raises(EvaluationFault, match="undeclared name 'nod'"):
        template.render(BINDINGS)


def test_templates_have_limits() -> None:
    deep: Any = "x"
    for _ in range(template_depth_max):
        deep = [deep]
    assert compile_template(deep, Scope.NODE).render({}) is deep
    with pytest.raises(ExpressionFault, match="nested at most 200 levels"):
        compile_template([deep], Scope.NODE)
    with pytest.raises(ExpressionFault, match="at most 1,048,576 characters"):
        compile_template(["x" * (template_chars_max // 2)] * 3, Scope.NODE)
    with pytest.raises(ExpressionFault, match="at most 10,000 characters"):
        compile_template("${'" + "x" * 10_001 + "'}", Scope.NODE)


def test_texts_made_of_large_or_deep_values_are_refused() -> None:
    template = compile_template("x ${input}", Scope.NODE)
    with pytest.raises(EvaluationFault, match="larger than 16 MiB"):
        template.render({"input": ["x" * (result_bytes_max // 2)] * 3})
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(EvaluationFault, match="nested too deeply"):
        template.render({"input": deep})


SECRETS = {"secrets": {"token": "s3cr${t}", "other": "o"}}


def for_worker(template: object, bindings: dict[str, object] = BINDINGS) -> Any:
    return compile_template(template, Scope.NODE_WITH_SECRETS).render_for_worker(bindings)


def in_worker(template: object) -> Any:
    return compile_template(template, Scope.SECRETS).render(SECRETS)


def test_secrets_are_left_for_the_worker() -> None:
    template = {"h": "Bearer ${secrets.token}", "n": "${input.n}", "k": ["${secrets['other']}", "${input.name} $${x}"]}
    compiled = compile_template(template, Scope.NODE_WITH_SECRETS)
    assert compiled.uses_secrets
    assert compiled.secret_names == {"token", "other"}
    handed_over = compiled.render_for_worker(BINDINGS)
    assert handed_over == {"h": "Bearer ${secrets.token}", "n": 3, "k": ["${secrets['other']}", "Ada $${x}"]}
    assert in_worker(handed_over) == {"h": "Bearer s3cr${t}", "n": 3, "k": ["o", "Ada ${x}"]}


@pytest.mark.parametrize(
    "template", ["${secrets.a + 'x'}", "${secrets}", "${secrets[input.name]}", "${size(secrets.a)}"]
)
def test_a_secret_stands_alone(template: str) -> None:
    with pytest.raises(ExpressionFault, match="a secret stands alone"):
        compile_template(template, Scope.NODE_WITH_SECRETS)


def test_secrets_are_not_visible_elsewhere() -> None:
    with pytest.raises(ExpressionFault, match="undeclared name 'secrets'"):
        compile_template("${secrets.a}", Scope.NODE)


@pytest.mark.parametrize(
    "template",
    [
        "${input}",
        "x${input}",
        "${input}{secrets.token}",
        "$${${input}",
        ["${input}${secrets.other}"],
        {"a": "$${secrets.token}"},
    ],
)
@pytest.mark.parametrize("value", ["${secrets.token}", "$", "$$", "$${secrets.token}", {"a": ["${secrets.token}"]}, 3])
def test_values_cannot_bring_in_secrets(template: object, value: object) -> None:
    """Rendering in two steps gives what one step with everything would give."""
    handed_over = for_worker(template, {"input": value})
    at_once = compile_template(template, Scope.NODE_WITH_SECRETS).render({"input": value, **SECRETS})
    assert in_worker(handed_over) == at_once
    assert "s3cr" not in str(at_once)


_PIECES = st.lists(
    st.sampled_from(["$", "{", "}", "a", "${input}", "${secrets.other}", "$${", "${secrets.token}"]), max_size=8
)


@given(_PIECES, st.text(st.sampled_from("${}a"), max_size=5) | st.just("${secrets.token}"))
def test_two_steps_give_what_one_would(pieces: list[str], value: str) -> None:
    text = "".join(pieces)
    try:
        template = compile_template(text, Scope.NODE_WITH_SECRETS)
    except ExpressionFault:
        return
    handed_over = template.render_for_worker({"input": value})
    assert in_worker(handed_over) == template.render({"input": value, **SECRETS})
    if not template.uses_secrets:
        assert not compile_template(handed_over, Scope.SECRETS).uses_secrets
