"""The one HTTP process: hosts the application that reads, the one that writes and the console's pages, and chooses.

    python -m infra.embedded.front --reads MODULE:create_app --writes MODULE:create_app [--pages MODULE:create_app]

Each names a function `create_app(settings) -> ASGI application`; they are found by name, so that `infra` knows no
service. GET, HEAD and OPTIONS go to the reads (a HEAD as a GET, whose body the server then leaves out), everything else
to the writes, and with it `GET /login`, which begins a session. What a browser asks for to show the console goes to the
pages, where there are any (`is_page`). All get the ASGI lifespan; requests are taken once all have started. At SIGTERM
streams are told that their client has gone, and what is under way has `DRAIN_S` to finish.
"""

import argparse
import asyncio
import contextlib
import importlib
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from infra.embedded.ports import LOOPBACK, is_free
from infra.embedded.readiness import say_ready
from infra.settings import Settings, SettingsError, load_settings
from infra.telemetry.logs import write_logs

READS = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN_PATH = "/login"
NO_PAGES = ("/api", "/health", "/metrics", "/schema", "/asyncapi")
"""What lies there is for programs, whatever they ask for."""
ASSETS = "/assets/"
_AT_THE_TOP = re.compile(r"/[A-Za-z0-9_-]+\.[a-z0-9]+")
"""Files such as /favicon.svg."""
READY_PATH = "/health/ready"
READY_INTERVAL_S = 0.05
DRAIN_S = 2.0
BACKLOG_CONNECTIONS_MAX = 1024
REQUESTS_MAX = 8_192
"""Under way at once, live streams among them; the server's own default would be the backlog, which they can fill."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
_log = logging.getLogger(__name__)


class StartError(RuntimeError):
    """An application did not start, or the port cannot be had."""


def load_app(name: str, settings: Settings) -> App:
    """The application that `module:function` makes from the settings."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function or "create_app")(settings)


def dispatch(reads: App, writes: App, stop: asyncio.Event, pages: App | None = None) -> App:
    """One application out of all; once `stop` is set, its readers hear that their client has gone."""

    def app(scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        method, path = scope["method"], scope["path"]
        if method not in READS or (method == "GET" and path == LOGIN_PATH):
            return writes(scope, receive, send)
        if pages is not None and method != "OPTIONS" and is_page(path, scope["headers"]):
            return pages(scope, receive, send)
        if method == "HEAD":
            scope["method"] = "GET"
        return reads(scope, lambda: _receive_until(stop, receive), send)

    return app


def is_page(path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether this is the console's: its files, and the address of any view for a client that asks for HTML."""
    if path == "/" or path.startswith(ASSETS) or _AT_THE_TOP.fullmatch(path):
        return True
    if path == LOGIN_PATH or any(path == each or path.startswith(f"{each}/") for each in NO_PAGES):
        return False
    return any(name.lower() == b"accept" and b"text/html" in value.lower() for name, value in headers)


async def _receive_until(stop: asyncio.Event, receive: Receive) -> Message:
    receiving, stopping = asyncio.ensure_future(receive()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([receiving, stopping], return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() else {"type": "http.disconnect"}
    finally:
        receiving.cancel()
        stopping.cancel()


@contextlib.asynccontextmanager
async def lifespan(app: App) -> AsyncGenerator[None]:
    """The ASGI lifespan protocol around one application. Raises StartError when it refuses to start."""
    events: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    scope: Message = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    life = asyncio.ensure_future(app(scope, events.get, answers.put))
    try:
        await events.put({"type": "lifespan.startup"})
        answer = await _answer(answers, life)
        if answer["type"] != "lifespan.startup.complete":
            raise StartError(f"an application did not start: {answer.get('message', '')}")
        yield
        await events.put({"type": "lifespan.shutdown"})
        await _answer(answers, life)
    finally:
        life.cancel()
        await asyncio.wait([life])


async def _answer(answers: asyncio.Queue[Message], life: asyncio.Future[None]) -> Message:
    answering = asyncio.ensure_future(answers.get())
    await asyncio.wait([answering, life], return_when=asyncio.FIRST_COMPLETED)
    if answering.done():
        return answering.result()
    answering.cancel()
    life.result()
    raise StartError("an application ended instead of answering its lifespan")


async def serve(reads: App, writes: App, settings: Settings, pages: App | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    if not is_free(settings.http_port, settings.http_host):
        raise StartError(
            f"Port {settings.http_port} on {settings.http_host} is taken. Choose another one with FLOWFORGE_HTTP_PORT."
        )
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(lifespan(reads))
        if writes is not reads:
            await stack.enter_async_context(lifespan(writes))
        if pages is not None:
            await stack.enter_async_context(lifespan(pages))
        server = _server(dispatch(reads, writes, stop, pages), settings)
        serving = asyncio.create_task(server.serve())
        telling = asyncio.create_task(_say_when_ready(settings))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        stopping.cancel()
        server.stop()
        await asyncio.wait([serving], timeout=DRAIN_S)
        if serving.done():
            serving.result()
        elif not stop.is_set():
            raise StartError("the HTTP server ended")


def _server(app: App, settings: Settings) -> Server:
    return Server(
        app,
        address=settings.http_host,
        port=settings.http_port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG_CONNECTIONS_MAX,
        backpressure=REQUESTS_MAX,
        log_enabled=False,
    )


async def _say_when_ready(settings: Settings) -> None:
    host = LOOPBACK if settings.http_host in ("0.0.0.0", "::") else settings.http_host  # noqa: S104  it is replaced
    while not await _answers_ready(host, settings.http_port):  # noqa: ASYNC110  it is asked over HTTP
        await asyncio.sleep(READY_INTERVAL_S)
    say_ready()


async def _answers_ready(host: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(f"GET {READY_PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()
        return len(status) > 1 and status[1] == b"200"
    except OSError:
        return False
    finally:
        writer.close()


async def _serve_and_leave(reads: App, writes: App, settings: Settings, pages: App | None) -> None:
    await serve(reads, writes, settings, pages)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a request that did not finish in `DRAIN_S` would be waited for


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m infra.embedded.front", description="Reads, writes and pages, one address."
    )
    parser.add_argument("--reads", required=True, help="MODULE:FUNCTION that makes the application of GET requests")
    parser.add_argument("--writes", required=True, help="MODULE:FUNCTION that makes the one of all others")
    parser.add_argument("--pages", help="MODULE:FUNCTION that makes the one of the console's pages")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        write_logs("front", settings)
        reads = load_app(arguments.reads, settings)
        writes = reads if arguments.writes == arguments.reads else load_app(arguments.writes, settings)
        pages = load_app(arguments.pages, settings) if arguments.pages else None
        uvloop.run(_serve_and_leave(reads, writes, settings, pages))
    except (StartError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
