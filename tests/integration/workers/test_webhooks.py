"""What `webhook` nodes promise: a worker on a real queue, a real server to call, and answers of every kind."""

import asyncio
import gzip
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from flowforge import Worker
from flowforge.reports import JobRequested

from infra.calls import Calls, Targets
from infra.calls.limits import redirects_max, response_bytes_max
from infra.secrets.asking import Question, SecretsGiven, sealed_for
from services.workers.secrets import Unanswered
from services.workers.webhook import WebhookCaller
from tests.integration.workers.executing import Execution, Told, serving
from tests.integration.workers.web import Asked, Said, Web, json_said

TOKEN = 'tok3n/with+odd"chars'
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """Answers questions for secrets, as catalog does."""

    def __init__(self) -> None:
        self.values = {"token": TOKEN}
        self.questions: list[list[str]] = []
        self.is_away = False

    async def ask(self, question: Question) -> SecretsGiven:
        self.questions.append(question.asked.names)
        if self.is_away:
            raise Unanswered("catalog does not answer")
        missing = [name for name in question.asked.names if name not in self.values]
        if missing:
            return SecretsGiven(missing=missing)
        return sealed_for(question.asked, {name: self.values[name] for name in question.asked.names})


class Stage:
    """A worker that makes calls, what it may call, and what it was given to call."""

    def __init__(self, execution: Execution, web: Web, kept: Kept) -> None:
        self.execution, self.web, self.kept = execution, web, kept

    async def call(self, url: str, job: dict[str, Any] | None = None, **payload: Any) -> Told:
        asked: JobRequested = await self.execution.hand_out("webhook", payload={"url": url, **payload}, **(job or {}))
        return await self.execution.ending(asked)

    async def output(self, url: str, **payload: Any) -> Any:
        told = await self.call(url, **payload)
        assert told.kind == "JobCompleted", told.report
        return msgspec.json.decode(told.report.output)

    async def error(self, url: str, **payload: Any) -> Any:
        told = await self.call(url, **payload)
        assert told.kind == "JobFailed", told.report
        return told.report.error


@pytest.fixture
async def web() -> AsyncGenerator[Web]:
    async with Web.serving() as server:
        yield server


@pytest.fixture
async def stage(execution: Execution, web: Web, nats_url: str, namespace: str) -> AsyncGenerator[Stage]:
    kept = Kept()
    worker = Worker(nats_url=nats_url, namespace=namespace)
    worker.job("webhook")(WebhookCaller(Calls(Targets(["127.0.0.0/8"], ["127.0.0.1:9"])), kept).run)
    async with serving(worker):
        yield Stage(execution, web, kept)


async def test_a_call_brings_back_status_headers_and_body(stage: Stage) -> None:
    url = stage.web.at("/orders", json_said({"id": 7}, 201, **{"X-Number": "7"}))
    output = await stage.output(
        url + "?a=b", headers={"X-Own": "yes", "X-Count": 3, "X-None": None}, body={"n": [1, "ü"]}
    )
    assert (output["status"], output["body"], output["headers"]["x-number"]) == (201, {"id": 7}, "7")
    [asked] = stage.web.asked
    assert (asked.method, asked.path, asked.json) == ("POST", "/orders?a=b", {"n": [1, "ü"]})
    assert asked.headers["content-type"] == "application/json"
    assert (asked.headers["x-own"], asked.headers["x-count"]) == ("yes", "3")
    assert "x-none" not in asked.headers
    assert asked.headers["host"] == f"127.0.0.1:{stage.web.port}"
    assert asked.headers["traceparent"] == TRACE
    assert not stage.kept.questions


async def test_each_attempt_of_a_job_sends_the_same_idempotency_key(stage: Stage) -> None:
    url = stage.web.at("/", Said())
    for attempt in (1, 2):
        await stage.call(url, {"idempotency_key": "the-key", "attempt": attempt})
    assert [asked.headers["idempotency-key"] for asked in stage.web.asked] == ["the-key", "the-key"]


@pytest.mark.parametrize(
    ("body", "headers", "sent", "content_type"),
    [
        ("plain", {}, b"plain", "text/plain; charset=utf-8"),
        ('{"a":1}', {"Content-Type": "application/json"}, b'{"a":1}', "application/json"),
        (None, {}, b"null", "application/json"),
        ({"a": "b c", "n": 1}, {"content-type": "application/x-www-form-urlencoded"}, b"a=b+c&n=1", None),
    ],
)
async def test_a_body_is_json_a_text_or_a_form(
    stage: Stage, body: Any, headers: dict[str, str], sent: bytes, content_type: str | None
) -> None:
    await stage.output(stage.web.at("/", Said()), body=body, headers=headers)
    assert stage.web.asked[0].body == sent
    assert content_type is None or stage.web.asked[0].headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (Said(204), None),
        (Said(body="grüß".encode(), headers={"content-type": "text/plain"}), "grüß"),
        (Said(body="grüß".encode("latin-1"), headers={"content-type": "text/plain; charset=iso-8859-1"}), "grüß"),
        (Said(body=b"\x00\xff", headers={"content-type": "image/png"}), {"base64": "AP8="}),
        (Said(body=b"{broken", headers={"content-type": "application/json"}), "{broken"),
        (Said(body=b'{"a":1}', headers={"content-type": "application/problem+json"}), {"a": 1}),
        (
            Said(body=gzip.compress(b"[1]"), headers={"content-type": "application/json", "content-encoding": "gzip"}),
            [1],
        ),
    ],
)
async def test_an_answer_is_read_by_its_type(stage: Stage, said: Said, body: Any) -> None:
    assert (await stage.output(stage.web.at("/", said), method="GET"))["body"] == body


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(500, True), (503, True), (429, True), (408, True), (400, False), (401, False), (404, False), (418, False)],
)
async def test_an_unexpected_status_says_itself_and_whether_another_try_makes_sense(
    stage: Stage, status: int, retryable: bool
) -> None:
    error = await stage.error(stage.web.at("/x", Said(status, b"because\n of this", {"Retry-After": "7"})))
    assert (error.code, error.retryable) == ("HTTP_ERROR", retryable)
    assert f"POST {stage.web.url}/x answered {status}" in error.message
    assert error.message.endswith(": because of this")
    details = msgspec.json.decode(error.details)
    assert details == {"status": status, "body": "because\n of this", "retry_after": "7"}


async def test_an_expected_status_is_a_success(stage: Stage) -> None:
    url = stage.web.at("/", Said(404))
    assert (await stage.output(url, expect_status=404))["status"] == 404
    assert (await stage.output(url, expect_status=[200, 404]))["status"] == 404
    assert (await stage.error(stage.web.at("/", Said(200)), expect_status=[404])).code == "HTTP_ERROR"


async def test_a_connection_that_fails_is_worth_another_try(stage: Stage) -> None:
    for url in (
        "http://127.0.0.1:1/",
        stage.web.at("/", Said(raw=b"")),
        stage.web.at("/no", Said(raw=b"nonsense\r\n\r\n")),
    ):
        error = await stage.error(url)
        assert (error.code, error.retryable) == ("HTTP_ERROR", True)
    assert (await stage.error("http://nowhere.invalid/")).message.startswith("'nowhere.invalid' cannot be resolved")


@pytest.mark.parametrize(
    "payload",
    [
        {"url": "ftp://127.0.0.1/"},
        {"url": "file:///etc/passwd"},
        {"url": "/relative"},
        {"url": "http://"},
        {"url": 7},
        {"url": "http://127.0.0.1:1/", "headers": {"Host": "other"}},
        {"url": "http://127.0.0.1:1/", "headers": {"Transfer-Encoding": "chunked"}},
        {"url": "http://127.0.0.1:1/", "headers": {"X": "a\r\nY: b"}},
        {"url": "http://127.0.0.1:1/", "headers": {"X Y": "a"}},
        {"url": "http://127.0.0.1:1/", "wait_for_callback": True},
    ],
)
async def test_what_is_no_request_is_refused_for_good(stage: Stage, payload: dict[str, Any]) -> None:
    error = await stage.error(**payload)
    assert (error.code, error.retryable) == ("INPUT_INVALID", False)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]:1/", "http://0xa000001/"]
)
async def test_a_target_out_of_bounds_is_refused_for_good(stage: Stage, url: str) -> None:
    error = await stage.error(url)
    assert (error.code, error.retryable) == ("HTTP_ERROR", False)
    assert "FLOWFORGE_WEBHOOK_ALLOW" in error.message


async def test_flowforges_own_servers_are_out_of_bounds_even_where_the_network_is_allowed(stage: Stage) -> None:
    assert "FlowForge's own" in (await stage.error("http://127.0.0.1:9/")).message


async def test_a_redirect_is_looked_at_as_the_first_address_is(stage: Stage) -> None:
    url = stage.web.at("/", Said(302, headers={"location": "http://10.0.0.1/"}))
    error = await stage.error(url, method="GET")
    assert (error.code, error.retryable) == ("HTTP_ERROR", False)
    assert "10.0.0.1" in error.message
    stage.web.at("/", Said(302, headers={"location": "file:///etc/passwd"}))
    assert "redirects to where nothing can be called" in (await stage.error(url, method="GET")).message


async def test_redirects_are_followed_as_browsers_do(stage: Stage) -> None:
    stage.web.at("/end", lambda asked: json_said({"method": asked.method, "body": asked.body.decode()}))
    for status, method, body in [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", "x"),
        (308, "POST", "x"),
    ]:
        url = stage.web.at("/", Said(status, headers={"location": "end"}))
        assert (await stage.output(url, body="x"))["body"] == {"method": method, "body": body}


async def test_redirects_end(stage: Stage) -> None:
    url = stage.web.at("/", Said(302, headers={"location": "/"}))
    assert f"at most {redirects_max}" in (await stage.error(url)).message
    assert len(stage.web.asked) == redirects_max + 1
    assert (await stage.output(url, expect_status=302))["status"] == 302


async def test_another_origin_gets_nothing_that_was_meant_for_the_first(stage: Stage) -> None:
    async with Web.serving() as other:
        target = other.at("/", Said(body=b"there"))
        url = stage.web.at("/", Said(302, headers={"location": target}))
        assert (await stage.output(url, method="GET", headers={"Authorization": "Bearer x", "X-Key": "k"}))[
            "body"
        ] == "there"
        assert not {"authorization", "x-key"} & other.asked[0].headers.keys()
        stage.web.at("/", Said(307, headers={"location": target}))
        assert "another origin" in (await stage.error(url, body="secret")).message
        assert len(other.asked) == 1


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_that_is_too_large_is_not_kept(stage: Stage, encoding: str) -> None:
    body = bytes(response_bytes_max + 1)
    said = Said(body=gzip.compress(body), headers={"content-encoding": "gzip"}) if encoding else Said(body=body)
    error = await stage.error(stage.web.at("/", said))
    assert (error.code, error.retryable) == ("PAYLOAD_TOO_LARGE", False)


async def test_without_a_deadline_a_call_has_the_default_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.workers.webhook.call_s_default", 0.2)
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        error = await stage.error(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        release.set()
    assert (error.code, error.retryable) == ("HTTP_ERROR", True)
    assert "within 0.2 s; a timeout_ms of the node gives it more time" in error.message


async def test_secrets_are_sent_and_never_told(stage: Stage) -> None:
    def echo(asked: Asked) -> Said:
        return json_said({"auth": asked.headers["authorization"], "path": asked.path, "body": asked.body.decode()})

    url = stage.web.at("/hook", echo)
    payload = {"headers": {"Authorization": "Bearer ${secrets.token}"}, "body": {"t": "${secrets.token}", "d": "$${x}"}}
    output = await stage.output(url + "?k=1", **payload)
    assert stage.web.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert stage.web.asked[0].json == {"t": TOKEN, "d": "${x}"}
    assert output["body"]["auth"] == "Bearer ***"
    assert stage.kept.questions == [["token"]]
    stage.web.at("/hook", lambda asked: Said(500, f"bad {asked.headers['authorization']}".encode()))
    error = await stage.error(url, **payload)
    assert error.message.endswith("bad Bearer ***")
    assert "tok3n" not in str(msgspec.json.encode([output, error]))


async def test_a_secret_that_is_not_there_fails_the_job_for_good_and_is_named(stage: Stage) -> None:
    error = await stage.error(stage.web.at("/", Said()), headers={"X": "${secrets.absent}"})
    assert (error.code, error.retryable) == ("EXPRESSION_ERROR", False)
    assert error.message == "there is no secrets.absent: set it with `flowforge secrets set absent`"
    assert not stage.web.asked


async def test_while_nobody_gives_secrets_the_job_may_be_tried_again(stage: Stage) -> None:
    stage.kept.is_away = True
    error = await stage.error(stage.web.at("/", Said()), headers={"X": "${secrets.token}"})
    assert error.retryable
    assert "secrets.token cannot be read now" in error.message


async def test_the_callback_address_is_sent_and_never_told(stage: Stage) -> None:
    address = "https://flowforge.example/api/callbacks/t0ken-of-the-callback"
    url = stage.web.at(
        "/", lambda asked: json_said({"told": asked.headers["flowforge-callback-url"], "body": asked.json})
    )
    told = await stage.call(url, {"callback_url": address}, wait_for_callback=True, body={"to": "${callback.url}"})
    assert stage.web.asked[0].headers["flowforge-callback-url"] == address
    assert stage.web.asked[0].json == {"to": address}
    assert b"t0ken" not in bytes(told.report.output)
    error = await stage.error(url, body="${callback.url}")
    assert (error.code, error.retryable) == ("EXPRESSION_ERROR", False)
    assert "wait_for_callback" in error.message
