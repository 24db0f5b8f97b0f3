"""The handler of `webhook` jobs: from the node's settings to one HTTP call, and from its answer to the output."""

import base64
import re
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
from flowforge.errors import ErrorCode, JobError
from flowforge.job import Job
from msgspec import UNSET, UnsetType

from infra.calls import Answer, Calls, Misled, Request, TargetRefused, TooLarge, Unreached, Unusable, within
from services.workers.secrets import Asks, JobSecrets
from services.workers.settings import body_chars_kept, body_chars_shown, call_s_default

CALLBACK_HEADER = "flowforge-callback-url"
_FORM = "application/x-www-form-urlencoded"
_SET_BY_US = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
_encode = msgspec.json.Encoder().encode


class Call(msgspec.Struct, frozen=True):
    """The payload of a webhook's job: url, headers and body are templates of what only the worker knows."""

    url: Any
    method: str = "POST"
    headers: dict[str, Any] = {}
    body: Any | UnsetType = UNSET
    expect_status: int | list[int] | None = None
    wait_for_callback: bool = False

    def expects(self, status: int) -> bool:
        """Whether an answer with that status is a success."""
        match self.expect_status:
            case None:
                return 200 <= status < 300
            case int():
                return status == self.expect_status
            case _:
                return status in self.expect_status


class WebhookCaller:
    """Makes the calls of `webhook` nodes."""

    def __init__(self, calls: Calls, asks: Asks) -> None:
        self._calls = calls
        self._asks = asks

    async def run(self, job: Job) -> dict[str, Any]:
        """Call, and answer `{status, headers, body}`. Raises JobError."""
        call = _read(job)
        if call.wait_for_callback and not job.callback_url:
            raise _invalid("no callback address can be made: execution has no key for secrets (FLOWFORGE_SECRETS_KEY)")
        templates = {"url": call.url, "headers": call.headers}
        if call.body is not UNSET:
            templates["body"] = call.body
        resolved = await JobSecrets(self._asks, job).resolve(templates)
        request = _request(job, call, resolved)
        answer = await self._answer(job, call, request)
        if not call.expects(answer.status):
            raise _unexpected(job, answer)
        return {"status": answer.status, "headers": answer.headers, "body": _body(answer)}

    async def _answer(self, job: Job, call: Call, request: Request) -> Answer:
        sending = self._calls.send(request, call.expects)
        try:
            return await (sending if job.deadline is not None else within(call_s_default, sending))
        except (TargetRefused, Misled) as fault:
            raise JobError(str(fault), code=ErrorCode.HTTP_ERROR, retryable=False) from None
        except Unreached as fault:
            raise JobError(str(fault), code=ErrorCode.HTTP_ERROR) from None
        except Unusable as fault:
            raise _invalid(str(fault)) from None
        except TooLarge as fault:
            raise JobError(str(fault), code=ErrorCode.PAYLOAD_TOO_LARGE, retryable=False) from None


def _read(job: Job) -> Call:
    try:
        return msgspec.json.decode(job.raw_payload, type=Call)
    except msgspec.DecodeError as fault:
        raise _invalid(f"this is no call: {fault}") from fault


def _request(job: Job, call: Call, resolved: dict[str, Any]) -> Request:
    url = resolved["url"]
    if not isinstance(url, str):
        raise _invalid(f"url: expected an address, got {_encode(url)[:100].decode(errors='replace')}")
    headers = _headers(resolved["headers"])
    own = {"idempotency-key": job.idempotency_key}
    if job.traceparent is not None:
        own["traceparent"] = job.traceparent
    if call.wait_for_callback:
        headers[CALLBACK_HEADER] = job.callback_url
    content = _content(resolved["body"], headers) if "body" in resolved else None
    return Request(call.method, url, headers, own, content, stays=call.wait_for_callback)


def _headers(given: dict[str, Any]) -> dict[str, str]:
    """Names in lower case; null leaves a header out, other values than texts are written as JSON."""
    headers: dict[str, str] = {}
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise _invalid(f"headers: '{name}' is no name of a header")
        if name.lower() in _SET_BY_US:
            raise _invalid(f"headers.{name}: this one is set by FlowForge; leave it out")
        if value is None:
            continue
        text = value if isinstance(value, str) else _encode(value).decode()
        if not all(char == "\t" or (char.isprintable() and ord(char) < 256) for char in text):
            raise _invalid(f"headers.{name}: its value has characters that no header may have, such as a line end")
        headers[name.lower()] = text.strip()
    return headers


def _content(body: Any, headers: dict[str, str]) -> bytes:
    """The bytes of the body; sets the content type where the node does not. A text is sent as it is."""
    if isinstance(body, str):
        headers.setdefault("content-type", "text/plain; charset=utf-8")
        return body.encode(errors="surrogatepass")
    if headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM and isinstance(body, dict):
        fields = cast("dict[str, Any]", body)
        return urlencode(
            {name: value if isinstance(value, str) else _encode(value).decode() for name, value in fields.items()}
        ).encode()
    headers.setdefault("content-type", "application/json")
    return _encode(body)


def _body(answer: Answer) -> Any:
    """JSON decoded where its type says JSON, other text as text, anything else as `{base64}`; null for none."""
    if not answer.content:
        return None
    content_type = answer.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.endswith(("/json", "+json")):
        try:
            return msgspec.json.decode(answer.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # whoever says JSON and means something else is taken by what was sent
    text = _text(answer.content, content_type)
    return {"base64": base64.b64encode(answer.content).decode()} if text is None else text


def _text(content: bytes, content_type: str) -> str | None:
    found = re.search(r"charset=\"?([A-Za-z0-9_.:-]+)", content_type)
    try:
        text = content.decode(found[1] if found else "utf-8")
    except (UnicodeDecodeError, LookupError):
        return None
    return None if "\x00" in text else text


def _unexpected(job: Job, answer: Answer) -> JobError:
    body = job.hidden(_text(answer.content, answer.headers.get("content-type", "")) or "")
    said = " ".join(body[:body_chars_shown].split())
    details: dict[str, Any] = {"status": answer.status, "body": body[:body_chars_kept]}
    if retry_after := answer.headers.get("retry-after"):
        details["retry_after"] = retry_after
    return JobError(
        f"{answer.method} {answer.url} answered {answer.reason}{': ' if said else ''}{said}",
        code=ErrorCode.HTTP_ERROR,
        retryable=answer.status >= 500 or answer.status in _WORTH_ANOTHER_TRY,
        details=details,
    )


def _invalid(message: str) -> JobError:
    return JobError(message, code=ErrorCode.INPUT_INVALID, retryable=False)
