"""Runs asked for by hand, and events that come by HTTP."""

from typing import Any

import pytest
from flowforge.events import EventReceived, RunRequested
from triggers_spec import Spec, command, on_event, plain

from infra.eventlog import Head, MemoryEventLog
from services.triggers.settings import PAYLOAD_INLINE_BYTES_MAX


@pytest.fixture
def spec() -> Spec:
    return Spec()


def event(event_id: str, **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": event_id, "source": "/shop", "type": "file.arrived", **more}


async def test_a_request_is_granted_with_what_it_asked_for(spec: Spec):
    await spec.workflow("w", variables=[{"name": "region", "default_value": "eu"}])
    answer = await spec.command(
        "RequestRun", command_id="c1", actor="ada", workflow_id="w", input_data={"n": 1}, variables={"region": "us"},
        labels={"why": "test"}, priority=3, timeout_ms=1000,
    )  # fmt: skip
    [run] = await spec.runs()
    assert plain(run.input_data) == {"n": 1}
    assert plain(run.variables["region"]) == "us"
    assert (run.labels, run.priority, run.timeout_ms, run.trigger.type) == ({"why": "test"}, 3, 1000, "manual")
    [requested, triggered] = (await spec.log.read(0))[1:]
    assert answer["ok"] == {
        "run_id": str(run.run_id), "position": triggered.position, "workflow_id": "w", "workflow_version": 1,
    }  # fmt: skip
    assert requested.actor == triggered.actor == "ada"
    assert triggered.correlation_id == triggered.causation_id == requested.event_id == run.cause.event_id
    assert (run.cause.id, run.cause.type) == ("c1", "RunRequested")


async def test_a_run_by_hand_counts_under_the_manual_trigger(spec: Spec):
    await spec.workflow("w", on_event(), {"id": "by-hand", "type": "manual"})
    await spec.workflow("v")
    await spec.command("RequestRun", command_id="c1", workflow_id="w")
    await spec.command("RequestRun", command_id="c2", workflow_id="v")
    assert [run.trigger.id for run in await spec.runs()] == ["by-hand", "manual"]


async def test_the_same_command_again_gets_the_same_answer_from_a_new_owner(spec: Spec):
    await spec.workflow("w", {"id": "by-hand", "type": "manual"})
    first = await spec.command("RequestRun", command_id="c1", workflow_id="w")
    await spec.workflow("w", input_schema={"required": ["x"]})
    spec.restart()
    assert await spec.command("RequestRun", command_id="c1", workflow_id="w") == first
    await spec.archived("w")
    spec.restart()
    assert await spec.command("RequestRun", command_id="c1", workflow_id="w") == first
    assert len(await spec.logged(RunRequested)) == 1


@pytest.mark.parametrize(
    ("request_", "status", "code", "told"),
    [
        ({"workflow_id": "daily-reprt"}, 404, "NOT_FOUND", "did you mean 'daily-report'?"),
        ({"workflow_id": "zzz"}, 404, "NOT_FOUND", "there is no workflow 'zzz'"),
        ({"version": 7}, 404, "NOT_FOUND", "'7'"),
        ({"input_data": {"n": "x"}}, 422, "INPUT_INVALID", "$.input_data.n"),
        ({"input_data": []}, 422, "INPUT_INVALID", "$.input_data"),
        ({"variables": {"regin": "x"}}, 422, "INVALID", "known: region, tags"),
        ({"variables": {"region": 7}}, 422, "INVALID", "expected string, got number"),
        ({"variables": {"tags": {}}}, 422, "INVALID", "expected array, got object"),
        ({"variables": {"region": None}}, 422, "INVALID", "got null"),
        ({"variables": {"region": "x" * 300_000}}, 413, "PAYLOAD_TOO_LARGE", "at most"),
    ],
)
async def test_what_cannot_be_granted_is_refused_and_not_logged(
    spec: Spec, request_: dict[str, object], status: int, code: str, told: str
):
    await spec.workflow(
        "daily-report",
        input_schema={"type": "object", "properties": {"n": {"type": "integer"}}},
        variables=[{"name": "region", "default_value": "eu"}, {"name": "tags", "type": "array", "default_value": []}],
    )
    before = (await spec.log.head()).position
    answer = await spec.command("RequestRun", command_id="c1", **({"workflow_id": "daily-report"} | request_))
    refused = answer["refused"]
    assert (refused["status"], refused["code"]) == (status, code)
    assert told in refused["detail"] + str(refused.get("errors"))
    assert (await spec.log.head()).position == before


async def test_a_workflow_can_be_run_from_the_moment_its_save_is_answered(spec: Spec):
    await spec.workflow("other")
    await spec.command("RequestRun", command_id="c0", workflow_id="other")
    await spec.workflow("w", input_schema={"required": ["x"]})
    refused = await spec.command("RequestRun", command_id="c1", workflow_id="w", input_data={"y": 1})
    assert refused["refused"]["code"] == "INPUT_INVALID"
    await spec.workflow("w", input_schema={"required": ["y"]})
    assert "ok" in await spec.command("RequestRun", command_id="c2", workflow_id="w", input_data={"y": 1})
    await spec.workflow("w")
    assert "ok" in await spec.command("RequestRun", command_id="c3", workflow_id="w", version=3)


async def test_drafts_run_by_hand_and_archived_ones_do_not(spec: Spec):
    await spec.workflow("w", status="draft")
    assert "ok" in await spec.command("RequestRun", command_id="c1", workflow_id="w")
    await spec.archived("w")
    refused = (await spec.command("RequestRun", command_id="c2", workflow_id="w"))["refused"]
    assert (refused["status"], refused["code"]) == (409, "INVALID_FLOW_STATE")


async def test_an_older_version_is_checked_by_its_own_rules(spec: Spec):
    await spec.workflow("w", input_schema={"required": ["old"]})
    await spec.workflow("w", input_schema={"required": ["new"]})
    answer = await spec.command("RequestRun", command_id="c1", workflow_id="w", version=1, input_data={"old": 1})
    assert answer["ok"]["workflow_version"] == 1
    refused = await spec.command("RequestRun", command_id="c2", workflow_id="w", version=1, input_data={"new": 1})
    assert refused["refused"]["code"] == "INPUT_INVALID"


async def test_a_large_input_is_kept_beside_the_log(spec: Spec):
    await spec.workflow("w")
    await spec.command(
        "RequestRun", command_id="c1", workflow_id="w", input_data={"text": "x" * PAYLOAD_INLINE_BYTES_MAX}
    )
    [asked], [run] = await spec.logged(RunRequested), await spec.runs()
    assert plain(asked.input_data) == plain(run.input_data)
    assert await spec.log.get_blob(plain(run.input_data)["$blob"]) is not None


async def test_events_of_one_command_are_causes_of_their_own(spec: Spec):
    await spec.workflow("w", on_event())
    answer = await spec.command("ReceiveEvents", command_id="c1", actor="ada", events=[event("e1"), event("e2")])
    received = await spec.log.read(0, types={"EventReceived"})
    assert answer["ok"]["items"] == [
        {
            "id": name, "source": "/shop", "event_id": str(stored.event_id), "position": stored.position,
            "duplicate": False, "differs": False,
        }
        for name, stored in zip(("e1", "e2"), received, strict=True)
    ]  # fmt: skip
    assert answer["ok"]["position"] == received[-1].position
    runs = {run.cause.id: run for run in await spec.runs()}
    assert {str(run.cause.event_id) for run in runs.values()} == {item["event_id"] for item in answer["ok"]["items"]}


async def test_events_known_already_are_answered_where_they_stand(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e1", data=1)
    [known] = await spec.log.read(0, types={"EventReceived"})
    events = [event("e0", data=1), event("e1", data=1), event("e2"), event("e2")]
    items = (await spec.command("ReceiveEvents", command_id="c1", events=events))["ok"]["items"]
    assert [item["duplicate"] for item in items] == [False, True, False, True]
    assert items[1]["event_id"] == str(known.event_id)
    assert items[2]["event_id"] == items[3]["event_id"]
    assert len(await spec.logged(EventReceived)) == 3
    again = spec.answers[-1]["ok"]["items"]
    assert [item["event_id"] for item in again] == [item["event_id"] for item in items]
    assert all(item["duplicate"] for item in again)


async def test_a_sender_by_http_is_told_that_an_event_says_something_else_than_the_first_one(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e1", data=1)
    events = [event("e1", data=1), event("e1", data=2), event("e2", data=1), event("e2", data=2)]
    items = (await spec.command("ReceiveEvents", command_id="c1", events=events))["ok"]["items"]
    assert [(item["duplicate"], item["differs"]) for item in items] == [
        (True, False), (True, True), (False, False), (True, True),
    ]  # fmt: skip
    assert [plain(run.input_data) for run in await spec.runs()] == [1, 1]
    assert spec.aside == []


async def test_an_event_is_no_duplicate_of_the_try_whose_outcome_was_unknown(spec: Spec):
    await spec.workflow("w", on_event())
    await spec.event("e0")
    # the append is done and its answer lost: the shell appends the same group again
    message = command("ReceiveEvents", command_id="c1", events=[event("e1")])
    key = spec.service.key(message)
    await spec.service.load([key], [message])
    work = spec.service.decide(key, [message])
    assert work.append is not None
    await spec.log.append([work.append])
    [answer] = await spec.log.append([work.append])
    spec.service.refused(key, answer)
    await spec.service.load([key], [message])
    [(_, body)] = spec.service.decide(key, [message]).answers
    assert b'"duplicate":false' in body


@pytest.mark.parametrize(
    "events", [[], [{"id": "e"}], [event("e1"), event("")], [event("e1"), 7], [event("e1", specversion="0.3")]]
)
async def test_what_is_no_event_is_refused_whole(spec: Spec, events: list[object]):
    answer = await spec.command("ReceiveEvents", command_id="c1", events=events)
    assert answer["refused"]["status"] == 422
    assert (await spec.log.head()).position == 0


@pytest.mark.parametrize(
    "message",
    [command("RequestRun"), command("RequestRun", command_id="c"), command("Nonsense", command_id="c")],
)
async def test_a_malformed_command_is_answered(spec: Spec, message: object):
    await spec.deliver([message])  # type: ignore[list-item]
    assert spec.answers[0]["refused"]["status"] == 422


# --- where a run begins and halts -------------------------------------------------------------------------------------

DEEP = {"id": "within", "type": "loop", "config": {"loop_type": "count", "body": {"nodes": [{"id": "deep"}]}}}
NODES = [
    {"id": "a", "type": "job", "job_type": "a"},
    {"id": "each", "type": "loop", "loop_type": "count", "count": 2, "body": {"nodes": [DEEP]}},
    {"id": "call", "type": "webhook", "url": "http://localhost", "body": {"nodes": [{"id": "no-node"}]}},
]


async def test_where_a_run_begins_and_halts_is_handed_on(spec: Spec):
    await spec.workflow("w", nodes=NODES)
    answer = await spec.command(
        "RequestRun", command_id="c1", workflow_id="w", from_node="each", breakpoints=["a", "deep"]
    )
    assert "ok" in answer
    [run] = await spec.runs()
    [asked] = await spec.logged(RunRequested)
    assert (run.from_node, run.breakpoints) == (asked.from_node, asked.breakpoints) == ("each", ["a", "deep"])


@pytest.mark.parametrize(
    ("named", "path", "message"),
    [
        ({"from_node": "eahc"}, "$.from_node", "there is no node 'eahc' in the workflow"),
        ({"from_node": "deep"}, "$.from_node", "the node 'deep' is in the body of 'each'"),
        ({"from_node": "no-node"}, "$.from_node", "there is no node 'no-node'"),
        ({"breakpoints": ["a", "x"]}, "$.breakpoints[1]", "there is no node 'x'"),
    ],
)
async def test_a_node_that_is_not_there_is_refused_by_name(spec: Spec, named: dict[str, Any], path: str, message: str):
    await spec.workflow("w", nodes=NODES)
    refused = (await spec.command("RequestRun", command_id="c1", workflow_id="w", **named))["refused"]
    [error] = refused["errors"]
    assert (refused["status"], error["path"]) == (422, path)
    assert message in error["message"]
    assert error["suggested_resolution"]
    assert await spec.runs() == []


async def test_nodes_are_those_of_the_version_that_runs(spec: Spec):
    await spec.workflow("w", nodes=NODES)
    await spec.workflow("w", nodes=[{"id": "b", "type": "start"}])
    assert "ok" in await spec.command("RequestRun", command_id="c1", workflow_id="w", version=1, from_node="a")
    assert "refused" in await spec.command("RequestRun", command_id="c2", workflow_id="w", from_node="a")
    spec.tells_definitions = False
    await spec.workflow("w", nodes=NODES)
    assert "ok" in await spec.command("RequestRun", command_id="c3", workflow_id="w", from_node="a")
    assert [run.workflow_version for run in await spec.runs()] == [1, 3]


async def test_what_is_given_to_a_node_in_the_middle_is_not_the_workflows_input(spec: Spec):
    await spec.workflow("w", nodes=NODES, input_schema={"type": "object", "required": ["who"]})
    assert "refused" in await spec.command("RequestRun", command_id="c1", workflow_id="w", input_data={"rows": 3})
    assert "ok" in await spec.command(
        "RequestRun", command_id="c2", workflow_id="w", input_data={"rows": 3}, from_node="each"
    )


async def test_a_turn_looks_once_for_newer_definitions_however_many_ask_for_a_slot():
    class Log(MemoryEventLog):
        looks = 0

        async def head(self) -> Head:
            self.looks += 1
            return await super().head()

    log = Log()
    spec = Spec(log)
    await spec.workflow("w", settings={"concurrency": {"limit": 50}})
    asked = [command("RequestRun", command_id=f"c{n}", workflow_id="w", input_data={}) for n in range(20)]
    log.looks = 0
    await spec.turn(asked)
    assert len(await spec.runs()) == 20
    assert log.looks == 1
