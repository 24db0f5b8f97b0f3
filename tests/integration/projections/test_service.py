"""The service as a process, with real NATS and Postgres: nudged, killed at its failpoints, hearing the lines of jobs."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import nats
import pytest
from flowforge import envelope
from flowforge.envelope import CloudEvent
from flowforge.identity import new_uuid
from flowforge.reports import JobLogged
from flowforge.subjects import Subjects
from histories import Clock, append_chain_run, append_chain_runs, created, job_id
from httpx import AsyncClient
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo
from serving import served

from infra.bus.topology import declare
from infra.eventlog import PostgresEventLog
from infra.settings import Settings
from services.projections.api import create_app
from services.projections.job_logs import JobLogs
from services.projections.rebuild import verify
from services.projections.settings import JobLogSettings
from tests.answers_lost import AnswersLost

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
async def bus(nats_url: str, namespace: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url)
    await declare(client, namespace)
    yield client
    await client.close()


@pytest.fixture
def start(service_dsn: str, nats_url: str, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Start the service and wait until it says that it is ready."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "services.projections", *arguments],
            env={
                **os.environ,
                "FLOWFORGE_DATABASE_URL": service_dsn,
                "FLOWFORGE_NATS_URL": nats_url,
                "FLOWFORGE_NAMESPACE": namespace,
                "FLOWFORGE_HOME": str(tmp_path),
                "FLOWFORGE_READY_FD": str(writing),
                **environment,
            },
            pass_fds=[writing],
        )
        os.close(writing)
        processes.append(process)
        assert os.read(reading, 1) == b"1"
        os.close(reading)
        return process

    yield run
    for process in processes:
        process.terminate()
        process.wait(10)


async def projected(service_dsn: str, position: int) -> None:
    connection = await asyncpg.connect(service_dsn)
    async with asyncio.timeout(20):
        while await connection.fetchval("select position from projections.checkpoint") < position:
            await asyncio.sleep(0.001)
    await connection.close()


@pytest.mark.alone
async def test_a_nudged_event_is_visible_within_milliseconds(
    start: Start, bus: Client, namespace: str, log: PostgresEventLog
):
    await asyncio.to_thread(start)
    await log.append([created()])
    subjects, told = Subjects(namespace), asyncio.Queue[int]()

    async def on_projected(message: Msg) -> None:
        told.put_nowait(int(message.data))

    await bus.subscribe(subjects.projected, cb=on_projected)
    await bus.flush()
    clock, took_ms = Clock(), []
    for number in range(10):
        await append_chain_run(log, clock, number)
        position = (await log.head()).position
        began = time.perf_counter()
        await bus.publish(subjects.appended, str(position).encode())
        async with asyncio.timeout(5):
            while await told.get() < position:
                pass
        took_ms.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)
    assert sorted(took_ms)[5] < 50, took_ms  # it is about 5


@pytest.mark.faults
@pytest.mark.parametrize("point", ["projections.before_commit", "projections.after_commit"])
@pytest.mark.parametrize("deed", ["die", "error"])
async def test_killed_around_its_commit_it_goes_on_and_loses_nothing(
    start: Start, bus: Client, log: PostgresEventLog, service_dsn: str, tmp_path: Path, point: str, deed: str
):
    armed = {"FLOWFORGE_FAILPOINTS": f"{point}={deed}@2", "FLOWFORGE_FAILPOINTS_ONCE": str(tmp_path / "once")}
    process = await asyncio.to_thread(start, **armed)
    await log.append([created()])
    clock = Clock()
    for number in range(10):
        await append_chain_runs(log, clock, range(number * 5, number * 5 + 5))
        if await asyncio.to_thread(_ended, process):
            break
    assert await asyncio.to_thread(process.wait, 10) != 0
    await asyncio.to_thread(start, **armed)
    await projected(service_dsn, (await log.head()).position)
    verified = await verify(log, service_dsn)
    assert verified.is_equal, verified.difference


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(0.3)
    except subprocess.TimeoutExpired:
        return False
    return True


async def test_it_stops_at_a_signal_within_seconds(start: Start, bus: Client):
    process = await asyncio.to_thread(start)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 5) == 0


async def test_the_lines_of_jobs_are_kept_once_and_read_in_order(
    start: Start,
    bus: Client,
    namespace: str,
    log: PostgresEventLog,
    service_dsn: str,
    settings: Settings,
):
    await asyncio.to_thread(start)
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    await projected(service_dsn, (await log.head()).position)
    subject = Subjects(namespace).report(run_id, job_id(run_id, "a"), "JobLogged")
    jetstream = bus.jetstream()
    for first_line in (0, 3, 0, 6):
        lines = [f"line {number}\x00" for number in range(first_line, first_line + 3)]
        report = JobLogged(attempt=1, node_id="a", lines=lines, first_line=first_line)
        await jetstream.publish(subject, _enveloped(report))
    await jetstream.publish(subject, b"no JSON at all")
    app = create_app(msgspec.structs.replace(settings, auth="off"))
    async with served(app) as client:
        items = await _lines(client, f"/api/runs/{run_id}/logs", 9)
        assert [(item["line"], item["text"]) for item in items] == [(n, f"line {n}�") for n in range(9)]
        page = (await client.get(f"/api/runs/{run_id}/logs?limit=4")).json()
        again = (await client.get(f"/api/runs/{run_id}/logs?limit=4&cursor={page['next_cursor']}")).json()
        last = (await client.get(f"/api/runs/{run_id}/logs?limit=4&cursor={again['next_cursor']}")).json()
        assert page["items"] + again["items"] + last["items"] == items
        assert last["next_cursor"] is None
        assert (await client.get(f"/api/runs/{run_id}/logs?node_id=b")).json()["items"] == []
        async with asyncio.timeout(10):
            while not (letters := (await client.get("/api/dead-letters")).json()["items"]):
                await asyncio.sleep(0.02)
        assert [(item["service"], item["body"]) for item in letters] == [("projections", "no JSON at all")]
    assert (await _reports(bus, Subjects(namespace))).num_pending == 0


async def test_lines_that_no_row_can_hold_are_dead_letters_and_hold_up_no_others(
    start: Start, bus: Client, namespace: str, log: PostgresEventLog, service_dsn: str
):
    await asyncio.to_thread(start)
    await log.append([created()])
    run_id = await append_chain_run(log, Clock(), 1)
    subject = Subjects(namespace).report(run_id, job_id(run_id, "a"), "JobLogged")
    jetstream = bus.jetstream()
    endless = "".join(chr(0x4E00 + ord(at)) for at in random.Random(1).randbytes(2_000).decode("latin-1"))
    for node_id, instance in (("a\x00", ""), (endless, ""), ("a", endless), ("a", "")):
        report = JobLogged(attempt=1, node_id=node_id, instance=instance, lines=["said"], first_line=0)
        await jetstream.publish(subject, _enveloped(report))
    connection = await asyncpg.connect(service_dsn)
    async with asyncio.timeout(10):
        while not await connection.fetchval("select count(*) from projections_kept.job_log_lines"):
            await asyncio.sleep(0.02)
        while await connection.fetchval("select count(*) from projections.dead_letters") < 3:
            await asyncio.sleep(0.02)
    await connection.close()


async def test_what_cannot_be_read_is_one_dead_letter_however_often_it_comes(
    bus: Client, namespace: str, log: PostgresEventLog, service_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("infra.bus.appending.UNAVAILABLE_WAIT_S", (0, 0))
    subjects = Subjects(namespace)
    losing: Any = AnswersLost(log, "MessageQuarantined", 12)
    async with asyncpg.create_pool(service_dsn, min_size=0, max_size=2) as pool:
        keeping = asyncio.create_task(JobLogs(losing, pool, bus, namespace, JobLogSettings(retry_wait_s=0.01)).run())
        subject = subjects.report(new_uuid(), new_uuid(), "JobLogged")
        bad = JobLogged(attempt=1, node_id="a\x00", lines=["said"], first_line=0)
        await bus.jetstream().publish(subject, _enveloped(bad))
        async with asyncio.timeout(10):
            while losing.left_count or (await _reports(bus, subjects)).num_ack_pending:
                await asyncio.sleep(0.02)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert len(await log.read(0, 100, types={"MessageQuarantined"})) == 1


async def test_a_setting_that_means_nothing_ends_the_service_at_once(
    service_dsn: str, nats_url: str, namespace: str, bus: Client, tmp_path: Path
):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.projections",
        env={
            **os.environ,
            "FLOWFORGE_DATABASE_URL": service_dsn,
            "FLOWFORGE_NATS_URL": nats_url,
            "FLOWFORGE_NAMESPACE": namespace,
            "FLOWFORGE_HOME": str(tmp_path),
            "FLOWFORGE_JOB_LOG_RETENTION_DAYS": "a month",
        },
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1
    assert b"'a month' is not a number of days" in told


async def test_old_lines_go_however_many_they_are_and_keep_no_partition_of_the_log_from_being_made(
    bus: Client, namespace: str, log: PostgresEventLog, service_dsn: str, postgres_dsn: str
):
    owner = await asyncpg.connect(postgres_dsn)
    partitions = "select relname from pg_class where relkind = 'r' and relname ~ '^events_20'"
    newest = max(row[0] for row in await owner.fetch(partitions))
    await owner.execute(f"drop table eventlog.{newest}")
    await owner.execute(
        """
        create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.01); return old; end';
        create trigger slow before delete on projections_kept.job_log_lines for each row execute function slow();
        insert into projections_kept.job_log_lines
        select gen_random_uuid(), 'a', '', 1, 0, gen_random_uuid(), '{}', now() - interval '2 days'
        from generate_series(1, 100)
        """
    )
    async with asyncpg.create_pool(service_dsn, min_size=0, max_size=2, command_timeout=0.5) as pool:
        settings = JobLogSettings(retention_days=1, sweep_interval_s=0.1, swept_rows_max=10)
        keeping = asyncio.create_task(JobLogs(log, pool, bus, namespace, settings).run())
        async with asyncio.timeout(10):
            while newest not in [row[0] for row in await owner.fetch(partitions)]:
                await asyncio.sleep(0.02)
            while await owner.fetchval("select count(*) from projections_kept.job_log_lines"):
                await asyncio.sleep(0.02)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    await owner.close()


def _enveloped(report: JobLogged) -> bytes:
    return envelope.encode(
        CloudEvent(id="1", source="/worker", type="JobLogged", data=msgspec.Raw(msgspec.json.encode(report)))
    )


async def _reports(bus: Client, subjects: Subjects) -> ConsumerInfo:
    return await bus.jetstream().consumer_info(subjects.reports_stream, "projections")


async def _lines(client: AsyncClient, path: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while len(items := (await client.get(path)).json()["items"]) < count:
            await asyncio.sleep(0.02)
    return items


async def test_rebuild_and_verify_are_commands(
    start: Start, bus: Client, log: PostgresEventLog, service_dsn: str, nats_url: str
):
    await asyncio.to_thread(start)
    await log.append([created()])
    await append_chain_runs(log, Clock(), range(20))
    await projected(service_dsn, (await log.head()).position)
    environment = {**os.environ, "FLOWFORGE_DATABASE_URL": service_dsn, "FLOWFORGE_NATS_URL": nats_url}

    def command(*arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "services.projections", *arguments],
            env={**environment, **changed},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    rebuilt = await asyncio.to_thread(command, "rebuild", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert msgspec.json.decode(rebuilt.stdout.splitlines()[-1])["position"] == (await log.head()).position
    verified = await asyncio.to_thread(command, "verify")
    assert verified.returncode == 0, verified.stderr
    assert "rows are what the log says" in verified.stdout
    connection = await asyncpg.connect(service_dsn)
    await connection.execute("update projections.runs set priority = 3")
    await connection.close()
    nowhere = await asyncio.to_thread(command, "verify", FLOWFORGE_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr
    broken = await asyncio.to_thread(command, "verify", "--json")
    assert broken.returncode == 1
    assert msgspec.json.decode(broken.stdout.splitlines()[-1])["difference"]["column"] == "priority"
