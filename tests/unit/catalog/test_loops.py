# ruff: noqa: ISC004
"""What validation says of loops and what is in them, and in which words."""

from typing import Any

import pytest

from services.catalog.settings import loop_depth_max
from services.catalog.validation import validate
from tests.unit.catalog.documents import (
    Bad,
    Sound,
    assert_sound,
    assert_told,
    brief,
    edges,
    job,
    loop,
    merge,
    node,
    split,
    told,
    workflow,
)

SOUND: Sound = {
    "a loop over a list": workflow(loop("l", job("a", payload="${item.name} ${index}"))),
    "a loop with a graph in it": workflow(
        job("before"),
        loop("l", job("a", payload="${nodes.before.output}"), job("b", payload="${nodes.a.output}"), edges=edges("a b")),
        job("after", payload="${nodes.l.output[0]}"),
        edges=edges("before l", "l after"),
    ),
    "a loop that waits for the last iteration": workflow(
        loop("l", job("a", payload="${previous}"), loop_type="while", array_source=None,
             condition='index == 0 || previous.status != "ready"')
    ),
    "a loop with a number": workflow(loop("l", job("a", payload="${index}"), loop_type="count", array_source=None, count=3)),
    "a loop with a computed number": workflow(
        loop("l", job("a"), loop_type="count", array_source=None, count="${input.times}")
    ),
    "a loop in a loop, which sees what is around it": workflow(
        job("before"),
        loop("l", job("a"), loop("l2", job("b", payload="${nodes.a.output} ${nodes.before.output} ${item}")),
             edges=edges("a l2")),
        edges=edges("before l"),
    ),
    "a map in a loop that is no list": workflow(
        loop("l", job("a", for_each="${previous.items}", payload="${item}"), loop_type="count", array_source=None, count=2)
    ),
    "a loop that is itself a map": workflow(loop("l", job("a"), for_each="${input.lists}", array_source="${item}")),
    "branches that meet inside a loop": workflow(
        loop("l", split("a", "b"), job("a"), job("b"), merge(), edges=edges("a m", "b m"))
    ),
}  # fmt: skip

BAD: Bad = {
    "a loop without its list": (
        workflow(loop("l", job("a"), array_source=None)),
        "error LOOP_INCOMPLETE $.nodes[0]: the loop 'l' is of type for_each and has no array_source; add array_source: "
        "${input.items}",
    ),
    "a loop with the field of another type": (
        workflow(loop("l", job("a"), count=3)),
        "error LOOP_CONFUSED $.nodes[0].count: count belongs to loops of type count, and 'l' is of type for_each; leave out "
        "count, or write loop_type: count",
    ),
    "a loop over a text": (
        workflow(loop("l", job("a"), array_source="input.items")),
        "error EXPRESSION_ERROR $.nodes[0].array_source: array_source of 'l' must give a list, this is a text; write a "
        "list, or one expression that gives one: ${input.items}",
    ),
    "a loop that is too long from the start": (
        workflow(loop("l", job("a"), loop_type="count", array_source=None, count=11, max_iterations=10)),
        "error LOOP_LIMIT_EXCEEDED $.nodes[0].count: 'l' would run its body 11 times, and max_iterations is 10; raise "
        "max_iterations to 11, or lower count",
    ),
    "a list that is too long": (
        workflow(loop("l", job("a"), array_source=[1, 2, 3], max_iterations=2)),
        "error LOOP_LIMIT_EXCEEDED $.nodes[0].array_source: 'l' would run its body 3 times, and max_iterations is 2; raise "
        "max_iterations to 3, or lower array_source",
    ),
    "less than no times": (
        workflow(loop("l", job("a"), loop_type="count", array_source=None, count=-1)),
        "error OUT_OF_RANGE $.nodes[0].count: count of 'l' is -1: a loop cannot run its body less than 0 times; write a "
        "number from 0 on",
    ),
    "a while side by side": (
        workflow(loop("l", job("a"), loop_type="while", array_source=None, condition="index < 3", max_parallel=2)),
        "warning WITHOUT_EFFECT $.nodes[0].max_parallel: 'l' is tested before each iteration, so its iterations never run "
        "side by side; leave out max_parallel, or use a loop of type for_each or count",
    ),
    "the last iteration of those side by side": (
        workflow(loop("l", job("a", payload="${previous}"), max_parallel=4)),
        "error EXPRESSION_ERROR $.nodes[0].body.nodes[0].payload: 'previous' has no value here: the iterations of 'l' run "
        "side by side (max_parallel: 4), so none of them is the previous one; leave out max_parallel, or previous",
    ),
    "the last iteration outside of loops": (
        workflow(job("a", payload="${previous}")),
        "error EXPRESSION_ERROR $.nodes[0].payload: 'previous' has no value here: it exists only inside loops; leave it out",
    ),
    "an item of a loop that has none": (
        workflow(loop("l", job("a", payload="${item}"), loop_type="count", array_source=None, count=2)),
        "error EXPRESSION_ERROR $.nodes[0].body.nodes[0].payload: 'item' has no value here: only loops of type for_each have "
        "items, and 'l' is of type count; use index, or input or variables",
    ),
    "a cycle in a body": (
        workflow(loop("l", job("a"), job("b"), edges=edges("a b", "b a"))),
        "error CIRCULAR_DEPENDENCY $.nodes[0].body.edges[1]: these nodes wait for each other: a → b → a; remove one of the "
        "edges, for instance b → a",
    ),
    "a missing node in a body": (
        workflow(loop("l", job("load"), job("b"), edges=edges("load b", "lod b"))),
        "error MISSING_DEPENDENCY $.nodes[0].body.edges[1].source_node_id: the edge lod → b names a node 'lod' that does not "
        "exist; did you mean `load`?",
    ),
    "an edge out of a body": (
        workflow(job("c"), loop("l", job("a"), edges=edges("a c"))),
        "error CROSSES_BODY $.nodes[1].body.edges[0].target_node_id: the edge a → c crosses the border of the body of the "
        "loop 'l': 'c' stands outside; an edge joins nodes of one graph: lead it to or from the loop 'l' itself",
    ),
    "an edge into a body": (
        workflow(job("c"), loop("l", job("a")), edges=edges("c l", "c a")),
        "error CROSSES_BODY $.edges[1].target_node_id: the edge c → a crosses the border of the body of the loop 'l': 'a' "
        "stands inside; an edge joins nodes of one graph: lead it to or from the loop 'l' itself",
    ),
    "a path into a body": (
        workflow(node("c", "condition", condition="true", true_path=["a", "l"]), loop("l", job("a"))),
        "error CROSSES_BODY $.nodes[0].true_path[0]: the true_path of 'c' leads to 'a', which stands in another graph: in the "
        "body of the loop 'l'; name a node of the same graph",
    ),
    "an id that a body uses too": (
        workflow(job("a"), loop("l", job("a"))),
        "error DUPLICATE_NODE $.nodes[1].body.nodes[0].id: the node 'a' stands twice, first at $.nodes[0].id: ids are unique "
        "in the whole definition, bodies of loops included; give one of them another id",
    ),
    "reading out of a body": (
        workflow(loop("l", job("a")), job("b", payload="${nodes.a.output}"), edges=edges("l b")),
        "error NOT_VISIBLE $.nodes[1].payload: the node 'a' stands in the body of the loop 'l', and is seen in there only; "
        "use nodes.l.output, the list of what its iterations gave",
    ),
    "reading out of a body, at the end": (
        workflow(loop("l", loop("l2", job("a"))), output_mapping={"x": "${nodes.a.output}"}),
        "error NOT_VISIBLE $.output_mapping.x: the node 'a' stands in the body of the loop 'l', and is seen in there only; "
        "use nodes.l.output, the list of what its iterations gave",
    ),
    "reading the loop from inside": (
        workflow(loop("l", job("a", payload="${nodes.l.output}"))),
        "error NOT_VISIBLE $.nodes[0].body.nodes[0].payload: 'a' stands in the body of 'l', whose output is there only after "
        "it; use previous, the output of the last iteration",
    ),
    "reading what is not upstream of the loop": (
        workflow(job("c"), loop("l", job("a", payload="${nodes.c.output}"))),
        "warning NOT_UPSTREAM $.nodes[1].body.nodes[0].payload: 'a' reads the node 'c', which need not have ended before: no "
        "path of edges leads from it; add an edge c → a, or a path",
    ),
    "a map of a node that steers": (
        workflow(node("c", "condition", condition="true", true_path="a", for_each="${input.x}"), job("a")),
        "error FOR_EACH_MISPLACED $.nodes[0].for_each: 'c' is a condition node, which steers the run and cannot be repeated "
        "for each item; put the nodes that are to be repeated into the body of a loop, this one among them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("document", SOUND.values(), ids=SOUND.keys())
def test_what_is_sound_has_no_findings(document: dict[str, Any]) -> None:
    assert_sound(document)


@pytest.mark.parametrize(("document", "text"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_with_place_and_remedy(document: dict[str, Any], text: str) -> None:
    assert_told(document, text)


def test_both_nodes_of_a_cycle_in_a_body_are_named_and_what_hangs_on_it_is_unreachable() -> None:
    report = validate(workflow(loop("l", job("a"), job("b"), job("c"), edges=edges("a b", "b a", "b c"))))
    assert report.circular_dependencies == [["a", "b"]]
    assert report.unreachable_nodes == ["a", "b", "c"]


def test_an_orphan_in_a_body_is_found() -> None:
    report = validate(workflow(loop("l", job("a"), job("b"), job("c"), edges=edges("a b"))))
    assert report.orphaned_nodes == ["c"]
    assert brief(report) == ["warning ORPHANED_NODE $.nodes[0].body.nodes[2]"]


def test_one_mistake_in_a_body_does_not_hide_the_next() -> None:
    inner = loop("l2", job("d", typo=1), job("e", payload="${)}"))
    body = {"nodes": [job("a", bogus=1), {"id": "b", "type": "jobb"}, job("c", payload="${nodes.x.output}"), inner],
            "edges": [*edges("a c", "c nowhere"), {"source_node_id": "a"}], "more": 1}  # fmt: skip
    report = validate(
        workflow(node("l", "loop", config={"loop_type": "count", "count": 1, "body": body}), job("z", y=1))
    )
    at = "$.nodes[0].config.body"
    assert set(brief(report)) == {
        f"error UNKNOWN_FIELD {at}.more",
        f"error UNKNOWN_FIELD {at}.nodes[0].bogus",
        f"error UNKNOWN_TYPE {at}.nodes[1].type",
        f"error MISSING_DEPENDENCY {at}.nodes[2].payload",
        f"error MISSING_DEPENDENCY {at}.edges[1].target_node_id",
        f"error MISSING_FIELD {at}.edges[2]",
        f"warning ORPHANED_NODE {at}.nodes[3]",
        f"error UNKNOWN_FIELD {at}.nodes[3].body.nodes[0].typo",
        f"error EXPRESSION_ERROR {at}.nodes[3].body.nodes[1].payload",
        "error UNKNOWN_FIELD $.nodes[1].y",
    }
    [unknown] = [item for item in report.errors if item.path.endswith("typo")]
    assert unknown.nodes == ["d"]


def test_a_body_needs_a_node() -> None:
    report = validate(workflow(loop("l")))
    assert brief(report) == ["error INVALID_FIELD $.nodes[0].body.nodes"]


def test_loops_stand_only_so_deep_in_one_another() -> None:
    inner = job("a")
    for depth in range(loop_depth_max):
        inner = loop(f"l{depth}", inner)
    assert told(validate(workflow(inner))) == []
    report = validate(workflow(loop("outermost", inner)))
    assert [item.type for item in report.errors] == ["LOOP_TOO_DEEP"]
    assert report.errors[0].nodes == ["l0"]


def test_very_many_loops_in_one_another_are_refused_and_nothing_breaks() -> None:
    inner = job("a", typo=1)
    for depth in range(150):
        inner = loop(f"l{depth}", inner)
    assert "LOOP_TOO_DEEP" in [item.type for item in validate(workflow(inner)).errors]


def test_ten_thousand_nodes_count_those_in_bodies() -> None:
    nodes = [job(f"n{at}") for at in range(9_990)]
    assert validate(workflow(loop("l", *nodes))).is_valid
    report = validate(workflow(loop("l", *nodes), *[job(f"m{at}") for at in range(20)]))
    assert brief(report) == ["error TOO_MANY_NODES $.nodes"]
