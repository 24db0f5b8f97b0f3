"""Bodies of requests: read once, refused with the place of what is wrong."""

import asyncio
import re
from typing import Any, TypeVar, cast

import msgspec
from flowforge.definition import from_text
from flowforge.errors import DefinitionInvalid
from litestar import Request

from infra.http.problems import Problem
from services.gateway.settings import json_depth_max, yaml_values_max

Shape = TypeVar("Shape")
JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
DEFINITION_TYPES = ("application/json", "application/yaml")
"""As what a definition is best sent."""

_BYTE = re.compile(r"\(byte (\d+)\)")
_AT_PATH = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""One that does not end goes to the end of the text: nothing is looked at twice, whatever is sent."""
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BOM = b"\xef\xbb\xbf"
AnyRequest = Request[Any, Any, Any]


async def json_body(request: AnyRequest, accepted: frozenset[str] = JSON_TYPES) -> bytes:
    """The body, which is whole and sound JSON. Raises a 400 or 415 `Problem`."""
    _check_type(request, accepted)
    body = await request.body()
    text = body.removeprefix(_BOM)
    check_json(text)
    return text


async def definition_body(request: AnyRequest) -> bytes:
    """A definition as JSON, whether it came as JSON or as YAML. Raises a 400 or 415 `Problem`."""
    if _media_type(request) not in YAML_TYPES:
        return await json_body(request, JSON_TYPES | YAML_TYPES)
    _check_type(request, YAML_TYPES)
    body = await request.body()
    try:
        text = await asyncio.to_thread(_json_of_yaml, body.removeprefix(_BOM))
    except (DefinitionInvalid, ValueError, RecursionError, TypeError) as fault:
        message = fault.message if isinstance(fault, DefinitionInvalid) else f"no YAML document: {fault}"
        path = fault.path if isinstance(fault, DefinitionInvalid) else "$"
        raise _broken(message, path) from fault
    _check_depth(text)
    return text


def _json_of_yaml(body: bytes) -> bytes:
    document = from_text(body)
    if _values_count(document, {}) > yaml_values_max:
        raise ValueError(f"it has more than {yaml_values_max} values, its aliases written out")
    return msgspec.json.encode(document)


def _values_count(value: object, known: dict[int, int]) -> int:
    """How many values it has once every alias is written out; each part is looked at once."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        parts = cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
        known[id(value)] = 1 + sum(_values_count(part, known) for part in parts)
    return known[id(value)]


def shaped(body: bytes, kind: type[Shape]) -> Shape:
    """The body as `kind`, an empty one as an empty object. Raises a 422 `Problem` with the path of the misfit."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as fault:
        match = _AT_PATH.match(str(fault))
        message, path = (match["message"], match["path"] or "$") if match else (str(fault), "$")
        error = {"path": path, "message": message}
        raise Problem(422, f"{message} (at {path})", code="INVALID", title="Invalid request", errors=[error]) from fault


def check_json(body: bytes) -> None:
    """Raises a 400 `Problem` for what is no JSON, and for JSON that is nested too deep. No body at all is none."""
    if not body:
        return
    _check_depth(body)
    try:
        msgspec.json.decode(body)
    except UnicodeDecodeError as fault:
        raise _broken(f"the body is no UTF-8 text: {fault.reason} at byte {fault.start}", "$") from fault
    except msgspec.DecodeError as fault:
        raise _malformed(body, str(fault)) from fault
    except RecursionError as fault:
        raise _too_deep() from fault


def _malformed(body: bytes, message: str) -> Problem:
    match = _BYTE.search(message)
    offset = int(match[1]) if match else len(body)
    line = body.count(b"\n", 0, offset) + 1
    column = offset - (body.rfind(b"\n", 0, offset) + 1) + 1
    words = _BYTE.sub("", message).removeprefix("JSON is malformed: ").strip()
    words = "it ends too early" if message == "Input data was truncated" and offset == len(body) else words
    return _broken(f"the body is no JSON: {words} at line {line}, column {column}", "$", line=line, column=column)


def _broken(message: str, path: str, **position: int) -> Problem:
    error = {"path": path, "message": message, **position}
    return Problem(400, message, code="MALFORMED", title="Malformed request", errors=[error])


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= json_depth_max:
        return
    depth = 0
    for byte in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        if depth > json_depth_max:
            raise _too_deep()


def _too_deep() -> Problem:
    return _broken(f"the body is nested deeper than {json_depth_max} levels", "$")


def _media_type(request: AnyRequest) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_type(request: AnyRequest, accepted: frozenset[str]) -> None:
    media_type = _media_type(request)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "compressed bodies are not read; send it as it is", code="UNSUPPORTED_MEDIA_TYPE")
    if media_type and media_type not in accepted:
        kinds = ", ".join(sorted(accepted))
        raise Problem(415, f"cannot read '{media_type}'; send {kinds}", code="UNSUPPORTED_MEDIA_TYPE")
