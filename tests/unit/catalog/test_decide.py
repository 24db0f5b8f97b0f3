"""What follows from a command to catalog."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.commands import (
    AddTrigger,
    ArchiveWorkflow,
    ChangeTrigger,
    CreateWorkflow,
    RemoveTrigger,
    RollbackWorkflow,
    UpdateWorkflow,
    ValidateWorkflow,
)
from flowforge.definition import Workflow, with_defaults
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated

from services.catalog.settings import definition_bytes_max, followers_max

ID: dict[str, Any] = {"command_id": "0190a0a0-0000-7000-8000-000000000001", "actor": "ada"}
TRIGGER: dict[str, Any] = {"id": "on-file", "type": "event", "config": {"event_type": "file.arrived"}}


def hello(**changes: Any) -> dict[str, Any]:
    return {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}], **changes}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def stored(**changes: Any) -> msgspec.Raw:
    document = hello(**changes)
    return raw(with_defaults(document, msgspec.convert(document, Workflow)))


def created(**changes: Any) -> WorkflowCreated:
    return WorkflowCreated(workflow_id="hello", workflow_version=1, definition=stored(**changes))


def updated(version: int, rolled_back_to: int | None = None, **changes: Any) -> WorkflowUpdated:
    return WorkflowUpdated(
        workflow_id="hello", workflow_version=version, definition=stored(**changes), rolled_back_to=rolled_back_to
    )


def update(expected_version: int | None = None, **changes: Any) -> UpdateWorkflow:
    definition = raw(hello(**changes))
    return UpdateWorkflow(**ID, workflow_id="hello", definition=definition, expected_version=expected_version)


ARCHIVED = WorkflowArchived(workflow_id="hello")


async def test_a_workflow_is_created_with_every_default(given: Any) -> None:
    answer = await given().when(CreateWorkflow(**ID, definition=raw(hello()))).then(created())
    assert answer == {"id": "hello", "version": 1, "position": 1, "warnings": []}


async def test_warnings_come_with_the_answer(given: Any) -> None:
    nodes = [{"id": "a", "type": "job", "job_type": "x", "max_parallel": 2}]
    answer = await given().when(CreateWorkflow(**ID, definition=raw(hello(nodes=nodes)))).then(created(nodes=nodes))
    assert [warning["path"] for warning in answer["warnings"]] == ["$.nodes[0].max_parallel"]


async def test_an_id_is_taken_once(given: Any) -> None:
    await given(created()).when(CreateWorkflow(**ID, definition=raw(hello()))).refused(409, "ALREADY_EXISTS")


async def test_the_id_of_an_archived_workflow_stays_taken(given: Any) -> None:
    command = CreateWorkflow(**ID, definition=raw(hello()))
    await given(created(), ARCHIVED).when(command).refused(409, "ALREADY_EXISTS")


@pytest.mark.parametrize("status", ["draft", "active", "archived"])
async def test_an_invalid_definition_is_refused_whatever_its_status(given: Any, status: str) -> None:
    command = CreateWorkflow(**ID, definition=raw(hello(nodes=[], status=status)))
    refusal = await given().when(command).refused(422, "INVALID")
    assert refusal["errors"][0]["type"] == "NO_NODES"
    assert refusal["extra"]["is_valid"] is False


@pytest.mark.parametrize("document", [None, 5, "hello", [], {}, {"id": 5}, {"id": "", "name": ""}])
async def test_what_is_no_workflow_at_all_is_refused(given: Any, document: Any) -> None:
    await given().when(CreateWorkflow(**ID, definition=raw(document))).refused(422, "INVALID")


async def test_a_definition_that_is_too_large_is_refused(given: Any) -> None:
    source = "#" * 450_000
    nodes = [{"id": f"n{n}", "type": "script", "language": "bash", "source": source} for n in range(10)]
    assert len(nodes) * len(source) > definition_bytes_max
    await given().when(CreateWorkflow(**ID, definition=raw(hello(nodes=nodes)))).refused(413, "PAYLOAD_TOO_LARGE")


async def test_a_save_is_a_new_version(given: Any) -> None:
    answer = await given(created()).when(update(name="Two")).then(updated(2, name="Two"))
    assert (answer["version"], answer["position"]) == (2, 2)


async def test_the_same_definition_again_is_no_new_version(given: Any) -> None:
    answer = await given(created(), updated(2, name="Two")).when(update(name="Two")).then()
    assert (answer["version"], answer["position"]) == (2, 2)


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0, False), ("1", 1)])
async def test_values_of_different_types_are_different(given: Any, before: Any, after: Any) -> None:
    old = [{"id": "a", "type": "job", "job_type": "x", "payload": {"v": before}}]
    new = [{"id": "a", "type": "job", "job_type": "x", "payload": {"v": after}}]
    await given(created(nodes=old)).when(update(nodes=new)).then(updated(2, nodes=new))


async def test_the_order_of_fields_is_no_difference(given: Any) -> None:
    nodes = [{"job_type": "greet", "type": "job", "id": "greet"}]
    await given(created()).when(update(nodes=nodes)).then()


async def test_a_workflow_as_read_can_be_saved(given: Any) -> None:
    read = {"version": 1, "created_at": "x", "updated_at": "x", "created_by": "ada"}
    definition = raw({**msgspec.json.decode(stored()), **read})
    await given(created()).when(UpdateWorkflow(**ID, workflow_id="hello", definition=definition)).then()


async def test_a_save_needs_no_id_and_takes_no_other(given: Any) -> None:
    without = {name: value for name, value in hello(name="Two").items() if name != "id"}
    command = UpdateWorkflow(**ID, workflow_id="hello", definition=raw(without))
    await (
        given(created())
        .when(command)
        .then(WorkflowUpdated(workflow_id="hello", workflow_version=2, definition=stored(name="Two")))
    )
    refusal = await given(created()).when(update(id="other")).refused(422, "INVALID")
    assert refusal["errors"][0]["path"] == "$.id"


async def test_a_save_on_top_of_an_older_version_is_refused(given: Any) -> None:
    history = (created(), updated(2, name="Two"))
    await given(*history).when(update(1, name="Three")).refused(412, "VERSION_CHANGED")
    await given(*history).when(update(2, name="Three")).then(updated(3, name="Three"))


UNKNOWN = [
    UpdateWorkflow(**ID, workflow_id="hello", definition=raw(hello())),
    RollbackWorkflow(**ID, workflow_id="hello", version=1),
    ArchiveWorkflow(**ID, workflow_id="hello"),
    AddTrigger(**ID, workflow_id="hello", trigger=raw(TRIGGER)),
    ChangeTrigger(**ID, workflow_id="hello", trigger_id="on-file", patch=raw({})),
    RemoveTrigger(**ID, workflow_id="hello", trigger_id="on-file"),
]


@pytest.mark.parametrize("command", UNKNOWN, ids=lambda command: type(command).__name__)
async def test_an_unknown_workflow_is_not_changed(given: Any, command: Any) -> None:
    await given().when(command).refused(404, "NOT_FOUND")


@pytest.mark.parametrize("command", UNKNOWN, ids=lambda command: type(command).__name__)
async def test_every_change_may_name_the_version_it_is_for(given: Any, command: Any) -> None:
    expecting = msgspec.structs.replace(command, expected_version=7)
    await given(created()).when(expecting).refused(412, "VERSION_CHANGED")


async def test_a_rollback_repeats_an_old_version(given: Any) -> None:
    history = (created(), updated(2, name="Two"))
    answer = await given(*history).when(RollbackWorkflow(**ID, workflow_id="hello", version=1)).then(updated(3, 1))
    assert answer["version"] == 3
    await given(*history).when(RollbackWorkflow(**ID, workflow_id="hello", version=3)).refused(404, "NOT_FOUND")
    await given(*history).when(RollbackWorkflow(**ID, workflow_id="hello", version=0)).refused(404, "NOT_FOUND")
    await given(*history).when(RollbackWorkflow(**ID, workflow_id="hello", version=2)).then()


async def test_archiving_twice_is_archiving_once(given: Any) -> None:
    answer = await given(created()).when(ArchiveWorkflow(**ID, workflow_id="hello")).then(ARCHIVED)
    assert (answer["version"], answer["position"]) == (1, 2)
    again = await given(created(), ARCHIVED).when(ArchiveWorkflow(**ID, workflow_id="hello")).then()
    assert (again["version"], again["position"]) == (1, 2)


async def test_a_save_revives_even_with_the_same_definition(given: Any) -> None:
    await given(created(), ARCHIVED).when(update()).then(updated(2))
    command = RollbackWorkflow(**ID, workflow_id="hello", version=1)
    await given(created(), ARCHIVED).when(command).then(updated(2, 1))


async def test_a_trigger_is_added_as_a_version(given: Any) -> None:
    command = AddTrigger(**ID, workflow_id="hello", trigger=raw(TRIGGER))
    await given(created()).when(command).then(updated(2, triggers=[TRIGGER]))
    await given(created(triggers=[TRIGGER])).when(command).refused(409, "ALREADY_EXISTS")
    await given(created(), ARCHIVED).when(command).refused(409, "INVALID_FLOW_STATE")


@pytest.mark.parametrize("trigger", [None, 5, {}, {"id": "x"}, {"id": "x", "type": "even"}])
async def test_a_bad_trigger_is_refused_with_its_path(given: Any, trigger: Any) -> None:
    command = AddTrigger(**ID, workflow_id="hello", trigger=raw(trigger))
    refusal = await given(created()).when(command).refused(422, "INVALID")
    assert refusal["errors"][0]["path"].startswith("$.triggers[0]")


async def test_a_trigger_is_changed_by_a_merge_patch(given: Any) -> None:
    def patch(value: Any) -> ChangeTrigger:
        return ChangeTrigger(**ID, workflow_id="hello", trigger_id="on-file", patch=raw(value))

    history = (created(triggers=[TRIGGER]),)
    disabled = {**TRIGGER, "enabled": False}
    await given(*history).when(patch({"enabled": False})).then(updated(2, triggers=[disabled]))
    filtered = {**TRIGGER, "config": {**TRIGGER["config"], "filter": "event.data.size > 1"}}
    await (
        given(*history).when(patch({"config": {"filter": "event.data.size > 1"}})).then(updated(2, triggers=[filtered]))
    )
    await given(*history).when(patch({})).then()
    await given(*history).when(patch({"id": "other"})).refused(422, "INVALID")
    await given(*history).when(patch(None)).refused(422, "INVALID")
    await given(created()).when(patch({})).refused(404, "NOT_FOUND")


async def test_a_trigger_is_removed_as_a_version(given: Any) -> None:
    command = RemoveTrigger(**ID, workflow_id="hello", trigger_id="on-file")
    await given(created(triggers=[TRIGGER])).when(command).then(updated(2))
    await given(created()).when(command).refused(404, "NOT_FOUND")


async def test_a_command_is_answered_as_the_first_time_whatever_came_after_it(running: Any) -> None:
    create = CreateWorkflow(**ID, definition=raw(hello()))
    [first] = await running.turn(create)
    await running.turn(msgspec.structs.replace(update(name="Two"), command_id="2"))
    await running.turn(ArchiveWorkflow(command_id="3", workflow_id="hello"))
    assert await running.turn(create) == [first]
    assert len(await running.events()) == 3


async def test_commands_for_one_workflow_that_arrive_together_are_all_carried_out(running: Any) -> None:
    commands = [CreateWorkflow(command_id="0", definition=raw(hello()))]
    commands += [
        UpdateWorkflow(command_id=str(n), actor=f"user-{n}", workflow_id="hello", definition=raw(hello(name=f"{n}")))
        for n in range(1, 5)
    ]
    answers = await running.turn(*commands, commands[2])
    assert [answer["ok"]["version"] for answer in answers] == [1, 2, 3, 4, 5, 3]
    assert [event.actor for event in await running.events()] == [None, "user-1", "user-2", "user-3", "user-4"]


async def test_more_than_a_turn_can_take_are_asked_to_come_again(running: Any) -> None:
    commands = [
        UpdateWorkflow(command_id=str(n), workflow_id="hello", definition=raw(hello(name=f"{n}")))
        for n in range(followers_max + 3)
    ]
    await running.turn(CreateWorkflow(command_id="first", definition=raw(hello())))
    answers = await running.turn(*commands)
    assert [answer.get("refused", {}).get("status") for answer in answers] == [None] * (followers_max + 1) + [503] * 2


async def test_every_save_changes_definitions_and_names_who_and_why(running: Any) -> None:
    await running.turn(CreateWorkflow(**ID, definition=raw(hello())))
    [event] = await running.events()
    assert (await running.log.head()).definitions_position == event.position
    assert (event.actor, event.causation_id) == ("ada", UUID(ID["command_id"]))


async def test_what_is_logged_is_said_and_said_again_under_the_same_id(running: Any) -> None:
    await running.turn(CreateWorkflow(**ID, definition=raw(hello())))
    await running.turn(ArchiveWorkflow(command_id="2", workflow_id="hello"))
    assert [message.subject for message in running.said] == [
        "flowforge.workflows.hello.WorkflowCreated",
        "flowforge.workflows.hello.WorkflowArchived",
    ]
    assert await running.service.resay(await running.events()) == running.said


async def test_a_large_definition_is_said_without_itself(running: Any) -> None:
    nodes = [{"id": f"n{n}", "type": "script", "language": "bash", "source": "#" * 400_000} for n in range(3)]
    await running.turn(CreateWorkflow(**ID, definition=raw(hello(nodes=nodes))))
    [message] = running.said
    assert msgspec.json.decode(message.body)["data"] == {"workflow_id": "hello", "workflow_version": 1}


async def test_validate_answers_the_report_and_logs_nothing(running: Any) -> None:
    [answer] = await running.turn(ValidateWorkflow(**ID, definition=raw(hello(nodes=[]))))
    assert answer["ok"]["is_valid"] is False
    assert await running.events() == []


async def test_a_malformed_command_is_answered(running: Any) -> None:
    class Nonsense(UpdateWorkflow, kw_only=True, frozen=True):
        pass

    [answer] = await running.turn(Nonsense(**ID, workflow_id="hello", definition=raw({})))
    assert answer["refused"]["code"] == "MALFORMED"


async def test_a_save_that_lost_a_race_is_decided_again(running: Any) -> None:
    await running.turn(CreateWorkflow(**ID, definition=raw(hello())))
    second = type(running)(running.log)
    running.before_append = lambda: second.turn(msgspec.structs.replace(update(name="Two"), command_id="2"))
    [answer] = await running.turn(msgspec.structs.replace(update(name="Three"), command_id="3"))
    assert answer["ok"]["version"] == 3
    running.before_append = lambda: second.turn(msgspec.structs.replace(update(name="Four"), command_id="4"))
    [answer] = await running.turn(msgspec.structs.replace(update(3, name="Five"), command_id="5"))
    assert answer["refused"]["code"] == "VERSION_CHANGED"
    assert len(await running.events()) == 4


def test_the_stored_form_of_a_stored_definition_is_itself() -> None:
    document = msgspec.json.decode(stored(triggers=[TRIGGER], variables=[{"name": "a", "default_value": "b"}]))
    again = with_defaults(document, msgspec.convert(document, Workflow))
    assert msgspec.json.encode(again) == msgspec.json.encode(document)


def test_a_state_says_what_the_events_say(folded: Callable[..., Any]) -> None:
    events: list[WorkflowEvent] = [created(), ARCHIVED, updated(2, name="Two")]
    state = folded(*events)
    assert (state.version, state.is_archived) == (2, False)
    assert folded(*events, ARCHIVED).is_archived
