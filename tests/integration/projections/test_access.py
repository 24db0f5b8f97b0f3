"""Nothing but health is answered without a key."""

from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient
from litestar import Litestar
from serving import served

from infra.settings import Settings
from services.projections.api import create_app
from services.projections.loop import Loop

OPEN = {"/health/live", "/health/ready"}


@pytest.fixture
def app(settings: Settings) -> Litestar:
    return create_app(settings)


@pytest.fixture
async def stranger(live: Loop, app: Litestar, keys: dict[str, str]) -> AsyncIterator[AsyncClient]:
    async with served(app) as opened:
        yield opened


def every_path(app: Litestar) -> list[str]:
    somebody = "019ca945-2b5d-764f-be2e-79b6b73f502e"
    known = {"run_id:uuid": somebody, "event_id:uuid": somebody, "version:int": "1"}
    paths: list[str] = []
    for route in app.routes:
        path = route.path
        while "{" in path:
            start, end = path.index("{"), path.index("}")
            path = path[:start] + known.get(path[start + 1 : end], "x") + path[end + 1 :]
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Basic ffk_viewer"},
        {"authorization": "ffk_viewer"},
    ],
)
async def test_every_route_but_health_refuses_strangers(stranger: AsyncClient, app: Litestar, headers: dict[str, str]):
    for path in every_path(app):
        for variant in (path, path + "/", path + "?x=/health/live", path + "/health/live"):
            response = await stranger.get(variant, headers=headers)
            if path in OPEN:
                continue
            assert response.status_code in (401, 404), (variant, response.status_code)
        assert (await stranger.get(path, headers=headers)).status_code == (200 if path in OPEN else 401), path


async def test_a_refusal_is_a_problem_that_names_the_scheme(stranger: AsyncClient):
    response = await stranger.get("/api/runs")
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.json()["code"] == "UNAUTHORIZED"


async def test_a_viewer_reads_but_not_the_audit_trail(stranger: AsyncClient, keys: dict[str, str]):
    viewer = {"authorization": f"Bearer {keys['viewer']}"}
    assert (await stranger.get("/api/runs", headers=viewer)).status_code == 200
    assert (await stranger.get("/api/audit", headers=viewer)).status_code == 403
    admin = {"authorization": f"Bearer {keys['admin']}"}
    assert (await stranger.get("/api/audit", headers=admin)).status_code == 200


async def test_with_authentication_off_everybody_reads(live: Loop, settings: Settings):
    app = create_app(Settings(database_url=settings.database_url, auth="off"))
    async with served(app) as client:
        assert (await client.get("/api/runs")).status_code == 200


async def test_while_keys_cannot_be_checked_nobody_is_let_in(live: Loop, app: Litestar):
    async with served(app) as client:
        response = await client.get("/api/runs", headers={"authorization": "Bearer x"})
        assert response.status_code in (401, 503)
