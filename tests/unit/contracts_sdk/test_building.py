"""Workflows built in Python are the ones that the server checks."""

import pytest
from flowforge import (
    DataTransformNode,
    DefinitionInvalid,
    EventConfig,
    EventTrigger,
    JobNode,
    Settings,
    Variable,
    WorkflowBuilder,
    definition,
)


def job(name: str) -> JobNode:
    return JobNode(id=name, job_type="t")


def test_arrows_are_edges_on_success_and_chains_are_read_from_left_to_right() -> None:
    flow = WorkflowBuilder("w")
    a, b, c, d = (flow.add(job(name)) for name in "abcd")
    _ = a >> [b, c] >> d
    _ = [a, b] >> c
    edges = [(edge.source_node_id, edge.target_node_id) for edge in flow.build().edges]
    assert edges == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("b", "c")]


def test_other_edges_have_words() -> None:
    flow = WorkflowBuilder("w")
    a, b, c, d = (flow.add(job(name)) for name in "abcd")
    a.on_failure(b)
    a.on_completion(c)
    a.when("input.x > 1", d)
    edges = [(edge.target_node_id, edge.dependency, edge.condition) for edge in flow.build().edges]
    assert edges == [("b", "on_failure", None), ("c", "on_completion", None), ("d", None, "input.x > 1")]


def test_what_is_built_is_what_would_be_read_from_a_file() -> None:
    flow = WorkflowBuilder("w", tags=["x"], settings=Settings(fail_fast=False), variables=[Variable(name="v")])
    flow.add(DataTransformNode(id="a", expressions={"x": "${variables.v}"}))
    flow.trigger(EventTrigger(id="told", config=EventConfig(event_type="x")))
    built = flow.build()
    assert definition.parse(definition.document(built)) == (built, [])
    assert (built.name, built.tags, built.settings.fail_fast, built.triggers[0].id) == ("w", ["x"], False, "told")


def test_what_is_wrong_is_named_with_its_place() -> None:
    flow = WorkflowBuilder("w")
    flow.add(JobNode(id="Not a slug", job_type="t"))
    with pytest.raises(DefinitionInvalid, match=r"lower-case letters.* \(at \$\.nodes\[0\]\.id\)"):
        flow.build()
    with pytest.raises(DefinitionInvalid, match="unknown field `colour`"):
        WorkflowBuilder("w", colour="red").build()
    with pytest.raises(DefinitionInvalid, match="there is a node 'a' already"):
        [flow.add(job("a")) for _ in range(2)]


def test_data_that_is_no_json_is_refused() -> None:
    flow = WorkflowBuilder("w")
    flow.add(JobNode(id="a", job_type="t", payload={"x": object()}))
    with pytest.raises(DefinitionInvalid, match="no JSON data"):
        flow.build()
