"""Logging in to the console: a link that works once, a session that a browser keeps, and what it may do."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.stranger import Stranger, problem, transform, workflow

COOKIE = "flowforge_session"


def link_of(stranger: Stranger, user: str = "admin") -> str:
    answer = stranger.send("POST", f"/api/users/{user}/login-links")
    assert answer.status_code == 201, answer.text
    return answer.json()["url"]


@pytest.fixture
def browser(stranger: Stranger) -> Iterator[httpx.Client]:
    """Somebody who has just followed a login link."""
    with stranger.client() as client:
        assert client.get(link_of(stranger)).status_code == 303
        yield client


def test_up_prints_a_link_that_logs_in_once(stranger: Stranger):
    said = (stranger.home / "up.log").read_text()
    [link] = re.findall(r"http://127\.0\.0\.1:\d+/login\?token=[\w-]{43}", said)
    with stranger.client() as client:
        answer = client.get(link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age=2592000"))
        assert "secure" not in cookie
        assert client.get("/api/session").json()["user"] == "admin"
    with stranger.client() as client:
        again = client.get(link)
        assert (again.status_code, again.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "<code>flowforge login</code>" in again.text
        assert "set-cookie" not in again.headers


@pytest.mark.parametrize("query", ["", "?token=", "?token=guess", f"?token={'x' * 500}"])
def test_no_other_token_logs_in(stranger: Stranger, query: str):
    with stranger.client() as client:
        answer = client.get(f"/login{query}")
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "flowforge login" in answer.text


@pytest.mark.parametrize(
    ("next_address", "location"),
    [("/runs/1?tab=log", "/runs/1?tab=log"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/"),
     ("/\t/evil.example", "/"), ("runs", "/"), ("/" + "x" * 3_000, "/"), ("", "/")],
)  # fmt: skip
def test_a_login_leads_to_a_path_of_this_host_only(stranger: Stranger, next_address: str, location: str):
    with stranger.client() as client:
        token = httpx.URL(link_of(stranger)).params["token"]
        answer = client.get("/login", params={"token": token, "next": next_address})
        assert (answer.status_code, answer.headers["location"]) == (303, location)


def test_behind_a_proxy_that_speaks_https_the_cookie_is_for_https(stranger: Stranger):
    with stranger.client() as client:
        answer = client.get(link_of(stranger), headers={"X-Forwarded-Proto": "https"})
        assert "secure" in answer.headers["set-cookie"].lower()


def test_a_session_says_who_it_is_and_until_when(browser: httpx.Client, stranger: Stranger):
    told = browser.get("/api/session").json()
    assert (told["user"], told["role"], told["auth"]) == ("admin", "admin", "session")
    assert told["expires_at"] > "2026"
    by_key = stranger.get("/api/session")
    assert by_key == {"user": "admin", "role": "admin", "expires_at": None, "auth": "key"}


def test_a_session_reads_and_writes_from_pages_of_this_host_only(browser: httpx.Client, stranger: Stranger):
    origin = stranger.endpoints["http"]
    definition = workflow(transform("a"))
    assert browser.get("/api/workflows").status_code == 200
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = problem(browser.post("/api/workflows", json=definition, headers=headers), 403)
        assert refused["code"] == "FOREIGN_ORIGIN"
    saved = browser.post("/api/workflows", json=definition, headers={"Origin": origin})
    assert saved.status_code == 201
    stranger.notice(saved)
    assert stranger.get(f"/api/workflows/{definition['id']}")["created_by"] == "admin"


def test_a_session_follows_a_stream(browser: httpx.Client, stranger: Stranger):
    definition = workflow(transform("a"))
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    with browser.stream("GET", f"/api/runs/{run_id}/stream") as stream:
        assert stream.status_code == 200
        assert "event: WorkflowTriggered" in next(line for line in stream.iter_lines() if line.startswith("event:"))


def test_who_logs_out_is_out_at_once(browser: httpx.Client, stranger: Stranger):
    session = browser.cookies[COOKIE]
    ended = browser.delete("/api/session", headers={"Origin": stranger.endpoints["http"]})
    assert (ended.status_code, ended.json()) == (200, {"user": "admin"})
    assert COOKIE not in browser.cookies
    with stranger.client() as thief:
        thief.cookies.set(COOKIE, session)
        problem(thief.get("/api/session"), 401)
        problem(thief.delete("/api/session", headers={"Origin": stranger.endpoints["http"]}), 401)


def test_a_key_has_no_session_to_end(stranger: Stranger):
    problem(stranger.http.delete("/api/session"), 404)


def test_a_link_is_for_a_user_that_there_is(stranger: Stranger):
    assert "nobody" in problem(stranger.http.post("/api/users/nobody/login-links"), 404)["detail"]


def test_the_command_line_makes_a_link(stranger: Stranger):
    done = stranger.cli("login", "--json")
    assert done.status == 0, done.err
    with stranger.client() as client:
        assert client.get(json.loads(done.out)["url"]).status_code == 303
    assert "flowforge users list" in stranger.cli("login", "nobody").err


def test_a_browser_gets_the_console_where_a_program_gets_the_older_name(stranger: Stranger):
    page = stranger.http.get("/workflows", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert stranger.http.get("/workflows").json()["items"] is not None
    with stranger.client() as nobody:
        assert nobody.get("/", headers={"Accept": "text/html"}).status_code in (200, 503)
        problem(nobody.get("/api/workflows", headers={"Accept": "text/html"}), 401)
