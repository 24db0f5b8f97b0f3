"""A small web server of one's own, on loopback: it remembers what it was asked and answers as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec


class Asked(msgspec.Struct):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Said(msgspec.Struct):
    """One answer; `raw` takes the place of everything."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    raw: bytes | None = None

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {"content-length": str(len(self.body)), "connection": "close", **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Said\r\n{lines}\r\n".encode() + self.body


def json_said(data: Any, status: int = 200, **headers: str) -> Said:
    return Said(status, msgspec.json.encode(data), {"content-type": "application/json", **headers})


Answering = Callable[[Asked], Said]


class Web:
    """The server: `answers` by path, `asked` what came, in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Answering] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str, answer: Said | Answering) -> str:
        """Answer so at this path; the address of it."""
        self.answers[path] = (lambda _: answer) if isinstance(answer, Said) else answer
        return self.url + path

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            asked = await _read(reader)
            self.asked.append(asked)
            answer = self.answers.get(asked.path.partition("?")[0], lambda _: Said(404, b"nothing here"))
            writer.write(answer(asked).encoded())
            await writer.drain()
        writer.close()

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(cls) -> AsyncGenerator["Web"]:
        """At work until the block ends."""
        web = cls()
        server = await asyncio.start_server(web._serve, "127.0.0.1", 0)
        web.port = server.sockets[0].getsockname()[1]
        async with server:
            yield web


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    fields = [line.partition(":") for line in head[1:] if line]
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
