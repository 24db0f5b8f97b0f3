"""Why a command was not carried out: adjectives and participles, each with an HTTP status and a plain sentence."""

from typing import Any

import msgspec

ExpectedVersion = int | list[int] | None
"""What `If-Match` named: a version, or several of which one has to be the newest; None: whichever it is."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer that is final: asking again changes nothing. Becomes an RFC 9457 problem document."""

    code: str
    status: int
    title: str
    detail: str
    errors: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}


def not_found(what: str, name: str) -> Refusal:
    return Refusal(code="NOT_FOUND", status=404, title="Not found", detail=f"there is no {what} '{name}'")


def already_exists(what: str, name: str) -> Refusal:
    return Refusal(
        code="ALREADY_EXISTS",
        status=409,
        title="Already exists",
        detail=f"a {what} '{name}' exists already; PUT saves a new version of it",
    )


def is_expected(version: int, expected: ExpectedVersion) -> bool:
    """Whether a thing at this version may be changed on that condition."""
    return expected is None or version in (expected if isinstance(expected, list) else (expected,))


def version_changed(name: str, expected: ExpectedVersion, actual: int) -> Refusal:
    wanted = " or ".join(map(str, expected)) if isinstance(expected, list) else str(expected)
    return Refusal(
        code="VERSION_CHANGED",
        status=412,
        title="Changed by somebody else",
        detail=f"'{name}' is at version {actual}, not {wanted}; read it again and save on top of that",
        extra={"current_version": actual},
    )


def invalid(title: str, detail: str, errors: list[dict[str, Any]], **extra: Any) -> Refusal:
    return Refusal(code="INVALID", status=422, title=title, detail=detail, errors=errors, extra=extra)


def input_invalid(detail: str, errors: list[dict[str, Any]]) -> Refusal:
    return Refusal(code="INPUT_INVALID", status=422, title="Input invalid", detail=detail, errors=errors)


def invalid_state(detail: str) -> Refusal:
    return Refusal(code="INVALID_FLOW_STATE", status=409, title="Not possible in this state", detail=detail)


def forbidden(detail: str) -> Refusal:
    return Refusal(code="FORBIDDEN", status=403, title="Not allowed", detail=detail)


def running_already(detail: str, run_ids: list[str]) -> Refusal:
    return Refusal(
        code="CONCURRENT_EXECUTION_CONFLICT",
        status=409,
        title="Running already",
        detail=detail,
        extra={"run_ids": run_ids},
    )


def too_large(detail: str) -> Refusal:
    return Refusal(code="PAYLOAD_TOO_LARGE", status=413, title="Payload too large", detail=detail)


def unavailable(detail: str) -> Refusal:
    return Refusal(code="UNAVAILABLE", status=503, title="Temporarily unavailable", detail=detail)


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a command that was carried out."""

    ok: dict[str, Any]


class Rejected(msgspec.Struct, frozen=True):
    """The answer to a command that was refused."""

    refused: Refusal
