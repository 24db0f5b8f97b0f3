"""Refusals as problem documents (RFC 9457): `type, title, status, detail, errors[]`, and `code` to compare with.

Handlers raise :class:`Problem`; everything else that can be raised becomes one in `exception_handlers`, so that no
client ever sees a stack trace. `errors[]` items have at least `path` and `message`.
"""

import logging
from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any, cast

import asyncpg
import msgspec
from flowforge.refusals import Refusal
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from infra.archive.catalogue import ArchiveUnreadable
from infra.eventlog import Unavailable
from infra.http.methods import methods_of, options

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
_NOT_ROUTED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
_log = logging.getLogger(__name__)
_BUG = "something went wrong here; the log of this service says what"

Fault = Mapping[str, Any]


class Problem(Exception):
    """Answer the request with this problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        title: str | None = None,
        errors: Sequence[Fault] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or HTTPStatus(status).phrase
        self.code = code or HTTPStatus(status).name
        self.errors = errors
        self.extra = extra or {}
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document."""
        return {
            **self.extra,
            "type": f"urn:flowforge:problem:{self.code.lower().replace('_', '-')}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": list(self.errors),
        }

    def response(self) -> Response[bytes]:
        """The document as an HTTP response."""
        body = msgspec.json.encode(self.document())
        return Response(body, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_found(what: str, name: object) -> Problem:
    """404: there is no such thing."""
    return Problem(404, f"there is no {what} '{name}'", code="NOT_FOUND")


def bad_request(path: str, message: str) -> Problem:
    """400: one value of the request makes no sense; `path` names it, such as `query.cursor`."""
    return Problem(400, f"{path}: {message}", code="BAD_REQUEST", errors=[{"path": path, "message": message}])


def unavailable(detail: str, retry_after_s: int = RETRY_AFTER_S) -> Problem:
    """503: asking again later may help."""
    return Problem(503, detail, code="UNAVAILABLE", headers={"Retry-After": str(retry_after_s)})


def of_refusal(refusal: Refusal) -> Problem:
    """The problem document of a refused command."""
    return Problem(
        refusal.status,
        refusal.detail,
        code=refusal.code,
        title=refusal.title,
        errors=refusal.errors,
        extra=refusal.extra,
        headers={"Retry-After": str(RETRY_AFTER_S)} if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else None,
    )


def _answer_problem(_: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return problem.response()


def _answer_http(request: Request[Any, Any, Any], fault: HTTPException) -> Response[bytes] | Response[None]:
    if fault.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer_bug(request, fault)
    methods = methods_of(request.url.path) if fault.status_code in _NOT_ROUTED else []
    if methods and request.method not in methods:
        return _not_allowed(request, methods)
    if methods and request.method == "OPTIONS":
        return options(request.url.path)
    detail = fault.detail or HTTPStatus(fault.status_code).phrase
    if fault.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:200]}; /schema describes what there is"
    errors = _faults(fault.extra)
    if errors:  # the framework's own sentence names method and address; what is wrong stands in the list
        detail = "; ".join(f"{error['path']}: {error['message']}" for error in errors)
    return Problem(fault.status_code, detail, errors=errors, headers=fault.headers).response()


def _not_allowed(request: Request[Any, Any, Any], methods: list[str]) -> Response[bytes]:
    detail = f"{request.method} is not known at this address; {', '.join(methods)} are"
    return Problem(405, detail, headers={"Allow": ", ".join(methods)}).response()


def _faults(extra: object) -> list[dict[str, str]]:
    if not isinstance(extra, list):
        return []
    faults = [cast("dict[str, Any]", item) for item in cast("list[object]", extra) if isinstance(item, dict)]
    return [
        {
            "path": ".".join(_word(part) for part in (fault.get("source"), fault.get("key")) if part),
            "message": str(fault.get("message", "")),
        }
        for fault in faults
    ]


def _word(part: object) -> str:
    return str(part.value if isinstance(part, Enum) else part)


def _answer_unavailable(request: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    _log.warning("%s %s: %s: %s", request.method, request.url.path, type(fault).__name__, fault)
    return unavailable("the database does not answer; try again").response()


def _answer_unstorable(_: Request[Any, Any, Any], __: Exception) -> Response[bytes]:
    return bad_request(
        "request", "a text in it has the character U+0000, which no name here has; leave it out"
    ).response()


def _answer_archive(_: Request[Any, Any, Any], fault: ArchiveUnreadable) -> Response[bytes]:
    return unavailable(str(fault)).response()


def _answer_bug(request: Request[Any, Any, Any], bug: Exception) -> Response[bytes]:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=bug)
    return Problem(500, _BUG, code="INTERNAL_ERROR").response()


exception_handlers: ExceptionHandlersMap = {
    Problem: _answer_problem,
    HTTPException: _answer_http,
    Unavailable: _answer_unavailable,
    ArchiveUnreadable: _answer_archive,
    OSError: _answer_unavailable,
    TimeoutError: _answer_unavailable,
    asyncpg.PostgresConnectionError: _answer_unavailable,
    asyncpg.InterfaceError: _answer_unavailable,
    asyncpg.InternalClientError: _answer_unavailable,
    asyncpg.exceptions.OperatorInterventionError: _answer_unavailable,
    asyncpg.exceptions.InsufficientResourcesError: _answer_unavailable,
    asyncpg.exceptions.CharacterNotInRepertoireError: _answer_unstorable,
    Exception: _answer_bug,
}
"""For `Litestar(exception_handlers=...)`: the one place where everything raised becomes an answer."""
