"""What `up` says once it is up: where things are, and the link that logs the administrator in."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from infra.embedded.announce import JsonAnnouncer, PersonAnnouncer
from infra.embedded.home import Endpoints, Home
from infra.http.sessions import LoginLink

ENDPOINTS = Endpoints(
    http="http://127.0.0.1:8080", nats="nats://a:b@127.0.0.1:4222", database="postgresql://a:b@127.0.0.1/x",
    event_log="eventlog.events", worker_nats="nats://c:d@127.0.0.1:4222",
)  # fmt: skip
LINK = LoginLink("http://127.0.0.1:8080/login?token=" + "t" * 43, datetime(2026, 1, 31, 13, tzinfo=UTC))


def said_to_a_person(tmp_path: Path, login: LoginLink | None, endpoints: Endpoints = ENDPOINTS) -> str:
    written = io.StringIO()
    PersonAnnouncer(Console(file=written, highlight=False, width=60)).is_up(Home(tmp_path), endpoints, 1.2, login)
    return written.getvalue()


def test_a_person_is_shown_the_link_in_one_piece_however_narrow_the_terminal(tmp_path: Path):
    assert LINK.url in said_to_a_person(tmp_path, LINK)
    assert "login" not in said_to_a_person(tmp_path, None).replace("logins", "")


@pytest.mark.parametrize(
    ("login", "told"), [(LINK, [LINK.url, "2026-01-31T13:00:00Z"]), (None, [None, None])], ids=["link", "none"]
)
def test_a_program_is_told_the_link_in_the_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], login: LoginLink | None, told: list[str | None]
):
    JsonAnnouncer().is_up(Home(tmp_path), ENDPOINTS, 1.2, login)
    [line] = capsys.readouterr().out.splitlines()
    facts = json.loads(line)
    assert [facts["login_url"], facts["login_expires_at"]] == told
    assert facts["nats"] == "nats://127.0.0.1:4222"


def test_no_login_is_shown_of_several_servers_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    several = msgspec.structs.replace(
        ENDPOINTS, nats="nats://a:canary@n1:4222,nats://a:canary@n2", database="postgresql://a:canary@p1:1,p2:2/x"
    )
    JsonAnnouncer().is_up(Home(tmp_path), several, 1.2)
    facts = json.loads(capsys.readouterr().out)
    assert (facts["nats"], facts["database"]) == ("nats://n1:4222,nats://n2", "postgresql://p1:1,p2:2/x")
    assert "canary" not in said_to_a_person(tmp_path, None, several)


@pytest.mark.parametrize(("announcer", "stream"), [(PersonAnnouncer, "stdout"), (JsonAnnouncer, "stderr")])
def test_the_work_goes_on_when_nobody_listens_any_more(
    monkeypatch: pytest.MonkeyPatch, announcer: Callable[[], PersonAnnouncer], stream: str
):
    reading, writing = os.pipe()
    os.close(reading)
    closed = os.fdopen(writing, "w", buffering=1)
    monkeypatch.setattr(sys, stream, closed)
    try:
        told = announcer()
        told.died("gateway", "SIGKILL")
        told.came_back("gateway", 0.2)
    finally:
        with contextlib.suppress(BrokenPipeError):
            closed.close()
