"""`flowforge doctor` names what is broken, since when, why it matters and what mends it; here things are broken for real."""

import json
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from infra.embedded.cluster import Cluster
from infra.embedded.process import send
from tests.e2e.stranger import Stranger, bash, fresh, workflow
from tests.integration.telemetry.conftest import WAIT_S_MAX

Checks = list[dict[str, Any]]


def diagnosed(stranger: Stranger) -> tuple[int, Checks]:
    ended = stranger.cli("doctor", "--json")
    assert "Traceback" not in ended.out + ended.err
    return ended.status, ended.json["checks"]


def until(stranger: Stranger, is_told: Callable[[Checks], bool]) -> Checks:
    deadline = time.monotonic() + WAIT_S_MAX
    while True:
        _, checks = diagnosed(stranger)
        if is_told(checks):
            return checks
        assert time.monotonic() < deadline, checks


def named(checks: Checks, name: str, words: str = "") -> list[dict[str, Any]]:
    return [check for check in checks if check["name"] == name and words in check["seen"]]


@contextmanager
def stopped(cluster: Cluster, name: str) -> Generator[None]:
    """The process stands still, and then goes on."""
    pid = cluster.pid(name)
    send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pid, signal.SIGCONT)


def test_all_that_is_well_is_told_as_such(stranger: Stranger):
    status, checks = diagnosed(stranger)
    assert status == 0, checks
    assert not [check for check in checks if check["verdict"] == "error"]
    wanted = {
        "home", "disk", "processes", "server", "key", "nats", "clock of NATS", "services", "consumers", "database",
        "clock of Postgres", "event log", "read models", "jobs", "versions",
    }  # fmt: skip
    assert wanted <= {check["name"] for check in checks}


def test_a_service_that_stands_still_is_named_with_what_does_not_happen(stranger: Stranger, traced: Cluster):
    with stopped(traced, "execution"):
        status, checks = diagnosed(stranger)
    [told] = named(checks, "services")
    assert (status, told["verdict"], told["seen"]) == (1, "error", "execution does not answer")
    assert told["why"] == "runs stand still"
    assert told["next_step"].endswith("execution.log")
    page = stranger.http.get("/metrics").text
    assert 'flowforge_service_up{service="execution"} 1.0' in page


def test_a_dead_service_is_seen_at_metrics(stranger: Stranger, traced: Cluster):
    with stopped(traced, "scheduler"):
        page = stranger.http.get("/metrics").text
    assert 'flowforge_service_up{service="scheduler"} 0.0' in page
    assert 'flowforge_service_up{service="triggers"} 1.0' in page


def test_a_bus_that_does_not_answer_is_told_once(stranger: Stranger, traced: Cluster):
    with stopped(traced, "nats"):
        status, checks = diagnosed(stranger)
    [told] = named(checks, "nats")
    assert (status, told["verdict"]) == (1, "error")
    assert "what is logged is safe" in told["why"]
    assert not named(checks, "services")


def test_jobs_that_no_worker_serves_are_named_with_their_queue(stranger: Stranger):
    kind = fresh("nobody")
    definition = workflow({"id": "a", "type": "job", "job_type": kind, "queue": "far"})
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    checks = until(stranger, lambda checks: bool(named(checks, "jobs", kind)))
    [told] = named(checks, "jobs", kind)
    assert told["seen"] == f"1 job of type {kind} on queue far: no worker asks for them"
    assert run_id in told["why"]
    assert f"serves '{kind}'" in told["next_step"]
    assert datetime.fromisoformat(told["since"]) <= datetime.now(UTC)
    stranger.send("POST", f"/api/runs/{run_id}/cancel", {})
    until(stranger, lambda checks: not named(checks, "jobs", kind))


async def test_what_was_put_aside_is_counted(stranger: Stranger):
    async with stranger.nats() as connection:
        await connection.jetstream().publish("flowforge.inbox.bad", b"no event")
    checks = until(stranger, lambda checks: bool(named(checks, "dead letters", "put aside by triggers")))
    [told] = named(checks, "dead letters")
    assert told["next_step"].startswith("flowforge dead-letters list")
    shown = stranger.cli("doctor")
    assert "to look at" in shown.out
    assert " UTC (" in shown.out


def test_an_open_breaker_is_named_with_what_opened_it(stranger: Stranger):
    breaker = {"failure_threshold": 2, "window_ms": 60_000, "open_ms": 600_000}
    definition = workflow(bash("call", "exit 3", circuit_breaker=breaker))
    stranger.save(definition)
    for _ in range(2):
        stranger.ended(stranger.execute(definition["id"]))
    checks = until(stranger, lambda checks: bool(named(checks, "breakers", "job:script is open until")))
    [told] = named(checks, "breakers")
    assert told["verdict"] == "warning"
    assert "exit status 3" in told["why"] or "status 3" in told["why"]


def test_logs_are_lines_of_json_without_a_login(stranger: Stranger, traced: Cluster):
    traced.kill("nats")
    until(stranger, lambda checks: all(check["verdict"] != "error" for check in checks))
    passwords = json.loads((traced.home.folder / "credentials.json").read_text())
    secrets = [word for logins in passwords.values() if isinstance(logins, dict) for word in logins.values()]
    services: set[str] = set()
    for file in (traced.home.folder / "logs").glob("*.log"):
        text = file.read_text()
        assert not [word for word in (*secrets, stranger.key) if word in text], file.name
        if file.stem in {"triggers", "execution", "scheduler", "catalog", "projections", "workers", "front"}:
            lines = [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]
            services |= {line["service"] for line in lines if {"time", "level", "logger", "message"} <= line.keys()}
    assert services >= {"triggers", "execution", "scheduler", "catalog", "workers"}
