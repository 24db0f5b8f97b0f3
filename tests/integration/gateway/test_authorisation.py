"""Who may call what: every route is walked, so that none is forgotten."""

import httpx
import pytest
from litestar.routes import HTTPRoute

from infra.http.authentication import Role
from infra.settings import Settings
from services.gateway.api import create_app

RANK: tuple[Role, ...] = ("viewer", "operator", "editor", "admin")
NEEDED = {
    "POST /api/workflows": "editor",
    "POST /api/workflows/validate": "viewer",
    "PUT /api/workflows/{workflow_id}": "editor",
    "DELETE /api/workflows/{workflow_id}": "editor",
    "POST /api/workflows/{workflow_id}/rollback": "editor",
    "POST /api/workflows/{workflow_id}/execute": "operator",
    "POST /api/workflows/{workflow_id}/triggers": "editor",
    "PATCH /api/workflows/{workflow_id}/triggers/{trigger_id}": "editor",
    "DELETE /api/workflows/{workflow_id}/triggers/{trigger_id}": "editor",
    "POST /api/workflows/{workflow_id}/triggers/{trigger_id}/fire": "operator",
    "POST /api/workflows/{workflow_id}/triggers/{trigger_id}/backfill": "operator",
    "PUT /api/workflows/{workflow_id}/trigger_configs": "editor",
    "POST /api/templates": "editor",
    "PUT /api/templates/{template_id}": "editor",
    "DELETE /api/templates/{template_id}": "editor",
    "POST /api/templates/{template_id}/instantiate": "editor",
    "POST /api/prompts": "editor",
    "PUT /api/prompts/{prompt_id}": "editor",
    "DELETE /api/prompts/{prompt_id}": "editor",
    "PUT /api/triggers": "editor",
    "POST /api/triggers/test": "viewer",
    "POST /api/triggers/what-if": "viewer",
    "POST /api/runs/{run_id}/cancel": "operator",
    "POST /api/runs/{run_id}/pause": "operator",
    "POST /api/runs/{run_id}/resume": "operator",
    "POST /api/runs/{run_id}/step": "operator",
    "POST /api/runs/{run_id}/retry": "operator",
    "POST /api/runs/{run_id}/fork": "operator",
    "PATCH /api/runs/{run_id}": "operator",
    "PUT /api/runs/{run_id}/breakpoints": "operator",
    "POST /api/runs/{run_id}/nodes/{node_id}/complete": "operator",
    "POST /api/runs/{run_id}/nodes/{node_id}/fail": "operator",
    "POST /api/runs/{run_id}/nodes/{node_id}/skip": "operator",
    "POST /api/runs/bulk": "operator",
    "POST /api/approvals/{approval_id}": "operator",
    "POST /api/dead-letters/{dead_letter_id}/retry": "operator",
    "POST /api/events": "operator",
    "PUT /api/secrets/{name}": "editor",
    "DELETE /api/secrets/{name}": "editor",
    "POST /api/subscriptions": "editor",
    "PATCH /api/subscriptions/{subscription_id}": "editor",
    "DELETE /api/subscriptions/{subscription_id}": "editor",
    "POST /api/subscriptions/{subscription_id}/pause": "operator",
    "POST /api/subscriptions/{subscription_id}/resume": "operator",
    "POST /api/subscriptions/{subscription_id}/replay": "operator",
    "POST /api/subscriptions/{subscription_id}/test": "operator",
    "POST /api/users": "admin",
    "PATCH /api/users/{user}": "admin",
    "DELETE /api/users/{user}": "admin",
    "POST /api/users/{user}/keys": "admin",
    "DELETE /api/users/{user}/keys/{key_id}": "admin",
    "POST /api/users/{user}/login-links": "admin",
    "DELETE /api/session": "viewer",
}
BY_SIGNATURE = {"POST /api/webhooks/{workflow_id}/{trigger_id}"}
"""Whoever calls these signs the request: no key helps, and without a signature they are 401 too."""
BY_TOKEN = {"POST /api/callbacks/{token}"}
"""The address itself is the right to call these: no key helps, and one that was not given out is 404."""

BY_LINK = {"GET /login"}
"""A link that was given out is the right to call it; without one it is 401, as a page for people."""

OPEN = {"GET /health/live", "GET /health/ready"}
"""For probes, where the writes are a process of their own."""


def routes() -> list[tuple[str, str]]:
    app = create_app(Settings(database_url="postgresql://none", nats_url="nats://none"))
    return [
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")
        for method in route.methods
        if method != "OPTIONS"
    ]


OLDER = {
    "/workflows": "/api/workflows",
    "/api/workflow-executions": "/api/runs",
    "/api/workflow-templates": "/api/templates",
}


def test_every_route_is_listed_here() -> None:
    assert {f"{method} {newer(path)}" for method, path in routes()} == set(
        NEEDED
    ) | BY_SIGNATURE | BY_TOKEN | BY_LINK | OPEN


def newer(path: str) -> str:
    old = next((old for old in OLDER if path.startswith(old)), None)
    return (path if old is None else OLDER[old] + path.removeprefix(old)).rstrip("/")


async def test_nobody_gets_in_without_a_key(http: httpx.AsyncClient) -> None:
    for method, path in routes():
        if f"{method} {path}" in OPEN:
            assert (await http.request(method, path, headers={"Authorization": ""})).status_code == 200
            continue
        if f"{method} {path}" in BY_LINK:
            assert (await http.request(method, path, headers={"Authorization": ""})).status_code == 401
            continue
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            answer = await http.request(method, path.replace("{", "").replace("}", ""), json={}, headers=headers)
            told = (404, "NOT_FOUND") if f"{method} {path}" in BY_TOKEN else (401, "UNAUTHORIZED")
            assert (answer.status_code, answer.json()["code"]) == told, (method, path)


async def test_each_role_gets_as_far_as_it_may(
    http: httpx.AsyncClient, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.commanding.answers_wait_s", 0.0)  # nobody is there: 503, or refused before
    monkeypatch.setattr("services.gateway.routes.subscriptions.subscription_test_wait_s", 0.0)
    for role in RANK:
        for route, needed in NEEDED.items():
            method, path = route.split(" ")
            headers = {"Authorization": f"Bearer {keys[role]}"}
            answer = await http.request(method, path.replace("{", "").replace("}", ""), json={}, headers=headers)
            is_let_in = RANK.index(role) >= RANK.index(needed)  # type: ignore[arg-type]
            assert (answer.status_code == 403) != is_let_in, (role, route, answer.status_code)
