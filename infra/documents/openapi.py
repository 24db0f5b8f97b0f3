"""One OpenAPI document out of those of the reads and of the writes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from infra.documents.schemas import schemas
from infra.http.authentication import is_public
from infra.http.described import BODY

REF = "#/components/schemas/{name}"
SCHEMA = "/schema"
"""Documents are not among what they describe."""
_METHODS = ("get", "put", "post", "delete", "patch")
_DESCRIPTION = """\
Workflows that events start, with every decision on record.

Every read takes `?after=<position>`: it is answered once the read models have what was logged there, so that you see what you
have just written. A write is answered once its event is in the log, with its `position`, and takes an `Idempotency-Key`, under
which it is carried out once. Errors are problem documents (RFC 9457). Lists are `{items, next_cursor}`, newest first.
"""
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong with a request (RFC 9457); `errors` names each place and the reason.",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:flowforge:problem:not-found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["NOT_FOUND"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_ACCEPTED: dict[str, Any] = {
    "type": "object",
    "description": "What was done; `position` is that of its event in the log, for `?after=`.",
    "properties": {"position": {"type": "integer"}},
    "additionalProperties": True,
}
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key, actor and route within seven days: the first answer again, and nothing is done twice.",
    "schema": {"type": "string", "maxLength": 255},
}
_AFTER: dict[str, Any] = {
    "name": "after",
    "in": "query",
    "description": "Wait until the read models have what was logged at this position.",
    "schema": {"type": "integer", "minimum": 0},
}


def document(reads: Litestar, writes: Litestar, version: str) -> dict[str, Any]:
    """Everything that HTTP clients may ask for."""
    whole = reads.openapi_schema.to_schema()
    written = writes.openapi_schema.to_schema()
    components: dict[str, Any] = {**whole["components"]["schemas"], "Problem": _PROBLEM, "Accepted": _ACCEPTED}
    bodies = _bodies(writes, components)
    paths: dict[str, Any] = whole["paths"]
    for path, item in written["paths"].items():
        paths.setdefault(path, {}).update(item)
    paths = {path: item for path, item in paths.items() if not path.startswith(SCHEMA)}
    for path, method, operation in _operations(paths):
        _describe(operation, method, bodies.get((path, method)), is_open=(path, method) in _open_routes(reads, writes))
    return {
        "openapi": "3.1.0",
        "info": {"title": "FlowForge", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _bodies(writes: Litestar, components: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The schema of each body; what they are made of joins the components."""
    shapes = {(path, method): handler.opt[BODY] for path, method, handler in _handlers(writes) if BODY in handler.opt}
    found, parts = schemas(shapes.values(), REF)
    components.update(parts)
    return dict(zip(shapes, found, strict=True))


def _open_routes(*apps: Litestar) -> set[tuple[str, str]]:
    return {(path, method) for app in apps for path, method, handler in _handlers(app) if is_public(handler.opt)}


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in cast("Iterable[Any]", getattr(route, "route_handlers", ())):
            for method in handler.http_methods if isinstance(handler, HTTPRouteHandler) else ():
                yield route.path_format, method.lower(), handler


def _describe(operation: dict[str, Any], method: str, body: dict[str, Any] | None, *, is_open: bool) -> None:
    operation.pop("deprecated", None)
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    parameters.append(_AFTER if method == "get" else _IDEMPOTENCY_KEY)
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if is_open:
        operation["security"] = []
    answers: dict[str, Any] = operation["responses"]
    for status in [status for status in answers if status.startswith(("4", "5"))]:
        del answers[status]
    for status, answer in answers.items():
        if method != "get" and status.startswith("2"):
            answer["content"] = {"application/json": {"schema": {"$ref": REF.format(name="Accepted")}}}
    problem = {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}}
    answers["4XX"] = {"description": "Refused, and why", "content": problem}
    answers["503"] = {"description": "A part of FlowForge does not answer; ask again", "content": problem}
