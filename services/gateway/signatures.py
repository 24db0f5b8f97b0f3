"""Whether a delivery to a webhook was signed by who knows the secret, and lately (pure).

Each provider signs in its own way, always HMAC-SHA256 over the exact bytes of the body:

    standard  Standard Webhooks 1.0: `{webhook-id}.{webhook-timestamp}.{body}`, base64, several signatures
    github    `X-Hub-Signature-256: sha256=<hex>` over the body; neither the delivery's id nor its time is signed
    stripe    `Stripe-Signature: t=<time>,v1=<hex>,…` over `{t}.{body}`
    slack     `X-Slack-Signature: v0=<hex>` over `v0:{X-Slack-Request-Timestamp}:{body}`

Signatures are compared in constant time. The signature is looked at before the time, so that only somebody who knows
the secret learns that a delivery was stale.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

import msgspec
from flowforge.definition import WebhookProvider
from standardwebhooks import Webhook

from services.gateway.settings import delivery_id_chars_max

Reason = Literal["headers", "signature", "timestamp"]
STANDARD_PREFIX = "whsec_"
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
_SECONDS = re.compile(r"[1-9][0-9]{0,10}")
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]+")
"""Printable and without a full stop, which separates the id from what follows it (Standard Webhooks 1.0)."""


class Signed(msgspec.Struct, frozen=True):
    """The signature is good. `id` is the provider's name for the delivery where a header gives one; `signature` the one
    that fits."""

    signature: str
    id: str = ""


class Unsigned(msgspec.Struct, frozen=True):
    """The delivery is turned away: a header is missing or makes no sense, no signature fits, or its time is off."""

    reason: Reason


class _Claim(msgspec.Struct, frozen=True):
    """What the headers claim: signatures, of which one must be `expected` with a secret that is accepted."""

    signatures: Sequence[str]
    signed: bytes
    sent_at: datetime | None = None
    id: str = ""


def verify(
    provider: WebhookProvider,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta,
) -> Signed | Unsigned:
    """Whether one of the secrets signed this. `headers` have lower-case names. A time is good up to `tolerance`."""
    claim = _READ[provider](headers, body)
    if claim is None:
        return Unsigned("headers")
    expected = [
        signature
        for secret in secrets
        for signature in (_standard(secret, claim, body) if provider == "standard" else [_hex(secret, claim)])
    ]
    fitting = [given for given in claim.signatures for right in expected if _is_same(given, right)]
    if not fitting:
        return Unsigned("signature")
    if claim.sent_at is not None and abs(now - claim.sent_at) > tolerance:
        return Unsigned("timestamp")
    return Signed(fitting[0], claim.id)


def _is_same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _hex(secret: str, claim: _Claim) -> str:
    return hmac.digest(secret.encode(), claim.signed, sha256).hex()


def _standard(secret: str, claim: _Claim, body: bytes) -> list[str]:
    assert claim.sent_at is not None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return []  # nothing that could be JSON
    return [Webhook(key).sign(msg_id=claim.id, timestamp=claim.sent_at, data=text) for key in standard_keys(secret)]


def standard_keys(secret: str) -> list[bytes]:
    """The bytes to sign with. Without the prefix a secret may be meant as it stands or as base64: both are taken."""
    try:
        decoded = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    keys = [decoded] if KEY_BYTES_MIN <= len(decoded) <= KEY_BYTES_MAX else []
    return keys if keys and secret.startswith(STANDARD_PREFIX) else [secret.encode(), *keys]


def _read_standard(headers: Mapping[str, str], _body: bytes) -> _Claim | None:
    name, signatures = headers.get("webhook-id", ""), headers.get("webhook-signature", "")
    sent_at = _instant(headers.get("webhook-timestamp", ""))
    if not signatures or sent_at is None or not _ID.fullmatch(name) or len(name) > delivery_id_chars_max:
        return None
    return _Claim(signatures.split(), b"", sent_at, name)


def _read_github(headers: Mapping[str, str], body: bytes) -> _Claim | None:
    name, signature = headers.get("x-github-delivery", ""), headers.get("x-hub-signature-256", "")
    if not signature.startswith("sha256=") or not name.isprintable() or not 0 < len(name) <= delivery_id_chars_max:
        return None
    return _Claim([signature.removeprefix("sha256=")], body, id=name)


def _read_stripe(headers: Mapping[str, str], body: bytes) -> _Claim | None:
    parts = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    sent_at = _instant(times[0]) if len(times) == 1 else None
    if sent_at is None or not signatures:
        return None
    return _Claim(signatures, times[0].encode() + b"." + body, sent_at)


def _read_slack(headers: Mapping[str, str], body: bytes) -> _Claim | None:
    signature, time = headers.get("x-slack-signature", ""), headers.get("x-slack-request-timestamp", "")
    sent_at = _instant(time)
    if sent_at is None or not signature.startswith("v0="):
        return None
    return _Claim([signature.removeprefix("v0=")], b"v0:" + time.encode() + b":" + body, sent_at)


_READ = {"standard": _read_standard, "github": _read_github, "stripe": _read_stripe, "slack": _read_slack}


def _instant(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if _SECONDS.fullmatch(seconds) else None
