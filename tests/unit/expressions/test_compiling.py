"""What is refused when an expression is read, and in which words."""

import pytest

from infra.expressions import Expression, ExpressionFault, Scope, compile_condition, compile_expression, compile_lazily
from infra.expressions.limits import expression_chars_max
from infra.expressions.reading import alike


def refusal(text: str, scope: Scope = Scope.FILTER) -> ExpressionFault:
    with pytest.raises(ExpressionFault) as caught:
        compile_expression(text, scope)
    assert caught.value.expression == text
    return caught.value


@pytest.mark.parametrize(
    ("text", "message", "suggestion"),
    [
        ("nod.x", "undeclared name 'nod' at 1:1; visible here: event, now", "did you mean now?"),
        ("foo", "undeclared name 'foo' at 1:1; visible here: event, now", ""),
        ("even.data", "undeclared name 'even' at 1:1; visible here: event, now", "did you mean event?"),
        ("event == None", "undeclared name 'None' at 1:10; visible here: event, now", "write null"),
        ("1 + 1.0", "'+' does not work on (int, double) at 1:3", "CEL does not mix them: JSON 3 is int, 3.0 is double"),
        ("'a' + 1", "'+' does not work on (string, int) at 1:5", "string(x) makes a text"),
        ("now + 1", "'+' does not work on (timestamp, int) at 1:5", ""),
        ("true ? 1 : 'a'", "the two values of ? : are of different types (int, string) at 1:6", "wrap one in dyn(…)"),
        ("event.in", "'in' is a reserved word of CEL at 1:7", 'as a key write ["in"]'),
        ("loop", "'loop' is a reserved word of CEL at 1:1", 'as a key write ["loop"]'),
        ("event.x and event.y", "unexpected 'and' at 1:9", "write &&"),
        ("event = 1", "unexpected '=' at 1:7", "to compare write =="),
        ("len(event)", "unknown function 'len' at 1:4", "write size"),
        ("event.nosuch()", "unknown function 'nosuch' at 1:13", ""),
        ("1 +", "the expression ends too early at 1:4", ""),
        ("1 +* 2", "unexpected '*' at 1:4", ""),
        ("(1", "'(' is never closed; it is opened at 1:1", ""),
        ("[1, (2]", "unexpected ']' at 1:7", ""),
        ("1)", "unexpected ')' at 1:2", ""),
        ("event == 'abc", 'unexpected "\'" at 1:10', "the text is not closed"),
        ("${event}", "unexpected '$' at 1:1", "inside an expression names stand alone, without ${ }"),
        ("event{a: 1}", "'event' is a value, not a type at 1:1", 'an object is written {"key": value}'),
        (r"'\q'", r"cannot read ''\q' at 1:1", "in a string a backslash is written"),
        ("9223372036854775808", "invalid int literal at 1:1", ""),
        ("has(event)", "has() argument must be a field selection at 1:5", ""),
        ("", "the expression is empty at 1:1", ""),
        (" // nothing but a comment", "the expression is empty at 1:1", ""),
        ("cel.bind(x, 1, x)", "undeclared name 'x' at 1:10", ""),
    ],
)
def test_a_fault_says_what_where_and_what_to_do(text: str, message: str, suggestion: str) -> None:
    fault = refusal(text)
    assert fault.message.startswith(message)
    assert fault.suggestion.startswith(suggestion)
    assert bool(fault.suggestion) == bool(suggestion)


def test_a_position_counts_lines_and_characters() -> None:
    assert (refusal("\n\n  foo").line, refusal("\n\n  foo").column) == (3, 3)
    assert refusal("'😀é' + foo").column == 8


def test_a_dash_in_a_node_id_is_explained() -> None:
    fault = refusal("1 + nodes.my-node.output", Scope.NODE)
    assert fault.column == 14
    assert fault.suggestion == 'for the name "my-node" write nodes["my-node"]'


@pytest.mark.parametrize("text", ["(" * 100 + "1" + ")" * 100, "+".join("1" * 40), "event" + ".a" * 40])
def test_deep_nesting_is_refused(text: str) -> None:
    assert "nested too deeply (at most 32 levels" in refusal(text).message


def test_long_expressions_are_refused() -> None:
    assert "at most 10,000 characters" in refusal("1" * (expression_chars_max + 1)).message


def test_many_conditions_joined_by_and_are_no_nesting() -> None:
    assert compile_expression("&&".join(["event.a == 1"] * 500), Scope.FILTER).names == {"event"}


@pytest.mark.parametrize(
    ("scope", "hidden"),
    [
        (Scope.FILTER, "events"),
        (Scope.TRIGGER_INPUT, "input"),
        (Scope.NODE, "secrets"),
        (Scope.NODE, "output"),
        (Scope.EDGE, "secrets"),
        (Scope.RUN_OUTPUT, "item"),
        (Scope.RUN_START, "nodes"),
        (Scope.CORRELATE, "event"),
        (Scope.SECRETS, "input"),
    ],
)
def test_a_scope_hides_what_is_not_there(scope: Scope, hidden: str) -> None:
    for name in scope.names:
        assert compile_expression(name, scope).names == {name}
    fault = refusal(f"{hidden} == null", scope)
    assert fault.message == f"undeclared name '{hidden}' at 1:1; visible here: {', '.join(scope.names)}"


def test_a_condition_must_be_able_to_be_true() -> None:
    assert compile_condition("event.ok", Scope.FILTER)
    with pytest.raises(ExpressionFault, match="a condition must be true or false, this is a value of type int"):
        compile_condition("size(event)", Scope.FILTER)


def test_compiling_is_cached() -> None:
    assert compile_expression("event.a", Scope.FILTER) is compile_expression("event.a", Scope.FILTER)
    assert compile_expression("event.a", Scope.FILTER) is not compile_expression("event.a", Scope.NODE)


def test_lazy_compiling_tells_later() -> None:
    expression = compile_lazily("nod.x + 1", Scope.FILTER)
    with pytest.raises(ExpressionFault, match="undeclared name 'nod'"):
        expression.compiled()
    with pytest.raises(ExpressionFault, match="never closed"):
        compile_lazily("(nod", Scope.FILTER)


@pytest.mark.parametrize(
    ("text", "names", "node_ids"),
    [
        ("input.a + variables.b", {"input", "variables"}, set[str]()),
        ('nodes.a.output == nodes["b-c"].output || nodes["d"]["output"] == 1', {"nodes"}, {"a", "b-c", "d"}),
        (r"nodes['\x61\u0062'].output + nodes[r'\x'].status", {"nodes"}, {"ab", r"\x"}),
        ('"input" + \'nodes.x\' + """event""" + r"item"', set[str](), set[str]()),
        ("input.x // nodes.y", {"input"}, set[str]()),
        ("events.map(item, item.nodes.x)", {"events"}, set[str]()),
        ("events.map(e, item)", {"events", "item"}, set[str]()),
        ("item.map(item, item.x)", {"item"}, set[str]()),
        ("events.all(input, input.a > 0) && input.b", {"events", "input"}, set[str]()),
        ("input.a.filter(run, run > .run.x)", {"input", "run"}, set[str]()),
        ("input.event.nodes.index", {"input"}, set[str]()),
        ("{'input': index}.input", {"index"}, set[str]()),
        ("input.?a[?'b'].orValue(item)", {"input", "item"}, set[str]()),
        ("math.greatest(index, size(input))", {"index", "input"}, set[str]()),
        ("nodes.`my-node`.output", {"nodes"}, {"my-node"}),
    ],
)
def test_names_and_node_ids_are_read_off_the_text(text: str, names: set[str], node_ids: set[str]) -> None:
    expression = compile_expression(text, Scope.NODE)
    assert expression.names == names
    assert expression.node_ids == node_ids
    assert not expression.uses_all_nodes


@pytest.mark.parametrize("text", ["nodes", "nodes[input.x].output", "size(nodes)", "nodes.map(k, k)", "nodes == input"])
def test_reading_all_nodes_is_told(text: str) -> None:
    assert compile_expression(text, Scope.NODE).uses_all_nodes


@pytest.mark.parametrize(
    "text",
    [
        'nodes.a.output.x > 5 ? "yes" : "no"',
        'nodes["my-node"].output[3] + nodes.b.output',
        "nodes.a.output.size() > 123456789",
        "nodes.map(n, nodes[n].output)",
        "'\\101' + nodes.a.output",
        "[1, 2].exists(x, x == nodes.first.output)",
    ],
)
def test_what_is_alike_is_right_or_wrong_together(text: str) -> None:
    assert compile_expression(text, Scope.NODE).check() == compile_expression(alike(text), Scope.NODE).check()


@pytest.mark.parametrize("text", ["nodes.in.output > 5", "nodes.a.output > 99999999999999999999", "1 + 1.5 > nodes.a"])
def test_what_is_alike_does_not_hide_a_mistake(text: str) -> None:
    with pytest.raises(ExpressionFault):
        compile_expression(text, Scope.NODE)


@pytest.mark.parametrize("path", ["input.a.b", "nodes.a.output", "item", "previous.x.y.z", "variables.n"])
def test_a_plain_path_is_read_as_the_words_of_it_would_be(path: str) -> None:
    plain, worded = Expression(path, Scope.NODE), Expression(f"{path} ", Scope.NODE)
    assert (plain.chains, plain.path, plain.names, plain.node_ids) == (
        worded.chains, worded.path, worded.names, worded.node_ids,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["now.a", "index.a", "input.in", "in.a", "unknown.a", "true.a"])
def test_a_plain_path_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ExpressionFault):
        compile_expression(text, Scope.NODE)
