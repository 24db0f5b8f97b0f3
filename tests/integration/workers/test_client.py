"""The client and a worker of the SDK on a whole running FlowForge."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flowforge import (
    Client,
    DefinitionInvalid,
    Edge,
    EventConfig,
    EventTrigger,
    Job,
    JobError,
    JobNode,
    Refused,
    TooLarge,
    Unreachable,
    Worker,
    Workflow,
)
from flowforge.blobs import from_server

from infra.embedded.cluster import Cluster
from infra.embedded.ports import free_port
from tests.integration.workers.executing import WAIT_S, serving


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(home=cluster.home.folder) as opened, asyncio.timeout(2 * WAIT_S):
        yield opened


@pytest.fixture
def name() -> str:
    """A workflow, job type and event type that no other test has."""
    return f"t-{secrets.token_hex(4)}"


@pytest.fixture
def worker(cluster: Cluster) -> Worker:
    return Worker(nats_url=cluster.endpoints.worker_nats, stop_grace_s=1)


def two_nodes(name: str) -> Workflow:
    return Workflow(
        id=name,
        name=name,
        nodes=[JobNode(id="first", job_type=name, payload={"n": "${input.n}"}), JobNode(id="second", job_type=name)],
        edges=[Edge(source_node_id="first", target_node_id="second")],
        triggers=[EventTrigger(id="told", config=EventConfig(event_type=name))],
    )


async def test_a_run_is_started_followed_and_read(client: Client, worker: Worker, name: str) -> None:
    @worker.job(name)
    async def work(job: Job) -> dict[str, Any]:
        return {"n": job.payload.get("n", 0) + 1, "before": job.input}

    saved = await client.save_workflow(two_nodes(name))
    assert saved["version"] == 1
    assert (await client.get_workflow(name))["version"] == 1
    assert name in [item["id"] for item in (await client.list_workflows(limit=1000))["items"]]
    async with serving(worker):
        run_id = await client.execute(name, {"n": 1}, labels={"who": "me"})
        followed = [event async for event in client.follow(run_id)]
        run = await client.run(run_id)
    types = [event["type"] for event in followed]
    assert (types[0], types[-1]) == ("WorkflowTriggered", "RunCompleted")
    assert (run["status"], run["labels"]) == ("completed", {"who": "me"})
    assert run["output_data"]["before"]["n"] == 2
    assert [event["position"] for event in followed] == [event["position"] async for event in client.events(run_id)]
    assert [event["type"] async for event in client.events(run_id, limit=2)] == types[:2]
    assert [item["run_id"] for item in (await client.runs(workflow_id=name))["items"]] == [run_id]


async def test_an_event_that_nats_does_not_take_is_too_large_and_not_unreachable(nats_url: str) -> None:
    async with Client(nats_url=nats_url) as client:
        with pytest.raises(TooLarge, match="larger than NATS takes, 1048576 bytes") as refused:
            await client.publish("large", "x" * 2_000_000)
    assert (refused.value.status, refused.value.code) == (413, "PAYLOAD_TOO_LARGE")


async def test_the_same_key_starts_one_run(client: Client, name: str) -> None:
    await client.save_workflow(two_nodes(name))
    first = await client.execute(name, {"n": 1}, idempotency_key=name)
    assert await client.execute(name, {"n": 1}, idempotency_key=name) == first
    await client.cancel(first)


@pytest.mark.parametrize("way", ["nats", "http"])
async def test_an_event_starts_a_run_once(
    client: Client, cluster: Cluster, worker: Worker, name: str, way: str
) -> None:
    @worker.job(name)
    async def work(_job: Job) -> None:
        return

    await client.save_workflow(
        Workflow(
            id=name, name=name, nodes=[JobNode(id="only", job_type=name)],
            triggers=[EventTrigger(id="told", config=EventConfig(event_type=name))],
        )
    )  # fmt: skip
    publisher = client if way == "nats" else Client(cluster.endpoints.http, cluster.admin_key)
    async with serving(worker), publisher:
        for _ in range(2):
            assert await publisher.publish(name, {"x": 1}, source="/test", id=name) == name
        while not (found := (await client.runs(workflow_id=name))["items"]):
            await asyncio.sleep(0.01)
        run = await client.wait(found[0]["run_id"], timeout_s=WAIT_S)
    assert run["status"] == "completed"
    assert len((await client.runs(workflow_id=name))["items"]) == 1


async def test_a_cancelled_run_stops_its_job(client: Client, worker: Worker, name: str) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    @worker.job(name)
    async def work(_job: Job) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await client.save_workflow(two_nodes(name))
    async with serving(worker):
        run_id = await client.execute(name, {"n": 1})
        await began.wait()
        await client.cancel(run_id, "enough")
        run = await client.wait(run_id)
        await stopped.wait()
    assert run["status"] == "cancelled"


async def test_what_a_handler_says_about_its_failure_is_read(client: Client, worker: Worker, name: str) -> None:
    @worker.job(name)
    async def work(_job: Job) -> None:
        raise JobError("no such customer", code="CUSTOMER_UNKNOWN", retryable=False)

    await client.save_workflow(two_nodes(name))
    async with serving(worker):
        run = await client.wait(await client.execute(name, {"n": 1}))
    (first, second) = sorted(run["node_runs"], key=lambda row: row["node_id"])
    assert run["status"] == "failed"
    assert (first["error"]["code"], first["error"]["message"]) == ("CUSTOMER_UNKNOWN", "no such customer")
    assert second["status"] == "skipped"


async def test_a_large_output_reaches_the_next_node_and_the_reader(
    client: Client, cluster: Cluster, worker: Worker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "x" * 1_000_000

    @worker.job(name)
    async def work(job: Job) -> Any:
        return len(job.input) if job.node_id == "second" else large

    await client.save_workflow(two_nodes(name))
    async with serving(worker):
        run = await client.wait(await client.execute(name, {"n": 1}))
    (first, second) = sorted(run["node_runs"], key=lambda row: row["node_id"])
    assert second["output"] == len(large)
    assert await client.blob(first["output"]["$blob"]) == large
    monkeypatch.setenv("FLOWFORGE_HOME", str(cluster.home.folder))
    kept = await from_server(first["output"]["$blob"])  # where workers look when the object store has lost it
    assert kept == f'"{large}"'.encode()


async def test_following_goes_on_when_the_server_was_killed(
    client: Client, cluster: Cluster, worker: Worker, name: str
) -> None:
    go_on = asyncio.Event()

    @worker.job(name)
    async def work(job: Job) -> None:
        if job.node_id == "first":
            await go_on.wait()

    await client.save_workflow(two_nodes(name))
    seen: list[dict[str, Any]] = []
    async with serving(worker):
        run_id = await client.execute(name, {"n": 1})
        async for event in client.follow(run_id):
            seen.append(event)
            if event["type"] == "NodeStarted" and not go_on.is_set():
                await cluster.wait_ready("front", after=cluster.kill("front"))
                go_on.set()
        assert [event["position"] for event in seen] == [event["position"] async for event in client.events(run_id)]
    assert seen[-1]["type"] == "RunCompleted"


async def test_refusals_carry_the_problem(client: Client, cluster: Cluster, name: str) -> None:
    await client.create_workflow(two_nodes(name))
    with pytest.raises(Refused) as twice:
        await client.create_workflow(two_nodes(name))
    assert twice.value.status == 409
    with pytest.raises(Refused) as nowhere:
        await client.run("01a1fc11-76ba-7a1d-8488-0c6f292e2de2")
    assert nowhere.value.status == 404
    with pytest.raises(Refused) as faulty:
        await client.create_workflow({"id": "x", "name": "x", "nodes": [{"id": "a", "type": "jobb"}]})
    assert faulty.value.problem["errors"]
    with pytest.raises(DefinitionInvalid):
        await client.create_workflow("id: [")
    report = await client.validate("{id: x, name: x, nodes: [{id: a, type: end}, {id: a, type: end}]}")
    assert not report["is_valid"]
    with pytest.raises(Refused) as stale:
        await client.save_workflow(two_nodes(name), expected_version=7)
    assert stale.value.status == 412
    assert (await client.save_workflow({**_document(name), "description": "new"}))["version"] == 2
    async with Client(cluster.endpoints.http, "no such key") as stranger:
        with pytest.raises(Refused) as unknown:
            await stranger.runs()
    assert unknown.value.status == 401


def _document(name: str) -> dict[str, Any]:
    from flowforge.definition import document

    return document(two_nodes(name))


async def test_nobody_there_is_told_with_address_and_next_step(tmp_path: Path) -> None:
    port = free_port()
    async with Client(f"http://127.0.0.1:{port}") as client:
        for asking in (client.runs(), client.execute("w"), anext(client.follow("r")), client.publish("t")):
            with pytest.raises(Unreachable, match=f"no answer from http://127.0.0.1:{port}.*start `flowforge up`"):
                await asking
    async with Client(nats_url=f"nats://me:secret@127.0.0.1:{port}") as client:
        with pytest.raises(Unreachable, match=f"no answer from NATS at nats://me@127.0.0.1:{port}"):
            await client.publish("t")
    async with Client(home=tmp_path) as client:
        with pytest.raises(Unreachable, match="no address of FlowForge is known"):
            await client.runs()
