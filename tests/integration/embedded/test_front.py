"""The HTTP process, with two small applications in the place of the reads and the writes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from infra.embedded.ports import free_port
from infra.embedded.process import spawn
from infra.embedded.readiness import READY_FD

START_TIMEOUT_S = 20
APPLICATIONS = """
import asyncio
from collections.abc import AsyncGenerator
from litestar import Litestar, get, post
from litestar.response import ServerSentEvent

slow_began, streams_ended = asyncio.Event(), asyncio.Event()

@get("/health/ready")
async def ready() -> str:
    return "ready"

@get("/who")
async def who_reads() -> str:
    return "reads"

@post("/who", status_code=202)
async def who_writes() -> str:
    return "writes"

@post("/slow")
async def slow() -> str:
    slow_began.set()
    await asyncio.sleep(0.5)
    return "done"

@get("/slow-began")
async def began() -> str:
    await slow_began.wait()
    return "began"

@get("/streams-ended")
async def ended() -> str:
    await streams_ended.wait()
    return "ended"

@get("/stream")
async def stream() -> ServerSentEvent:
    async def numbers() -> AsyncGenerator[str]:
        try:
            for number in range(1_000_000):
                yield str(number)
                await asyncio.sleep(0.01)
        finally:
            streams_ended.set()
            print("stream ended", flush=True)
    return ServerSentEvent(numbers())

def reads(settings):
    return Litestar([ready, who_reads, stream, ended, began],
        on_startup=[lambda: print("reads began", settings.namespace, flush=True)],
        on_shutdown=[lambda: print("reads ended", flush=True)])

def writes(settings):
    return Litestar([who_writes, slow], on_shutdown=[lambda: print("writes ended", flush=True)])

def fails(settings):
    def fail() -> None:
        raise RuntimeError("no database here")
    return Litestar([], on_startup=[fail])
"""


class Front(msgspec.Struct, frozen=True):
    process: subprocess.Popen[bytes]
    url: str
    log: Path


def start_front(folder: Path, port: int, ready_fd: int, writes: str = "writes") -> subprocess.Popen[bytes]:
    (folder / "applications.py").write_text(APPLICATIONS)
    command = [sys.executable, "-m", "infra.embedded.front", "--reads", "applications:reads"]
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""), *(each for each in sys.path if each)))
    environment = {**os.environ, "PYTHONPATH": path, "FLOWFORGE_HTTP_PORT": str(port), READY_FD: str(ready_fd)}
    return spawn(
        [*command, "--writes", f"applications:{writes}"],
        env={**environment, "FLOWFORGE_HOME": str(folder / "home")},
        log=folder / "log",
        pass_fds=(ready_fd,),
    )


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    port, (reader, writer) = free_port(), os.pipe()
    process = start_front(tmp_path, port, writer)
    os.close(writer)
    said = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), START_TIMEOUT_S)
    os.close(reader)
    assert said == b"1", (tmp_path / "log").read_text()
    yield Front(process, f"http://127.0.0.1:{port}", tmp_path / "log")
    process.kill()
    await asyncio.to_thread(process.wait)


async def test_the_method_chooses_the_application(front: Front) -> None:
    async with httpx.AsyncClient(base_url=front.url) as client:
        assert (await client.get("/who")).text == "reads"
        assert (await client.post("/who")).text == "writes"
        assert (await client.post("/who")).status_code == 202
        for method in ("PUT", "PATCH", "DELETE"):
            assert (await client.request(method, "/who")).status_code == 405
        assert "GET" in (await client.options("/who")).headers["allow"]
        head = await client.head("/who")
        assert (head.status_code, head.text) == (200, "")
    assert "reads began flowforge" in front.log.read_text()


async def test_it_is_ready_only_when_it_answers(front: Front) -> None:
    async with httpx.AsyncClient(base_url=front.url) as client:
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_stream_flows_and_ends_with_its_client(front: Front) -> None:
    async with httpx.AsyncClient(base_url=front.url, timeout=10) as client:
        async with client.stream("GET", "/stream") as stream:
            lines = stream.aiter_lines()
            assert [await anext(lines) for _ in range(4)] == ["data: 0", "", "data: 1", ""]
        assert (await client.get("/streams-ended")).text == "ended"


@pytest.mark.alone
async def test_sigterm_ends_streams_at_once_and_lets_requests_finish(front: Front) -> None:
    client = httpx.AsyncClient(base_url=front.url, timeout=10)
    async with client, client.stream("GET", "/stream") as stream:
        await anext(stream.aiter_lines())
        slow = asyncio.create_task(client.post("/slow"))
        await client.get("/slow-began")
        began_at = time.monotonic()
        front.process.send_signal(signal.SIGTERM)
        assert (await slow).text == "done"
        assert await asyncio.to_thread(front.process.wait, 10) == 0
        assert time.monotonic() - began_at < 2
    said = front.log.read_text()
    assert "Traceback" not in said
    assert all(line in said for line in ("stream ended", "reads ended", "writes ended"))


def test_a_port_that_is_taken_is_told_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        reader, writer = os.pipe()
        process = start_front(tmp_path, port, writer)
        assert process.wait(START_TIMEOUT_S) == 1
        os.close(reader)
        os.close(writer)
    assert (
        f"Port {port} on 127.0.0.1 is taken. Choose another one with FLOWFORGE_HTTP_PORT."
        in (tmp_path / "log").read_text().splitlines()
    )


def test_an_application_that_does_not_start_ends_the_process_with_its_reason(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = start_front(tmp_path, free_port(), writer, writes="fails")
    os.close(writer)
    assert process.wait(START_TIMEOUT_S) == 1
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert "no database here" in (tmp_path / "log").read_text()
