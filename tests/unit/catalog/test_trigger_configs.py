"""Setting the six job-type triggers of a workflow, and what stands in the way."""

from typing import Any

import msgspec
import pytest
from flowforge.commands import AddTrigger, ChangeTrigger, RollbackWorkflow, SetTriggerConfigs, UpdateWorkflow
from flowforge.definition import Workflow, with_defaults
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowUpdated
from flowforge.job_types import TRIGGER_TYPES

from services.catalog.trigger_configs import errors_of
from services.catalog.validation import validate

ID: dict[str, Any] = {"command_id": "0190a0a0-0000-7000-8000-000000000001", "actor": "ada"}
OLD = [{"trigger_type": "TRAIN", "is_enabled": True}, {"trigger_type": "RETIRED", "is_enabled": True}, "?"]


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def hello(**changes: Any) -> dict[str, Any]:
    return {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}], **changes}


def stored(**changes: Any) -> msgspec.Raw:
    document = hello(**changes)
    return raw(with_defaults(document, msgspec.convert(document, Workflow)))


def created(**changes: Any) -> WorkflowCreated:
    return WorkflowCreated(workflow_id="hello", workflow_version=1, definition=stored(**changes))


def updated(**changes: Any) -> WorkflowUpdated:
    return WorkflowUpdated(workflow_id="hello", workflow_version=2, definition=stored(**changes))


def created_long_ago() -> WorkflowCreated:
    """A version whose list holds what is no longer known."""
    document = {**msgspec.json.decode(stored()), "trigger_configs": OLD}
    return WorkflowCreated(workflow_id="hello", workflow_version=1, definition=raw(document))


def six(*enabled: str, **options: Any) -> list[dict[str, Any]]:
    return [
        {"trigger_type": name, "is_enabled": name in enabled, **(options if name in enabled else {})}
        for name in TRIGGER_TYPES
    ]


def put(configs: Any, **fields: Any) -> SetTriggerConfigs:
    return SetTriggerConfigs(**ID, workflow_id="hello", configs=raw(configs), **fields)


async def test_setting_them_is_a_new_version_and_answers_them(given: Any) -> None:
    answer = await given(created()).when(put(six("TRAIN"))).then(updated(trigger_configs=six("TRAIN")))
    assert answer == {"id": "hello", "version": 2, "position": 2, "warnings": [], "trigger_configs": six("TRAIN")}


async def test_any_order_is_stored_in_that_of_the_blueprints(given: Any) -> None:
    answer = await given(created()).when(put(six("EVAL")[::-1])).then(updated(trigger_configs=six("EVAL")))
    assert answer["trigger_configs"] == six("EVAL")


async def test_options_left_out_are_off_again(given: Any) -> None:
    before = created(trigger_configs=six("TRAIN", on_failure=True, job_name="a*", across_experiments=True))
    answer = await given(before).when(put(six("TRAIN"))).then(updated(trigger_configs=six("TRAIN")))
    assert answer["trigger_configs"][0] == {"trigger_type": "TRAIN", "is_enabled": True}


async def test_what_is_set_already_is_no_new_version(given: Any) -> None:
    answer = await given(created(trigger_configs=six("TRAIN"))).when(put(six("TRAIN"))).then()
    assert (answer["version"], answer["trigger_configs"]) == (1, six("TRAIN"))


async def test_an_unknown_workflow_is_404_and_an_archived_one_409_whatever_is_asked(given: Any) -> None:
    await given().when(put([])).refused(404, "NOT_FOUND")
    await given(created(), WorkflowArchived(workflow_id="hello")).when(put([])).refused(409, "INVALID_FLOW_STATE")


async def test_another_version_than_the_expected_one_is_412(given: Any) -> None:
    await given(created()).when(put(six(), expected_version=7)).refused(412, "VERSION_CHANGED")


REFUSED: list[tuple[Any, list[tuple[str, str]]]] = [
    (None, [("WRONG_TYPE", "$.configs")]),
    ({}, [("WRONG_TYPE", "$.configs")]),
    ([], [("MISSING_TYPE", "$.configs")] * 6),
    (six()[1:], [("MISSING_TYPE", "$.configs")]),
    ([*six(), six()[0]], [("DUPLICATE_TYPE", "$.configs[6].trigger_type")]),
    ([*six(), {"trigger_type": "train", "is_enabled": True}], [("UNKNOWN_TYPE", "$.configs[6].trigger_type")]),
    ([*six(), 5], [("WRONG_TYPE", "$.configs[6]")]),
    ([*six(), {}], [("MISSING_FIELD", "$.configs[6].trigger_type"), ("MISSING_FIELD", "$.configs[6].is_enabled")]),
    ([{**six()[0], "is_enabled": "true"}, *six()[1:]], [("WRONG_TYPE", "$.configs[0].is_enabled")]),
    ([{**six()[0], "is_enabled": 1}, *six()[1:]], [("WRONG_TYPE", "$.configs[0].is_enabled")]),
    ([{**six()[0], "is_enabled": None}, *six()[1:]], [("WRONG_TYPE", "$.configs[0].is_enabled")]),
    ([{"trigger_type": "TRAIN"}, *six()[1:]], [("MISSING_FIELD", "$.configs[0].is_enabled")]),
    ([{**six()[0], "trigger_type": 7}, *six()[1:]],
     [("WRONG_TYPE", "$.configs[0].trigger_type"), ("MISSING_TYPE", "$.configs")]),
    ([{**six()[0], "on_failure": 0}, *six()[1:]], [("WRONG_TYPE", "$.configs[0].on_failure")]),
    ([{**six()[0], "job_name": ""}, *six()[1:]], [("WRONG_TYPE", "$.configs[0].job_name")]),
    ([{**six()[0], "enabled": True}, *six()[1:]], [("UNKNOWN_FIELD", "$.configs[0].enabled")]),
]  # fmt: skip


@pytest.mark.parametrize(("configs", "expected"), REFUSED)
async def test_everything_that_is_wrong_is_told_with_its_place(given: Any, configs: Any, expected: Any) -> None:
    refusal = await given(created()).when(put(configs)).refused(422, "INVALID")
    assert [(error["type"], error["path"]) for error in refusal["errors"]] == expected


def test_the_words_name_what_is_wrong_and_how_to_mend_it() -> None:
    configs = [{"trigger_type": "EVALL", "is_enabled": "yes"}, *six()[:4], six()[0], six()[5]]
    assert [f"{error['message']}; {error['suggested_resolution']}" for error in errors_of(configs)] == [
        "unknown type 'EVALL' of a job-type trigger; did you mean `EVAL`?",
        "is_enabled is the text 'yes', which is no boolean; write true or false",
        "TRAIN is named twice, first at $.configs[1]; name each type once",
        'EVAL is missing; add {"trigger_type": "EVAL", "is_enabled": false}, or true',
    ]


async def test_what_an_older_version_stored_stands_in_nobodys_way(given: Any) -> None:
    trigger = {"id": "by-hand", "type": "manual"}
    after = updated(triggers=[trigger], trigger_configs=six("TRAIN"))
    await given(created_long_ago()).when(AddTrigger(**ID, workflow_id="hello", trigger=raw(trigger))).then(after)
    rolled = RollbackWorkflow(**ID, workflow_id="hello", version=1)
    answer = await given(created_long_ago()).when(rolled).then()
    assert answer["version"] == 1


async def test_a_definition_without_the_list_is_the_one_with_six_that_are_off(given: Any) -> None:
    document = {name: value for name, value in msgspec.json.decode(stored()).items() if name != "trigger_configs"}
    before = WorkflowCreated(workflow_id="hello", workflow_version=1, definition=raw(document))
    await given(before).when(UpdateWorkflow(**ID, workflow_id="hello", definition=raw(hello()))).then()


async def test_an_id_of_a_job_type_trigger_is_no_id_for_another(given: Any) -> None:
    trigger = {"id": "train", "type": "manual"}
    refusal = (
        await given(created()).when(AddTrigger(**ID, workflow_id="hello", trigger=raw(trigger))).refused(422, "INVALID")
    )
    [error] = refusal["errors"]
    assert (error["type"], error["path"]) == ("RESERVED_ID", "$.triggers[0].id")
    assert error["message"] == "'train' is the id of the job-type trigger TRAIN, which every workflow has"
    patch = ChangeTrigger(**ID, workflow_id="hello", trigger_id="train", patch=raw({"enabled": False}))
    refusal = await given(created()).when(patch).refused(404, "NOT_FOUND")


def found(**fields: Any) -> list[tuple[str, str]]:
    return [(item.type, item.path) for item in validate(hello(**fields)).errors]


def test_findings_in_definitions_that_people_write() -> None:
    on = {"trigger_type": "TRAIN", "is_enabled": True}
    assert found(trigger_configs=[on]) == []
    assert found(trigger_configs=[on, on]) == [("DUPLICATE_TRIGGER_CONFIG", "$.trigger_configs[1].trigger_type")]
    assert found(trigger_configs=[{**on, "trigger_type": "TRIAN"}, {**on, "is_enabled": "yes"}]) == [
        ("UNKNOWN_TYPE", "$.trigger_configs[0].trigger_type"),
        ("INVALID_FIELD", "$.trigger_configs[1].is_enabled"),
    ]
    assert found(trigger_configs=[{**on, "enabled": True}]) == [("UNKNOWN_FIELD", "$.trigger_configs[0].enabled")]
    assert found(trigger_configs={}) == [("INVALID_FIELD", "$.trigger_configs")]
    assert found(triggers=[{"id": "eval", "type": "manual"}]) == [("RESERVED_ID", "$.triggers[0].id")]
    assert found(id="trigger_blueprints") == [("RESERVED_ID", "$.id")]
