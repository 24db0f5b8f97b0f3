"""A query parameter that nobody reads is a mistake of the caller, and is told, with what would have been understood."""

import difflib
import re
from datetime import datetime
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from infra.http.problems import Problem, bad_request

_NUMBER = re.compile(r"[+-]?[0-9.eE+-]*[0-9.]")
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
    for name in given:
        _check_value(connection, handler, name)


def _check_value(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler, name: str) -> None:
    """What the framework would quietly take: the last of several values, and `null` for none at all."""
    values = connection.query_params.getall(name)
    if len(values) > 1:
        raise bad_request(f"query.{name}", f"given {len(values)} times; one value is taken")
    if values[0] == "null" and name not in _texts(handler):
        raise bad_request(f"query.{name}", "null is no value; leave the parameter out")
    if _NUMBER.fullmatch(values[0]) and name in _times(handler):
        raise bad_request(f"query.{name}", "a number is no time; write it as 2026-01-31T12:00:00Z")


def _texts(handler: BaseRouteHandler) -> set[str]:
    """Parameters that may be any text, `null` too."""
    fields = handler.parsed_fn_signature.parameters.items()
    return {
        _query_name(name, field)
        for name, field in fields
        if field.has_inner_subclass_of(str) or field.annotation is str
    }


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
            names.add(_query_name(name, field))
    return names


def _times(handler: BaseRouteHandler) -> set[str]:
    fields = handler.parsed_fn_signature.parameters.items()
    return {_query_name(name, field) for name, field in fields if field.has_inner_subclass_of(datetime)}


def _query_name(name: str, field: FieldDefinition) -> str:
    kwarg = field.kwarg_definition
    return (kwarg.query if isinstance(kwarg, ParameterKwarg) else None) or name


def _hint(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"unknown; did you mean '{close[0]}'?"
    return f"unknown; known here: {', '.join(sorted(known))}" if known else "unknown; nothing can be asked here"
