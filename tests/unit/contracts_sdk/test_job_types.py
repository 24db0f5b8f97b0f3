"""Job-type triggers as they are read: always the six, whatever is stored."""

from typing import Any

import pytest
from flowforge.definition import Workflow, document, parse, parse_stored, with_defaults
from flowforge.job_types import BLUEPRINTS, TRIGGER_IDS, TRIGGER_TYPES, TriggerConfig, normalised, shown
from hypothesis import given
from hypothesis import strategies as st

SIX = ["TRAIN", "DOWNLOAD_MODEL", "LOAD_MODEL", "EXPORT_MODEL", "EVAL", "GENERATE"]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([*SIX, "trigger_type", "is_enabled"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["trigger_type", "is_enabled"]), inner),
)


def enabled(stored: object) -> list[str]:
    return [config.trigger_type for config in normalised(stored) if config.is_enabled]


def hello(**fields: Any) -> dict[str, Any]:
    return {"id": "hello", "name": "Hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}], **fields}


def test_there_are_six_blueprints_and_all_are_off_by_default() -> None:
    assert [one.trigger_type for one in BLUEPRINTS] == list(TRIGGER_TYPES) == SIX
    assert not any(one.default_is_enabled for one in BLUEPRINTS)
    assert all(one.name and one.description for one in BLUEPRINTS)
    assert list(TRIGGER_IDS) == ["train", "download_model", "load_model", "export_model", "eval", "generate"]


@given(ANY_JSON)
def test_whatever_is_stored_the_six_are_read_in_order(stored: Any) -> None:
    read = shown(normalised(stored))
    assert [item["trigger_type"] for item in read] == SIX
    assert all(isinstance(item["is_enabled"], bool) for item in read)
    assert shown(normalised(read)) == read


@pytest.mark.parametrize(
    "item",
    [
        {"trigger_type": "TRAIN"},
        {"trigger_type": "TRAIN", "is_enabled": "true"},
        {"trigger_type": "TRAIN", "is_enabled": 1},
        {"trigger_type": "TRAIN", "is_enabled": None},
        {"trigger_type": "TRAIN", "is_enabled": True, "job_name": 5},
        {"trigger_type": "train", "is_enabled": True},
        {"trigger_type": "FINE_TUNE", "is_enabled": True},
        {"is_enabled": True},
        "TRAIN",
    ],
)
def test_only_a_known_type_with_a_boolean_and_readable_options_is_on(item: Any) -> None:
    assert enabled([item]) == []


def test_what_a_later_version_added_to_an_item_is_left_out_and_of_doubles_the_last_counts() -> None:
    assert enabled([{"trigger_type": "EVAL", "is_enabled": True, "colour": "red"}]) == ["EVAL"]
    assert enabled([{"trigger_type": "EVAL", "is_enabled": on} for on in (False, True)]) == ["EVAL"]
    assert enabled([{"trigger_type": "EVAL", "is_enabled": on} for on in (True, False)]) == []


def test_options_are_shown_where_they_are_set() -> None:
    config = TriggerConfig(trigger_type="TRAIN", is_enabled=True, on_failure=True, job_name="nightly-*")
    assert shown([config, TriggerConfig(trigger_type="EVAL")]) == [
        {"trigger_type": "TRAIN", "is_enabled": True, "on_failure": True, "job_name": "nightly-*"},
        {"trigger_type": "EVAL", "is_enabled": False},
    ]


def test_what_is_stored_of_a_definition_names_all_six() -> None:
    authored = hello(trigger_configs=[{"trigger_type": "EVAL", "is_enabled": True}])
    workflow, faults = parse(authored)
    assert workflow is not None, faults
    stored = with_defaults(authored, workflow)["trigger_configs"]
    assert [item["trigger_type"] for item in stored] == SIX
    assert [item["trigger_type"] for item in stored if item["is_enabled"]] == ["EVAL"]


def test_a_workflow_in_python_says_only_what_differs() -> None:
    workflow = Workflow(
        id="hello", name="Hello", nodes=[], trigger_configs=[TriggerConfig(trigger_type="TRAIN", is_enabled=True)]
    )
    assert document(workflow)["trigger_configs"] == [{"trigger_type": "TRAIN", "is_enabled": True}]


@pytest.mark.parametrize("stored", [None, 5, {"TRAIN": True}, [{"trigger_type": "OLD", "is_enabled": True}], [7]])
def test_a_stored_definition_is_read_whatever_its_configs_hold(stored: Any) -> None:
    workflow, faults = parse_stored(hello(trigger_configs=stored))
    assert workflow is not None, faults
    assert [config.is_enabled for config in workflow.trigger_configs] == [False] * 6


def test_in_a_definition_that_people_write_an_unknown_type_is_a_fault() -> None:
    workflow, [fault] = parse(hello(trigger_configs=[{"trigger_type": "TRIAN", "is_enabled": True}]))
    assert workflow is None
    assert fault.path == "$.trigger_configs[0].trigger_type"
    assert fault.message == "unknown type 'TRIAN' of a job-type trigger"
    assert fault.suggested_resolution == "did you mean `TRAIN`?"
