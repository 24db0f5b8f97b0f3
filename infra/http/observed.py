"""What is seen of each request from outside its handler: how long it took, and, where traces are recorded, a span."""

import random
import time
from collections.abc import Callable
from typing import Any

from flowforge.tracing import about
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from infra.http.problems import Problem
from infra.telemetry import Kind, TraceContext, Tracing
from infra.telemetry.logs import trace_of
from infra.telemetry.measures import MEASURES
from infra.telemetry.tracing import new_span

DURATION = "http_request_duration_seconds"
_TRACE = "flowforge_traceparent"
_EVENT_STREAM = b"text/event-stream"
_SERVER_ERROR = 500


class Observed(ASGIMiddleware):
    """Middleware, the first of all. `begins`: whether a request without a trace may begin one; others are followed."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, tracing: Callable[[], Tracing | None], *, begins: bool) -> None:
        self._tracing = tracing
        self._begins = begins

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Measure one request; of a stream, how long it took to begin."""
        seen = _Seen(send)
        tracing = self._tracing()
        began_ns, parent, own = 0, None, None
        about.set(_about(scope))
        if tracing is not None:
            began_ns = time.time_ns()
            parent, own = self._trace(tracing, scope)
        try:
            await next_app(scope, receive, seen.send)
        except Problem as problem:
            seen.status = problem.status
            raise
        except HTTPException as fault:
            seen.status = fault.status_code
            raise
        finally:
            seen.is_over()
            method, route, status = str(scope.get("method")), scope["path_template"], seen.status or _SERVER_ERROR
            MEASURES.time(DURATION, seen.took_s, method=method, route=route, status=f"{status // 100}xx")
            if tracing is not None and own is not None:
                tracing.record(
                    f"{method} {route}", own, parent, began_ns=began_ns, kind=Kind.SERVER,
                    attributes={"http.request.method": method, "http.route": route, "http.response.status_code": status},
                    error=str(status) if status >= _SERVER_ERROR else None,
                )  # fmt: skip

    def _trace(self, tracing: Tracing, scope: Scope) -> tuple[TraceContext | None, TraceContext | None]:
        """The span that the request is sent along by, and its own; neither where its trace is not recorded."""
        given = _header(scope, b"traceparent")
        parent = tracing.followed(given)
        if parent is not None:
            own = parent.child(new_span())
        elif given is None and self._begins and tracing.sampling.takes(trace_id := random.getrandbits(128) or 1):
            own = TraceContext(trace_id, new_span())
        else:
            return None, None
        scope[_TRACE] = own.traceparent  # type: ignore[literal-required]  # a name of ours in the scope
        return parent, own


def traceparent_of(request: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """What is to be sent along with whatever the request asks for: its own span, else what it came with."""
    own: Any = request.scope.get(_TRACE)
    return own or request.headers.get("traceparent")


class _Seen:
    """What goes back to the client."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self.took_s = 0.0
        self._send = send
        self._began = time.perf_counter()
        self._is_stream = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_stream = any(
                name.lower() == b"content-type" and value.startswith(_EVENT_STREAM)
                for name, value in message["headers"]
            )
            self.took_s = time.perf_counter() - self._began
        await self._send(message)

    def is_over(self) -> None:
        if not self._is_stream:
            self.took_s = time.perf_counter() - self._began


def _about(scope: Scope) -> dict[str, str]:
    """What the log records of a request are about."""
    told = {
        "method": str(scope.get("method")),
        "route": scope["path_template"],
        **trace_of(_header(scope, b"traceparent")),
    }
    run_id = scope["path_params"].get("run_id")
    return told if run_id is None else {**told, "run_id": str(run_id)}


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted), None)
