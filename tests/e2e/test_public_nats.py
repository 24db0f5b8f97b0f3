"""NATS as the public page promises it: what plain nats-py sees, and a worker written from the table of section 4 alone."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NothingCame
from nats.js.client import JetStreamContext

from tests.e2e.stranger import ENDED, Object, Stranger, edge, fresh, node_runs, python, transform, workflow

ANSWER_S_MAX = 10.0


def cloud_event(event_type: str, data: Any, **attributes: Any) -> Object:
    return {
        "specversion": "1.0", "id": fresh("event"), "source": "/tests", "type": event_type, "data": data, **attributes,
    }  # fmt: skip


class RawWorker:
    """A worker of one job type that knows the table, plain nats-py and nothing else."""

    def __init__(self, connection: NatsClient, job_type: str) -> None:
        self.connection = connection
        self.stream: JetStreamContext = connection.jetstream(timeout=ANSWER_S_MAX)
        self.job_type = job_type
        self.pulled: JetStreamContext.PullSubscription

    async def start(self) -> Self:
        self.pulled = await self.stream.pull_subscribe(
            f"flowforge.jobs.default.{self.job_type}", durable=f"default--{self.job_type}", stream="JOBS"
        )
        return self

    async def take(self) -> tuple[Msg, Object]:
        (message,) = await self.pulled.fetch(1, timeout=ANSWER_S_MAX)
        event = json.loads(message.data)
        assert event["specversion"] == "1.0"
        assert event["type"] == "JobRequested"
        return message, event["data"]

    async def report(
        self, message: Msg, job: Object, event_type: str, delivery: int | None = None, **said: Any
    ) -> None:
        ids = {"job_id": job["job_id"], "run_id": job["run_id"], "attempt": job["attempt"]}
        data = ids | {"delivery": delivery or message.metadata.num_delivered} | said
        subject = f"flowforge.reports.{job['run_id']}.{job['job_id']}.{event_type}"
        await self.stream.publish(subject, json.dumps(cloud_event(event_type, data)).encode())


@asynccontextmanager
async def raw_worker(stranger: Stranger, job_type: str) -> AsyncGenerator[RawWorker]:
    async with stranger.nats("worker_nats") as connection:
        yield await RawWorker(connection, job_type).start()


def job(node_id: str, job_type: str, **fields: Any) -> Object:
    return {"id": node_id, "type": "job", "job_type": job_type, **fields}


async def ended(stranger: Stranger, run_id: str) -> Object:
    return await asyncio.to_thread(stranger.ended, run_id)


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_the_events_of_a_run_are_told_as_cloud_events_in_order(stranger: Stranger):
    definition = workflow(transform("a"), transform("b"))
    stranger.save(definition)
    async with stranger.nats() as connection:
        subscription = await connection.subscribe(f"flowforge.runs.{definition['id']}.>")
        await connection.flush()
        run = await ended(stranger, stranger.execute(definition["id"]))
        told: list[tuple[str, Object]] = []
        while not told or told[-1][1]["type"] not in ENDED:
            message = await subscription.next_msg(5)
            told.append((message.subject, json.loads(message.data)))
    history = stranger.history(run["run_id"])
    assert [subject for subject, _ in told] == [
        f"flowforge.runs.{definition['id']}.{run['run_id']}.{event['type']}" for event in history
    ]
    for (_, event), logged in zip(told, history, strict=True):
        assert event["specversion"] == "1.0"
        assert (event["id"], event["type"]) == (logged["event_id"], logged["type"])
        assert event["source"]
        assert event["time"]
        assert event["correlationid"] == logged["correlation_id"]
        assert int(event["position"]) == logged["position"]
        assert event["data"].items() >= logged["data"].items()
    assert told[0][1]["causationid"] == history[0]["causation_id"]


async def test_an_event_published_in_the_inbox_fires(stranger: Stranger):
    kind = fresh("order")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind}, "input": {"n": "${event.data.n}"}}
    slug = stranger.save(workflow(transform("a"), triggers=[trigger]))["id"]
    async with stranger.nats() as connection:
        stream = connection.jetstream(timeout=ANSWER_S_MAX)
        event = cloud_event(kind, {"n": 5})
        for _ in range(3):
            answer = await stream.publish("flowforge.inbox.shop.orders", json.dumps(event).encode())
            assert answer.seq > 0
        await connection.publish("flowforge.inbox.anything", json.dumps(cloud_event(kind, {"n": 6})).encode())
        await connection.flush()
    while len(runs := stranger.get("/api/runs", workflow_id=slug)["items"]) < 2:
        await asyncio.sleep(0)
    await asyncio.gather(*(ended(stranger, run["run_id"]) for run in runs))
    assert sorted(run["input_data"]["n"] for run in stranger.get("/api/runs", workflow_id=slug)["items"]) == [5, 6]


async def test_what_cannot_be_decoded_is_set_aside_and_the_next_event_flows(stranger: Stranger):
    kind = fresh("order")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind}}
    slug = stranger.save(workflow(transform("a"), triggers=[trigger]))["id"]
    async with stranger.nats() as connection:
        stream = connection.jetstream(timeout=ANSWER_S_MAX)
        for garbage in (b"", b"{", b"\xff\xfe", b"[]", b"7", b'{"type": "x"}', b'{"specversion":"1.0","type":7}'):
            await stream.publish("flowforge.inbox.garbage", garbage)
        await stream.publish("flowforge.inbox.good", json.dumps(cloud_event(kind, {})).encode())
    while not stranger.get("/api/runs", workflow_id=slug)["items"]:
        await asyncio.sleep(0)


async def test_an_event_whose_id_was_taken_is_a_dead_letter_when_it_says_something_else(stranger: Stranger):
    kind = fresh("order")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind}, "input": {"n": "${event.data.n}"}}
    slug = stranger.save(workflow(transform("a"), triggers=[trigger]))["id"]
    event = cloud_event(kind, {"n": 1})
    async with stranger.nats() as connection:
        stream = connection.jetstream(timeout=ANSWER_S_MAX)
        for said in (event, event, event | {"data": {"n": 2}}, event | {"data": {"n": 2}}):
            await stream.publish("flowforge.inbox.shop.orders", json.dumps(said).encode())
    while not (letters := dead_letters_of(stranger, event["id"])):
        await asyncio.sleep(0)
    answer = stranger.send("POST", "/api/events", event | {"data": {"n": 3}}).json()
    assert (answer["duplicate"], answer["differs"]) == (True, True)
    [run] = stranger.get("/api/runs", workflow_id=slug)["items"]
    assert run["input_data"] == {"n": 1}
    [letter] = letters
    assert json.loads(letter["body"])["data"] == {"n": 2}
    for told in (f"position {answer['position']}", answer["event_id"], "/tests", "has started nothing"):
        assert told in letter["reason"]


def dead_letters_of(stranger: Stranger, event_id: str) -> list[Object]:
    """Those whose reason names the event."""
    return [one for one in stranger.all("/api/dead-letters", limit=1000) if f"'{event_id}'" in one["reason"]]


async def test_a_burst_of_events_loses_none_and_merges_none(stranger: Stranger):
    kind = fresh("order")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind}, "input": {"n": "${event.data.n}"}}
    slug = stranger.save(workflow(transform("a"), triggers=[trigger]))["id"]
    async with stranger.nats() as connection:
        stream = connection.jetstream(timeout=ANSWER_S_MAX)
        events = [json.dumps(cloud_event(kind, {"n": n})).encode() for n in range(200)]
        await asyncio.gather(*(stream.publish("flowforge.inbox.burst", event) for event in events))
    while stranger.get(f"/api/workflows/{slug}/triggers/t/decisions", limit=1000)["items"][199:] == []:
        await asyncio.sleep(0)
    runs = list(stranger.all("/api/runs", workflow_id=slug, limit=1000))
    assert sorted(run["input_data"]["n"] for run in runs) == list(range(200))


# --- a worker from the table ------------------------------------------------------------------------------------------


async def test_a_worker_from_the_table_does_a_job(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(
        job("a", job_type, payload={"n": "${input.n}"}, timeout_ms=60_000),
        transform("b", expressions={"twice": "${nodes.a.output.n * 2}"}),
        edges=[edge("a", "b")],
    )
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as worker:
        run_id = stranger.execute(definition["id"], input_data={"n": 21})
        message, given = await worker.take()
        assert given.keys() >= {
            "job_id", "workflow_id", "run_id", "node_id", "attempt", "payload", "input", "deadline", "idempotency_key",
        }  # fmt: skip
        assert (given["workflow_id"], given["run_id"], given["node_id"]) == (definition["id"], run_id, "a")
        assert (given["attempt"], given["payload"], given["input"]) == (1, {"n": 21}, {"n": 21})
        await worker.report(message, given, "JobStarted", worker="raw")
        await worker.report(message, given, "JobProgressed", progress=0.5)
        await worker.report(message, given, "JobLogged", lines=["half of it", "is done"])
        seen = await asyncio.to_thread(lambda: next(m for m in stranger.follow(run_id) if m.event == "NodeProgressed"))
        assert seen.data["data"]["progress"] == 0.5
        under_way = stranger.get(f"/api/runs/{run_id}", after=seen.id)
        assert under_way["status"] == "running"
        assert under_way["progress"]["current_step"] == "a"
        assert under_way["progress"]["completed_nodes"] == 0
        assert node_runs(under_way)["a"]["status"] == "running"
        assert node_runs(under_way)["a"]["progress"] == 0.5
        assert under_way["completed_at"] is None
        await worker.report(message, given, "JobCompleted", output={"n": 21})
        await message.ack()
    run = await ended(stranger, run_id)
    assert (run["status"], node_runs(run)["b"]["output"]) == ("completed", {"twice": 42})
    lines = stranger.get(f"/api/runs/{run_id}/logs")["items"]
    assert [line["text"] for line in lines] == ["half of it", "is done"]
    assert node_runs(run)["a"]["job_id"] == given["job_id"]
    jobs = stranger.get(f"/api/runs/{run_id}/jobs")["items"]
    assert [(row["job_id"], row["job_type"]) for row in jobs] == [(given["job_id"], job_type)]


async def test_the_queue_of_a_job_type_is_there_once_the_save_is_answered(stranger: Stranger):
    job_type = fresh("kind")
    async with stranger.nats("worker_nats") as connection:
        stream = connection.jetstream(timeout=ANSWER_S_MAX)
        definition = workflow(job("a", job_type))
        stranger.save(definition)
        pulled = await stream.pull_subscribe_bind(f"default--{job_type}", stream="JOBS")
        run_id = stranger.execute(definition["id"])
        (message,) = await pulled.fetch(1, timeout=ANSWER_S_MAX)
        worker = RawWorker(connection, job_type)
        await worker.report(message, json.loads(message.data)["data"], "JobCompleted", output=1)
        await message.ack()
    assert (await ended(stranger, run_id))["status"] == "completed"


async def test_a_job_waits_for_a_worker_that_comes_later(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type))
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    await asyncio.to_thread(lambda: next(m for m in stranger.follow(run_id) if m.event == "NodeQueued"))
    async with raw_worker(stranger, job_type) as worker:
        message, given = await worker.take()
        await worker.report(message, given, "JobCompleted", output=None)
        await message.ack()
    assert (await ended(stranger, run_id))["status"] == "completed"


async def test_a_failed_job_is_retried_if_it_may_be(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type, retry_policy={"max_attempts": 3, "delay_ms": 20}))
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as worker:
        run_id = stranger.execute(definition["id"])
        for attempt, retryable in ((1, True), (2, False)):
            message, given = await worker.take()
            assert given["attempt"] == attempt
            await worker.report(message, given, "JobStarted")
            error = {"code": "HTTP_ERROR", "message": f"try {attempt}", "retryable": retryable}
            await worker.report(message, given, "JobFailed", error=error)
            await message.ack()
    run = await ended(stranger, run_id)
    error = node_runs(run)["a"]["error"]
    assert (run["status"], error["code"], error["message"]) == ("failed", "HTTP_ERROR", "try 2")


async def test_a_report_of_a_lower_delivery_is_ignored_and_told(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type))
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as worker:
        run_id = stranger.execute(definition["id"])
        message, given = await worker.take()
        await worker.report(message, given, "JobStarted")
        await message.nak()
        again, given_again = await worker.take()
        assert given_again == given
        assert again.metadata.num_delivered == 2
        await worker.report(again, given, "JobStarted")
        await worker.report(message, given, "JobCompleted", delivery=1, output="the zombie's")
        await worker.report(again, given, "JobCompleted", delivery=2, output="the right one")
        await again.ack()
        run = await ended(stranger, run_id)
        assert (run["status"], node_runs(run)["a"]["output"]) == ("completed", "the right one")
        await worker.report(message, given, "JobCompleted", delivery=1, output="late")
    history = stranger.history(run_id)
    told = [
        event for event in history if "gnored" in event["type"] or "Stale" in event["type"] or "Late" in event["type"]
    ]
    assert told, [event["type"] for event in history]
    assert "zombie" not in json.dumps(node_runs(run)["a"]["output"])


async def test_three_deliveries_without_an_ending_are_a_lost_worker(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type))
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as worker:
        run_id = stranger.execute(definition["id"])
        for _ in range(3):
            message, given = await worker.take()
            await worker.report(message, given, "JobStarted")
            await message.nak()
        # Nobody asks for more jobs of this type: the worker was the only one.
        run = await ended(stranger, run_id)
        assert (run["status"], node_runs(run)["a"]["error"]["code"]) == ("failed", "WORKER_LOST")
        while (await worker.stream.stream_info("JOBS", subjects_filter=f"flowforge.jobs.*.{job_type}")).state.subjects:
            await asyncio.sleep(0.05)


async def test_a_cancelled_run_tells_the_worker_to_stop(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type))
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as worker:
        run_id = stranger.execute(definition["id"])
        message, given = await worker.take()
        cancels = await worker.connection.subscribe(f"flowforge.cancels.{given['job_id']}")
        await worker.report(message, given, "JobStarted")
        await asyncio.to_thread(lambda: next(m for m in stranger.follow(run_id) if m.event == "NodeStarted"))
        stranger.send("POST", f"/api/runs/{run_id}/cancel")
        assert (await cancels.next_msg(5)).subject.endswith(given["job_id"])
        error = {"code": "CANCELLED", "message": "asked to", "retryable": False}
        await worker.report(message, given, "JobFailed", error=error)
        await message.ack()
    run = await ended(stranger, run_id)
    assert (run["status"], node_runs(run)["a"]["status"]) == ("cancelled", "cancelled")


async def test_garbage_reports_hinder_nobody(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type))
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as worker:
        run_id = stranger.execute(definition["id"])
        message, given = await worker.take()
        subject = f"flowforge.reports.{run_id}.{given['job_id']}.JobCompleted"
        for garbage in (b"", b"{", b"\xff", b"[]", json.dumps(cloud_event("JobCompleted", {})).encode()):
            await worker.stream.publish(subject, garbage)
        ghost = given | {"job_id": "01890000-0000-7000-8000-000000000000"}
        await worker.report(message, ghost, "JobCompleted", output=1)
        await worker.report(message, ghost | {"run_id": ghost["job_id"]}, "JobCompleted", output=1)
        await worker.report(message, given, "JobCompleted", output="fine")
        await message.ack()
    run = await ended(stranger, run_id)
    assert (run["status"], node_runs(run)["a"]["output"]) == ("completed", "fine")


async def test_no_job_is_pulled_twice_at_once(stranger: Stranger):
    job_type = fresh("kind")
    definition = workflow(job("a", job_type))
    stranger.save(definition)
    async with raw_worker(stranger, job_type) as one, raw_worker(stranger, job_type) as two:
        run_id = stranger.execute(definition["id"])
        message, given = await one.take()
        try:
            await two.pulled.fetch(1, timeout=0.3)
        except NothingCame:
            pass
        else:
            raise AssertionError("the same job went to two workers")
        await one.report(message, given, "JobCompleted", output={})
        await message.ack()
    assert (await ended(stranger, run_id))["status"] == "completed"


async def test_jobs_of_another_system_are_events_too(stranger: Stranger):
    key = fresh("job")
    config = {"event_type": "JobCompleted", "filter": f"event.data.job_id == '{key}'"}
    trigger = {"id": "t", "type": "event", "config": config}
    slug = stranger.save(workflow(python("a", "print('x')"), triggers=[trigger]))["id"]
    data = {"job_id": key, "job_type": "TRAIN", "experiment_id": "x", "status": "COMPLETE", "output": {}}
    async with stranger.nats() as connection:
        stream = connection.jetstream(timeout=ANSWER_S_MAX)
        await stream.publish("flowforge.inbox.jobs", json.dumps(cloud_event("JobCompleted", data)).encode())
    while not stranger.get("/api/runs", workflow_id=slug)["items"]:
        await asyncio.sleep(0)
