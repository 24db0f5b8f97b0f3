"""Calls to a receiver of our own: what comes of its answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.calls import Calls, Request, Targets, TooLarge


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Answers 200 with 100,000 bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\nconnection: close\r\n\r\n" + b"x" * 100_000)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_long_answer_is_a_fault_but_for_who_asks_for_its_status_only(url: str):
    calls = Calls(Targets(allow=("127.0.0.1",)), answer_bytes_max=1_000)
    with pytest.raises(TooLarge, match="more than"):
        await calls.send(Request("GET", url, {}), lambda _: True)
    answer = await calls.send(Request("GET", url, {}, cuts=True), lambda _: True)
    assert (answer.status, answer.content[:3]) == (200, b"xxx")
