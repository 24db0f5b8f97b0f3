"""Stored prompts: saved as versions, deleted, named by workflows, and given the secrets that they refer to."""

from typing import Any
from uuid import UUID

import pytest
from flowforge.commands import CreateWorkflow, DeletePrompt, SavePrompt, ValidateWorkflow
from flowforge.envelope import now
from flowforge.events import Cause, PromptDeleted, PromptSaved, TriggerRef, WorkflowTriggered, decode, encode
from flowforge.identity import new_uuid

from infra.eventlog import Append, NewEvent, StreamAppend
from infra.secrets.asking import SecretsAsked
from services.catalog.giving import Giving
from services.catalog.secret_names import secret_names
from tests.unit.catalog.conftest import Running, as_raw

NODE = {"id": "q", "type": "prompt_execution", "provider_model": "ollama:m", "prompt_id": "greet"}
WORKFLOW = {"id": "w", "name": "W", "nodes": [NODE]}


def save(command_id: str, prompt: Any = "Greet ${input.who}", prompt_id: str = "greet", **fields: Any) -> SavePrompt:
    if "system" in fields:
        fields["system"] = as_raw(fields["system"])
    return SavePrompt(command_id=command_id, actor="ann", prompt_id=prompt_id, prompt=as_raw(prompt), **fields)


async def logged(running: Running) -> list[Any]:
    return [decode(stored.type, stored.data) for stored in await running.events()]


async def ok(running: Running, command: Any) -> dict[str, Any]:
    """Its answer; the command again is answered alike and changes nothing."""
    [first] = await running.turn(command)
    before = await running.events()
    [second] = await running.turn(command)
    assert (first, await running.events()) == (second, before)
    assert "ok" in first, first
    return first["ok"]


async def refused(running: Running, command: Any) -> dict[str, Any]:
    before = await running.events()
    [answer] = await running.turn(command)
    assert await running.events() == before
    assert "refused" in answer, answer
    return answer["refused"]


async def test_each_save_is_a_version_and_is_said(running: Running):
    first = await ok(running, save("1", name="Greeting", description="Says hello", system="In ${input.language}"))
    assert first == {"id": "greet", "version": 1, "position": 1, "warnings": []}
    second = await ok(running, save("2", [{"role": "user", "content": "Greet ${input.who}"}]))
    assert (second["version"], second["position"]) == (2, 2)
    one, two = await logged(running)
    assert one == PromptSaved(
        prompt_id="greet", prompt_version=1, name="Greeting", description="Says hello",
        prompt=as_raw("Greet ${input.who}"), system=as_raw("In ${input.language}"),
    )  # fmt: skip
    assert (two.prompt_version, two.name, bytes(two.system)) == (2, "greet", b"")
    assert [said.subject for said in running.said] == ["flowforge.prompts.greet.PromptSaved"] * 2


async def test_the_same_content_again_is_no_new_version(running: Running):
    await ok(running, save("1", [{"role": "user", "content": "Hi"}]))
    assert (await ok(running, save("2", [{"content": "Hi", "role": "user"}], name="greet", system="")))["version"] == 1
    assert (await ok(running, save("3", [{"content": "Hi", "role": "user"}], description="x")))["version"] == 2


async def test_a_save_may_insist_on_what_it_builds_on(running: Running):
    assert (await refused(running, save("1", may_be_new=False)))["code"] == "NOT_FOUND"
    await ok(running, save("2"))
    assert (await refused(running, save("3", "Hi", expected_version=2)))["code"] == "VERSION_CHANGED"
    assert (await ok(running, save("4", "Hi", expected_version=1, may_be_new=False)))["version"] == 2


async def test_a_deleted_prompt_is_saved_again_as_a_further_version(running: Running):
    assert (await refused(running, DeletePrompt(command_id="1", prompt_id="greet")))["code"] == "NOT_FOUND"
    await ok(running, save("2"))
    assert (await ok(running, DeletePrompt(command_id="3", prompt_id="greet")))["id"] == "greet"
    assert (await logged(running))[-1] == PromptDeleted(prompt_id="greet")
    assert (await refused(running, save("4", may_be_new=False)))["code"] == "NOT_FOUND"
    assert (await ok(running, save("5")))["version"] == 2


async def test_of_saves_at_once_each_is_decided_after_the_other(running: Running):
    answers = await running.turn(save("1"), save("2"), save("3", "Hi"), save("4", prompt_id="other"))
    assert [answer["ok"]["version"] for answer in answers] == [1, 1, 2, 1]

    async def somebody_else() -> None:
        await running.turn(save("6", "Hello"))

    running.before_append = somebody_else
    [late] = await running.turn(save("5", "Good day", expected_version=2))
    assert late["refused"]["code"] == "VERSION_CHANGED"


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"prompt": "Hi ${input.}"}, "$.prompt", "expected"),
        ({"prompt": [{"role": "user", "content": ["${input.}"]}]}, "$.prompt[0].content[0]", "expected"),
        ({"prompt": "Hi ${who}"}, "$.prompt", "undeclared name 'who'"),
        ({"prompt": "Hi ${run.nmae}"}, "$.prompt", "a run has no 'nmae'"),
        ({"prompt": "Hi ${callback.url}"}, "$.prompt", "'callback' has no value here"),
        ({"prompt": "Hi", "system": "be ${brief}"}, "$.system", "undeclared name 'brief'"),
        ({"prompt": " "}, "$.prompt", "the prompt is empty"),
        ({"prompt": None}, "$.prompt", "neither a text nor a list of messages"),
        ({"prompt": []}, "$.prompt", "neither a text nor a list of messages"),
        ({"prompt": ["Hi", {"role": "user"}]}, "$.prompt[0]", "a message has a role"),
        ({"prompt": "Hi", "system": 3}, "$.system", "the system prompt is no text"),
        ({"prompt": "Hi\x00"}, "$.prompt", "U+0000"),
        ({"prompt": "Hi", "name": "\x00"}, "$.name", "U+0000"),
        ({"prompt": "Hi", "prompt_id": "Not an id"}, "$.id", "no id of a prompt"),
    ],
)
async def test_a_prompt_that_cannot_be_used_is_refused_with_the_place(
    running: Running, fields: dict[str, Any], path: str, message: str
):
    refusal = await refused(running, save("1", **fields))
    assert (refusal["status"], refusal["errors"][0]["path"]) == (422, path)
    assert message in refusal["errors"][0]["message"]
    assert refusal["detail"].startswith(refusal["errors"][0]["message"])


async def test_names_that_only_the_workflow_knows_are_left_to_it(running: Running):
    await ok(running, save("1", "${nodes.read.output.text} ${variables.tone} ${item} ${secrets.key} ${previous}"))


async def test_a_prompt_has_room_and_no_more(running: Running):
    assert (await refused(running, save("1", "x" * 256 * 1024)))["code"] == "PAYLOAD_TOO_LARGE"
    await ok(running, save("2", "x" * 200 * 1024))


async def test_a_workflow_is_told_of_prompts_that_are_not_there(running: Running):
    [first] = await running.turn(CreateWorkflow(command_id="1", definition=as_raw(WORKFLOW)))
    assert [item["type"] for item in first["ok"]["warnings"]] == ["UNKNOWN_PROMPT"]
    await ok(running, save("2"))
    [report] = await running.turn(ValidateWorkflow(command_id="3", definition=as_raw(WORKFLOW)))
    assert report["ok"]["warnings"] == []
    await ok(running, DeletePrompt(command_id="4", prompt_id="greet"))
    [report] = await running.turn(ValidateWorkflow(command_id="5", definition=as_raw(WORKFLOW)))
    assert "was deleted" in report["ok"]["warnings"][0]["message"]


async def started(running: Running, **fields: Any) -> UUID:
    """A run of a workflow whose node names the stored prompt."""
    definition = as_raw({**WORKFLOW, "nodes": [{**NODE, **fields}]})
    await running.turn(CreateWorkflow(command_id="w", definition=definition))
    at = now()
    run_id, cause_id = new_uuid(at), new_uuid(at)
    event = WorkflowTriggered(
        run_id=run_id,
        workflow_id="w",
        workflow_version=1,
        trigger=TriggerRef(type="manual", id="manual"),
        trigger_version=1,
        cause=Cause(event_id=cause_id, type="manual", id="1", source="/test", stream_id=cause_id),
    )
    stream = StreamAppend("run", run_id, 0, [NewEvent("WorkflowTriggered", encode(event))])
    await running.log.append([Append([stream], recorded_at=at)])
    return run_id


@pytest.mark.parametrize(("version", "given"), [(None, ["old", "new"]), (1, ["old"])])
async def test_a_node_may_have_the_secrets_of_the_stored_prompt_that_it_names(
    running: Running, version: int | None, given: list[str]
):
    await ok(running, save("1", "${secrets.old}"))
    await ok(running, save("2", "Hi", system="${secrets.new}"))
    run_id = await started(running, **({} if version is None else {"prompt_version": version}))
    named = secret_names(running.log, "flowforge", lambda: running.now)
    giving = Giving(running.log, named, running.secrets)
    for name in ("old", "new", "other"):
        asked = SecretsAsked(run_id=run_id, node_id="q", names=[name], public_key="")
        answer = await giving.given(asked)
        assert answer.missing == ([name] if name in given else []), (
            answer
        )  # none is kept here: it may be had all the same
