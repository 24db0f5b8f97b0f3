"""Events and commands, on real servers."""

import asyncio
import json
from pathlib import Path

import pytest
from flowforge.events import MessageQuarantined, TriggerDecided, WorkflowTriggered, decode
from triggers_stage import Installation, on_event

from infra.failpoints import KILLED_EXIT_STATUS


async def test_an_event_on_the_inbox_starts_a_run(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    await installation.publish("e1", data={"path": "a.csv"})
    said = await installation.next_run()
    run = decode("WorkflowTriggered", said.data)
    assert isinstance(run, WorkflowTriggered)
    assert (run.workflow_id, run.workflow_version, run.trigger.id, run.depth) == ("w", 1, "t", 1)
    assert json.loads(bytes(run.input_data)) == {"path": "a.csv"}
    [received] = await installation.logged("EventReceived")
    assert said.correlationid == said.causationid == str(received.event_id) == str(run.cause.event_id)
    assert said.position == received.position + 1
    await installation.until_inbox_is_empty()


async def test_the_same_event_again_changes_nothing(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    for _ in range(3):
        await installation.publish("e1", data={"n": 1})
    await installation.publish("e2")
    await installation.next_run()
    await installation.next_run()
    await installation.until_inbox_is_empty()
    assert len(await installation.logged("WorkflowTriggered")) == 2
    assert installation.runs.empty()


async def test_an_event_told_anew_with_other_content_is_put_aside_once(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    await installation.publish("e1", data={"n": 1})
    await installation.next_run()
    for n in (1, 2, 2, 1, 2):
        await installation.publish("e1", data={"n": n})
    await installation.until_inbox_is_empty()
    [received] = await installation.logged("EventReceived")
    [stored] = await installation.logged("MessageQuarantined")
    aside = decode(stored.type, stored.data)
    assert isinstance(aside, MessageQuarantined)
    assert json.loads(aside.body)["data"] == {"n": 2}
    assert f"position {received.position}, event {received.event_id}" in aside.reason
    assert installation.runs.empty()


async def test_a_trigger_is_in_force_from_the_moment_its_save_is_answered(installation: Installation):
    await installation.start()
    for version in range(1, 11):
        await installation.save("w", on_event(event_type=f"kind-{version}"), version=version)
        await installation.publish(f"e{version}", f"kind-{version}")
        run = decode("WorkflowTriggered", (await installation.next_run()).data)
        assert isinstance(run, WorkflowTriggered)
        assert run.workflow_version == version


async def test_what_does_not_match_is_recorded_with_the_reason(installation: Installation):
    await installation.start()
    await installation.save("w", on_event(filter="event.data.size > 10"))
    await installation.publish("e1", data={"size": 5})
    await installation.publish("e2", data={})
    await installation.until_inbox_is_empty()
    first, second = [decode(e.type, e.data) for e in await installation.logged("TriggerDecided")]
    assert isinstance(first, TriggerDecided)
    assert isinstance(second, TriggerDecided)
    assert first.decision == "not_matched"
    assert "event.data.size > 10 was false" in first.reason
    assert (second.decision, second.detail) == ("failed", "event.data.size")


async def test_a_message_that_is_no_event_is_put_aside_and_others_keep_flowing(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    await installation.publish_bytes(b"{nonsense")
    await installation.publish_bytes(
        b'{"specversion":"1.0","id":"e0","source":"/s","type":"file.arrived","data":"\xff"}'
    )
    await installation.publish("e1")
    await installation.next_run()
    await installation.until_inbox_is_empty()
    assert len(await installation.logged("MessageQuarantined")) == 2


@pytest.mark.parametrize("data", ["\u0000", "\U0001f600", {"": [[[]]] * 99, "a": 2**63, "b": 1e308}, [None] * 1000])
async def test_whatever_json_holds_comes_through(installation: Installation, data: object):
    await installation.start()
    await installation.save("w", on_event())
    await installation.publish("e1", data=data, subject="\u0000\u2028")
    run = decode("WorkflowTriggered", (await installation.next_run()).data)
    assert isinstance(run, WorkflowTriggered)
    assert json.loads(bytes(run.input_data)) == data


async def test_a_run_by_hand_is_answered_once_it_is_logged(installation: Installation):
    await installation.start()
    await installation.save("w", input_schema={"type": "object", "required": ["who"]})
    answer = await installation.command(
        "RequestRun", command_id="c1", actor="ada", workflow_id="w", input_data={"who": 1}
    )
    run = answer["ok"]
    [logged] = await installation.logged("WorkflowTriggered")
    assert (run["position"], run["run_id"], run["workflow_version"]) == (logged.position, str(logged.stream_id), 1)
    assert logged.actor == "ada"
    again = await installation.command(
        "RequestRun", command_id="c1", actor="ada", workflow_id="w", input_data={"who": 1}
    )
    assert again == answer
    refused = await installation.command("RequestRun", command_id="c2", workflow_id="w", input_data={})
    assert refused["refused"]["code"] == "INPUT_INVALID"
    assert len(await installation.logged("RunRequested")) == 1


async def test_a_granted_run_stays_granted_when_it_is_asked_for_again_after_the_workflow_changed(
    installation: Installation,
):
    await installation.start()
    await installation.save("w")
    answer = await installation.command("RequestRun", command_id="c1", workflow_id="w")
    await installation.save("w", version=2, status="archived")
    assert await installation.command("RequestRun", command_id="c1", workflow_id="w") == answer
    refused = await installation.command("RequestRun", command_id="c2", workflow_id="w")
    assert refused["refused"]["code"] == "INVALID_FLOW_STATE"


async def test_an_older_version_is_run_by_hand(installation: Installation):
    await installation.start()
    await installation.save("w", input_schema={"type": "object", "required": ["old"]})
    await installation.save("w", version=2)
    answer = await installation.command(
        "RequestRun", command_id="c1", workflow_id="w", version=1, input_data={"old": 1}
    )
    assert answer["ok"]["workflow_version"] == 1
    refused = await installation.command("RequestRun", command_id="c2", workflow_id="w", version=1)
    assert refused["refused"]["code"] == "INPUT_INVALID"
    missing = await installation.command("RequestRun", command_id="c3", workflow_id="w", version=9)
    assert missing["refused"]["status"] == 404


async def test_events_by_command_are_answered_one_by_one_and_duplicates_told(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    await installation.publish("e1", data=1)
    await installation.next_run()
    events = [
        {"specversion": "1.0", "id": event_id, "source": "/shop", "type": "file.arrived", "data": 1}
        for event_id in ("e1", "e2", "e3", "e2")
    ]
    answer = await installation.command("ReceiveEvents", command_id="c1", events=events)
    items = answer["ok"]["items"]
    assert [(item["id"], item["duplicate"]) for item in items] == [
        ("e1", True), ("e2", False), ("e3", False), ("e2", True),
    ]  # fmt: skip
    received = {str(event.event_id): event.position for event in await installation.logged("EventReceived")}
    assert len(received) == 3
    assert all(received[item["event_id"]] == item["position"] for item in items)
    assert answer["ok"]["position"] == max(received.values())
    again = await installation.command("ReceiveEvents", command_id="c1", events=events)
    assert [item["event_id"] for item in again["ok"]["items"]] == [item["event_id"] for item in items]
    assert len(await installation.logged("WorkflowTriggered")) == 3


async def test_the_same_event_by_command_and_by_nats_at_once_is_one_cause(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    events = [{"specversion": "1.0", "id": f"e{n}", "source": "/shop", "type": "file.arrived"} for n in range(20)]
    await asyncio.gather(
        *(installation.command("ReceiveEvents", command_id=f"c{n}", events=events[n:]) for n in range(20)),
        *(installation.publish(f"e{n}") for n in range(20)),
    )
    await installation.until_inbox_is_empty()
    assert len(await installation.logged("EventReceived")) == 20
    assert len(await installation.logged("WorkflowTriggered")) == 20


async def test_a_large_payload_goes_beside_the_log(installation: Installation):
    await installation.start()
    await installation.save("w", on_event())
    await installation.save("v", {**on_event(), "input": {"half": "${event.data.text}", "n": "${event.data.n}"}})
    text = "x" * 300_000
    await installation.publish("e1", data={"text": text, "n": 7})
    runs = [decode("WorkflowTriggered", (await installation.next_run()).data) for _ in range(2)]
    inputs = {run.workflow_id: json.loads(bytes(run.input_data)) for run in runs if isinstance(run, WorkflowTriggered)}
    whole = json.loads(await installation.log.get_blob(inputs["w"]["$blob"]) or b"")
    half = json.loads(await installation.log.get_blob(inputs["v"]["$blob"]) or b"")
    assert whole == {"text": text, "n": 7}
    assert half == {"half": text, "n": 7}


async def test_killed_after_the_append_the_next_owner_says_the_run_once(installation: Installation, tmp_path: Path):
    await installation.save("w", on_event())
    await installation.publish("e1")
    assert await installation.dies_at("triggers.after_append", tmp_path) == KILLED_EXIT_STATUS
    assert len(await installation.logged("WorkflowTriggered")) == 1
    assert installation.runs.empty()
    await installation.start()
    await installation.next_run()
    await installation.until_inbox_is_empty()
    assert len(await installation.logged("EventReceived", "WorkflowTriggered")) == 2
    assert installation.runs.empty()
