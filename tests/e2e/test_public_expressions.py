"""Expressions in templates: what they see, what they give, and what is told where they fail."""

from tests.e2e.stranger import (
    Stranger,
    edge,
    error_of,
    node_runs,
    transform,
    workflow,
)


def test_a_lone_expression_keeps_its_type_and_text_around_it_makes_a_string(stranger: Stranger):
    templates = {
        "int": "${1 + 1}", "double": "${1.5}", "text": "${'a' + 'b'}", "bool": "${1 < 2}", "null": "${null}",
        "list": "${[1, 2]}", "object": "${{'a': 1}}", "around": "n=${1 + 1};${true}", "plain": "no expression",
        "two": "${1}${2}", "input": "${input}", "size": "${size(input.list)}", "nested": {"deep": ["${input.n}"]},
        "braces": "${{'a': {'b': '}'}}.a.b}",
    }  # fmt: skip
    run = stranger.run(workflow(transform("a", expressions=templates)), input_data={"n": 3, "list": [1, 2, 3]})
    assert node_runs(run)["a"]["output"] == {
        "int": 2, "double": 1.5, "text": "ab", "bool": True, "null": None, "list": [1, 2], "object": {"a": 1},
        "around": "n=2;true", "plain": "no expression", "two": "12", "input": {"n": 3, "list": [1, 2, 3]}, "size": 3,
        "nested": {"deep": [3]}, "braces": "}",
    }  # fmt: skip


def test_expressions_see_run_nodes_variables_event_and_now(stranger: Stranger):
    definition = workflow(
        transform("my-node"),
        transform(
            "a",
            expressions={
                "run": "${run.id}", "workflow": "${run.workflow_id}", "version": "${run.version}",
                "labels": "${run.labels}", "status": "${nodes['my-node'].status}", "trigger": "${run.trigger.type}",
                "output": '${nodes["my-node"].output.value}', "now": "${now > timestamp('2020-01-01T00:00:00Z')}",
            },
        ),
        edges=[edge("my-node", "a")],
    )  # fmt: skip
    run = stranger.run(definition, labels={"k": "v"})
    assert node_runs(run)["a"]["output"] == {
        "run": run["run_id"], "workflow": definition["id"], "version": 1, "labels": {"k": "v"}, "status": "completed",
        "trigger": "manual", "output": 1, "now": True,
    }  # fmt: skip


def test_a_missing_value_fails_its_node_naming_expression_and_name(stranger: Stranger):
    run = stranger.run(workflow(transform("a", expressions={"x": "${input.customer.name}"})), input_data={"other": 1})
    assert run["status"] == "failed"
    error = error_of(run, "a")
    assert error["code"] == "EXPRESSION_ERROR"
    assert "input.customer.name" in error["message"]
    assert "customer" in error["message"].replace("input.customer.name", "")
    assert error["affected_nodes"] == ["a"]
    assert run["error"]["code"] in {"EXPRESSION_ERROR", "NODE_EXECUTION_FAILED"}


def test_int_and_double_do_not_mix_and_the_error_says_how(stranger: Stranger):
    run = stranger.run(
        workflow(transform("a", expressions={"x": "${input.a + input.b}"})), input_data={"a": 1, "b": 1.5}
    )
    error = error_of(run, "a")
    assert error["code"] == "EXPRESSION_ERROR"
    assert "double(" in error["message"] + str(error["suggested_resolution"])


def test_the_output_mapping_of_a_run_that_cannot_be_evaluated_is_told(stranger: Stranger):
    run = stranger.run(workflow(transform("a"), output_mapping={"x": "${nodes.a.output.ghost}"}))
    assert (run["status"], run["error"]["code"]) == ("failed", "EXPRESSION_ERROR")
