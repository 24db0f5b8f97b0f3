# ruff: noqa: ISC004
"""What validation says of conditions, parallels and merges, and in which words."""

from typing import Any

import pytest

from tests.unit.catalog.documents import (
    Bad,
    Sound,
    assert_sound,
    assert_told,
    edges,
    forked,
    job,
    merge,
    node,
    split,
    workflow,
)

SOUND: Sound = {
    "a condition with two paths": workflow(
        node("c", "condition", condition="input.n > 1", true_path="a", false_path=["b", "d"]), job("a"), job("b"), job("d")
    ),
    "a condition whose path is written as an edge too": workflow(
        node("c", "condition", condition="input.n > 1", true_path="a"), job("a"), edges=edges("c a")
    ),
    "a parallel and its merge": forked(),
    "a merge that takes its mode from the parallel": forked({"wait_for": "count", "required_count": 1}),
    "a parallel that takes its mode from the merge": forked(None, {"mode": "count", "required_count": 2}),
    "both say the same": forked({"wait_for": "any"}, {"mode": "any"}),
    "a node before one branch": workflow(
        split("a", "b"), job("a"), job("b"), job("z"), merge(), edges=edges("a m", "b m", "z b")
    ),
    "branches of several nodes": workflow(
        split("a", "b"), job("a"), job("a2"), job("b"), merge(), edges=edges("a a2", "a2 m", "b m")
    ),
    "what a branch is given": workflow(
        node("p", "parallel", branches=[{"target_node_id": "a", "input_data": {"n": "${nodes.p.status}"}}]), job("a")
    ),
}  # fmt: skip

BAD: Bad = {
    "a condition that leads nowhere": (
        workflow(node("c", "condition", condition="true")),
        "error CONDITION_WITHOUT_PATH $.nodes[0]: the condition 'c' leads nowhere: it has neither true_path nor "
        "false_path; name the node that follows when it is true, in true_path, or when it is false, in false_path",
    ),
    "a path to a node that does not exist": (
        workflow(node("c", "condition", condition="true", true_path="load", false_path=["lod"]), job("load")),
        "error MISSING_DEPENDENCY $.nodes[0].false_path[0]: the false_path of 'c' names a node 'lod' that does not exist; "
        "did you mean `load`?",
    ),
    "a node on both paths": (
        workflow(node("c", "condition", condition="true", true_path="a", false_path="a"), job("a")),
        "error AMBIGUOUS_PATH $.nodes[0].false_path: 'a' is on both paths of 'c', so the condition decides nothing for it; "
        "take it off one path; a node that runs either way follows 'c' by an edge",
    ),
    "an edge beside the paths": (
        workflow(node("c", "condition", condition="true", true_path="a"), job("a"), job("b"), edges=edges("c b")),
        "warning ON_NEITHER_PATH $.nodes[0]: an edge leads from the condition 'c' to 'b', which is on neither of its paths; "
        "name it in true_path or false_path, unless it is to run whatever the condition says",
    ),
    "a condition that can be no truth": (
        workflow(node("c", "condition", condition="1 + 1", true_path="a"), job("a")),
        "error EXPRESSION_ERROR $.nodes[0].condition: a condition must be true or false, this is a value of type int at "
        "1:1; see the CEL language definition; names in ${…} are input, variables, nodes, run",
    ),
    "a branch to nowhere": (
        workflow(split("a", "bb"), job("a"), job("b"), edges=edges("p b")),
        "error MISSING_DEPENDENCY $.nodes[0].branches[1].target_node_id: a branch of 'p' names a node 'bb' that does not "
        "exist; did you mean `b`?",
    ),
    "two branches with one node": (
        workflow(split("a", "a"), job("a")),
        "error DUPLICATE_BRANCH $.nodes[0].branches[1].target_node_id: two branches of 'p' begin with 'a', first at "
        "$.nodes[0].branches[0].target_node_id; give each branch a node of its own, or make it one branch",
    ),
    "a merge of what is no parallel": (
        workflow(job("p"), merge(), edges=edges("p m")),
        "error NO_PARALLEL $.nodes[1].parallel_node_id: the merge 'm' joins the branches of a parallel, and 'p' is a job; "
        "name the parallel node whose branches meet here; nodes need no merge to follow several others",
    ),
    "a second merge": (
        workflow(
            split("a"), job("a"), merge(), node("m2", "merge", parallel_node_id="p"), edges=edges("a m", "a m2")
        ),
        "error DUPLICATE_MERGE $.nodes[3].parallel_node_id: 'm2' and 'm' both join the branches of 'p'; a parallel has one "
        "merge: give one of them another parallel, or make it another type of node",
    ),
    "a branch that never arrives": (
        workflow(split("a", "b"), job("a"), job("b"), merge(), edges=edges("a m")),
        "error BRANCH_UNJOINED $.nodes[0].branches[1].target_node_id: the branch 'b' of 'p' does not lead to its merge 'm'; "
        "lead it there by an edge; a node that nobody waits for follows 'p' by an edge instead",
    ),
    "a branch with nothing in it": (
        workflow(split("a", "m"), job("a"), merge(), edges=edges("a m")),
        "error EMPTY_BRANCH $.nodes[0].branches[1].target_node_id: a branch of 'p' leads straight to its merge 'm', so "
        "nothing is in it; name the first node of the branch, or leave the branch out",
    ),
    "branches that meet before the merge": (
        workflow(
            split("a", "b"), job("a"), job("b"), job("c"), merge(), edges=edges("a c", "b c", "c m", "b m")
        ),
        "error BRANCHES_MEET $.nodes[0].branches[1].target_node_id: the branches 'a' and 'b' of 'p' both lead to 'c' before "
        "their merge 'm'; let them meet in 'm' only: put 'c' behind it, or give each branch a node of its own",
    ),
    "a branch inside another": (
        workflow(split("a", "b"), job("a"), job("b"), merge(), edges=edges("a b", "b m")),
        "error BRANCHES_MEET $.nodes[0].branches[1].target_node_id: the branches 'a' and 'b' of 'p' both lead to 'b' before "
        "their merge 'm'; let them meet in 'm' only: put 'b' behind it, or give each branch a node of its own",
    ),
    "modes that differ": (
        forked({"wait_for": "any"}, {"mode": "all"}),
        "error MERGE_DISAGREES $.nodes[3].mode: mode of the merge 'm' is all, but wait_for of its parallel 'p' is any; make "
        "them equal, or leave one of them out",
    ),
    "counts that differ": (
        forked({"wait_for": "count", "required_count": 1}, {"required_count": 2}),
        "error MERGE_DISAGREES $.nodes[3].required_count: required_count of the merge 'm' is 2, but required_count of its "
        "parallel 'p' is 1; make them equal, or leave one of them out",
    ),
    "a count that is not given": (
        forked({"wait_for": "count"}),
        "error REQUIRED_COUNT $.nodes[0].wait_for: 'p' waits for a count of branches, and no required_count says how many; "
        "add required_count, from 1 to 2",
    ),
    "a count beyond the branches": (
        forked(None, {"mode": "count", "required_count": 3}),
        "error REQUIRED_COUNT $.nodes[3].required_count: required_count is 3, but 'p' has 2 branches; write a number from 1 "
        "to 2",
    ),
    "a count that nobody asks for": (
        forked({"required_count": 1}),
        "error REQUIRED_COUNT $.nodes[0].required_count: required_count has a meaning only with count, and 'p' waits for "
        "all; leave out required_count, or write wait_for: count",
    ),
    "any of what is never joined": (
        workflow(split("a", "b", wait_for="any"), job("a"), job("b")),
        "warning WITHOUT_EFFECT $.nodes[0].wait_for: 'p' waits for any, but no merge joins its branches; add a merge with "
        "parallel_node_id: p, or leave out wait_for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("document", SOUND.values(), ids=SOUND.keys())
def test_what_is_sound_has_no_findings(document: dict[str, Any]) -> None:
    assert_sound(document)


@pytest.mark.parametrize(("document", "text"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_with_place_and_remedy(document: dict[str, Any], text: str) -> None:
    assert_told(document, text)
