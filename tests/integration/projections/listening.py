"""A listener of live streams, who reads what the HTML standard says."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from httpx import AsyncClient


class Heard(msgspec.Struct):
    type: str
    position: int
    data: dict[str, Any]


class Listening:
    """The messages of one stream, parsed as the HTML standard says."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.comments: list[str] = []
        self.last_id = ""

    async def next(self) -> Heard | None:
        """The next message; None at the end."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line == "" and fields:
                self.last_id = fields["id"]
                if "data" not in fields:
                    fields = {}
                    continue
                return Heard(fields["event"], int(fields["id"]), msgspec.json.decode(fields["data"]))
            if line.startswith(":"):
                self.comments.append(line)
            elif line:
                name, _, value = line.partition(": ")
                assert name not in fields, line
                fields[name] = value
        return None

    async def id_moved(self) -> None:
        """Until an id came without an event."""
        async for line in self._lines:
            name, _, value = line.partition(": ")
            assert name in ("", "id"), line
            if name == "id":
                self.last_id = value
                return

    async def rest(self) -> list[Heard]:
        heard: list[Heard] = []
        while (message := await self.next()) is not None:
            heard.append(message)
        return heard

    async def take(self, count: int) -> list[Heard]:
        heard = [await self.next() for _ in range(count)]
        assert None not in heard
        return [message for message in heard if message is not None]


@asynccontextmanager
async def listening(client: AsyncClient, path: str, after: int | None = None) -> AsyncGenerator[Listening]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Listening(response.aiter_lines())
