"""Triggers of several workflows changed at once: all of them, or none."""

from typing import Any
from uuid import uuid4

import msgspec
from flowforge.commands import ArchiveWorkflow, ChangeTriggers, CreateWorkflow, TriggerChange, UpdateWorkflow

TRIGGER: dict[str, Any] = {"id": "t", "type": "event", "config": {"event_type": "file.arrived"}}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def definition(name: str, **more: Any) -> dict[str, Any]:
    triggers = [TRIGGER, {**TRIGGER, "id": "u"}]
    return {"id": name, "name": name, "nodes": [{"id": "s", "type": "start"}], "triggers": triggers, **more}


def change(workflow_id: str, trigger_id: str = "t", **patch: Any) -> TriggerChange:
    return TriggerChange(workflow_id, trigger_id, raw(patch))


def together(*items: TriggerChange, command_id: str = "") -> ChangeTriggers:
    return ChangeTriggers(command_id=command_id or str(uuid4()), actor="ada", items=list(items))


async def two(running: Any) -> None:
    for name in ("a", "b"):
        await running.turn(CreateWorkflow(command_id=str(uuid4()), definition=raw(definition(name))))


async def test_all_are_changed_in_one_group_with_one_version_each(running: Any) -> None:
    await two(running)
    command = together(
        change("a", enabled=False), change("a", "u", name="U"), change("b", config={"filter": "event.data.n > 1"})
    )
    [answer] = await running.turn(command)
    assert [(item["id"], item["version"]) for item in answer["ok"]["items"]] == [("a", 2), ("b", 2)]
    events = (await running.events())[2:]
    assert [event.recorded_at for event in events] == [events[0].recorded_at] * 2
    assert [event.actor for event in events] == ["ada"] * 2
    assert answer["ok"]["position"] == events[-1].position
    saved = msgspec.json.decode(events[0].data)["definition"]["triggers"]
    assert [(trigger["enabled"], trigger["name"]) for trigger in saved] == [(False, ""), (True, "U")]
    assert len(running.said) == 4
    [again] = await running.turn(command)
    assert again == answer
    assert len(await running.events()) == 4


async def test_the_same_command_again_is_answered_as_then_though_versions_followed(running: Any) -> None:
    await two(running)
    command = together(change("a", enabled=False), change("b", enabled=True))
    [answer] = await running.turn(command)
    assert [(item["id"], item["version"]) for item in answer["ok"]["items"]] == [("a", 2), ("b", 1)]
    for name in ("a", "b"):
        changed = raw(definition(name, description="later"))
        await running.turn(UpdateWorkflow(command_id=str(uuid4()), workflow_id=name, definition=changed))
    [again] = await running.turn(command)
    assert again == answer


async def test_one_that_cannot_be_carried_out_refuses_all_and_names_each(running: Any) -> None:
    await two(running)
    await running.turn(CreateWorkflow(command_id=str(uuid4()), definition=raw(definition("old"))))
    await running.turn(ArchiveWorkflow(command_id=str(uuid4()), workflow_id="old"))
    before = await running.events()
    [answer] = await running.turn(
        together(
            change("a", enabled=False),
            change("a", "none", enabled=False),
            change("b", "u", config={"filter": "event.data. >"}),
            change("nowhere", enabled=False),
            change("old", enabled=False),
        )
    )
    errors = answer["refused"]["errors"]
    assert answer["refused"]["status"] == 422
    paths = ["$.items[1]", "$.items[2].patch.config.filter", "$.items[3]", "$.items[4]"]
    assert [error["path"] for error in errors] == paths
    assert await running.events() == before


async def test_whoever_loses_a_race_decides_again_on_what_is_new(running: Any) -> None:
    await two(running)

    async def meanwhile() -> None:
        other = type(running)(running.log)
        changed = raw(definition("b", description="meanwhile"))
        await other.turn(UpdateWorkflow(command_id=str(uuid4()), workflow_id="b", definition=changed))

    running.before_append = meanwhile
    [answer] = await running.turn(together(change("a", enabled=False), change("b", enabled=False)))
    assert [(item["id"], item["version"]) for item in answer["ok"]["items"]] == [("a", 2), ("b", 3)]
    last = msgspec.json.decode((await running.events())[-1].data)["definition"]
    assert (last["description"], last["triggers"][0]["enabled"]) == ("meanwhile", False)


async def test_nothing_to_change_logs_nothing(running: Any) -> None:
    await two(running)
    [answer] = await running.turn(together(change("a", enabled=True), change("b")))
    assert [item["version"] for item in answer["ok"]["items"]] == [1, 1]
    assert len(await running.events()) == 2
