# ruff: noqa: ISC004
"""What validation says of other workflows and stored prompts that a definition names."""

import pytest
from flowforge.commands import AddTrigger, CreateWorkflow, ValidateWorkflow

from services.catalog.validation import Known, PromptVersions, validate
from tests.unit.catalog.conftest import Running, as_raw
from tests.unit.catalog.documents import job, loop, node, told, workflow


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
