"""What each route may answer: what it gives, and every refusal with its reason."""

import re
from http import HTTPStatus
from typing import Any

from litestar.handlers import HTTPRouteHandler

from infra.documents.examples import Sampler
from infra.http.authentication import is_public
from infra.http.described import ANSWER_EXAMPLE, BODY, MADE_KEY, STREAM_KEY, TAGGED_KEY, VERSIONED_KEY
from infra.http.problems import MEDIA_TYPE, Problem

EVENT_STREAM = "text/event-stream"
_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
_REFUSALS: dict[int, tuple[str, Problem]] = {
    400: (
        "A value of the request makes no sense; `errors` names it",
        Problem(
            400,
            "query.limit: Expected `int` <= 1000",
            errors=[{"path": "query.limit", "message": "Expected `int` <= 1000"}],
        ),
    ),
    401: (
        "No key, or one that is unknown or was withdrawn",
        Problem(401, "a key is needed: `Authorization: Bearer <key>`", code="UNAUTHORIZED"),
    ),
    403: (
        "The role does not allow it",
        Problem(403, "this needs the role 'editor', ada has 'viewer'", code="FORBIDDEN"),
    ),
    404: ("There is no such thing", Problem(404, "there is no workflow 'nightly'", code="NOT_FOUND")),
    409: (
        "Not possible as things stand",
        Problem(409, "the run is completed: it cannot be paused", code="INVALID_FLOW_STATE"),
    ),
    412: (
        "`If-Match` names another version than the newest, which is `current_version`",
        Problem(
            412,
            "'nightly' is at version 4, not 3; read it again and save on top of that",
            code="VERSION_CHANGED",
            extra={"current_version": 4},
        ),
    ),
    413: (
        "The body is too large",
        Problem(413, "the request has 9000 KiB, the bus takes 1023 KiB", code="PAYLOAD_TOO_LARGE"),
    ),
    415: (
        "The body is of another media type, or compressed",
        Problem(415, "cannot read 'text/csv'; send application/json", code="UNSUPPORTED_MEDIA_TYPE"),
    ),
    422: (
        "The body is understood and cannot be carried out; `errors` names every place",
        Problem(
            422,
            "Expected `int`, got `str` (at $.priority)",
            code="INVALID",
            title="Invalid request",
            errors=[{"path": "$.priority", "message": "Expected `int`, got `str`"}],
        ),
    ),
    503: (
        "A part of FlowForge does not answer; ask again after `Retry-After` seconds",
        Problem(503, "the service 'catalog' does not answer; nothing is lost by asking again", code="UNAVAILABLE"),
    ),
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong with a request (RFC 9457); `errors` names each place and the reason.",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "To compare with, such as INPUT_INVALID or INVALID_FLOW_STATE"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "message": {"type": "string"},
                    "suggested_resolution": {"type": "string"},
                },
            },
        },
    },
}
_TOLD = re.compile(r"\b(4\d\d) ((?:(?!\b4\d\d\b)[^;.`]|`[^`]*`)+)")


def problem_responses() -> dict[str, Any]:
    """The components that refusals are described with."""
    return {
        "responses": {_name(status): _refusal(status, text) for status, (text, _) in _REFUSALS.items()},
        "examples": {
            _name(status): {"summary": problem.title, "value": problem.document()}
            for status, (_, problem) in _REFUSALS.items()
        },
    }


def problem_schema() -> dict[str, Any]:
    """The schema of a problem document."""
    return _PROBLEM


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")


def _refusal(status: int, text: str) -> dict[str, Any]:
    example = {"refused": {"$ref": f"#/components/examples/{_name(status)}"}}
    told: dict[str, Any] = {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": _PROBLEM_REF, "examples": example}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        told["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    if status == HTTPStatus.UNAUTHORIZED:
        told["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return told


def described_answers(
    operation: dict[str, Any],
    path: str,
    method: str,
    handler: HTTPRouteHandler,
    shape: dict[str, Any] | None,
    sampler: Sampler,
) -> None:
    """Puts the answers of a route into its description."""
    answers = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    text = operation.get("description", "")
    for answer in answers.values():
        answer.pop("headers", None)
        answer["description"] = _first_sentence(text)
        if shape is not None:
            answer["content"] = {"application/json": {"schema": shape}}
        _exemplify(answer, handler, sampler)
    if STREAM_KEY in handler.opt:
        _stream(answers, path, method)
    if shape is not None and "dry_run" in text:
        answers["200"] = answers["202"]
    if any(each["name"] == "If-None-Match" for each in operation["parameters"]):
        answers["304"] = {"description": "You have it already", "headers": _etag()}
    if headers := _headers(handler, is_tagged=TAGGED_KEY in handler.opt or "304" in answers):
        next(iter(answers.values()))["headers"] = headers
    answers.update(_refused(operation, path, method, handler))
    operation["responses"] = answers


def _headers(handler: HTTPRouteHandler, *, is_tagged: bool) -> dict[str, Any]:
    made = {"Location": {"description": "the address of what was made", "schema": {"type": "string"}}}
    return (made if MADE_KEY in handler.opt else {}) | (_etag() if is_tagged else {})


def _etag() -> dict[str, Any]:
    return {"ETag": {"description": "the version, for `If-Match`", "schema": {"type": "string"}}}


def _first_sentence(text: str) -> str:
    first = re.split(r"[.:;]\s", " ".join(text.split()), maxsplit=1)[0].rstrip(".")
    return first or "As asked for"


def _exemplify(answer: dict[str, Any], handler: HTTPRouteHandler, sampler: Sampler) -> None:
    for media_type, content in answer.get("content", {}).items():
        if not media_type.endswith("json"):
            continue
        example = handler.opt.get(ANSWER_EXAMPLE)
        content["example"] = sampler.of(content["schema"]) if example is None else example


def _stream(answers: dict[str, Any], path: str, method: str) -> None:
    example = 'event: RunStarted\nid: 4711\ndata: {"position": 4711, "type": "RunStarted", …}\n\n'
    streamed = {"schema": {"type": "string"}, "example": example}
    if method == "get":
        answers["200"]["content"] = {EVENT_STREAM: streamed}
    else:
        answers["200"]["content"][EVENT_STREAM] = {"schema": {"type": "string"}}
    if "{run_id}" in path:
        answers["204"] = {"description": "The run has ended, and `Last-Event-ID` is its ending: no need to come again"}


def _refused(operation: dict[str, Any], path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    """By the route's shape, and by what its text says of its own."""
    statuses = {400, 503}
    if not is_public(handler.opt):
        statuses |= {401, 403}
    if "{" in path:
        statuses |= {404}
    if method != "get":
        statuses |= {422}
    if BODY in handler.opt:
        statuses |= {413, 415}
    if VERSIONED_KEY in handler.opt:
        statuses |= {412}
    told = _told(operation.get("description", ""))
    answers: dict[str, Any] = {}
    for status in sorted(statuses | (told.keys() & _REFUSALS.keys())):
        if status in told:
            answers[str(status)] = _refusal(status, told[status])
        else:
            answers[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
    return answers


def _told(text: str) -> dict[int, str]:
    """What a description says of refusals: `409 where the id is taken, 422 with every fault`; `415 or 422 for …` is both."""
    told: dict[int, str] = {}
    several: list[int] = []
    for status, found in _TOLD.findall(text):
        reason = " ".join(found.split()).strip(" ,").removesuffix(" and").strip(" ,")
        several.append(int(status))
        if reason not in ("or", "and"):
            told.update(dict.fromkeys(several, reason[:1].upper() + reason[1:]))
            several = []
    return told
