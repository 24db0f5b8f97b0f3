"""What is in the log is answered over HTTP, in the promised shapes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flowforge.errors import RunError
from flowforge.events import (
    Event,
    MessageQuarantined,
    NodeCompleted,
    NodeQueued,
    NodeRetried,
    NodeStarted,
    RunStarted,
    TriggerDecided,
    WorkflowArchived,
    WorkflowUpdated,
)
from flowforge.identity import derived_uuid, named_stream
from histories import (
    START,
    Clock,
    append_chain_run,
    created,
    definition,
    job_id,
    new,
    raw,
    received,
    triggered,
)
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend

RUN_FIELDS = {
    "run_id", "workflow_id", "workflow_version", "status", "trigger", "cause", "parent_run_id", "actor", "labels",
    "input_data", "variables", "output_data", "error", "priority", "created_at", "started_at", "completed_at",
    "duration_ms", "progress", "estimated_time_remaining_ms", "execution_path", "node_runs",
}  # fmt: skip
NODE_FIELDS = {
    "node_id", "type", "status", "skip_reason", "attempt", "progress", "input", "output", "error", "job_id", "worker",
    "dependencies", "dependents", "started_at", "completed_at", "duration_ms", "instances_count",
}  # fmt: skip


async def head(log: EventLog) -> int:
    return (await log.head()).position


async def get(client: AsyncClient, log: EventLog, path: str, **query: Any) -> dict[str, Any]:
    response = await client.get(path, params={"after": await head(log), **query})
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_completed_run_reads_as_promised(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1, labels={"team": "core"}, variables={"speed": raw(3)})
    run = await get(client, log, f"/api/runs/{run_id}")
    assert run.keys() >= RUN_FIELDS
    assert run["status"] == "completed"
    assert run["trigger"] == {"type": "event", "id": "on-order"}
    assert run["cause"]["id"] == "order-1"
    assert run["labels"] == {"team": "core"}
    assert run["variables"] == {"region": "eu", "speed": 3}
    assert run["input_data"] == {"order": "order-1"}
    assert run["output_data"] == {"by": "c"}
    assert run["error"] is None
    assert run["progress"] == {"completed_nodes": 3, "total_nodes": 3, "percent": 100, "current_step": None}
    assert run["execution_path"] == ["a", "b", "c"]
    assert run["duration_ms"] == 10
    a, b, c = run["node_runs"]
    assert a.keys() >= NODE_FIELDS
    assert (a["dependencies"], a["dependents"]) == ([], ["b"])
    assert a["input"] == {"order": "order-1"}
    assert (b["input"], b["output"], b["status"], b["worker"]) == ({"by": "a"}, {"by": "b"}, "completed", "w1")
    assert c["job_id"] == str(job_id(run_id, "c"))


async def test_a_failed_run_tells_why_and_what_was_skipped(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1, fails=True)
    run = await get(client, log, f"/api/runs/{run_id}")
    assert run["status"] == "failed"
    assert run["error"]["code"] == "NODE_EXECUTION_FAILED"
    assert run["error"].keys() >= {"code", "message", "affected_nodes", "dependency_chain", "suggested_resolution"}
    assert [(node["status"], node["skip_reason"]) for node in run["node_runs"]] == [
        ("completed", None),
        ("failed", None),
        ("skipped", "upstream_failed"),
    ]
    assert run["progress"]["percent"] == 100
    assert run["progress"]["completed_nodes"] == 1


async def test_a_run_that_was_only_triggered_shows_all_its_nodes_idle(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    group, cause = received(1, clock())
    first = triggered(cause, clock())
    await log.append([group, Append([StreamAppend("run", first.run_id, 0, new(first))], recorded_at=clock())])
    run = await get(client, log, f"/api/runs/{first.run_id}")
    assert run["status"] == "pending"
    assert [node["status"] for node in run["node_runs"]] == ["idle"] * 3
    assert run["progress"] == {"completed_nodes": 0, "total_nodes": 3, "percent": 0, "current_step": None}
    active = await get(client, log, "/api/workflows/chain/active")
    assert [(item["run_id"], item["trigger"]["id"]) for item in active["items"]] == [(str(first.run_id), "on-order")]


async def test_a_retried_node_waits_then_runs_again(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    group, cause = received(1, clock())
    first = triggered(cause, clock())
    error = RunError(code="HTTP_ERROR", message="503")
    events = [
        first,
        RunStarted(total_nodes=3),
        NodeQueued(node_id="a", job_id=job_id(first.run_id, "a"), job_type="work", queue="default", input=raw([1, 2])),
        NodeStarted(node_id="a", worker="w1"),
        NodeRetried(node_id="a", attempt=2, error=error, due_at=START),
    ]
    await log.append([group, Append([StreamAppend("run", first.run_id, 0, new(*events))], recorded_at=clock())])
    node = await get(client, log, f"/api/runs/{first.run_id}/nodes/a")
    assert (node["status"], node["attempt"], node["error"]["code"], node["input"]) == (
        "waiting",
        1,
        "HTTP_ERROR",
        [1, 2],
    )
    again = [
        NodeQueued(node_id="a", attempt=2, job_id=job_id(first.run_id, "a2"), job_type="work", input=raw([1, 2])),
        NodeStarted(node_id="a", attempt=2, worker="w2"),
        NodeCompleted(node_id="a", attempt=2, output=raw("done"), variables={"region": raw("us")}),
    ]
    await log.append([Append([StreamAppend("run", first.run_id, 5, new(*again))], recorded_at=clock())])
    run = await get(client, log, f"/api/runs/{first.run_id}")
    node = run["node_runs"][0]
    assert (node["status"], node["attempt"], node["error"], node["worker"]) == ("completed", 2, None, "w2")
    assert run["variables"] == {"region": "us"}
    jobs = await get(client, log, f"/api/runs/{first.run_id}/jobs")
    assert [(job["attempt"], job["status"]) for job in jobs["items"]] == [(2, "completed"), (1, "failed")]
    timeline = await get(client, log, f"/api/runs/{first.run_id}/timeline")
    assert [item["attempt"] for item in timeline["items"]] == [1, 2]


async def test_a_map_shows_its_instances_in_pages(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    group, cause = received(1, clock())
    first = triggered(cause, clock())
    events: list[Event] = [first, RunStarted(total_nodes=3), NodeStarted(node_id="a", instances_count=12)]
    for item in range(12):
        events += [
            NodeQueued(node_id="a", instance=str(item), job_id=job_id(first.run_id, f"a{item}"), input=raw(item)),
            NodeStarted(node_id="a", instance=str(item), worker="w1"),
            NodeCompleted(node_id="a", instance=str(item), output=raw(item * item)),
        ]
    events.append(NodeCompleted(node_id="a", output=raw([item * item for item in range(12)])))
    await log.append([group, Append([StreamAppend("run", first.run_id, 0, new(*events))], recorded_at=clock())])
    node = await get(client, log, f"/api/runs/{first.run_id}/nodes/a", limit=5)
    assert (node["status"], node["instances_count"], node["output"][11]) == ("completed", 12, 121)
    seen = [item["instance"] for item in node["instances"]["items"]]
    while cursor := node["instances"]["next_cursor"]:
        node = await get(client, log, f"/api/runs/{first.run_id}/nodes/a", limit=5, cursor=cursor)
        seen += [item["instance"] for item in node["instances"]["items"]]
    assert seen == [str(item) for item in range(12)]
    run = await get(client, log, f"/api/runs/{first.run_id}")
    assert len(run["node_runs"]) == 3
    assert run["progress"]["completed_nodes"] == 1
    assert run["execution_path"] == ["a"]


async def test_runs_are_listed_newest_first_in_pages_and_by_filter(client: AsyncClient, log: EventLog):
    await log.append([created(), created("other", nodes=("a", "b", "c"))])
    clock = Clock()
    ids = [str(await append_chain_run(log, clock, number, labels={"n": str(number)})) for number in range(5)]
    other = str(await append_chain_run(log, clock, 9, fails=True, workflow_id="other"))
    first = await get(client, log, "/api/runs", limit=4)
    second = await get(client, log, "/api/runs", limit=4, cursor=first["next_cursor"])
    assert [run["run_id"] for run in first["items"] + second["items"]] == [other, *reversed(ids)]
    assert second["next_cursor"] is None
    for query, expected in (
        ({"workflow_id": "other"}, [other]),
        ({"status": "failed"}, [other]),
        ({"label": "n=3"}, [ids[3]]),
        ({"trigger_type": "manual"}, []),
        ({"since": "2031-01-01T00:00:00Z"}, []),
        ({"until": "2031-01-01T00:00:00Z", "workflow_id": "chain"}, list(reversed(ids))),
    ):
        listed = await get(client, log, "/api/runs", **query)
        assert [run["run_id"] for run in listed["items"]] == expected, query
    assert "node_runs" not in first["items"][0]
    aliased = await get(client, log, "/api/workflow-executions", limit=4)
    assert [run["run_id"] for run in aliased["items"]] == [run["run_id"] for run in first["items"]]


async def test_workflows_read_as_written_with_versions_and_differences(client: AsyncClient, log: EventLog):
    await log.append([created()])
    changed = definition() | {"name": "Renamed", "tags": ["x"]}
    changed["nodes"] = [*changed["nodes"], {"id": "d", "type": "end"}]  # type: ignore[misc]
    event = WorkflowUpdated(workflow_id="chain", workflow_version=2, definition=raw(changed))
    at = datetime(2026, 3, 2, tzinfo=UTC)
    stream = StreamAppend("workflow", named_stream("workflow", "chain"), 1, new(event))
    await log.append([Append([stream], recorded_at=at, actor="bob", changes_definitions=True)])
    response = await client.get("/api/workflows/chain", params={"after": await head(log)})
    assert response.headers["etag"] == '"2"'
    workflow = response.json()
    assert (workflow["name"], workflow["version"], workflow["created_by"]) == ("Renamed", 2, "ada")
    assert workflow["nodes"] == changed["nodes"]
    assert (await get(client, log, "/api/workflows/chain", version=1))["name"] == "Chain"
    assert [item["id"] for item in (await get(client, log, "/api/workflows", tag="x"))["items"]] == ["chain"]
    assert (await get(client, log, "/api/workflows", tag="test"))["items"] == []
    versions = await get(client, log, "/api/workflows/chain/versions")
    assert [(item["version"], item["created_by"]) for item in versions["items"]] == [(2, "bob"), (1, "ada")]
    diff = await get(client, log, "/api/workflows/chain/diff", **{"from": 1, "to": 2})
    assert ("$.nodes[d]", "added") in [(change["path"], change["change"]) for change in diff["changes"]]
    assert ("$.name", "changed") in [(change["path"], change["change"]) for change in diff["changes"]]
    graph = await get(client, log, "/api/workflows/chain/graph", version=1)
    assert [(node["node_id"], node["dependencies"], node["level"]) for node in graph["nodes"]] == [
        ("a", [], 0),
        ("b", ["a"], 1),
        ("c", ["b"], 2),
    ]
    triggers = await get(client, log, "/api/workflows/chain/triggers")
    assert [trigger["id"] for trigger in triggers["items"]] == ["on-order"]
    archived = StreamAppend(
        "workflow", named_stream("workflow", "chain"), 2, new(WorkflowArchived(workflow_id="chain"))
    )
    await log.append([Append([archived], recorded_at=at, actor="bob", changes_definitions=True)])
    assert (await get(client, log, "/api/workflows/chain"))["status"] == "archived"
    assert (await get(client, log, "/workflows/chain"))["status"] == "archived"
    html = await client.get("/workflows/chain", headers={"accept": "text/html"})
    assert html.status_code == 404


async def test_decisions_say_why_and_can_be_asked_by_cause(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    run_id = await append_chain_run(log, clock, 1)
    group, cause = received(2, clock())
    refused = TriggerDecided(
        trigger_id="on-order",
        trigger_version=1,
        workflow_id="chain",
        cause=cause,
        decision="not_matched",
        reason="event.data.number > 5",
        detail="event.data.number was 2",
    )
    at = clock()
    second = StreamAppend("cause", cause.stream_id, 1, new(refused))
    await log.append([group])
    await log.append([Append([second], recorded_at=at)])
    path = "/api/workflows/chain/triggers/on-order"
    decisions = await get(client, log, f"{path}/decisions")
    assert [(item["decision"], item["reason"]) for item in decisions["items"]] == [
        ("not_matched", "event.data.number > 5"),
        ("fired", None),
    ]
    assert decisions["items"][1]["run_id"] == str(run_id)
    for named in ("order-2", str(cause.event_id), str(cause.event_id).upper()):
        found = await get(client, log, f"{path}/decisions", cause=named)
        assert [item["decision"] for item in found["items"]] == ["not_matched"], named
    stats = await get(client, log, f"{path}/stats")
    assert (stats["total"], stats["decisions"]) == (2, {"fired": 1, "not_matched": 1})
    events = await get(client, log, "/api/events")
    assert [(item["id"], item["caused"][0]["decision"]) for item in events["items"]] == [
        ("order-2", "not_matched"),
        ("order-1", "fired"),
    ]
    assert events["items"][0]["data"] == {"number": 2}


async def test_history_is_oldest_first_and_paged(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    types: list[str] = []
    cursor = None
    while True:
        page = await get(client, log, f"/api/runs/{run_id}/events", limit=5, **({"cursor": cursor} if cursor else {}))
        types += [event["type"] for event in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert types[0] == "WorkflowTriggered"
    assert types[-1] == "RunCompleted"
    assert len(types) == 12
    event = page["items"][-1]
    assert event.keys() == {
        "position", "event_id", "type", "stream", "version", "recorded_at", "data", "correlation_id", "causation_id",
        "actor",
    }  # fmt: skip
    assert UUID(event["event_id"])


async def test_metrics_name_the_longest_node_and_the_critical_path(client: AsyncClient, log: EventLog):
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    metrics = await get(client, log, f"/api/runs/{run_id}/metrics")
    assert metrics["critical_path"] == ["a", "b", "c"]
    assert metrics["sequential_duration_ms"] == 3
    assert metrics["longest_running_node"] in ("a", "b", "c")


async def test_a_quarantined_message_is_a_dead_letter(client: AsyncClient, log: EventLog):
    fact = MessageQuarantined(service="triggers", subject="flowforge.inbox.x", reason="no JSON", body="{\x00")
    stream = StreamAppend("quarantine", derived_uuid(START, "q"), 0, new(fact))
    await log.append([Append([stream], recorded_at=START)])
    listed = await get(client, log, "/api/dead-letters", service="triggers")
    assert [(item["reason"], item["body"]) for item in listed["items"]] == [("no JSON", "{�")]
    stats = await get(client, log, "/api/stats")
    assert stats["dead_letters"] == 1


async def test_every_write_is_in_the_audit_trail(client: AsyncClient, log: EventLog, keys: dict[str, str]):
    await log.append([created()])
    client.headers["authorization"] = f"Bearer {keys['admin']}"
    listed = await get(client, log, "/api/audit")
    assert [(item["actor"], item["action"], item["subject"]) for item in listed["items"]] == [
        ("ada", "create_workflow", "chain")
    ]


async def test_a_blob_is_answered_as_it_is(client: AsyncClient, log: EventLog):
    name = await log.put_blob(b'{"large": true}')
    response = await client.get(f"/api/blobs/{name}")
    assert (response.status_code, response.content) == (200, b'{"large": true}')
    assert (await client.get(f"/api/blobs/{'0' * 64}")).status_code == 404
    assert (await client.get("/api/blobs/..%2fx")).status_code in (400, 404)


async def test_bad_requests_are_problems_that_say_what_is_wrong(client: AsyncClient, log: EventLog):
    await log.append([created()])
    for path, status, named in (
        ("/api/runs?statsu=failed", 400, "did you mean 'status'"),
        ("/api/runs?limit=0", 400, "limit"),
        ("/api/runs?limit=many", 400, "limit"),
        ("/api/runs?limit=1001", 400, "limit"),
        ("/api/runs?status=done", 400, "status"),
        ("/api/runs?since=yesterday", 400, "since"),
        ("/api/runs?label=x", 400, "label"),
        ("/api/runs?cursor=abc", 400, "cursor"),
        ("/api/runs?after=x", 400, "after"),
        ("/api/runs/019ca945-2b5d-764f-be2e-79b6b73f502e?after=1", 404, "019ca945"),
        ("/api/runs/019ca945-2b5d-764f-be2e-79b6b73f502e/events", 404, "019ca945"),
        ("/api/runs/not-an-id", 404, ""),
        ("/api/workflows/nobody?after=1", 404, "nobody"),
        ("/api/workflows/chain/triggers/none/stats", 404, "none"),
        ("/api/workflows/chain/diff?from=1&to=7", 404, "7"),
        ("/api/workflows/chain/diff?to=7", 400, "from"),
        ("/api/workflows/chain?version=99999999999", 400, "version"),
        ("/api/workflows/%00", 400, ""),
        ("/api/workflows?tag=%00", 400, ""),
        ("/api/runs?since=0001-01-01T00:00:00%2B14:00", 400, ""),
        ("/api/runs/019ca945-2b5d-764f-be2e-79b6b73f502e/logs?attempt=99999999999", 400, ""),
        ("/api/runs/019ca945-2b5d-764f-be2e-79b6b73f502e/logs?attempt=9", 404, ""),
        ("/nowhere", 404, ""),
    ):
        response = await client.get(path)
        problem = response.json()
        assert response.status_code == status, (path, problem)
        assert response.headers["content-type"].startswith("application/problem+json"), path
        assert problem.keys() >= {"type", "title", "status", "detail", "errors"}, path
        assert problem["status"] == status
        assert named in response.text, (path, problem)
        assert "Traceback" not in response.text


async def test_a_cursor_of_another_list_is_refused(client: AsyncClient, log: EventLog):
    await log.append([created()])
    clock = Clock()
    for number in range(3):
        await append_chain_run(log, clock, number)
    page = await get(client, log, "/api/runs", limit=1)
    response = await client.get("/api/runs", params={"limit": 1, "status": "completed", "cursor": page["next_cursor"]})
    assert response.status_code == 400
    assert "cursor" in response.json()["errors"][0]["path"]


async def test_reading_after_a_position_that_this_log_never_gave_is_refused_at_once(client: AsyncClient, log: EventLog):
    response = await client.get("/api/runs", params={"after": 10**9})
    assert response.status_code == 400
    assert "beyond the end of this log" in response.json()["detail"]


async def test_metrics_say_where_nats_is_away_and_nothing_of_services_then(client: AsyncClient):
    told = (await client.get("/metrics")).text.splitlines()
    assert "flowforge_nats_up 0.0" in told
    assert not [line for line in told if line.startswith("flowforge_service_up{")]
    assert any(line.startswith("flowforge_log_position ") for line in told)


async def test_the_schema_describes_the_reads(client: AsyncClient):
    schema = (await client.get("/schema")).json()
    assert "/api/runs/{run_id}" in schema["paths"]
    assert schema["paths"]["/api/runs"]["get"]["parameters"]
