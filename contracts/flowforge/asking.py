"""Asking the server over HTTP: the key, problem documents, patience while a service restarts, own writes read."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import msgspec

from flowforge.errors import Unreachable, refusal

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 30.0
STREAM_SILENCE_S = 45.0
"""A stream that says nothing for so long, not even a keep-alive, is taken for dead."""
PATIENCE_S = 15.0
"""How long a server that has answered before may be away until a request is given up."""
RETRY_WAIT_S = 0.1
RETRY_WAIT_MAX_S = 1.0
_AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Asking:
    """One server. Requests that repeat must be harmless: reads, and writes that carry an Idempotency-Key."""

    def __init__(
        self, url: str, key: str | None, *, timeout_s: float = ANSWER_TIMEOUT_S, patience_s: float = PATIENCE_S
    ) -> None:
        self._timeout_s, self._patience_s = timeout_s, patience_s
        self.url = url.rstrip("/")
        self.position = 0
        """Of the last write that was answered; reads wait until they show it."""
        self._has_answered = False
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,  # a proxy does not know this machine's loopback
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def read(self, path: str, **query: Any) -> Any:
        """What GET answers, as JSON data; parameters that are None are left out. Raises Refused, Unreachable."""
        given: dict[str, Any] = {name: value for name, value in query.items() if value is not None}
        if self.position:
            given["after"] = self.position
        return _json(await self._patiently("GET", path, params=given))

    async def peek(self, path: str) -> Any:
        """What GET answers now, whatever its status. Raises Unreachable."""
        try:
            return _json(await self._http.get(path))
        except httpx.TransportError as fault:
            raise self.unreachable(fault) from fault

    async def write(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        answer_timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """What the write answers, its position remembered. Raises Refused, Unreachable."""
        content = b"" if body is None else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        timeout = httpx.Timeout(answer_timeout_s or self._timeout_s, connect=CONNECT_TIMEOUT_S)
        answer = _json(await self._patiently(method, path, content=content, headers=sent, timeout=timeout))
        if isinstance(answer, dict):
            known = cast("dict[str, Any]", answer)
            self.remember(known.get("position"))
            return known
        return {}

    def remember(self, position: object) -> None:
        """Reads from now on show at least this position of the log."""
        if isinstance(position, int):
            self.position = max(self.position, position)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        question: object = None,
        silence_s: float = STREAM_SILENCE_S,
        **query: Any,
    ) -> AsyncGenerator[httpx.Response]:
        """A response that is read as it comes; with a `question`, that is posted as JSON.

        Raises Refused, Unreachable, `httpx.TransportError` when it breaks.
        """
        timeout = httpx.Timeout(silence_s, connect=CONNECT_TIMEOUT_S)
        method, sent = ("GET", {}) if question is None else ("POST", {"Content-Type": "application/json"})
        async with self._http.stream(
            method,
            path,
            headers={**headers, **sent},
            params=query,
            content=None if question is None else msgspec.json.encode(question),
            timeout=timeout,
        ) as response:
            if response.is_error:
                await response.aread()
                self._check(response)
            self._has_answered = True
            yield response

    async def _patiently(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask; while a server that has answered before is away, ask again."""
        give_up_at = time.monotonic() + self._patience_s
        wait_s = RETRY_WAIT_S
        while True:
            try:
                response = await self._http.request(method, path, **request)
                self._check(response)
            except (httpx.TransportError, Unreachable) as fault:
                if not self._has_answered or time.monotonic() > give_up_at:
                    raise self.unreachable(fault) from fault
                await asyncio.sleep(wait_s)
                wait_s = min(RETRY_WAIT_MAX_S, wait_s * 2)
            else:
                return response

    def unreachable(self, fault: Exception) -> Unreachable:
        """The error that names the address and the next step."""
        if isinstance(fault, Unreachable):
            return fault
        reason = str(fault) or type(fault).__name__
        return Unreachable(
            f"no answer from {self.url} ({reason}): start `flowforge up` there, or name the right address "
            "with FLOWFORGE_URL or FLOWFORGE_HOME"
        )

    def _check(self, response: httpx.Response) -> None:
        """Raises Refused for a refusal, Unreachable while a service behind the address is away."""
        if response.status_code in _AWAY:
            problem = _problem(response)
            raise Unreachable(f"{self.url} answers {response.status_code}: {problem['detail']}; see `flowforge doctor`")
        self._has_answered = True
        if response.is_error:
            raise refusal(_problem(response))


def _json(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        kind = response.headers.get("content-type", "nothing named")
        raise Unreachable(
            f"{response.url.copy_with(query=None)} answers no JSON but {kind}: is this the address of FlowForge?"
        ) from fault


def _problem(response: httpx.Response) -> dict[str, object]:
    """The problem document of a refusal, made up where somebody else answered."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        problem = msgspec.json.decode(response.content)
        if isinstance(problem, dict):
            return {
                "status": response.status_code,
                "detail": response.reason_phrase,
                **cast("dict[str, object]", problem),
            }
    detail = response.text[:500].strip() or response.reason_phrase
    return {"status": response.status_code, "title": response.reason_phrase, "detail": detail}
