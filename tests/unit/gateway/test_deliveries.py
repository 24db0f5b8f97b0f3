"""What a delivery says: JSON however it travels, its id and its kind; and the counts of those turned away."""

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from flowforge.definition import WebhookProvider

from infra.http.problems import Problem
from services.gateway.deliveries import Challenge, Delivery, read
from services.gateway.settings import rejections_told_every_s
from services.gateway.signatures import Signed
from services.gateway.webhooks import Rejections

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def delivery(
    provider: WebhookProvider, body: bytes | str, media_type: str = JSON, **headers: str
) -> Delivery | Challenge:
    named = {"content-type": media_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = body.encode() if isinstance(body, str) else body
    return read(provider, named, raw, Signed("5ca1ab1e", "d1"))


def plain(found: Delivery | Challenge) -> tuple[str, Any]:
    assert isinstance(found, Delivery)
    return found.id, msgspec.json.decode(found.data)


@pytest.mark.parametrize("media_type", [JSON, "application/vnd.github+json; charset=utf-8", "", "text/plain", FORM])
def test_json_is_json_whatever_it_is_called(media_type: str):
    assert plain(delivery("standard", '\ufeff{"a": 1}', media_type)) == ("d1", {"a": 1})


def test_a_form_carries_json_in_its_payload():
    body = urlencode({"payload": '{"ref": "refs/heads/main"}'})
    assert plain(delivery("github", body, FORM, x_github_event="push")) == ("d1", {"ref": "refs/heads/main"})
    assert plain(delivery("slack", urlencode({"payload": '{"type": "block_actions"}'}), FORM)) == (
        "5ca1ab1e", {"type": "block_actions"},
    )  # fmt: skip


def test_a_slash_command_is_the_form_itself():
    assert plain(delivery("slack", "command=%2Fdeploy&text=&user_id=U1", FORM)) == (
        "5ca1ab1e", {"command": "/deploy", "text": "", "user_id": "U1"},
    )  # fmt: skip


def test_the_ids_of_stripe_and_slack_stand_in_the_body():
    assert plain(delivery("stripe", '{"id": "evt_1", "type": "charge.succeeded"}'))[0] == "evt_1"
    assert plain(delivery("slack", '{"type": "event_callback", "event_id": "Ev08"}'))[0] == "Ev08"


def test_the_kind_of_a_github_delivery_is_its_subject():
    found = delivery("github", "{}", x_github_event="push")
    assert isinstance(found, Delivery)
    assert found.subject == "push"


def test_slacks_challenge_is_to_be_given_back():
    body = '{"type": "url_verification", "token": "t", "challenge": "3eZbrw1a"}'
    assert delivery("slack", body) == Challenge("3eZbrw1a")
    assert isinstance(delivery("standard", body), Delivery)


@pytest.mark.parametrize(
    ("provider", "body", "media_type", "status"),
    [
        ("standard", "", JSON, 422),
        ("standard", "{", JSON, 422),
        ("standard", "{", "", 422),
        ("standard", b'"\xff"', JSON, 422),
        ("standard", "[" * 300 + "]" * 300, JSON, 422),
        ("standard", "a=1", FORM, 415),
        ("standard", "<a/>", "application/xml", 415),
        ("github", "a=1", FORM, 422),
        ("github", b"payload=%ff", FORM, 415),
        ("github", "payload={", FORM, 415),
        ("slack", b"\xff", FORM, 422),
        ("slack", "&".join(f"a{n}=1" for n in range(1_001)), FORM, 422),
        ("stripe", "{}", JSON, 422),
        ("stripe", "[]", JSON, 422),
        ("stripe", '{"id": ""}', JSON, 422),
        ("stripe", '{"id": "a\\u0000b"}', JSON, 422),
        ("slack", "1", JSON, 422),
    ],
)
def test_what_is_no_delivery_is_refused(provider: WebhookProvider, body: str | bytes, media_type: str, status: int):
    with pytest.raises(Problem) as told:
        delivery(provider, body, media_type)
    assert told.value.status == status, told.value.detail


def test_the_first_rejection_is_told_at_once_and_further_ones_after_a_while():
    rejections = Rejections()
    rejections.note(("w", "t"), "signature")
    [first] = rejections.due(0.0)
    assert (first.workflow_id, first.trigger_id, first.reasons) == ("w", "t", {"signature": 1})
    assert rejections.due(1.0) == [first], "unanswered, it is told again as it was"
    rejections.told(first)
    for reason in ("signature", "timestamp", "signature"):
        rejections.note(("w", "t"), reason)
    rejections.note(("w", "u"), "headers")
    [other] = rejections.due(2.0)
    assert other.trigger_id == "u"
    rejections.told(other)
    [later] = rejections.due(rejections_told_every_s)
    assert later.reasons == {"signature": 2, "timestamp": 1}
    assert later.command_id != first.command_id
