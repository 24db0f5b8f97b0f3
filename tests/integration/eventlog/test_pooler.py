"""A pooler between FlowForge and Postgres is noticed at start, and refused if it pools by transaction."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from infra.eventlog import PostgresEventLog, UnsuitableServer

SSL_REQUEST = 80877103
FAKE_KEY = b"K" + struct.pack("!iii", 12, 4_000_000, 1)

Backend = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """The part of a pooler that matters: it logs in as the client asks, then lends out server processes."""

    def __init__(self, host: str, port: int, *, is_by_transaction: bool, known_settings: bool) -> None:
        self._address = (host, port)
        self._is_by_transaction = is_by_transaction
        self._known_settings = known_settings
        self._idle: list[Backend] = []
        self._opened: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened.append(writer)
        try:
            startup = await read_startup(reader, writer)
            if not self._known_settings:
                writer.write(error_message("08P01", "unsupported startup parameter: jit"))
                return
            backend = await self.log_in(startup, reader, writer)
            if self._is_by_transaction:
                self.give_back(backend)
            await self.relay(backend, reader, writer)
        finally:
            writer.close()

    async def close(self) -> None:
        """Let go of every client and every server process."""
        for writer in self._opened:
            writer.close()
            await asyncio.wait([asyncio.create_task(writer.wait_closed())])

    def give_back(self, backend: Backend) -> None:
        """As pgbouncer does: once a pool has a process, a new client needs none of its own."""
        self._idle.append(backend)
        while len(self._idle) > 1:
            self._idle.pop()[1].close()

    async def log_in(self, startup: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Backend:
        backend = await asyncio.open_connection(*self._address)
        self._opened.append(backend[1])
        backend[1].write(startup)
        while True:
            message = await read_message(backend[0])
            writer.write(FAKE_KEY if message[:1] == b"K" else message)
            if message[:1] == b"Z":
                return backend
            if message[:1] == b"R" and struct.unpack("!i", message[5:9])[0] in (10, 11):
                backend[1].write(await read_message(reader))

    async def relay(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hearing = asyncio.create_task(read_message(reader))
        while await hearing:
            if self._is_by_transaction:
                backend = self._idle.pop() if self._idle else backend
            answering = asyncio.create_task(answer_until_idle(backend, writer))
            while not answering.done():
                if hearing.done():
                    backend[1].write(hearing.result())
                    hearing = asyncio.create_task(read_message(reader))
                await asyncio.wait([hearing, answering], return_when=asyncio.FIRST_COMPLETED)
                if hearing.done() and not hearing.result():
                    answering.cancel()
                    return
            if self._is_by_transaction:
                self._idle.append(backend)


async def answer_until_idle(backend: Backend, writer: asyncio.StreamWriter) -> None:
    message = b""
    while message[:1] != b"Z" or message[5:6] != b"I":
        message = await read_message(backend[0])
        if not message:
            return
        writer.write(message)


async def read_startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        length = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack("!i", length)[0] - 4)
        if struct.unpack("!i", body[:4])[0] != SSL_REQUEST:
            return length + body
        writer.write(b"N")


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """The next message, empty when the other side is gone."""
    try:
        head = await reader.readexactly(5)
        return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def error_message(code: str, text: str) -> bytes:
    body = b"".join(name + value.encode() + b"\0" for name, value in ((b"S", "FATAL"), (b"C", code), (b"M", text)))
    return b"E" + struct.pack("!i", len(body) + 5) + body + b"\0"


@asynccontextmanager
async def pooled(dsn: str, *, is_by_transaction: bool, known_settings: bool = True) -> AsyncGenerator[str]:
    """The same database, reached through a pooler."""
    address = urlsplit(dsn)
    assert address.hostname is not None
    assert address.port is not None
    pooler = Pooler(address.hostname, address.port, is_by_transaction=is_by_transaction, known_settings=known_settings)
    clients: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(asyncio.create_task(pooler.serve(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    try:
        yield dsn.replace(f":{address.port}/", f":{port}/")
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await pooler.close()
        await server.wait_closed()


async def test_a_transaction_pooler_is_refused_with_what_to_do(service_dsn: str):
    async with pooled(service_dsn, is_by_transaction=True) as dsn:
        with pytest.raises(UnsuitableServer, match=r"FLOWFORGE_DATABASE_URL.*transaction pooler.*address of Postgres"):
            await PostgresEventLog.connect(dsn)


async def test_a_pooler_that_refuses_settings_is_refused_for_what_it_is(service_dsn: str):
    async with pooled(service_dsn, is_by_transaction=True, known_settings=False) as dsn:
        with pytest.raises(UnsuitableServer, match="transaction pooler"):
            await PostgresEventLog.connect(dsn)


async def test_a_session_pooler_keeps_sessions_apart_and_is_accepted(service_dsn: str):
    async with pooled(service_dsn, is_by_transaction=False) as dsn, await PostgresEventLog.connect(dsn) as log:
        assert (await log.head()).position == 0
