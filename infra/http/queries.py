"""A query parameter that nobody reads is a mistake of the caller, and is told, with what would have been understood."""

import difflib
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import ParameterKwarg

from infra.http.problems import Problem

_NOT_QUERY = frozenset({"self", "request", "state", "headers", "cookies", "scope", "socket", "data", "body", "query"})


def only_known_queries(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard for a whole app: 400 for query parameters that neither the handler nor `opt["also_queries"]` declares."""
    given = set(connection.query_params)
    if not given:
        return
    known = _declared(handler) - set(connection.path_params) | set(handler.opt.get("also_queries", ()))
    unknown = sorted(given - known)
    if unknown:
        faults = [{"path": f"query.{name}", "message": _hint(name, known)} for name in unknown]
        raise Problem(400, f"unknown query parameter '{unknown[0]}'", code="BAD_REQUEST", errors=faults)


def _declared(handler: BaseRouteHandler) -> set[str]:
    names: set[str] = set()
    dependencies = handler.resolve_dependencies()
    for name, field in handler.parsed_fn_signature.parameters.items():
        if name in _NOT_QUERY or name in dependencies:
            continue
        kwarg = field.kwarg_definition
        if not isinstance(kwarg, ParameterKwarg):
            names.add(name)
        elif not (kwarg.header or kwarg.cookie):
            names.add(kwarg.query or name)
    return names


def _hint(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"unknown; did you mean '{close[0]}'?"
    return f"unknown; known here: {', '.join(sorted(known))}" if known else "unknown; nothing can be asked here"
