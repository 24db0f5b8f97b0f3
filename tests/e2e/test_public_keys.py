"""Who may do what: everything but /health/* needs a key; NATS logins may do what the page says and nothing else."""

import asyncio
import socket
from typing import Any

import asyncpg
import nats
import pytest

from tests.e2e.stranger import Stranger, problem, transform, workflow

NOBODY = "01890000-0000-7000-8000-000000000000"
ROUTES = [
    ("GET", "/api/workflows"), ("POST", "/api/workflows"), ("POST", "/api/workflows/validate"),
    ("GET", "/api/workflows/x"), ("PUT", "/api/workflows/x"), ("DELETE", "/api/workflows/x"),
    ("GET", "/api/workflows/x/graph"), ("GET", "/api/workflows/x/versions"), ("GET", "/api/workflows/x/diff?from=1&to=2"),
    ("POST", "/api/workflows/x/rollback"), ("POST", "/api/workflows/x/execute"), ("GET", "/api/workflows/x/triggers"),
    ("GET", "/api/workflows/x/triggers/t/decisions"), ("GET", "/api/workflows/x/triggers/t/stats"),
    ("GET", "/api/runs"), ("GET", f"/api/runs/{NOBODY}"), ("POST", f"/api/runs/{NOBODY}/cancel"),
    ("GET", f"/api/runs/{NOBODY}/events"), ("GET", f"/api/runs/{NOBODY}/logs"), ("GET", f"/api/runs/{NOBODY}/jobs"),
    ("GET", f"/api/runs/{NOBODY}/nodes/a"), ("GET", f"/api/runs/{NOBODY}/stream"), ("GET", "/api/stream"),
    ("POST", "/api/events"), ("GET", f"/api/blobs/{'0' * 64}"), ("GET", "/workflows"), ("GET", "/workflows/x"),
    ("GET", "/api/workflow-executions"), ("GET", f"/api/workflow-executions/{NOBODY}"),
    ("GET", "/schema"), ("GET", "/asyncapi"), ("GET", "/metrics"),
    ("GET", "/api/stats"), ("GET", "/api/audit"), ("POST", "/api/workflows/x/triggers"),
    ("PATCH", "/api/workflows/x/triggers/t"), ("DELETE", "/api/workflows/x/triggers/t"),
    ("GET", "/health/live/../../api/workflows"), ("GET", "/api/workflows/health"), ("GET", "//api/workflows"),
]  # fmt: skip


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic YWRtaW46YWRtaW4=", "nonsense"])
def test_without_the_right_key_every_route_is_401(stranger: Stranger, authorization: str | None):
    with stranger.client(authorization) as client:
        for method, path in ROUTES:
            answer = client.request(method, path, json={} if method != "GET" else None)
            assert answer.status_code == 401, (method, path, answer.status_code, answer.text)
            problem(answer, 401)
            assert "www-authenticate" in answer.headers


def test_health_is_open(stranger: Stranger):
    with stranger.client() as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_the_schema_is_served_to_who_has_a_key(stranger: Stranger):
    whole = stranger.get("/schema")
    assert whole["openapi"].startswith("3.")
    assert whole["paths"]["/api/workflows/{workflow_id}/execute"]["post"]["requestBody"]
    assert "get" in whole["paths"]["/api/runs"]
    assert stranger.get("/asyncapi")["asyncapi"].startswith("3.")


def test_the_key_and_the_endpoints_are_the_owners_alone(stranger: Stranger):
    for name in ("endpoints.json", "admin.key"):
        assert (stranger.home / name).stat().st_mode & 0o777 == 0o600
    assert {"http", "nats", "database", "event_log"} <= stranger.endpoints.keys()


async def test_a_reader_reads_the_log_and_changes_nothing(stranger: Stranger):
    connection = await asyncpg.connect(stranger.endpoints["database"])
    table = stranger.endpoints["event_log"]
    try:
        stranger.save(workflow(transform("a")))
        assert await connection.fetchval(f"select count(*) from {table}") > 0
        columns = {row["column_name"] for row in await connection.fetch(
            "select column_name from information_schema.columns where table_schema || '.' || table_name = $1", table
        )}  # fmt: skip
        assert {"position", "type", "data", "recorded_at", "version"} <= columns
        for statement in (f"delete from {table}", f"update {table} set type = 'x'", "create table public.t(a int)"):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def _is_refused(stranger: Stranger, login: str, subject: str) -> bool:
    """Whether a plain publish of this login is refused."""
    refusals: list[Exception] = []

    async def note(error: Exception) -> None:
        refusals.append(error)

    connection = await nats.connect(stranger.endpoints[login], error_cb=note)
    try:
        await connection.publish(subject, b"{}")
        await connection.flush()
        await asyncio.wait_for(_first(refusals), 0.5)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        await connection.close()


async def _first(found: list[Any]) -> None:
    while not found:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("login", "subject"),
    [
        ("nats", "flowforge.runs.x.y.RunCompleted"), ("nats", f"flowforge.reports.{NOBODY}.{NOBODY}.JobCompleted"),
        ("nats", "flowforge.jobs.default.script"), ("nats", f"flowforge.cancels.{NOBODY}"),
        ("nats", "flowforge.workflows.x.WorkflowCreated"), ("nats", "flowforge.commands.catalog.CreateWorkflow"),
        ("nats", "flowforge.log.appended"), ("nats", "$JS.API.STREAM.DELETE.JOBS"), ("nats", "anything"),
        ("worker_nats", "flowforge.runs.x.y.RunCompleted"), ("worker_nats", "flowforge.jobs.default.script"),
        ("worker_nats", "flowforge.commands.catalog.CreateWorkflow"), ("worker_nats", "$JS.API.STREAM.PURGE.JOBS"),
        ("worker_nats", "flowforge.inbox.forged"), ("worker_nats", "$JS.API.CONSUMER.DELETE.JOBS.default--script"),
    ],
)  # fmt: skip
async def test_a_login_publishes_only_its_own_subjects(stranger: Stranger, login: str, subject: str):
    assert await _is_refused(stranger, login, subject)


async def test_the_external_login_reads_runs_and_nothing_else(stranger: Stranger):
    refusals: list[Exception] = []

    async def note(error: Exception) -> None:
        refusals.append(error)

    connection = await nats.connect(stranger.endpoints["nats"], error_cb=note)
    try:
        for subject in ("flowforge.jobs.>", "flowforge.commands.>", ">", "flowforge.reports.>"):
            refusals.clear()
            await connection.subscribe(subject)
            await connection.flush()
            await asyncio.wait_for(_first(refusals), 2)
        refusals.clear()
        subscription = await connection.subscribe("flowforge.runs.>")
        await connection.flush()
        definition = workflow(transform("a"))
        run = stranger.run(definition)
        while run["run_id"] not in (await subscription.next_msg(5)).subject:
            pass
        assert refusals == []
    finally:
        await connection.close()


def test_nobody_connects_without_a_login(stranger: Stranger):
    host, _, port = stranger.endpoints["nats"].rpartition("@")[2].partition(":")
    for words in (b"{}", b'{"user": "external", "pass": "guess"}', b'{"user": "supervisor", "pass": ""}'):
        with socket.create_connection((host, int(port)), 5) as connection:
            assert connection.recv(4096).startswith(b"INFO")
            connection.sendall(b"CONNECT " + words + b"\r\nPING\r\n")
            assert b"Authorization Violation" in connection.recv(4096)
