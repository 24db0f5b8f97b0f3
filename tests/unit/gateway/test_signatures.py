"""Who signed a delivery: each provider's way, held against the examples that they publish, and what does not pass."""

import base64
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from flowforge.definition import WebhookProvider
from standardwebhooks import Webhook

from services.gateway.signatures import Signed, Unsigned, verify

NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
TOLERANCE = timedelta(minutes=5)
STANDARD, PLAIN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "It's a Secret to Everybody"
BODY = '{"text":"Grüße",  "n":1}'.encode()


def checked(
    provider: WebhookProvider, secret: str | list[str], headers: dict[str, str], body: bytes = BODY, now: datetime = NOW
) -> Signed | Unsigned:
    return verify(provider, [secret] if isinstance(secret, str) else secret, headers, body, now, TOLERANCE)


def standard(secret: str = STANDARD, body: bytes = BODY, at: int = SECONDS, name: str = "msg_1") -> dict[str, str]:
    signature = Webhook(secret).sign(name, datetime.fromtimestamp(at, UTC), body.decode())
    return {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signature}


def hexed(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, sha256).hexdigest()


def github(secret: str = PLAIN, body: bytes = BODY) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={hexed(secret, body)}", "x-github-delivery": "72d3162e"}


def stripe(secret: str = PLAIN, body: bytes = BODY, at: int = SECONDS) -> dict[str, str]:
    return {"stripe-signature": f"t={at},v1={hexed(secret, b'%d.%s' % (at, body))},v0=ignored"}


def slack(secret: str = PLAIN, body: bytes = BODY, at: int = SECONDS) -> dict[str, str]:
    signature = f"v0={hexed(secret, b'v0:%d:%s' % (at, body))}"
    return {"x-slack-signature": signature, "x-slack-request-timestamp": str(at)}


SIGN: dict[WebhookProvider, Callable[..., dict[str, str]]] = {
    "standard": standard, "github": github, "stripe": stripe, "slack": slack,
}  # fmt: skip
SECRETS = {"standard": STANDARD, "github": PLAIN, "stripe": PLAIN, "slack": PLAIN}


def test_the_example_of_standard_webhooks():
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = checked("standard", STANDARD, headers, b'{"test": 2432232314}', at)
    assert isinstance(signed, Signed)
    assert signed.id == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_the_example_of_github():
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": signature, "x-github-delivery": "72d3162e"}
    assert isinstance(checked("github", PLAIN, headers, b"Hello, World!"), Signed)


def test_the_example_of_slack():
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "x-slack-request-timestamp": "1531420618",
    }
    at = datetime.fromtimestamp(1531420618, UTC)
    assert isinstance(checked("slack", "8f742231b10e8888abcd99yyyzzz85a5", headers, body, at), Signed)


@pytest.mark.parametrize("provider", SIGN)
def test_what_was_signed_with_the_secret_passes(provider: WebhookProvider):
    assert isinstance(checked(provider, SECRETS[provider], SIGN[provider]()), Signed)


@pytest.mark.parametrize("provider", SIGN)
@pytest.mark.parametrize(
    "body", [BODY + b" ", BODY.replace(b"  ", b" "), b"", b"\xff" + BODY, b"\xef\xbb\xbf" + BODY, BODY[:-1]]
)
def test_a_body_of_which_one_byte_is_another_does_not(provider: WebhookProvider, body: bytes):
    assert checked(provider, SECRETS[provider], SIGN[provider](), body) == Unsigned("signature")


@pytest.mark.parametrize("provider", SIGN)
def test_another_secret_does_not_and_no_secret_does_not(provider: WebhookProvider):
    other = "whsec_" + base64.b64encode(b"x" * 32).decode() if provider == "standard" else "another secret"
    assert checked(provider, other, SIGN[provider]()) == Unsigned("signature")
    assert checked(provider, [], SIGN[provider]()) == Unsigned("signature")


@pytest.mark.parametrize("provider", SIGN)
def test_each_of_several_secrets_counts(provider: WebhookProvider):
    other = "whsec_" + base64.b64encode(b"x" * 32).decode() if provider == "standard" else "another secret"
    assert isinstance(checked(provider, [other, SECRETS[provider]], SIGN[provider]()), Signed)


@pytest.mark.parametrize("provider", ["standard", "stripe", "slack"])
@pytest.mark.parametrize(
    ("seconds", "passes"), [(-300, True), (300, True), (-301, False), (301, False), (-9_999, False)]
)
def test_a_time_may_be_so_far_from_now_either_way(provider: WebhookProvider, seconds: int, passes: bool):
    given = checked(provider, SECRETS[provider], SIGN[provider](at=SECONDS + seconds))
    assert isinstance(given, Signed) if passes else given == Unsigned("timestamp")


@pytest.mark.parametrize("provider", ["standard", "stripe", "slack"])
def test_nobody_learns_that_a_time_is_stale_who_cannot_sign(provider: WebhookProvider):
    assert checked(provider, [], SIGN[provider](at=SECONDS - 9_999)) == Unsigned("signature")


@pytest.mark.parametrize(
    ("provider", "name", "value"),
    [
        ("standard", "webhook-id", "msg_2"),
        ("standard", "webhook-timestamp", str(SECONDS + 1)),
        ("standard", "webhook-signature", "v1,"),
        ("standard", "webhook-signature", "v1a,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
        ("standard", "webhook-signature", "nonsense"),
        ("standard", "webhook-signature", "v1,ünsinn"),
        ("github", "x-hub-signature-256", "sha256="),
        ("github", "x-hub-signature-256", "sha256=" + "0" * 64),
        ("slack", "x-slack-request-timestamp", str(SECONDS + 1)),
        ("slack", "x-slack-signature", "v0="),
        ("stripe", "stripe-signature", f"t={SECONDS},v1=00"),
    ],
)
def test_what_was_changed_on_the_way_does_not_fit(provider: WebhookProvider, name: str, value: str):
    headers = {**SIGN[provider](), name: value}
    assert checked(provider, SECRETS[provider], headers) == Unsigned("signature")


@pytest.mark.parametrize(
    ("provider", "name", "value"),
    [
        ("standard", "webhook-id", ""),
        ("standard", "webhook-id", "a.1"),
        ("standard", "webhook-id", "x" * 256),
        ("standard", "webhook-id", "a b"),
        ("standard", "webhook-timestamp", ""),
        ("standard", "webhook-timestamp", "now"),
        ("standard", "webhook-timestamp", "-1"),
        ("standard", "webhook-timestamp", f"0{SECONDS}"),
        ("standard", "webhook-timestamp", "1e9"),
        ("standard", "webhook-timestamp", "9" * 12),
        ("standard", "webhook-signature", ""),
        ("github", "x-hub-signature-256", "sha1=0"),
        ("github", "x-github-delivery", ""),
        ("stripe", "stripe-signature", ""),
        ("stripe", "stripe-signature", "t=1"),
        ("stripe", "stripe-signature", "v1=1"),
        ("stripe", "stripe-signature", "t=1,t=2,v1=1"),
        ("slack", "x-slack-signature", "v1=0"),
        ("slack", "x-slack-request-timestamp", "²"),
    ],
)
def test_headers_that_are_missing_or_make_no_sense_are_told_apart(provider: WebhookProvider, name: str, value: str):
    headers = {**SIGN[provider](), name: value}
    assert checked(provider, SECRETS[provider], headers) == Unsigned("headers")
    assert checked(provider, SECRETS[provider], {}) == Unsigned("headers")


def test_one_good_signature_among_several_is_enough():
    headers = standard()
    headers["webhook-signature"] = f"v1,AAAA v2,{'x' * 40} {headers['webhook-signature']}"
    assert isinstance(checked("standard", STANDARD, headers), Signed)
    two = stripe()
    two["stripe-signature"] = two["stripe-signature"].replace("v1=", "v1=00,v1=")
    assert isinstance(checked("stripe", PLAIN, two), Signed)


def test_a_secret_without_the_prefix_is_taken_as_it_stands_and_as_base64():
    bare = STANDARD.removeprefix("whsec_")
    assert isinstance(checked("standard", bare, standard()), Signed)

    def as_it_stands(secret: str) -> dict[str, str]:
        return standard("whsec_" + base64.b64encode(secret.encode()).decode())

    for secret in (bare, PLAIN, "topsecret", "c2hvcnQ="):
        assert isinstance(checked("standard", secret, as_it_stands(secret)), Signed), secret
    short = Webhook(b"short").sign("msg_1", NOW, BODY.decode())
    assert checked("standard", "c2hvcnQ=", {**standard(), "webhook-signature": short}) == Unsigned("signature")


def test_the_id_is_the_one_that_the_provider_gives():
    given: dict[Any, Any] = {provider: checked(provider, SECRETS[provider], SIGN[provider]()) for provider in SIGN}
    assert {provider: signed.id for provider, signed in given.items()} == {
        "standard": "msg_1", "github": "72d3162e", "stripe": "", "slack": "",
    }  # fmt: skip


@pytest.mark.parametrize("secret", ["whsec_5f1a9c0e7d3b", "whsec_not base64", "whsec_"])
def test_a_secret_of_another_provider_verifies_as_a_text(secret: str):
    as_text = "whsec_" + base64.b64encode(secret.encode()).decode()
    assert isinstance(checked("standard", secret, standard(as_text)), Signed)
