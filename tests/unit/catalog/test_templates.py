"""Templates: saved, deleted, made into workflows; the ready-made ones."""

from typing import Any

import msgspec
import pytest
from flowforge.commands import (
    CreateWorkflow,
    DeleteTemplate,
    InstantiateTemplate,
    ListTemplates,
    SaveTemplate,
    UpdateWorkflow,
)
from flowforge.events import TemplateSaved, WorkflowCreated, decode

from services.catalog.templates.ready_made import FOLDER, ready_made
from services.catalog.validation import validate
from tests.unit.catalog.conftest import Running, as_raw

NODES = [{"id": "n", "type": "start"}]
DEFINITION = {"nodes": NODES, "variables": [{"name": "region", "default_value": "eu"}]}
WEBHOOK = {"id": "hook", "type": "webhook", "config": {"secret": "a secret of some length"}}


def save(command_id: str = "1", template_id: str = "mine", **fields: Any) -> SaveTemplate:
    fields = {"definition": as_raw(DEFINITION), "name": "Mine"} | fields
    return SaveTemplate(command_id=command_id, actor="ann", template_id=template_id, **fields)


def make(
    command_id: str = "9", template_id: str = "mine", workflow_id: str = "new", **fields: Any
) -> InstantiateTemplate:
    return InstantiateTemplate(command_id=command_id, template_id=template_id, workflow_id=workflow_id, **fields)


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


async def test_a_template_is_saved_under_its_own_id_and_name(running: Running) -> None:
    answer = await ok(running, save(description="Does it", category="etl"))
    assert answer == {"id": "mine", "version": 1, "position": 1, "warnings": []}
    [event] = await logged(running)
    assert isinstance(event, TemplateSaved)
    definition = msgspec.json.decode(event.definition)
    assert (event.name, event.description, event.category, event.template_version) == ("Mine", "Does it", "etl", 1)
    assert (definition["id"], definition["name"], definition["description"]) == ("mine", "Mine", "Does it")
    [outgoing] = running.said
    assert outgoing.subject == "flowforge.templates.mine.TemplateSaved"


async def test_a_template_may_be_taken_from_any_version_of_a_workflow(running: Running) -> None:
    whole = {"id": "w", "name": "W", "nodes": NODES, "status": "draft"}
    await ok(running, CreateWorkflow(command_id="a", definition=as_raw(whole)))
    await ok(running, UpdateWorkflow(command_id="b", workflow_id="w", definition=as_raw({**whole, "tags": ["x"]})))
    await ok(running, save(definition=msgspec.Raw(b"null"), workflow_id="w", workflow_version=1, name=""))
    await ok(running, save("2", "newest", definition=msgspec.Raw(b"null"), workflow_id="w"))
    first, newest = (await logged(running))[2:]
    assert (first.name, first.workflow_id, first.workflow_version) == ("W", "w", 1)
    assert newest.workflow_version == 2
    assert msgspec.json.decode(newest.definition)["tags"] == ["x"]
    assert msgspec.json.decode(newest.definition)["status"] == "active"
    missing = await refused(
        running, save("3", "x", definition=msgspec.Raw(b"null"), workflow_id="w", workflow_version=3)
    )
    assert missing["status"] == 404
    assert (await refused(running, save("4", "x", definition=msgspec.Raw(b"null"), workflow_id="v")))["status"] == 404


async def test_an_invalid_definition_is_no_template(running: Running) -> None:
    refusal = await refused(running, save(definition=as_raw({"nodes": [{"id": "n", "type": "strat"}]})))
    assert (refusal["status"], refusal["errors"][0]["path"]) == (422, "$.nodes[0].type")
    assert (await refused(running, save(definition=msgspec.Raw(b"[]"))))["status"] == 422
    assert (await refused(running, save(definition=msgspec.Raw(b"null"))))["status"] == 422
    assert (await refused(running, save(workflow_id="w")))["status"] == 422
    assert (await refused(running, save(category="\x00")))["errors"][0]["path"] == "$.category"


async def test_an_id_is_taken_once_and_saved_anew_only_where_it_is_taken(running: Running) -> None:
    assert (await refused(running, save(is_new=False)))["status"] == 404
    await ok(running, save())
    assert (await refused(running, save("2")))["code"] == "ALREADY_EXISTS"
    assert (await ok(running, save("3", is_new=False, category="b")))["version"] == 2
    assert (await ok(running, save("4", is_new=False, category="b")))["version"] == 2
    assert len(await running.events()) == 2


async def test_a_deleted_template_can_be_saved_again(running: Running) -> None:
    await ok(running, save())
    await ok(running, DeleteTemplate(command_id="2", template_id="mine"))
    assert (await refused(running, make()))["status"] == 404
    assert (await refused(running, DeleteTemplate(command_id="3", template_id="mine")))["status"] == 404
    assert (await ok(running, save("4")))["version"] == 2


async def test_what_is_ready_made_stays_as_it_is(running: Running) -> None:
    for command in (save(template_id="sequential-etl"), DeleteTemplate(command_id="2", template_id="sequential-etl")):
        assert (await refused(running, command))["code"] == "INVALID_FLOW_STATE"


async def test_a_workflow_made_of_a_template_has_its_own_id_name_and_defaults(running: Running) -> None:
    await ok(running, save())
    answer = await ok(running, make(name="New", variables={"region": msgspec.Raw(b'"us"')}, tags=["t"]))
    assert (answer["id"], answer["version"]) == ("new", 1)
    _, event = await logged(running)
    assert isinstance(event, WorkflowCreated)
    definition = msgspec.json.decode(event.definition)
    assert (event.workflow_id, event.template_id) == ("new", "mine")
    assert (definition["id"], definition["name"], definition["tags"]) == ("new", "New", ["t"])
    assert definition["variables"][0]["default_value"] == "us"
    assert (await refused(running, make("10")))["code"] == "ALREADY_EXISTS"


@pytest.mark.parametrize(
    ("fields", "path", "mend"),
    [
        ({"variables": {"regoin": msgspec.Raw(b"1")}}, "$.variables.regoin", "did you mean `region`?"),
        ({"variables": {"region": msgspec.Raw(b"1")}}, "$.variables[0].default_value", ""),
        ({"secrets": {"hook": "x"}}, "$.secrets.hook", "known here: none"),
        ({"workflow_id": "Not a slug"}, "$.id", ""),
    ],
)
async def test_what_does_not_fit_the_template_is_told(
    running: Running, fields: dict[str, Any], path: str, mend: str
) -> None:
    await ok(running, save())
    refusal = await refused(running, make(**fields))
    assert (refusal["status"], refusal["errors"][0]["path"]) == (422, path)
    assert mend in refusal["errors"][0]["suggested_resolution"]


async def test_a_template_holds_no_secret_and_its_workflow_brings_its_own(running: Running) -> None:
    await ok(running, save(definition=as_raw({**DEFINITION, "triggers": [WEBHOOK]})))
    assert b"secret" not in (await running.events())[0].data
    assert (await refused(running, make()))["errors"][0]["type"] == "MISSING_SECRET"
    await ok(running, make("10", secrets={"hook": "another secret of some length"}))
    [trigger] = msgspec.json.decode((await running.events())[1].data)["definition"]["triggers"]
    assert list(trigger["config"]) == ["secret_refs"]


async def test_those_that_come_at_once_are_decided_one_after_the_other(running: Running) -> None:
    answers = await running.turn(save("1"), save("2"), save("3", is_new=False, category="c"))
    assert ["ok" in answer for answer in answers] == [True, False, True]


async def test_who_saved_first_wins(running: Running) -> None:
    async def meanwhile() -> None:
        await running.turn(save("other", category="theirs"))

    running.before_append = meanwhile
    [answer] = await running.turn(save())
    assert answer["refused"]["code"] == "ALREADY_EXISTS"


async def test_the_ready_made_ones_are_listed_with_their_parameters(running: Running) -> None:
    [answer] = await running.turn(ListTemplates(command_id="1"))
    items = answer["ok"]["items"]
    assert len(items) >= 6
    assert {item["source"] for item in items} == {"builtin"}
    [one] = (await running.turn(ListTemplates(command_id="2", template_id="sequential-etl")))[0]["ok"]["items"]
    assert [parameter["name"] for parameter in one["parameters"]] == ["rows_count", "threshold"]
    assert (await running.turn(ListTemplates(command_id="3", template_id="none")))[0] == {"ok": {"items": []}}


@pytest.mark.parametrize("template_id", [file.stem for file in sorted(FOLDER.glob("*.yaml"))])
async def test_each_ready_made_template_is_sound_and_becomes_a_workflow(running: Running, template_id: str) -> None:
    template = ready_made()[template_id]
    report = validate(msgspec.json.decode(template.definition))
    assert (report.errors, report.warnings) == ([], [])
    assert template.description
    assert template.category
    answer = await ok(running, make(template_id=template_id))
    assert answer["warnings"] == []
