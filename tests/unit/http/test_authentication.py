"""A handler that names no role is closed to everybody; a role includes those below it."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.testing import TestClient

from infra.http.authentication import (
    ADMIN,
    EDITOR,
    OPERATOR,
    PUBLIC,
    VIEWER,
    Authentication,
    KeyRing,
    Principal,
    Role,
    forget_known,
)
from infra.http.problems import exception_handlers, unavailable
from infra.http.sessions import COOKIE

ROLES: tuple[Role, ...] = ("viewer", "operator", "editor", "admin")
HOLDERS = {hashlib.sha256(role.encode()).digest(): Principal(role, role) for role in ROLES}


async def lookup(digest: bytes) -> Principal | None:
    return HOLDERS.get(digest)


async def session(digest: bytes) -> Principal | None:
    known = {hashlib.sha256(b"of-ada").digest(): Principal("ada", "editor", "session")}
    return known.get(digest)


@get("/public", opt=PUBLIC)
async def public() -> str:
    return "yes"


@get("/viewer", opt=VIEWER)
async def viewer(request: Request[Principal, Any, Any]) -> str:
    return request.user.name


@post("/written", opt=EDITOR, status_code=200)
async def write(request: Request[Principal, Any, Any]) -> str:
    return request.user.name


@get("/operator", opt=OPERATOR)
async def operator() -> str:
    return "yes"


@get("/editor", opt=EDITOR)
async def editor() -> str:
    return "yes"


@get("/admin", opt=ADMIN)
async def admin() -> str:
    return "yes"


@get("/forgotten")
async def forgotten() -> str:
    return "no"


@get("/forgotten/public")
async def looks_public() -> str:
    return "no"


HANDLERS = [public, viewer, write, operator, editor, admin, forgotten, looks_public]


def application(*, is_on: bool) -> Litestar:
    authentication = Authentication(KeyRing(lookup), KeyRing(session), is_on=is_on)
    return Litestar(HANDLERS, middleware=[authentication], exception_handlers=exception_handlers, logging_config=None)


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(application(is_on=True), raise_server_exceptions=False) as opened:
        yield opened


def status(client: TestClient[Litestar], path: str, key: str) -> int:
    return client.get(path, headers={"authorization": f"Bearer {key}"}).status_code


@pytest.mark.parametrize("rank", range(4))
def test_a_role_may_do_what_those_below_it_may(client: TestClient[Litestar], rank: int):
    for needed, path in enumerate(("/viewer", "/operator", "/editor", "/admin")):
        assert status(client, path, ROLES[rank]) == (200 if rank >= needed else 403)


def test_a_handler_that_names_no_role_is_closed_to_everybody(client: TestClient[Litestar]):
    for path in ("/forgotten", "/forgotten/public"):
        assert client.get(path).status_code == 401
        assert status(client, path, "admin") == 403


def test_the_caller_is_known_to_the_handler(client: TestClient[Litestar]):
    assert client.get("/viewer", headers={"authorization": "bearer editor"}).text == "editor"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer nobody", "Basic admin", "admin", "Bearer " + "x" * 600])
def test_anything_but_a_known_key_is_a_401(client: TestClient[Litestar], value: str):
    response = client.get("/viewer", headers={"authorization": value})
    assert response.status_code == 401
    assert response.json()["errors"] == []
    assert client.get("/public", headers={"authorization": value}).status_code == 200


def test_with_authentication_off_even_then_a_forgotten_role_stays_closed():
    with TestClient(application(is_on=False), base_url="http://127.0.0.1:8080") as client:
        assert client.get("/admin").status_code == 200
        assert client.get("/forgotten").status_code == 403


async def test_an_answer_about_a_key_is_kept_for_seconds_only():
    asked: list[bytes] = []
    now = 0.0

    async def ask(digest: bytes) -> Principal | None:
        asked.append(digest)
        return None

    ring = KeyRing(ask, clock=lambda: now)
    for _ in range(3):
        assert await ring.principal("k") is None
    assert len(asked) == 1
    now = 6.0
    await ring.principal("k")
    assert len(asked) == 2


HERE = {"origin": "http://testserver.local"}


@pytest.fixture
def browser(client: TestClient[Litestar]) -> TestClient[Litestar]:
    """With the cookie of ada's session."""
    client.cookies.set(COOKIE, "of-ada")
    return client


def test_a_session_is_somebody(browser: TestClient[Litestar]):
    assert browser.get("/viewer").text == "ada"
    assert browser.get("/admin").status_code == 403


@pytest.mark.parametrize("cookie", ["of-nobody", "", "x" * 200])
def test_an_unknown_session_is_nobody(client: TestClient[Litestar], cookie: str):
    client.cookies.set(COOKIE, cookie)
    assert client.get("/viewer").status_code == 401


@pytest.mark.parametrize(
    "odd", ['theme={"dark": true}', "flag", "a b=1", 'a="open', "expires=never", "", "a[]=1", f"{COOKIE}x=1"]
)
def test_cookies_of_other_tools_on_this_host_do_not_end_a_session(client: TestClient[Litestar], odd: str):
    for cookies in (f"{odd}; {COOKIE}=of-ada", f"{COOKIE}=of-ada; {odd}", f"{odd};{COOKIE}=of-ada;{odd}"):
        assert client.get("/viewer", headers={"cookie": cookies}).text == "ada"


def test_a_key_wins_over_a_session(browser: TestClient[Litestar]):
    assert browser.get("/viewer", headers={"authorization": "Bearer admin"}).text == "admin"
    assert status(browser, "/viewer", "wrong") == 401


@pytest.mark.parametrize(
    "headers",
    [
        HERE,
        {"sec-fetch-site": "same-origin"},
        HERE | {"sec-fetch-site": "cross-site"},
        {"origin": "https://testserver.local", "x-forwarded-proto": "https"},
        {"origin": "https://testserver.local"},
    ],
)
def test_a_page_of_this_host_writes_with_a_session(browser: TestClient[Litestar], headers: dict[str, str]):
    assert browser.post("/written", headers=headers).text == "ada"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://testserver.local:8081"},
        {"origin": "http://testserver.local.evil.example", "sec-fetch-site": "same-origin"},
        HERE | {"x-forwarded-proto": "https"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_no_other_page_writes_with_a_session(browser: TestClient[Litestar], headers: dict[str, str]):
    refused = browser.post("/written", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "FOREIGN_ORIGIN")
    assert browser.post("/written", headers={**headers, "authorization": "Bearer editor"}).text == "editor"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "flowforge.localhost:1", "127.8.8.8"])
def test_with_authentication_off_names_of_this_machine_are_answered(host: str):
    with TestClient(application(is_on=False)) as client:
        assert client.get("/viewer", headers={"host": host}).text == "local"
        assert client.post("/written", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example:8080"},
        {"host": "10.0.0.7"},
        {"host": ""},
        {"host": "[::1"},
        {"host": "localhost:8080", "origin": "http://evil.example"},
        {"host": "localhost:8080", "origin": "http://localhost:3000"},
        {"host": "localhost:8080", "origin": "null"},
    ],
)
def test_with_authentication_off_no_other_site_gets_in(headers: dict[str, str]):
    with TestClient(application(is_on=False)) as client:
        for method, path in (("GET", "/viewer"), ("POST", "/written")):
            refused = client.request(method, path, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "FOREIGN_ORIGIN")


def test_who_writes_through_a_proxy_that_changes_the_host_is_told_so(browser: TestClient[Litestar]):
    refused = browser.post("/written", headers={"origin": "https://forge.example", "host": "flowforge-front:8080"})
    assert "'flowforge-front:8080'" in refused.json()["detail"]
    assert "let the proxy pass `Host` on" in refused.json()["detail"]


async def test_what_was_known_is_forgotten_at_once_when_keys_change():
    holders: list[Principal | None] = [Principal("ada", "viewer"), None]

    async def ask(_: bytes) -> Principal | None:
        return holders.pop(0)

    ring = KeyRing(ask)
    assert await ring.principal("k") == Principal("ada", "viewer")
    forget_known()
    assert await ring.principal("k") is None


HOLDER = Principal("ada", "editor")


@pytest.mark.parametrize(
    ("later", "is_ended"),
    [(Principal("ada", "editor", expires_at=datetime(2099, 1, 1, tzinfo=UTC)), False), (None, True),
     (Principal("ada", "viewer"), True), (Principal("ben", "editor"), True), (OSError(), False),
     (unavailable("not now"), False)],
)  # fmt: skip
async def test_a_live_stream_ends_when_its_listener_may_listen_no_more(
    later: Principal | Exception | None, is_ended: bool
):
    told, asked = asyncio.Event(), asyncio.Event()
    answers: list[Principal | Exception | None] = [HOLDER]

    async def ask(_: bytes) -> Principal | None:
        if answers:
            return answers.pop(0)  # type: ignore[return-value]
        asked.set()
        if isinstance(later, Exception):
            raise later
        return later

    async def receive() -> Any:
        await told.wait()
        return {"type": "http.request"}

    async def stream(_: Any, receive: Any, __: Any) -> None:
        forget_known()
        hearing = asyncio.ensure_future(receive())
        await asked.wait()
        if not is_ended:
            told.set()
        assert (await hearing)["type"] == ("http.disconnect" if is_ended else "http.request")

    ring = KeyRing(ask)
    scope: Any = {
        "type": "http", "method": "GET", "path": "/", "headers": [(b"authorization", b"Bearer k")], "route_handler": viewer
    }  # fmt: skip
    authentication = Authentication(ring, ring, is_on=True, looked_at_every_s=0.01)
    async with asyncio.timeout(5):
        await authentication.handle(scope, receive, None, stream)  # type: ignore[arg-type]
