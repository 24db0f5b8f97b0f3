"""Job-type triggers as they are read: blueprints, all six wherever a definition is shown, decisions under either case."""

from typing import Any

import msgspec
import pytest
from flowforge.events import Cause, TriggerDecided, TriggerRef, WorkflowCreated, WorkflowUpdated
from flowforge.identity import derived_uuid, event_id, named_stream
from flowforge.job_types import TRIGGER_TYPES
from histories import START, Clock, created, definition, new, raw, triggered
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend

OLD = [{"trigger_type": "TRAIN", "is_enabled": True}, {"trigger_type": "RETIRED", "is_enabled": True}, None]


def six(*enabled: str) -> list[dict[str, Any]]:
    return [{"trigger_type": name, "is_enabled": name in enabled} for name in TRIGGER_TYPES]


async def get(client: AsyncClient, log: EventLog, path: str, **query: Any) -> Any:
    """The answer once the read models have all that is logged."""
    answer = await client.get(path, params={**query, "after": (await log.head()).position})
    assert answer.status_code == 200, answer.text
    return answer.json()


def saved(*lists: Any) -> Append:
    """Versions of the workflow `chain`, each with another list."""
    events = [
        (WorkflowUpdated if number else WorkflowCreated)(
            workflow_id="chain",
            workflow_version=number + 1,
            definition=raw({**definition(), "trigger_configs": stored}),
        )
        for number, stored in enumerate(lists)
    ]
    stream = StreamAppend("workflow", named_stream("workflow", "chain"), 0, new(*events))
    return Append([stream], recorded_at=START, changes_definitions=True)


async def test_the_blueprints_are_the_six_types_in_order(client: AsyncClient, log: EventLog):
    page = await get(client, log, "/api/workflows/trigger_blueprints")
    assert [item["trigger_type"] for item in page["items"]] == list(TRIGGER_TYPES)
    assert page["items"][0].keys() == {"trigger_type", "name", "description", "default_is_enabled"}
    assert [item["default_is_enabled"] for item in page["items"]] == [False] * 6
    assert (await client.get("/workflows/trigger_blueprints")).json() == page


@pytest.mark.parametrize("stored", [OLD, None, {"TRAIN": True}, "TRAIN"])
async def test_every_read_of_a_workflow_shows_all_six_whatever_is_stored(
    client: AsyncClient, log: EventLog, stored: Any
):
    await log.append([saved(stored, [{"trigger_type": "EVAL", "is_enabled": True, "on_failure": True}])])
    expected = [{**item, "on_failure": True} if item["trigger_type"] == "EVAL" else item for item in six("EVAL")]
    assert (await get(client, log, "/api/workflows/chain"))["trigger_configs"] == expected
    [listed] = (await get(client, log, "/api/workflows"))["items"]
    assert listed["trigger_configs"] == expected
    older = await get(client, log, "/api/workflows/chain", version=1)
    assert older["trigger_configs"] == six(*(["TRAIN"] if stored == OLD else []))
    assert (await get(client, log, "/api/workflows/chain/graph"))["nodes"]


async def test_a_workflow_that_was_saved_before_there_were_any_shows_six(client: AsyncClient, log: EventLog):
    await log.append([created()])
    assert (await get(client, log, "/api/workflows/chain"))["trigger_configs"] == six()


async def test_a_difference_names_the_type(client: AsyncClient, log: EventLog):
    await log.append([saved(OLD, six("TRAIN", "EVAL"))])
    changes = (await get(client, log, "/api/workflows/chain/diff", **{"from": 1}))["changes"]
    assert changes == [
        {"path": "$.trigger_configs[EVAL].is_enabled", "change": "changed", "before": False, "after": True}
    ]


async def test_decisions_and_counts_are_read_under_the_type_in_either_case(client: AsyncClient, log: EventLog):
    clock = Clock()
    run_stream = derived_uuid(START, "another run")
    cause = Cause(
        event_id=event_id(run_stream, 5, START), type="JobEnded", id="job-1", source="/runs", stream_id=run_stream
    )
    run = msgspec.structs.replace(triggered(cause, clock()), trigger=TriggerRef("TRAIN", "train"))
    decided = TriggerDecided(
        trigger_id="train",
        trigger_version=1,
        workflow_id="chain",
        cause=cause,
        decision="suppressed",
        reason="duplicate",
    )
    await log.append([created()])
    await log.append([Append([StreamAppend("run", run.run_id, 0, new(run))], recorded_at=clock())])
    await log.append([Append([StreamAppend("cause", derived_uuid(START, "c"), 0, new(decided))], recorded_at=clock())])
    for name in ("train", "TRAIN"):
        path = f"/api/workflows/chain/triggers/{name}"
        page = await get(client, log, f"{path}/decisions")
        assert [item["decision"] for item in page["items"]] == ["suppressed", "fired"]
        assert (await get(client, log, f"{path}/stats"))["decisions"] == {"fired": 1, "suppressed": 1}
        assert (await get(client, log, f"{path}/decisions", cause="job-1"))["items"] == page["items"]
    [found] = (await get(client, log, "/api/runs", trigger_type="TRAIN"))["items"]
    assert found["trigger"] == {"type": "TRAIN", "id": "train"}
    assert (await get(client, log, "/api/runs", trigger_type="EVAL"))["items"] == []
    assert (await get(client, log, "/api/workflows/chain/triggers/EVAL/decisions"))["items"] == []


async def test_a_type_in_another_case_is_no_trigger_and_a_job_type_has_no_upcoming_times(
    client: AsyncClient, log: EventLog
):
    await log.append([created()])
    await get(client, log, "/api/workflows/chain")
    assert (await client.get("/api/workflows/chain/triggers/Train/decisions")).status_code == 404
    assert (await client.get("/api/workflows/none/triggers/train/decisions")).status_code == 404
    assert (await client.get("/api/workflows/chain/triggers/train/upcoming")).status_code == 400
