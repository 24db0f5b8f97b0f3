"""Who may say and hear what on the embedded nats-server, asked of a real one with real logins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import APIError, ServiceUnavailableError

from infra.bus.topology import declare
from infra.embedded import nats as embedded

HEARD_WITHIN_S = 10
REFUSED = (APIError, ServiceUnavailableError, TimeoutError, NoRespondersError)


class Login(Client):
    """A connection that remembers what the server refused."""

    refusals: list[str]

    async def refused(self) -> list[str]:
        """What was refused so far: the server answers in order, and nats-py's first ping may overtake what waits."""
        await self.flush()
        await self.flush()
        return self.refusals


Connect = Callable[[str], Awaitable[Login]]


@pytest.fixture
async def connect(tmp_path: Path, start_nats: Callable[[Path], Any]) -> AsyncIterator[Connect]:
    connections: list[Login] = []

    async def connect_as(user: str) -> Login:
        client = Login()
        client.refusals = []

        async def remember(error: Exception) -> None:
            client.refusals.append(str(error))

        await client.connect(
            embedded.login_url(server.port, user, server.password),
            error_cb=remember,
            inbox_prefix=embedded.inbox_prefix(user),
            allow_reconnect=False,
        )
        connections.append(client)
        return client

    with start_nats(tmp_path) as server:
        await declare(await connect_as(embedded.SUPERVISOR), "flowforge")
        yield connect_as
        for connection in connections:
            await connection.close()


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("catalog", "flowforge.workflows.w.WorkflowCreated"),
        ("triggers", "flowforge.runs.w.r.WorkflowTriggered"),
        ("execution", "flowforge.runs.w.r.RunStarted"),
        ("execution", "flowforge.jobs.default.extract"),
        ("execution", "flowforge.cancels.j"),
        ("execution", "$JS.API.STREAM.MSG.DELETE.JOBS"),
        ("scheduler", "flowforge.timers.r"),
        ("projections", "flowforge.log.projected"),
        ("front", "flowforge.commands.catalog.CreateWorkflow"),
        ("front", "flowforge.inbox.events"),
        ("worker", "flowforge.reports.r.j.JobStarted"),
        ("workers", "flowforge.reports.r.j.JobStarted"),
        ("workers", "flowforge.secrets.ask"),
        ("external", "flowforge.inbox.a.b"),
        *((service, "flowforge.log.appended") for service in embedded.SERVICES),
        *((service, "flowforge.quarantine.x") for service in embedded.SERVICES),
    ],
)
async def test_everybody_may_publish_its_own_subjects(connect: Connect, user: str, subject: str) -> None:
    client = await connect(user)
    await client.publish(subject, b"{}")
    assert await client.refused() == []


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("catalog", "flowforge.runs.w.r.RunStarted"),
        ("catalog", "flowforge.commands.execution.CancelRun"),
        ("triggers", "flowforge.jobs.default.extract"),
        ("execution", "flowforge.workflows.w.WorkflowCreated"),
        ("execution", "flowforge.reports.r.j.JobCompleted"),
        ("scheduler", "flowforge.jobs.default.extract"),
        ("projections", "flowforge.runs.w.r.RunStarted"),
        ("front", "flowforge.runs.w.r.RunStarted"),
        *((user, "flowforge.secrets.ask") for user in ("worker", "external", "front", "execution")),
        ("worker", "flowforge.runs.w.r.RunCompleted"),
        ("worker", "flowforge.jobs.default.extract"),
        ("worker", "flowforge.inbox.x"),
        ("worker", "flowforge.commands.execution.CancelRun"),
        ("worker", "$JS.API.STREAM.PURGE.JOBS"),
        ("worker", "$JS.API.STREAM.MSG.DELETE.JOBS"),
        ("worker", "$JS.API.CONSUMER.DELETE.JOBS.default--script"),
        ("worker", "$JS.API.CONSUMER.CREATE.RUNS.x"),
        ("triggers", "$JS.API.STREAM.MSG.DELETE.JOBS"),
        ("external", "flowforge.runs.w.r.RunCompleted"),
        ("external", "flowforge.workflows.w.WorkflowCreated"),
        ("external", "flowforge.commands.catalog.CreateWorkflow"),
        ("external", "flowforge.reports.r.j.JobCompleted"),
        ("external", "flowforge.log.appended"),
        ("external", "$JS.API.CONSUMER.CREATE.JOBS.x"),
        ("external", "$JS.API.CONSUMER.MSG.NEXT.INBOX.triggers"),
        ("external", "$JS.API.CONSUMER.MSG.NEXT.RUNS.execution"),
        ("external", "$JS.API.CONSUMER.DELETE.RUNS.execution"),
        ("external", "$JS.API.CONSUMER.CREATE.RUNS.execution"),
        ("external", "$JS.API.CONSUMER.CREATE.RUNS.execution.flowforge.runs.>"),
        ("external", "$JS.API.CONSUMER.DURABLE.CREATE.RUNS.execution"),
        ("external", "$JS.ACK.RUNS.execution.1.1.1.1.1"),
        ("external", "$JS.ACK.INBOX.triggers.1.1.1.1.1"),
        ("external", "_INBOX_execution.guessed"),
        ("catalog", "_INBOX_execution.guessed"),
        *((user, f"$JS.API.STREAM.{verb}") for user in embedded.USERS[1:] for verb in ("DELETE.RUNS", "CREATE.X")),
        *((user, "$JS.API.STREAM.UPDATE.RUNS") for user in embedded.USERS[1:]),
        *((user, "$JS.API.STREAM.RESTORE.RUNS") for user in embedded.USERS[1:]),
        *((user, "$SYS.REQ.SERVER.PING") for user in embedded.USERS[1:]),
    ],
)
async def test_nobody_may_publish_what_belongs_to_others(connect: Connect, user: str, subject: str) -> None:
    client = await connect(user)
    await client.publish(subject, b"{}")
    [refusal] = await client.refused()
    assert "permissions violation for publish" in refusal.lower()


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("external", "flowforge.jobs.>"),
        ("external", "flowforge.>"),
        ("external", "flowforge.inbox.>"),
        ("external", "_INBOX_execution.>"),
        ("external", ">"),
        *((user, "flowforge.secrets.>") for user in ("worker", "workers", "external", "catalog")),
        ("execution", "flowforge.secrets.ask"),
        ("worker", "_INBOX_workers.>"),
        ("worker", "flowforge.runs.>"),
        ("worker", "flowforge.inbox.>"),
        ("worker", "_INBOX_front.>"),
        ("catalog", "flowforge.commands.execution.>"),
        ("catalog", "_INBOX_execution.>"),
        ("catalog", "_INBOX.>"),
        ("workers", "_INBOX.>"),
    ],
)
async def test_nobody_may_listen_to_what_belongs_to_others(connect: Connect, user: str, subject: str) -> None:
    client = await connect(user)
    await client.subscribe(subject)
    [refusal] = await client.refused()
    assert "permissions violation for subscription" in refusal.lower()


@pytest.mark.parametrize("login", ['"user": "external", "pass": "guess"', ""])
async def test_nobody_comes_in_without_a_password(connect: Connect, login: str) -> None:
    supervisor = await connect(embedded.SUPERVISOR)
    assert supervisor.connected_url is not None
    reader, writer = await asyncio.open_connection(supervisor.connected_url.hostname, supervisor.connected_url.port)
    assert (await reader.readline()).startswith(b"INFO")
    writer.write(f"CONNECT {{{login}}}\r\nPING\r\n".encode())
    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_external_system_publishes_events_and_follows_runs(connect: Connect) -> None:
    external, execution = await connect("external"), await connect("execution")
    acknowledgement = await external.jetstream().publish("flowforge.inbox.shop", b'{"id": "1"}')
    assert acknowledgement.stream == "INBOX"
    live = await external.subscribe("flowforge.runs.>")
    await external.flush()
    await execution.jetstream().publish("flowforge.runs.w.r.RunStarted", b"{}")
    assert (await live.next_msg(timeout=HEARD_WITHIN_S)).subject == "flowforge.runs.w.r.RunStarted"
    past = await external.jetstream().subscribe("flowforge.runs.w.>", ordered_consumer=True)
    assert (await past.next_msg(timeout=HEARD_WITHIN_S)).subject == "flowforge.runs.w.r.RunStarted"
    pulled = await external.jetstream().pull_subscribe("flowforge.runs.>", durable="dashboard", stream="RUNS")
    [message] = await pulled.fetch(1)
    await message.ack_sync()
    assert external.refusals == []


async def test_a_worker_takes_jobs_reports_and_keeps_large_results(connect: Connect) -> None:
    execution, worker = await connect("execution"), await connect("worker")
    await execution.jetstream().publish("flowforge.jobs.default.extract", b"job")
    config = ConsumerConfig(filter_subject="flowforge.jobs.default.extract")
    jobs = await worker.jetstream().pull_subscribe(
        "flowforge.jobs.default.extract", durable="default--extract", stream="JOBS", config=config
    )
    [job] = await jobs.fetch(1)
    cancels = await worker.subscribe("flowforge.cancels.*")
    await job.in_progress()
    await worker.jetstream().publish("flowforge.reports.r.j.JobStarted", b"{}")
    blobs = await worker.jetstream().object_store("blobs")
    await blobs.put("large", b"x" * 300_000)
    await job.ack_sync()
    await execution.publish("flowforge.cancels.j", b"{}")
    assert (await cancels.next_msg(timeout=HEARD_WITHIN_S)).subject == "flowforge.cancels.j"
    reader = await (await connect("execution")).jetstream().object_store("blobs")
    assert len((await reader.get("large")).data or b"") == 300_000
    assert worker.refusals == []


async def test_a_command_is_answered_and_only_answered(connect: Connect) -> None:
    front, catalog = await connect("front"), await connect("catalog")

    async def answer(request: Msg) -> None:
        await request.respond(b"done")
        await request.respond(b"and once more")

    await catalog.subscribe("flowforge.commands.catalog.>", cb=answer)
    await catalog.flush()
    reply = await front.request("flowforge.commands.catalog.CreateWorkflow", b"{}", timeout=5)
    assert reply.data == b"done"
    [refusal] = await catalog.refused()
    assert "permissions violation for publish" in refusal.lower()


@pytest.mark.parametrize("service", embedded.SERVICES)
async def test_a_service_uses_every_stream_and_changes_none(connect: Connect, service: str) -> None:
    client = await connect(service)
    jetstream = client.jetstream(timeout=2)
    for stream in ("INBOX", "RUNS", "WORKFLOWS", "JOBS", "REPORTS", "TIMERS"):
        assert (await jetstream.stream_info(stream)).config.name == stream
    assert await jetstream.consumers_info("RUNS")
    assert client.refusals == []
    with pytest.raises(REFUSED):
        await client.jetstream(timeout=0.2).add_stream(StreamConfig(name="MINE", subjects=["mine"]))


async def test_the_configuration_is_ours_alone(tmp_path: Path) -> None:
    folder = embedded.NatsFolder(tmp_path / "nats")
    folder.write_config(4222, dict.fromkeys(embedded.USERS, "secret"), "flowforge")
    assert folder.config_file.stat().st_mode & 0o777 == 0o600
    folder.write_config(4223, dict.fromkeys(embedded.USERS, "secret"), "other")
    text = folder.config_file.read_text()
    assert "sync_interval: always" in text
    assert "other.inbox.>" in text
    assert "$JS.API.STREAM.INFO.OTHER_RUNS" in text
    assert "flowforge.inbox" not in text
