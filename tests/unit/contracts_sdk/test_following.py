"""Server-sent events: what counts as one, wherever the bytes are cut, and where a broken stream is continued."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from itertools import pairwise

import msgspec
import pytest
from flowforge import Client, Refused, Unreachable
from flowforge.asking import Asking
from flowforge.following import Message, follow, lines_of, messages
from hypothesis import given
from hypothesis import strategies as st

STREAM = (
    ": keep-alive\n\nevent: NodeStarted\nid: 3\ndata: {\"a\": \"line\u2028separator\"}\n\nretry: 10\n"
    "data:two\r\ndata: lines\r\n\r\nid: 9\n\nevent: Never\n\nevent: Cut\nid: 10\ndata: unfin"
)  # fmt: skip
TOLD = [Message("NodeStarted", '{"a": "line\u2028separator"}', "3"), Message("message", "two\nlines", "3")]
Reply = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


async def _pieces(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=8))
async def test_messages_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    data, edges = STREAM.encode(), [0, *sorted(cuts), len(STREAM.encode())]
    parts = [data[a:b] for a, b in pairwise(edges)]
    assert [message async for message in messages(lines_of(_pieces(parts)))] == TOLD


@contextlib.asynccontextmanager
async def server(*replies: Reply) -> AsyncGenerator[tuple[str, list[str]]]:
    """An HTTP server that answers the n-th request with the n-th reply (the last for all others): (url, requests)."""
    requests: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        requests.append(request)
        await replies[min(len(requests), len(replies)) - 1](request, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests


def told(*positions: int, last: str = "") -> Reply:
    """Events at these positions, then the connection breaks."""

    async def reply(_request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for position in positions:
            kind = last if last and position == positions[-1] else "NodeQueued"
            data = msgspec.json.encode({"position": position, "type": kind, "data": {}}).decode()
            writer.write(f"event: {kind}\nid: {position}\ndata: {data}\n\n".encode())
        writer.write(b"event: NodeQueued\nid: 99\ndata: {")
        await writer.drain()

    return reply


def answer(status: int, body: bytes, kind: str = "application/problem+json") -> Reply:
    async def reply(_request: str, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return reply


async def test_a_broken_stream_is_continued_after_the_last_whole_message() -> None:
    gone = answer(503, b"")
    over = answer(204, b"")
    replies = (told(1, 2), gone, told(2, 3), told(7, last="RunCompleted"), over)
    async with server(*replies) as (url, requests), Client(url) as client, asyncio.timeout(20):
        seen = [event["position"] async for event in client.follow("r")]
    assert seen == [1, 2, 3, 7]
    named = [
        next((line for line in request.lower().split("\r\n") if line.startswith("last-event-id")), "")
        for request in requests
    ]
    assert named == ["", "last-event-id: 2", "last-event-id: 2", "last-event-id: 3", "last-event-id: 7"]


async def test_an_id_without_data_moves_the_place_where_a_broken_stream_is_continued() -> None:
    async def moved(_request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(b": connected\n\n: still here\n\nid: 41\n\nid: 99\n")
        await writer.drain()

    async with server(moved, told(42), answer(204, b"")) as (url, requests):
        asking = Asking(url, None)
        assert [message.id async for message in follow(asking, "/x")] == ["42"]
        await asking.close()
    assert "last-event-id: 41\r\n" in requests[1].lower()


async def test_a_stream_that_was_never_there_is_unreachable_and_a_refused_one_refused() -> None:
    async with server(answer(503, b"")) as (url, _):
        asking = Asking(url, None)
        with pytest.raises(Unreachable, match="answers 503"):
            await anext(follow(asking, "/x"))
        await asking.close()
    async with server(answer(404, b'{"detail": "there is no run"}')) as (url, _):
        asking = Asking(url, None)
        with pytest.raises(Refused, match="there is no run"):
            await anext(follow(asking, "/x"))
        await asking.close()


async def test_a_server_that_was_there_is_waited_for_and_one_that_never_was_is_not() -> None:
    gone, there = answer(503, b'{"detail": "a service restarts"}'), answer(200, b'{"items": []}', "application/json")
    async with server(there, gone, gone, there) as (url, requests), Client(url) as client:
        assert await client.runs() == {"items": []}
        assert await client.runs() == {"items": []}
        assert len(requests) == 4
    async with server(gone) as (url, requests), Client(url) as client:
        with pytest.raises(Unreachable, match="a service restarts"):
            await client.runs()
        assert len(requests) == 1


async def test_reads_wait_for_the_last_write() -> None:
    wrote = answer(202, b'{"run_id": "r", "position": 41}', "application/json")
    async with server(wrote, answer(200, b"{}", "application/json")) as (url, requests), Client(url, "k") as client:
        assert await client.execute("w", {"a": 1}) == "r"
        await client.run("r")
        assert client.position == 41
    assert requests[1].startswith("GET /api/runs/r?after=41 ")
    assert "authorization: bearer k" in requests[1].lower()
    assert "idempotency-key: " in requests[0].lower()


async def test_somebody_else_at_the_address_is_told() -> None:
    async with server(answer(200, b"<html>", "text/html")) as (url, _), Client(url) as client:
        with pytest.raises(Unreachable, match="answers no JSON but text/html"):
            await client.runs()
    async with server(answer(403, b"<html>forbidden", "text/html")) as (url, _), Client(url) as client:
        with pytest.raises(Refused, match="forbidden") as refused:
            await client.runs()
    assert refused.value.status == 403
