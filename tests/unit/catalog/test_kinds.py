# ruff: noqa: ISC004
"""What validation says of what each type of node needs, and of settings of the run, and in which words."""

from typing import Any

import pytest

from tests.unit.catalog.documents import Bad, Sound, assert_sound, assert_told, job, node, workflow

SOUND: Sound = {
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

BAD: Bad = {
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


@pytest.mark.parametrize("document", SOUND.values(), ids=SOUND.keys())
def test_what_is_sound_has_no_findings(document: dict[str, Any]) -> None:
    assert_sound(document)


@pytest.mark.parametrize(("document", "text"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_with_place_and_remedy(document: dict[str, Any], text: str) -> None:
    assert_told(document, text)
