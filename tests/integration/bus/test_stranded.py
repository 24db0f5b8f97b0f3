"""A stream that lost its last messages with nats-server, under a consumer that had written that they were delivered."""

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
from nats.js.api import StreamInfo

from infra.bus import topology
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


async def _do_jobs(client: Client, count: int) -> None:
    for number in range(count):
        await client.jetstream().publish(JOB, b"%d" % number, stream=SUBJECTS.jobs_stream)
    pulled = await client.jetstream().pull_subscribe_bind(CONSUMER, SUBJECTS.jobs_stream)
    for message in await pulled.fetch(count, timeout=5):
        await message.ack_sync()


async def _queue(client: Client) -> StreamInfo:
    return await client.jetstream().stream_info(SUBJECTS.jobs_stream)


@pytest.fixture
async def robbed(tmp_path: Path) -> Nats:
    """Five jobs were done; the stream knows of two, its consumer of all."""
    server = Nats(tmp_path)
    async with server.running() as client:
        await topology.declare(client, "flowforge")
        await ensure_job_consumer(client.jetstream(), SUBJECTS, "default", "step")
        await _do_jobs(client, 2)
    shutil.copytree(server.messages, tmp_path / "kept")
    async with server.running() as client:
        await _do_jobs(client, 3)
    shutil.rmtree(server.messages)
    shutil.copytree(tmp_path / "kept", server.messages)
    return server


async def test_jobs_that_a_consumer_would_never_deliver_are_delivered_after_the_next_declaration(robbed: Nats):
    async with robbed.running() as client:
        assert (await _queue(client)).state.last_seq == 2
        await topology.declare(client, "flowforge")
        await _do_jobs(client, 3)
        assert (await _queue(client)).state.messages == 0


async def test_jobs_that_were_passed_already_are_found_below_the_floor(robbed: Nats):
    async with robbed.running() as client:
        for number in range(4):
            await client.jetstream().publish(JOB, b"%d" % number, stream=SUBJECTS.jobs_stream)
        await topology.declare(client, "flowforge")
        info = await client.jetstream().consumer_info(SUBJECTS.jobs_stream, CONSUMER)
        assert info.num_pending == 4
