# ruff: noqa: ISC004
"""What validation says of conditions, parallels, merges, loops, waits and other workflows, and in which words."""

from collections.abc import Iterator
from typing import Any

import pytest
from flowforge.commands import AddTrigger, CreateWorkflow, ValidateWorkflow
from flowforge.definition import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.settings import loop_depth_max
from services.catalog.validation import Known, PromptVersions, Report, validate
from tests.unit.catalog.conftest import Running, as_raw


def start(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "start", **fields}


def job(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "job", "job_type": "x", **fields}


def node(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": kind, **fields}


def edges(*pairs: str) -> list[dict[str, Any]]:
    """`a b` is an edge from a to b."""
    return [dict(zip(("source_node_id", "target_node_id"), pair.split(), strict=True)) for pair in pairs]


def workflow(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "w", "name": "W", "nodes": list(nodes), **fields}


def loop(name: str, *nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"nodes": list(nodes), **({} if edges is None else {"edges": edges})}
    return node(name, "loop", **{"loop_type": "for_each", "array_source": "${input.items}", "body": body, **fields})


def split(*targets: str, **fields: Any) -> dict[str, Any]:
    return node("p", "parallel", branches=[{"target_node_id": name} for name in targets], **fields)


def merge(**fields: Any) -> dict[str, Any]:
    return node("m", "merge", **{"parallel_node_id": "p", **fields})


def forked(parallel: dict[str, Any] | None = None, joined: dict[str, Any] | None = None, *more: str) -> dict[str, Any]:
    """p splits into a and b, which meet in m."""
    nodes = [split("a", "b", **(parallel or {})), job("a"), job("b"), merge(**(joined or {}))]
    return workflow(*nodes, edges=edges("a m", "b m", *more))


def told(report: Report) -> list[str]:
    found = [*report.errors, *report.warnings]
    return [f"{item.severity} {item.type} {item.path}: {item.message}; {item.suggested_resolution}" for item in found]


def brief(report: Report) -> list[str]:
    return [f"{item.severity} {item.type} {item.path}" for item in (*report.errors, *report.warnings)]


SOUND: dict[str, dict[str, Any]] = {
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
    "a delay": workflow(node("d", "delay", duration_ms=5)),
    "a computed delay": workflow(node("d", "delay", duration_ms="${input.wait_ms}")),
    "a delay until an instant": workflow(node("d", "delay", until="2030-01-31T08:00:00Z")),
    "a delay until a computed instant": workflow(node("d", "delay", until="${input.day}T08:00:00Z")),
    "a prompt": workflow(node("q", "prompt_execution", provider_model="ollama:llama3", prompt="hi ${input.name}",
                              system="${secrets.tone}", response_schema={"type": "object"})),
    "a stored prompt": workflow(node("q", "prompt_execution", provider_model="x:y", prompt_id="q1", prompt_version=2)),
    "a webhook": workflow(node("h", "webhook", url="https://example.com/${input.id}", body={"k": "${secrets.key}"})),
    "a webhook whose address is computed": workflow(node("h", "webhook", url="${input.url}/x")),
    "a webhook that is called back": workflow(
        node("h", "webhook", url="https://example.com", body={"to": "${callback.url}"}, wait_for_callback=True)
    ),
    "a query": workflow(node("s", "sql", connection="db", query="select $1", parameters=["${input.id}"])),
    "an event that is waited for": workflow(
        node("e", "wait_event", event_type="paid.*", source="${input.shop}", filter="event.data.id == input.id",
             timeout_ms=5, on_timeout="continue")
    ),
    "an approval": workflow(node("q", "human_approval", message="${input.text}", approvers=["ann", "${input.boss}"])),
    "a child": workflow(node("k", "workflow", workflow_id="other", input={"a": "${input.a}"})),
    "a cache key": workflow(job("a", cache_key="${input.day}")),
    "a script with secrets": workflow(node("s", "script", language="bash", source="x", env={"K": "${secrets.key}"})),
    "recovery": workflow(
        job("a"),
        settings={"recovery": {"retry_failed_nodes": True, "max_retry_attempts": 2, "skip_failed_branches": True,
                               "fallback_to_partial_execution": True}, "sla_ms": 5, "timeout_ms": 10},
    ),
}  # fmt: skip


@pytest.mark.parametrize("document", SOUND.values(), ids=SOUND.keys())
def test_what_is_sound_has_no_findings(document: dict[str, Any]) -> None:
    report = validate(_without_nothing(document))
    assert told(report) == []
    assert report.is_valid


def _without_nothing(value: Any) -> Any:
    """Fields that a case took away again."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


BAD: dict[str, tuple[dict[str, Any], str]] = {
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
    "a delay of both kinds": (
        workflow(node("d", "delay", duration_ms=1, until="2030-01-31T08:00:00Z")),
        "error ONE_OF $.nodes[0]: the delay 'd' has both duration_ms and until, and needs one of them; keep duration_ms "
        "(milliseconds, such as 5000) or until (such as ${input.start_at})",
    ),
    "a delay of no kind": (
        workflow(node("d", "delay")),
        "error ONE_OF $.nodes[0]: the delay 'd' has neither duration_ms nor until, and needs one of them; keep duration_ms "
        "(milliseconds, such as 5000) or until (such as ${input.start_at})",
    ),
    "a delay until no instant": (
        workflow(node("d", "delay", until="tomorrow")),
        "error INVALID_INSTANT $.nodes[0].until: until of 'd' is 'tomorrow', which is no instant; write it as RFC 3339 says, "
        "such as 2030-01-31T08:00:00Z, or as an expression: ${input.start_at}",
    ),
    "a delay of less than nothing": (
        workflow(node("d", "delay", duration_ms=-1)),
        "error OUT_OF_RANGE $.nodes[0].duration_ms: duration_ms of 'd' is -1: nobody can wait less than 0 ms; write "
        "milliseconds from 0 on",
    ),
    "a delay that is a text": (
        workflow(node("d", "delay", duration_ms="5s")),
        "error EXPRESSION_ERROR $.nodes[0].duration_ms: duration_ms of 'd' must give a number, this is a text; write "
        "milliseconds as a number, or one expression that gives it: ${input.wait_ms}",
    ),
    "a prompt twice": (
        workflow(node("q", "prompt_execution", provider_model="x:y", prompt="hi", prompt_id="q")),
        "error ONE_OF $.nodes[0]: 'q' has both prompt and prompt_id, and needs one of them; write the text as prompt, or name "
        "a stored one by prompt_id",
    ),
    "a version of no prompt": (
        workflow(node("q", "prompt_execution", provider_model="x:y", prompt="hi", prompt_version=1)),
        "error INVALID_FIELD $.nodes[0].prompt_version: 'q' has a prompt_version, and no prompt_id whose version it would be; "
        "add prompt_id, or leave out prompt_version",
    ),
    "an answer that fits no schema": (
        workflow(node("q", "prompt_execution", provider_model="x:y", prompt="hi", response_schema={"type": "objekt"})),
        "error SCHEMA_INVALID $.nodes[0].response_schema.type: \"objekt\" is not valid under any of the schemas listed in "
        "the 'anyOf' keyword; response_schema is a JSON Schema of draft 2020-12, without references to other documents",
    ),
    "a webhook to no address": (
        workflow(node("h", "webhook", url="example.com/x")),
        "error INVALID_URL $.nodes[0].url: the url of 'h' does not begin with http:// or https://; write the whole address, "
        "such as https://api.example.com/orders/${input.id}",
    ),
    "a webhook to no host": (
        workflow(node("h", "webhook", url="https:///x")),
        "error INVALID_URL $.nodes[0].url: the url of 'h' names no host; write the whole address, such as "
        "https://api.example.com/orders/${input.id}",
    ),
    "a callback that nobody waits for": (
        workflow(node("h", "webhook", url="https://example.com", body="${callback.url}")),
        "error EXPRESSION_ERROR $.nodes[0].body: 'callback' has no value here: it exists only in the url, headers and body of "
        "a webhook with wait_for_callback; write wait_for_callback: true on the webhook",
    ),
    "a body that is not sent": (
        workflow(node("h", "webhook", url="https://example.com", method="GET", body={})),
        "warning WITHOUT_EFFECT $.nodes[0].body: 'h' sends a body with GET, which most servers ignore or refuse; leave out "
        "body, or use POST",
    ),
    "an expression in a query": (
        workflow(node("s", "sql", connection="db", query="select ${input.id}")),
        "warning NOT_AN_EXPRESSION $.nodes[0].query: the query of 's' is sent as it is written: expressions in it are not "
        "evaluated; write $1, $2, … in the query and the expressions in parameters, where they can do no harm",
    ),
    "secrets where they would be stored": (
        workflow(job("a", payload="${secrets.key}")),
        "error EXPRESSION_ERROR $.nodes[0].payload: undeclared name 'secrets' at 1:1; visible here: input, variables, nodes, "
        "run, event, events, item, index, previous, now of `secrets.key`; secrets are known to workers only: use them in "
        "webhook, sql, prompt_execution or script.env",
    ),
    "a timeout that never comes": (
        workflow(node("q", "human_approval", on_timeout="reject")),
        "warning WITHOUT_EFFECT $.nodes[0].on_timeout: on_timeout has no effect: 'q' has no timeout_ms, so it waits for as "
        "long as it takes; add timeout_ms",
    ),
    "retries of what does not fail": (
        workflow(node("t", "data_transform", expressions={}, retry_policy={})),
        "warning WITHOUT_EFFECT $.nodes[0].retry_policy: retry_policy has no effect here: a data_transform node never fails "
        "by chance, so it is not tried again; leave it out",
    ),
    "a filter with a mistake": (
        workflow(node("e", "wait_event", event_type="x", filter="event.data.n >")),
        "error EXPRESSION_ERROR $.nodes[0].filter: the expression ends too early at 1:15; see the CEL language definition; "
        "names in ${…} are input, variables, nodes, run",
    ),
    "a part of a list": (
        workflow(
            job("a", for_each=[1], outputs=[{"name": "n"}]), job("b"),
            edges=[{"source_node_id": "a", "target_node_id": "b", "source_output": "n"}],
        ),
        "error TYPE_MISMATCH $.edges[0].source_output: 'a' is a node with for_each, so its output is a list and has no 'n' of "
        "its own; map it in 'b': input_mapping: {n: ${nodes.a.output.map(x, x.n)}}",
    ),
    "itself as a child": (
        workflow(node("k", "workflow", workflow_id="w")),
        "warning STARTS_ITSELF $.nodes[0].workflow_id: 'w' is this workflow: its runs start runs of itself, until the chain "
        "is cut (DEPTH_EXCEEDED); make sure that there is a way out, such as a condition before it",
    ),
    "itself on failure": (
        workflow(job("a"), settings={"on_failure": {"workflow_id": "w"}}),
        "warning STARTS_ITSELF $.settings.on_failure.workflow_id: 'w' is this workflow: a failure of its failure handler "
        "starts it again, until the chain is cut (DEPTH_EXCEEDED); name another workflow",
    ),
    "retries without a number": (
        workflow(job("a"), settings={"recovery": {"retry_failed_nodes": True}}),
        "warning WITHOUT_EFFECT $.settings.recovery.retry_failed_nodes: max_retry_attempts is 0, so nothing is tried again; "
        "write max_retry_attempts: 2, or leave out retry_failed_nodes",
    ),
    "both ways of going on": (
        workflow(job("a"), settings={"fail_fast": True, "recovery": {"continue_on_node_failure": True}}),
        "warning CONTRADICTION $.settings.recovery.continue_on_node_failure: fail_fast stops the run at the first failure, "
        "and continue_on_node_failure goes on after it; continue_on_node_failure is followed; leave out fail_fast, or "
        "continue_on_node_failure",
    ),
    "partial, but stopped at once": (
        workflow(job("a"), settings={"recovery": {"fallback_to_partial_execution": True}}),
        "warning WITHOUT_EFFECT $.settings.recovery.fallback_to_partial_execution: the first failure stops the run "
        "(fail_fast), so it does not end partial; write settings.fail_fast: false beside it",
    ),
    "late after its end": (
        workflow(job("a"), settings={"sla_ms": 10, "timeout_ms": 10}),
        "warning WITHOUT_EFFECT $.settings.sla_ms: a run ends by its timeout (10 ms) before it could miss its sla (10 ms); "
        "make sla_ms smaller than timeout_ms",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "text"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_with_place_and_remedy(document: dict[str, Any], text: str) -> None:
    found = [item for item in told(validate(_without_nothing(document))) if "UNREACHABLE" not in item]
    assert found == [text]


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


def test_other_workflows_are_missed_only_where_it_is_known_that_they_are_not_there() -> None:
    document = workflow(
        loop("l", node("k", "workflow", workflow_id="child")), settings={"on_failure": {"workflow_id": "page"}}
    )
    assert told(validate(document)) == []
    assert told(validate(document, Known({"child": True, "page": True}))) == []
    assert told(validate(document, Known({"child": False, "page": False}))) == [
        "warning UNKNOWN_WORKFLOW $.nodes[0].body.nodes[0].workflow_id: there is no workflow 'child' yet; until there is, "
        "starting it fails; save that workflow, or correct the name",
        "warning UNKNOWN_WORKFLOW $.settings.on_failure.workflow_id: there is no workflow 'page' yet; until there is, "
        "starting it fails; save that workflow, or correct the name",
    ]


@pytest.mark.parametrize(
    ("version", "there", "expected"),
    [
        (None, PromptVersions(1, is_offered=True), []),
        (1, PromptVersions(1, is_offered=False), []),
        (None, PromptVersions(0, is_offered=False), [
            "warning UNKNOWN_PROMPT $.nodes[0].prompt_id: there is no stored prompt 'greet' yet; until there is, the node "
            "fails; save that prompt, or correct the name"]),
        (None, PromptVersions(2, is_offered=False), [
            "warning UNKNOWN_PROMPT $.nodes[0].prompt_id: the stored prompt 'greet' was deleted; until it is saved again, "
            "the node fails; save it again, or name one of its versions"]),
        (3, PromptVersions(2, is_offered=True), [
            "warning UNKNOWN_PROMPT $.nodes[0].prompt_version: the stored prompt 'greet' has no version 3 yet, its newest "
            "is 2; name a version that there is, or leave prompt_version out: the newest"]),
    ],
)  # fmt: skip
def test_a_stored_prompt_is_missed_where_it_is_known_that_it_is_not_there(
    version: int | None, there: PromptVersions, expected: list[str]
) -> None:
    asks = node("q", "prompt_execution", provider_model="x:y", prompt_id="greet")
    document = workflow(asks if version is None else {**asks, "prompt_version": version})
    assert told(validate(document)) == []
    assert told(validate(document, Known(prompts={"greet": there}))) == expected


async def test_a_save_tells_of_workflows_that_are_not_there_yet(running: Running) -> None:
    parent = workflow(node("k", "workflow", workflow_id="child"))
    [first] = await running.turn(CreateWorkflow(command_id="1", definition=as_raw(parent)))
    assert [item["type"] for item in first["ok"]["warnings"]] == ["UNKNOWN_WORKFLOW"]
    await running.turn(CreateWorkflow(command_id="2", definition=as_raw({**workflow(job("a")), "id": "child"})))
    [report] = await running.turn(ValidateWorkflow(command_id="3", definition=as_raw(parent)))
    assert report["ok"]["warnings"] == []
    trigger = as_raw({"id": "t", "type": "manual"})
    [added] = await running.turn(AddTrigger(command_id="4", workflow_id="w", trigger=trigger))
    assert added["ok"]["warnings"] == []


ODD: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, "", "a", "l", "p", "m", "${", "${)}", "${item}", "${nodes.a.output}", "\x00", "é" * 3,
    [], ["a"], [[]], [None], {}, {"a": {}}, {"nodes": []}, {"nodes": [{}], "edges": [{}]}, {"nodes": {}, "edges": 3},
    {"config": {"body": []}}, [{"id": "a", "type": "loop", "body": {"nodes": [{"id": "l"}]}}],
]  # fmt: skip
DOCUMENTS = [*SOUND.values(), *(document for document, _ in BAD.values())]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copied = value.copy()
    copied[path[0]] = replaced(value[path[0]], path[1:], other)
    return copied


@settings(max_examples=400)
@given(st.data())
def test_whatever_becomes_of_a_document_is_answered(data: st.DataObject) -> None:
    document = _without_nothing(data.draw(st.sampled_from(DOCUMENTS)))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(document)))
        document = replaced(document, path, data.draw(st.sampled_from(ODD)))
    report = validate(document)
    assert report.is_valid == (not report.errors)
    for item in (*report.errors, *report.warnings):
        assert item.path.startswith("$")
        assert item.message
        assert item.suggested_resolution or item.type in {"INVALID_FIELD", "EXPRESSION_ERROR"}, item
    if report.is_valid:
        workflow_, faults = parse(document)
        assert workflow_ is not None, faults


def ends_of(graph: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in graph.get("edges", []):
        yield one["source_node_id"], one["target_node_id"]
    for one in graph["nodes"]:
        yield from ends_of(one["body"]) if one["type"] == "loop" else ()


@st.composite
def nested(draw: st.DrawFn, depth: int = 0, prefix: str = "n") -> dict[str, Any]:
    """A graph of jobs and loops in which edges lead anywhere within it, cycles included."""
    count = draw(st.integers(1, 4))
    names = [f"{prefix}{at}" for at in range(count)]
    nodes = [
        {**loop(name, loop_type="count", array_source=None, count=1), "body": draw(nested(depth + 1, f"{name}-"))}
        if depth < 2 and draw(st.integers(0, 3)) == 0
        else job(name)
        for name in names
    ]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    return {"nodes": nodes, "edges": edges(*(f"{a} {b}" for a, b in draw(st.lists(pairs, max_size=6, unique=True))))}


@given(nested())
def test_a_cycle_is_found_exactly_if_there_is_one_in_any_graph(graph: dict[str, Any]) -> None:
    report = validate(_without_nothing(workflow(*graph["nodes"], edges=graph["edges"])))
    pairs = set(ends_of(graph))
    left = {name for pair in pairs for name in pair}
    while free := {name for name in left if not any(a in left and b == name for a, b in pairs)}:
        left -= free
    assert bool(report.circular_dependencies) == bool(left)
    assert {item.type for item in report.errors} <= {"CIRCULAR_DEPENDENCY"}
    for cycle in report.circular_dependencies:
        assert all(pair in pairs for pair in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
