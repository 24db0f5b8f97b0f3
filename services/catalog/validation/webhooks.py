"""Webhook triggers: that their secrets can be secrets. No message holds one."""

import base64
import binascii

from flowforge.definition import WebhookConfig, WebhookTrigger
from msgspec import UNSET

from services.catalog.settings import (
    secret_chars_max,
    secret_chars_min,
    secret_chars_weak,
    secret_key_bytes_max,
    secret_key_bytes_min,
    secrets_max,
)
from services.catalog.validation.draft import Draft
from services.catalog.validation.report import Findings

STANDARD_PREFIX = "whsec_"
_MAKE_ONE = {
    "standard": 'make one: echo "whsec_$(openssl rand -base64 32)"',
    "github": "make one with `openssl rand -hex 32`, and give the same one to GitHub",
    "stripe": "copy the endpoint's signing secret from Stripe; it begins with whsec_",
    "slack": "copy the signing secret of the app from Slack",
}


def check_webhooks(draft: Draft, findings: Findings) -> None:
    """The secrets of every webhook trigger."""
    for placed in draft.triggers:
        if isinstance(placed.item, WebhookTrigger):
            _check(placed.item.config, f"{placed.at}.config.secret", findings)


def _check(config: WebhookConfig, path: str, findings: Findings) -> None:
    make_one = _MAKE_ONE[config.provider]
    if config.secret is UNSET:
        if not config.secret_refs:
            findings.error("MISSING_SECRET", path, "a webhook needs a secret, which verifies who posts to it", make_one)
        return
    if isinstance(config.secret, str):
        _check_one(config, config.secret, path, findings)
        return
    if not 0 < len(config.secret) <= secrets_max:
        message = f"a list of secrets has 1 to {secrets_max}, this one {len(config.secret)}"
        findings.error("INVALID_SECRET", path, message, "list those that are accepted, the newest first")
    for number, secret in enumerate(config.secret[:secrets_max]):
        _check_one(config, secret, f"{path}[{number}]", findings)


def _check_one(config: WebhookConfig, secret: str, path: str, findings: Findings) -> None:
    if fault := _fault(config, secret):
        findings.error("INVALID_SECRET", path, fault, _MAKE_ONE[config.provider])
    elif len(secret) < secret_chars_weak:
        message = f"a secret of {len(secret)} characters can be guessed; {secret_chars_weak} are few enough"
        findings.warning("WEAK_SECRET", path, message, _MAKE_ONE[config.provider])


def _fault(config: WebhookConfig, secret: str) -> str:
    if not secret_chars_min <= len(secret) <= secret_chars_max:
        return f"a secret has {secret_chars_min} to {secret_chars_max} characters, this one {len(secret)}"
    if not secret.isprintable() or secret != secret.strip():
        return "a secret has no line ends, and no spaces around it"
    if config.provider != "standard" or not secret.startswith(STANDARD_PREFIX):
        return ""
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except binascii.Error:
        return f"what follows {STANDARD_PREFIX} is no base64"
    if not secret_key_bytes_min <= len(key) <= secret_key_bytes_max:
        limits = f"{secret_key_bytes_min} to {secret_key_bytes_max}"
        return f"what follows {STANDARD_PREFIX} stands for {len(key)} bytes, Standard Webhooks wants {limits}"
    return ""
