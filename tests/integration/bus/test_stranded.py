"""A work queue that forgot with nats-server that jobs were done, under a consumer that remembers."""

import shutil
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from flowforge.jobs import ensure_job_consumer
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.bus import topology
from infra.bus.stranded import free_all
from infra.embedded import nats as embedded_nats
from infra.embedded.ports import free_port
from infra.embedded.process import spawn
from tests.conftest import MINIMAL_ENVIRONMENT, _reap, _wait_for  # pyright: ignore[reportPrivateUsage]

SUBJECTS = Subjects()
JOB = SUBJECTS.job("default", "step")
CONSUMER = "default--step"


class Nats:
    """A nats-server on one folder, started and stopped at will."""

    def __init__(self, home: Path) -> None:
        self._log, self._port = home / "nats.log", free_port()
        self.folder = embedded_nats.NatsFolder(home / "nats")
        self.folder.write_config(self._port, dict.fromkeys(embedded_nats.USERS, "secret"), "flowforge")
        self.messages = self.folder.folder / "store" / "jetstream" / "$G" / "streams" / SUBJECTS.jobs_stream / "msgs"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Client]:
        """The server until the end of the block, stopped in order, everything written."""
        process = spawn(self.folder.server_command(), env=MINIMAL_ENVIRONMENT, log=self._log, cwd=self.folder.folder)
        _wait_for(lambda: embedded_nats.is_ready(self._port), process, self._log)
        client = await nats.connect(embedded_nats.login_url(self._port, embedded_nats.SUPERVISOR, "secret"))
        try:
            yield client
        finally:
            await client.close()
            process.send_signal(signal.SIGTERM)
            _reap(process)


async def _do_jobs(client: Client, count: int) -> list[bytes]:
    pulled = await client.jetstream().pull_subscribe_bind(CONSUMER, SUBJECTS.jobs_stream)
    done = await pulled.fetch(count, timeout=5)
    for message in done:
        await message.ack_sync()
    return [message.data for message in done]


async def _left_count(client: Client) -> int:
    return (await client.jetstream().stream_info(SUBJECTS.jobs_stream)).state.messages


@pytest.fixture
async def forgetful(tmp_path: Path) -> Nats:
    """Three jobs were done: the consumer knows, the stream has them still."""
    server = Nats(tmp_path)
    async with server.running() as client:
        await topology.declare(client, "flowforge")
        await ensure_job_consumer(client.jetstream(), SUBJECTS, "default", "step")
        for number in range(3):
            await client.jetstream().publish(JOB, b"%d" % number, stream=SUBJECTS.jobs_stream)
    shutil.copytree(server.messages, tmp_path / "kept")
    async with server.running() as client:
        await _do_jobs(client, 3)
        assert await _left_count(client) == 0
    shutil.rmtree(server.messages)
    shutil.copytree(tmp_path / "kept", server.messages)
    return server


async def test_the_next_declaration_has_them_delivered_again(forgetful: Nats):
    async with forgetful.running() as client:
        assert await _left_count(client) == 3
        await topology.declare(client, "flowforge")
        assert await _do_jobs(client, 3) == [b"0", b"1", b"2"]
        assert await _left_count(client) == 0


async def test_under_load_a_message_must_lie_there_at_two_looks(forgetful: Nats):
    passed: dict[str, int] = {}
    async with forgetful.running() as client:
        for pending_count in (0, 3):
            await free_all(client.jetstream(), SUBJECTS.jobs_stream, passed)
            info = await client.jetstream().consumer_info(SUBJECTS.jobs_stream, CONSUMER)
            assert info.num_pending == pending_count


async def test_a_consumer_that_has_passed_nothing_stays_as_it_is(forgetful: Nats):
    async with forgetful.running() as client:
        await topology.declare(client, "flowforge")
        before = await client.jetstream().consumer_info(SUBJECTS.jobs_stream, CONSUMER)
        await topology.declare(client, "flowforge")
        after = await client.jetstream().consumer_info(SUBJECTS.jobs_stream, CONSUMER)
        assert after.created == before.created
