"""A link to a server that can be cut, so that neither side is told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Link:
    """Between a client and its server."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)
        self._is_cut: list[asyncio.Event] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []  # one that nobody has any more is closed

    @asynccontextmanager
    async def up(self) -> AsyncGenerator[str]:
        """The address that goes over it."""
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        login = self._at.netloc.rpartition("@")[0]
        try:
            yield self._at._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
        finally:
            server.close()
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    def cut(self) -> None:
        """Nothing goes over what is connected any more, and nobody is told."""
        for each in self._is_cut:
            each.set()

    async def _join(self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        is_cut = asyncio.Event()
        self._is_cut.append(is_cut)
        self._writers += (near_writer, far_writer)
        for reader, writer in ((near_reader, far_writer), (far_reader, near_writer)):
            self._pumps.add(asyncio.create_task(self._pump(reader, writer, is_cut)))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_cut: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            if not is_cut.is_set():
                writer.write(data)
        if not is_cut.is_set():
            writer.close()
