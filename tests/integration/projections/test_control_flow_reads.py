"""Reading runs that wait, repeat and were operated on by people."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalDecided,
    ApprovalWait,
    DeadLetterRetried,
    Event,
    IterationEnded,
    IterationStarted,
    MessageQuarantined,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeStarted,
    NodeWaiting,
    RunChanged,
    RunFailed,
    RunPaused,
    RunRetried,
    RunRetryRequested,
    RunStarted,
    WorkflowCreated,
)
from flowforge.identity import named_stream
from histories import START, Clock, created, new, raw, received, triggered
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend

ERROR = RunError(code="NODE_EXECUTION_FAILED", message="no")
NESTED = {
    "id": "loops", "name": "Loops",
    "nodes": [
        {"id": "first", "type": "start"},
        {
            "id": "outer", "type": "loop", "loop_type": "count", "count": 12,
            "body": {
                "nodes": [
                    {"id": "fetch", "type": "job", "job_type": "work"},
                    {
                        "id": "inner", "type": "loop", "loop_type": "count", "count": 2,
                        "body": {"nodes": [{"id": "leaf", "type": "job", "job_type": "work"}]},
                    },
                ],
                "edges": [{"source_node_id": "fetch", "target_node_id": "inner"}],
            },
        },
    ],
    "edges": [{"source_node_id": "first", "target_node_id": "outer"}],
}  # fmt: skip


async def get(client: AsyncClient, log: EventLog, path: str, **query: Any) -> dict[str, Any]:
    response = await client.get(path, params={"after": (await log.head()).position, **query})
    assert response.status_code == 200, response.text
    return response.json()


class Run:
    """One run, told event by event."""

    def __init__(self, log: EventLog, run_id: UUID, clock: Clock) -> None:
        self.id = run_id
        self.path = f"/api/runs/{run_id}"
        self._log = log
        self._clock = clock
        self._version = 1

    async def tell(self, *events: Event, actor: str | None = None) -> None:
        stream = StreamAppend("run", self.id, self._version, new(*events))
        await self._log.append([Append([stream], recorded_at=self._clock(), actor=actor)])
        self._version += len(events)


async def begun(log: EventLog, definition: dict[str, Any] | None = None, **fields: Any) -> Run:
    clock = Clock()
    if definition is None:
        await log.append([created()])
    else:
        event = WorkflowCreated(workflow_id=definition["id"], workflow_version=1, definition=raw(definition))
        stream = StreamAppend("workflow", named_stream("workflow", definition["id"]), 0, new(event))
        await log.append([Append([stream], recorded_at=START, changes_definitions=True)])
    group, cause = received(1, clock())
    first = triggered(cause, clock(), **({} if definition is None else {"workflow_id": definition["id"]}), **fields)
    await log.append([group, Append([StreamAppend("run", first.run_id, 0, new(first))], recorded_at=clock())])
    run = Run(log, first.run_id, clock)
    await run.tell(RunStarted(total_nodes=2))
    return run


def iteration(number: int) -> list[Event]:
    """One iteration of the outer loop, with both of the inner one's."""
    at = str(number)
    inner: list[Event] = []
    for index in range(2):
        inner += [
            IterationStarted(node_id="inner", instance=at, index=index),
            NodeQueued(node_id="leaf", instance=f"{at}.{index}", input_from=""),
            NodeCompleted(node_id="leaf", instance=f"{at}.{index}", output=raw([number, index])),
            IterationEnded(node_id="inner", instance=at, index=index),
        ]
    return [
        IterationStarted(node_id="outer", index=number),
        NodeQueued(node_id="fetch", instance=at, input_from="first"),
        NodeCompleted(node_id="fetch", instance=at, output=raw({"n": number})),
        NodeStarted(node_id="inner", instance=at, instances_count=2, input_from="fetch"),
        *inner,
        NodeCompleted(node_id="inner", instance=at),
        IterationEnded(node_id="outer", index=number),
    ]


async def looped(log: EventLog) -> Run:
    run = await begun(log, NESTED)
    await run.tell(NodeCompleted(node_id="first", output=raw("go")), NodeStarted(node_id="outer", instances_count=12))
    for number in range(12):
        await run.tell(*iteration(number))
    return run


def places(node: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["node_id"], item["instance"]) for item in node["instances"]["items"]]


async def test_a_loop_shows_its_iterations_in_order_and_in_pages(client: AsyncClient, log: EventLog):
    run = await looped(log)
    outer = await get(client, log, f"{run.path}/nodes/outer", limit=5)
    assert (outer["instances_count"], outer["instance_counts"]) == (12, {"completed": 12})
    seen = places(outer)
    while cursor := outer["instances"]["next_cursor"]:
        outer = await get(client, log, f"{run.path}/nodes/outer", limit=5, cursor=cursor)
        seen += places(outer)
    assert seen == [(node, str(number)) for number in range(12) for node in ("fetch", "inner")]
    whole = await get(client, log, run.path)
    assert [row["node_id"] for row in whole["node_runs"]] == ["first", "outer"]


async def test_a_node_of_a_body_shows_all_its_iterations_and_what_lies_below_one(client: AsyncClient, log: EventLog):
    run = await looped(log)
    fetch = await get(client, log, f"{run.path}/nodes/fetch", limit=3)
    assert places(fetch) == [("fetch", "0"), ("fetch", "1"), ("fetch", "2")]
    assert (fetch["status"], fetch["instances_count"], fetch["dependents"]) == ("completed", 12, ["inner"])
    assert fetch["instances"]["items"][0]["input"] == "go"
    leaf = await get(client, log, f"{run.path}/nodes/leaf", limit=1000)
    assert places(leaf) == [("leaf", f"{outer}.{inner}") for outer in range(12) for inner in range(2)]
    inner = await get(client, log, f"{run.path}/nodes/inner", instance="10")
    assert (inner["input"], inner["status"], inner["instance_counts"]) == ({"n": 10}, "completed", {"completed": 2})
    assert places(inner) == [("leaf", "10.0"), ("leaf", "10.1")]
    assert inner["instances"]["items"][1]["output"] == [10, 1]
    one = await get(client, log, f"{run.path}/nodes/leaf", instance="3.1")
    assert (one["output"], one["instances"]["items"]) == ([3, 1], [])


@pytest.mark.parametrize(
    ("query", "status"), [("instance=99", 404), ("instance=x", 400), ("instance=1..2", 400), ("instance=", 400)]
)
async def test_an_instance_that_is_not_there_is_told(client: AsyncClient, log: EventLog, query: str, status: int):
    run = await looped(log)
    response = await client.get(f"{run.path}/nodes/fetch?{query}&after={(await log.head()).position}")
    assert response.status_code == status
    assert "instance" in response.json()["detail"]


async def test_what_a_retry_clears_is_gone_until_it_begins_again(client: AsyncClient, log: EventLog):
    run = await looped(log)
    await run.tell(
        NodeFailed(node_id="outer", error=ERROR),
        RunFailed(error=ERROR),
        RunRetryRequested(cleared=["outer", "fetch", "inner", "leaf"], command_id="c"),
        RunRetried(cleared=["outer", "fetch", "inner", "leaf"]),
        actor="ada",
    )
    read = await get(client, log, run.path)
    assert (read["status"], read["retries"], read["error"], read["completed_at"]) == ("running", 1, None, None)
    assert [row["status"] for row in read["node_runs"]] == ["completed", "idle"]
    assert (read["progress"]["completed_nodes"], read["progress"]["percent"]) == (1, 50)
    for node in ("outer", "fetch", "leaf"):
        found = await get(client, log, f"{run.path}/nodes/{node}")
        assert (found["status"], places(found)) == ("idle", []), node
    await run.tell(NodeStarted(node_id="outer", instances_count=12), *iteration(0))
    assert places(await get(client, log, f"{run.path}/nodes/outer")) == [("fetch", "0"), ("inner", "0")]
    assert places(await get(client, log, f"{run.path}/nodes/leaf")) == [("leaf", "0.0"), ("leaf", "0.1")]


async def test_a_resumed_map_keeps_what_completed(client: AsyncClient, log: EventLog):
    run = await begun(log)
    await run.tell(
        NodeStarted(node_id="a", instances_count=2),
        NodeCompleted(node_id="a", instance="0", output=raw(1)),
        NodeFailed(node_id="a", instance="1", error=ERROR),
        NodeFailed(node_id="a", error=ERROR),
        RunFailed(error=ERROR),
    )
    await get(client, log, run.path)  # written, and forgotten
    await run.tell(RunRetryRequested(cleared=[], resumed=["a"]), RunRetried(cleared=[], resumed=["a"]))
    node = await get(client, log, f"{run.path}/nodes/a")
    assert (node["status"], node["error"]) == ("running", None)
    assert [item["status"] for item in node["instances"]["items"]] == ["completed", "idle"]


async def test_instances_can_be_asked_for_by_status(client: AsyncClient, log: EventLog):
    run = await looped(log)
    assert places(await get(client, log, f"{run.path}/nodes/outer", status="failed")) == []
    assert len(places(await get(client, log, f"{run.path}/nodes/outer", status="completed"))) == 24


async def test_a_paused_run_says_before_what_it_stands(client: AsyncClient, log: EventLog):
    run = await begun(log, breakpoints=["b"])
    await run.tell(RunPaused(before=["b"]), RunChanged(priority=3, labels={"team": "x"}))
    read = await get(client, log, run.path)
    assert (read["status"], read["paused_before"], read["breakpoints"]) == ("paused", ["b"], ["b"])
    assert (read["priority"], read["labels"]) == (3, {"team": "x"})
    assert [item["run_id"] for item in (await get(client, log, "/api/runs", label="team=x"))["items"]] == [str(run.id)]


async def test_runs_are_found_by_their_parent(client: AsyncClient, log: EventLog):
    parent = UUID("019ca945-2b5d-764f-be2e-79b6b73f502e")
    run = await begun(log, parent_run_id=parent, parent_node_id="p")
    [found] = (await get(client, log, "/api/runs", parent_run_id=str(parent)))["items"]
    assert (found["run_id"], found["parent_node_id"]) == (str(run.id), "p")
    assert (await get(client, log, "/api/runs", parent_run_id=str(run.id)))["items"] == []


# --- approvals --------------------------------------------------------------------------------------------------------


async def test_approvals_wait_until_somebody_decides(client: AsyncClient, log: EventLog):
    run = await begun(log)
    name = f"{run.id}:a:1"
    wait = ApprovalWait(approval_id=name, message="go?", approvers=["bo"], due_at=START)
    await run.tell(NodeWaiting(node_id="a", wait=wait))
    [item] = (await get(client, log, "/api/approvals"))["items"]
    assert item.keys() >= {"id", "run_id", "node_id", "message", "approvers", "requested_at", "expires_at"}
    assert (item["id"], item["approvers"], item["status"]) == (name, ["bo"], "open")
    node = (await get(client, log, run.path))["node_runs"][0]
    assert (node["status"], node["waiting_for"]["for"], node["waiting_for"]["approval_id"]) == (
        "waiting",
        "approval",
        name,
    )
    decided = ApprovalDecided(node_id="a", approval_id=name, decision="reject", comment="no", command_id="c")
    await run.tell(decided, NodeFailed(node_id="a", error=ERROR), actor="bo")
    assert (await get(client, log, "/api/approvals"))["items"] == []
    one = await get(client, log, f"/api/approvals/{name}")
    assert (one["status"], one["decision"], one["decided_by"], one["comment"]) == ("rejected", "reject", "bo", "no")
    for query, count in (
        ({"status": "rejected"}, 1),
        ({"status": "all", "run_id": str(run.id)}, 1),
        ({"status": "all", "workflow_id": "other"}, 0),
    ):
        assert len((await get(client, log, "/api/approvals", **query))["items"]) == count, query
    assert (await client.get("/api/approvals/nobody")).status_code == 404
    assert (await client.get("/api/approvals?status=maybe")).status_code == 400


# --- dead letters -----------------------------------------------------------------------------------------------------


async def test_a_dead_letter_shows_its_retries(client: AsyncClient, log: EventLog):
    stream = named_stream("quarantine", "x")
    letter = MessageQuarantined(service="execution", subject="s", reason="no", body="{}")
    again = msgspec.structs.replace(letter, reason="again")
    statuses: list[str] = []
    for version, event in enumerate([letter, DeadLetterRetried(service="execution", command_id="c"), again]):
        told = StreamAppend("quarantine", stream, version, new(event))
        await log.append([Append([told], recorded_at=START, actor="ada")])
        statuses += [item["status"] for item in (await get(client, log, "/api/dead-letters"))["items"]]
    assert statuses == ["open", "retried", "open"]
    [item] = (await get(client, log, "/api/dead-letters", status="open"))["items"]
    assert (item["reason"], item["failures"], item["retries"], item["retried_by"]) == ("again", 2, 1, "ada")
    assert (await get(client, log, "/api/dead-letters", status="retried"))["items"] == []


async def test_the_graph_of_a_workflow_shows_what_its_loops_repeat(client: AsyncClient, log: EventLog):
    await looped(log)
    graph = await get(client, log, "/api/workflows/loops/graph")
    assert [node["node_id"] for node in graph["nodes"]] == ["first", "outer"]
    assert [node["node_id"] for node in graph["bodies"]["outer"]["nodes"]] == ["fetch", "inner"]
    assert graph["bodies"]["inner"]["nodes"][0]["loop_id"] == "inner"
