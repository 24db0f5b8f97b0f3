"""A handler that names no role is closed to everybody; a role includes those below it."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.testing import TestClient

from infra.http.authentication import ADMIN, EDITOR, OPERATOR, PUBLIC, VIEWER, Authentication, KeyRing, Principal, Role
from infra.http.problems import exception_handlers

ROLES: tuple[Role, ...] = ("viewer", "operator", "editor", "admin")
HOLDERS = {hashlib.sha256(role.encode()).digest(): Principal(role, role) for role in ROLES}


async def lookup(digest: bytes) -> Principal | None:
    return HOLDERS.get(digest)


@get("/public", opt=PUBLIC)
async def public() -> str:
    return "yes"


@get("/viewer", opt=VIEWER)
async def viewer(request: Request[Principal, Any, Any]) -> str:
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


HANDLERS = [public, viewer, operator, editor, admin, forgotten, looks_public]


def application(*, is_on: bool) -> Litestar:
    authentication = Authentication(KeyRing(lookup), is_on=is_on)
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
    with TestClient(application(is_on=False)) as client:
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
