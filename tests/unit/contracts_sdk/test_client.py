"""The client for scripts and notebooks, what it refuses with, and that every route of the server can be reached."""

import asyncio
import inspect
import json
import re
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flowforge
import pytest
from flowforge import Client, Conflict, Invalid, Missing, Refused, Run, SyncClient, Unauthorized, Unreachable
from flowforge.client.blocking import Told, Waited

OPENAPI = json.loads((Path(flowforge.__file__).parent / "documents" / "openapi.json").read_text())
ID = "0190b0b0-0000-7000-8000-000000000000"
BY_OTHERS = {
    ("POST", "/api/callbacks/{token}"): "whoever was called posts here, with a token of one time",
    ("POST", "/api/webhooks/{workflow_id}/{trigger_id}"): "other systems post here, signed",
    ("GET", "/health/live"): "for probes",
    ("GET", "/metrics"): "for Prometheus",
    ("DELETE", "/api/session"): "browsers: a key has no session",
    ("GET", "/api/stream"): "wider streams",
}
ANOTHER_WAY = {
    ("PUT", "/api/prompts/{prompt_id}"): "save_prompt posts, which adds and changes",
    ("PUT", "/api/runs/{run_id}/breakpoints"): "change_run patches them",
}
Answer = tuple[int, Any]
Reply = Callable[[str, str], Answer]


class Server:
    """An HTTP server of the test: what it was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.reply: Reply = lambda _method, _path: (200, {"items": [], "run_id": ID, "position": 7})
        self.url = ""


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def answer(self) -> None:
            told.asked.append((self.command, self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = told.reply(self.command, self.path)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - names of http.server
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{listening.server_port}"
    yield told
    listening.shutdown()
    listening.server_close()
    thread.join()


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def test_both_clients_have_the_same_methods() -> None:
    assert public(SyncClient) - {"client", "thread", "around"} == public(Client)


def test_both_clients_promise_the_same() -> None:
    for name in public(Client):
        assert inspect.getdoc(getattr(Client, name)), f"{name} promises nothing"
        waited = inspect.getattr_static(SyncClient, name)
        if isinstance(waited, Waited | Told):
            assert waited.__doc__ == getattr(Client, name).__doc__
            with SyncClient("http://127.0.0.1:1") as client:
                parameters = list(inspect.signature(getattr(client, name)).parameters)
            assert parameters == list(inspect.signature(getattr(Client, name)).parameters)


def arguments(method: Callable[..., Any]) -> list[Any]:
    """One of each kind for what must be given."""
    values: dict[str, Any] = {
        "workflow": {"id": "w"},
        "patch": {},
        "trigger": {},
        "event": {},
        "changes": [],
        "configs": [],
    }
    return [
        values.get(parameter.name, "x")
        for parameter in inspect.signature(method).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and parameter.name != "self"
    ]


def test_every_route_is_reached_by_a_method(server: Server) -> None:
    """What a new route needs: a method of the client, or a reason why nobody asks for it there."""
    streams = {"follow", "follow_all", "wait"}
    with SyncClient(server.url, "k") as client:
        for name in sorted(public(Client) - {"close", "each", "position"} - streams):
            answered = getattr(client, name)(*arguments(getattr(client, name)))
            if isinstance(answered, Iterator):
                list(answered)  # type: ignore[reportUnknownArgumentType]
        client.get_prompt("x", 1)
        server.reply = lambda method, _path: (409, {"status": 409}) if method == "POST" else (200, {})
        client.save_workflow({"id": "w"})
        server.reply = lambda _method, _path: (204, b"")
        list(client.follow("x"))
    asked = {(method, urlsplit(path).path) for method, path, _ in server.asked}
    routes = {
        (method.upper(), path) for path, ways in OPENAPI["paths"].items() for method in ways if method != "parameters"
    }
    missed = [
        route for route in routes - BY_OTHERS.keys() - ANOTHER_WAY.keys() if not any(_is(one, route) for one in asked)
    ]
    assert sorted(missed) == []


def _is(asked: tuple[str, str], route: tuple[str, str]) -> bool:
    pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(route[1]))
    return asked[0] == route[0] and re.fullmatch(pattern, asked[1]) is not None


def test_every_write_can_be_repeated_without_harm(server: Server) -> None:
    harmless = {"/api/workflows/validate", "/api/triggers/test", "/api/triggers/what-if", "/api/events"}
    with SyncClient(server.url) as client:
        for name in sorted(public(Client) - {"close", "each", "position", "follow", "follow_all", "wait"}):
            answered = getattr(client, name)(*arguments(getattr(client, name)))
            if isinstance(answered, Iterator):
                list(answered)  # type: ignore[reportUnknownArgumentType]
    writes = [asked for asked in server.asked if asked[0] != "GET" and urlsplit(asked[1]).path not in harmless]
    keys = [headers.get("Idempotency-Key") for _, _, headers in writes]
    assert len(writes) > 25
    assert None not in keys
    assert len(set(keys)) == len(keys)


async def test_it_works_inside_a_running_event_loop(server: Server) -> None:
    with Client(server.url) as client:
        assert client.execute("w") == ID
        assert isinstance(client.run(ID), Run)
        assert client.position == 7


def test_reads_after_a_write_ask_for_its_position(server: Server) -> None:
    with SyncClient(server.url) as client:
        client.execute("w")
        client.runs(status="failed")
    assert parse_qs(urlsplit(server.asked[-1][1]).query) == {"status": ["failed"], "after": ["7"]}


def pages(_method: str, path: str) -> Answer:
    number = int(parse_qs(urlsplit(path).query).get("cursor", ["0"])[0])
    return 200, {
        "items": [{"n": 2 * number}, {"n": 2 * number + 1}],
        "next_cursor": str(number + 1) if number < 2 else None,
    }


async def test_every_item_of_a_list_is_read_page_by_page(server: Server) -> None:
    server.reply = pages
    async with Client(server.url) as client:
        assert [item["n"] async for item in client.each(client.runs, workflow_id="w")] == list(range(6))
    with SyncClient(server.url) as client:
        told = client.each(client.decisions, "w", "t", decision="fired")
        assert [next(told)["n"] for _ in range(2)] == [0, 1]
        before = len(server.asked)
        assert [item["n"] for item in told] == [2, 3, 4, 5]
    assert len(server.asked) == before + 2
    assert "/api/workflows/w/triggers/t/decisions?decision=fired&cursor=2" in server.asked[-1][1]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (401, Unauthorized), (404, Missing), (409, Conflict), (412, Conflict), (418, Refused)],
)
def test_a_refusal_says_what_kind_it_is_and_carries_the_problem(
    server: Server, status: int, kind: type[Refused]
) -> None:
    problem = {"status": status, "detail": "no", "code": "BECAUSE", "errors": [{"path": "$.id", "message": "bad"}]}
    server.reply = lambda _method, _path: (status, problem)
    with SyncClient(server.url) as client, pytest.raises(Refused, match="no") as refused:
        client.run(ID)
    assert type(refused.value) is kind
    assert (refused.value.status, refused.value.code, refused.value.problem) == (status, "BECAUSE", problem)
    assert refused.value.errors == problem["errors"]


def test_nobody_there_is_told_with_the_address_and_what_to_do() -> None:
    with SyncClient("127.0.0.1:1") as client, pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1 .*flowforge up"):
        client.runs()


def test_a_closed_client_may_be_used_again(server: Server) -> None:
    client = SyncClient(server.url)
    for _ in range(2):
        client.runs()
        client.close()
    assert [thread for thread in threading.enumerate() if thread.name == "flowforge-client" and thread.is_alive()] == []


def test_an_interrupted_call_ends_in_its_thread_too() -> None:
    ended = threading.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    class Interrupted(Client):
        async def runs(self, **filters: Any) -> dict[str, Any]:
            threading.Timer(0.05, lambda: interrupt(main)).start()
            await for_ever()
            return filters

    main = threading.main_thread()
    client = SyncClient.around(Interrupted("http://127.0.0.1:1"))
    with pytest.raises(KeyboardInterrupt):
        client.thread.result(client.client.runs())
    assert ended.is_set()
    client.close()


def interrupt(thread: threading.Thread) -> None:
    """As Ctrl-C does."""
    assert thread.ident is not None
    signal.pthread_kill(thread.ident, signal.SIGINT)


def test_what_is_told_ends_when_nobody_listens_any_more(server: Server) -> None:
    server.reply = pages
    closed: list[bool] = []

    class Telling(Client):
        async def events(self, run_id: Any, *, limit: int | None = None) -> AsyncGenerator[dict[str, Any]]:
            try:
                while True:
                    yield {"run": run_id, "limit": limit}
            finally:
                closed.append(True)

    with SyncClient.around(Telling(server.url)) as client:
        told = Told(Telling.events).__get__(client, SyncClient)(ID)
        assert next(told) == {"run": ID, "limit": None}
        told.close()  # type: ignore[attr-defined]
    assert closed == [True]
