"""The console's pages as a browser gets them, from a small build of the test's own."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from litestar.testing import TestClient

from infra.embedded.front import is_page
from infra.settings import Settings
from services.console.api import create_app
from services.console.files import read_files

INDEX = '<!doctype html><meta property="csp-nonce" nonce="__CSP_NONCE__"><script src="/assets/app-1f.js"></script>'
HTML = {"accept": "text/html,application/xhtml+xml"}
Browser = TestClient[Any]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    for name, text in {
        "index.html": INDEX, "favicon.svg": "<svg/>", "assets/app-1f.js": "plain()", "assets/app-1f.js.br": "brotli",
        "assets/app-1f.js.gz": "gzipped", "assets/app-2e.css": "a{}",
    }.items():  # fmt: skip
        (folder / name).write_text(text)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


def browser_of(folder: Path) -> Browser:
    return TestClient(cast("Any", create_app(Settings(), folder)))


@pytest.fixture
def browser(dist: Path) -> Iterator[Browser]:
    with browser_of(dist) as opened:
        opened.headers["accept-encoding"] = "identity"
        yield opened


@pytest.mark.parametrize(
    "path", ["/", "/workflows", "/workflows/daily-report", "/runs/0189", "/approvals", "/index.html"]
)
def test_every_view_is_the_one_page(browser: Browser, path: str):
    answer = browser.get(path, headers=HTML)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "app-1f.js" in answer.text


def test_the_page_says_what_it_may_load_with_a_nonce_of_its_own(browser: Browser):
    first, second = browser.get("/"), browser.get("/")
    policies = [answer.headers["content-security-policy"] for answer in (first, second)]
    nonces = [re.findall(r"style-src 'self' 'nonce-([\w-]{24})'", policy)[0] for policy in policies]
    assert nonces[0] != nonces[1]
    assert f'nonce="{nonces[0]}"' in first.text
    assert "unsafe" not in policies[0]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert part in policies[0].split("; ")


def test_the_page_is_asked_for_anew_and_sent_once(browser: Browser):
    first = browser.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = browser.get("/runs", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-security-policy" not in again.headers  # the kept page has its own nonce


def test_what_is_named_by_its_content_is_kept(browser: Browser):
    assert browser.get("/assets/app-1f.js").headers["cache-control"] == "public, max-age=31536000, immutable"
    assert browser.get("/favicon.svg").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "body", "coding"),
    [("gzip, br", "brotli", "br"), ("gzip", "gzipped", "gzip"), ("br;q=0, gzip;q=0.5", "gzipped", "gzip"),
     ("", "plain()", None), ("identity", "plain()", None), ("deflate", "plain()", None), ("br;q=1.0", "brotli", "br")],
)  # fmt: skip
def test_a_file_is_sent_as_the_client_takes_it(dist: Path, accepted: str, body: str, coding: str | None):
    from services.console.api import answer_to

    answer = answer_to(read_files(dist), "/assets/app-1f.js", {"accept-encoding": accepted})
    assert (answer.body.decode(), answer.headers.get("Content-Encoding")) == (body, coding)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_every_answer_is_what_it_says_and_tells_nobody_where_one_comes_from(browser: Browser):
    for path in ("/", "/assets/app-1f.js", "/favicon.svg", "/assets/gone.js"):
        headers = browser.get(path).headers
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/assets/gone.js", "/assets/../../secret.txt", "/link.txt", "/app.js", "/assets/%2e%2e/x.txt"]
)
def test_a_file_that_was_not_built_is_404_whatever_lies_elsewhere(browser: Browser, path: str):
    answer = browser.get(path)
    assert (answer.status_code, "secret" in answer.text) == (404, False)


def test_no_path_leads_out_of_the_folder(dist: Path):
    files = read_files(dist)
    assert set(files) == {"/index.html", "/favicon.svg", "/assets/app-1f.js", "/assets/app-2e.css"}
    assert all(b"secret" not in body for file in files.values() for body in file.bodies.values())


def test_a_head_has_no_body(browser: Browser):
    answer = browser.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path):
    with browser_of(tmp_path / "none") as browser:
        answer = browser.get("/", headers=HTML)
    assert answer.status_code == 503
    assert "<code>make setup</code>" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("path", "accept", "is_so"),
    [("/", "*/*", True), ("/assets/a.js", "*/*", True), ("/favicon.ico", "image/*", True),
     ("/workflows", "text/html", True), ("/workflows/x", "*/*", False), ("/workflows/x", "application/json", False),
     ("/runs/1", "text/html", True), ("/runs/1", "*/*", False), ("/api", "text/html", False),
     ("/api/workflows", "text/html", False), ("/apiary", "text/html", True), ("/health/live", "text/html", False),
     ("/metrics", "text/html", False), ("/schema", "text/html", False), ("/asyncapi", "text/html", False),
     ("/login", "text/html", False), ("//api/workflows", "*/*", False)],
)  # fmt: skip
def test_what_a_browser_asks_for_is_the_consoles(path: str, accept: str, is_so: bool):
    assert is_page(path, [(b"accept", accept.encode())]) is is_so
