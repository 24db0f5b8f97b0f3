"""Secrets of webhook triggers: taken out of a definition before it is logged, references in their place. Pure.

References belong to the trigger, not to a version: whoever saves a definition without a secret keeps what is accepted
now, and so does a rollback, lest it bring back a secret that was withdrawn. Only a trigger that is no longer there
comes back with the references of the version that is repeated.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from flowforge.definition import SECRET_OVERLAP_MS

from infra.secrets import Secret, owner_of_webhook
from services.catalog.documents import webhooks

_Config = dict[str, Any]


class Keeping(msgspec.Struct, frozen=True):
    """How secrets are referred to: `fingerprint` of (owner, secret), and the moment of the save, from which one that is
    replaced has its time to live."""

    fingerprint: Callable[[str, str], str]
    at: datetime


def refer_to_kept(document: object, newest: object, *, is_rollback: bool = False) -> None:
    """Put the references that the newest definition has into the document, whatever its author wrote there."""
    kept = {name: config.get("secret_refs", []) for name, config in webhooks(newest)}
    for name, config in webhooks(document):
        if name in kept:
            config["secret_refs"] = kept[name]
        elif not is_rollback:
            config.pop("secret_refs", None)


def take_out(document: _Config, keeping: Keeping) -> list[Secret]:
    """The secrets of a valid document, which has references instead."""
    taken: list[Secret] = []
    for name, config in webhooks(document):
        given: str | list[str] | None = config.pop("secret", None)
        if given is None:
            continue
        owner = owner_of_webhook(document["id"], name)
        values = [given] if isinstance(given, str) else given
        secrets = {keeping.fingerprint(owner, value): value for value in values}
        taken += [Secret(owner, fingerprint, value) for fingerprint, value in secrets.items()]
        new = list(secrets)
        config["secret_refs"] = (
            _rotated(config, new[0], keeping.at) if isinstance(given, str) else [{"id": each} for each in new]
        )
    return taken


def has_secrets(document: object) -> bool:
    """Whether the author of the document gives a secret."""
    return any("secret" in config for _, config in webhooks(document))


def _rotated(config: _Config, new: str, at: datetime) -> list[dict[str, Any]]:
    """The new one, and for a while the one before; nothing changes where it is the one already."""
    before: list[dict[str, Any]] = config.get("secret_refs", [])
    current = [ref for ref in before if ref.get("expires_at") is None]
    if [ref["id"] for ref in current] == [new]:
        return before
    overlap_ms = config.get("secret_overlap_ms", SECRET_OVERLAP_MS)
    if not overlap_ms:
        return [{"id": new}]
    until = msgspec.to_builtins(at + timedelta(milliseconds=overlap_ms))
    return [{"id": new}, *({"id": ref["id"], "expires_at": until} for ref in current if ref["id"] != new)]
