"""What a delivery to a webhook says, once its signature is known to be good: its id, its data, its kind (pure)."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from flowforge.definition import WebhookProvider
from flowforge.raw import NULL

from infra.http.problems import Problem
from services.gateway.body import check_json
from services.gateway.settings import delivery_id_chars_max, form_fields_max
from services.gateway.signatures import Signed

FORM = "application/x-www-form-urlencoded"
DELIVERY_TYPES = ("application/json", FORM)
_BOM = b"\xef\xbb\xbf"


class Delivery(msgspec.Struct, frozen=True):
    """One delivery. `subject` is what the provider says it is about, in a header (GitHub's event, such as `push`)."""

    id: str
    data: msgspec.Raw
    subject: str | None = None


class Challenge(msgspec.Struct, frozen=True):
    """Slack asks whether this address is ours: it is to be given back."""

    challenge: str


class _StripeEvent(msgspec.Struct):
    id: str


class _SlackEvent(msgspec.Struct):
    type: str = ""
    event_id: str = ""
    challenge: str = ""


def read(
    provider: WebhookProvider, headers: Mapping[str, str], body: bytes, signed: Signed
) -> Delivery | Challenge:  # fmt: skip
    """The delivery. Raises a 415 or 422 `Problem` for a body that is no JSON, or has no id where the provider has one."""
    data = _data(provider, headers, body)
    if provider == "stripe":
        return Delivery(_id(_shaped(data, _StripeEvent).id), data)
    if provider == "slack":
        event = _shaped(data, _SlackEvent)
        if event.type == "url_verification" and event.challenge:
            return Challenge(event.challenge)
        return Delivery(_id(event.event_id or signed.signature), data)
    subject = headers.get("x-github-event") if provider == "github" else None
    return Delivery(signed.id, data, subject[:delivery_id_chars_max] if subject else None)


def _data(provider: WebhookProvider, headers: Mapping[str, str], body: bytes) -> msgspec.Raw:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == FORM and provider in ("github", "slack"):
        body = _from_form(provider, body)
    return _json(media_type, body)


def _json(media_type: str, body: bytes) -> msgspec.Raw:
    body = body.removeprefix(_BOM)
    try:
        check_json(body or b" ")
    except Problem as fault:
        if media_type and not media_type.endswith(("/json", "+json")):
            raise Problem(
                415, f"the body is no JSON, and '{media_type}' is not read here", code="UNSUPPORTED_MEDIA_TYPE"
            ) from None
        raise Problem(422, fault.detail, code="INVALID", title="Invalid body", errors=fault.errors) from None
    return msgspec.Raw(body)


def any_body(content_type: str, body: bytes) -> msgspec.Raw:
    """What was posted by whoever it was: JSON, or a form as an object of its fields; nothing is null.

    Raises a 415 or 422 `Problem`.
    """
    if content_type.partition(";")[0].strip().lower() == FORM:
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=form_fields_max)
        except ValueError as fault:
            raise _invalid(f"the body is no form: {fault}") from fault
        return msgspec.Raw(msgspec.json.encode(dict(fields)))
    return _json(content_type.partition(";")[0].strip().lower(), body) if body else NULL


def _from_form(provider: WebhookProvider, body: bytes) -> bytes:
    """GitHub's and Slack's forms carry JSON in `payload`; a slash command of Slack's is the form itself."""
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=form_fields_max))
    except ValueError as fault:
        raise _invalid(f"the body is no form: {fault}") from fault
    if "payload" in fields:
        return fields["payload"].encode()
    if provider == "slack" and fields:
        return msgspec.json.encode(fields)
    raise _invalid("a form has its JSON in the field `payload`")


def _shaped(data: msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as fault:
        raise _invalid(f"the body is no event of this provider: {fault}") from fault


def _id(given: str) -> str:
    if not 0 < len(given) <= delivery_id_chars_max or not given.isprintable():
        raise _invalid(f"the event's id has 1 to {delivery_id_chars_max} printable characters")
    return given


def _invalid(message: str) -> Problem:
    error = cast("dict[str, Any]", {"path": "$", "message": message})
    return Problem(422, message, code="INVALID", title="Invalid body", errors=[error])
