"""How a built-in worker asks for the secrets that its job names, and how the answer is sealed for it alone.

The worker makes a key pair for one question and sends the public half; the answer is sealed to it with a key pair made
for that answer: X25519, HKDF-SHA256, AES-256-GCM (the construction of RFC 9180, base mode, without its framing). What is
asked is authenticated with the answer. So whoever overhears the bus learns nothing, and nothing that is kept anywhere
opens the answer later. Who may ask is a matter of permissions on the bus.
"""

import base64
import os
from typing import cast
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flowforge.subjects import Subjects

NAMES_MAX = 200
"""Secrets asked for by one job."""
_NONCE_BYTES = 12


class SecretsAsked(msgspec.Struct, frozen=True):
    """Which secrets a job needs. They are given if its node refers to them. `public_key` is base64."""

    run_id: UUID
    node_id: str
    names: list[str]
    public_key: str


class SecretsGiven(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sealed` (base64) holds the values by name. `missing`: names that are not kept; `refused`: why none are given."""

    sealed: str = ""
    public_key: str = ""
    missing: list[str] = []
    refused: str = ""
    is_worth_asking_again: bool = False


class Unsealable(ValueError):
    """The answer was not sealed for this question, or the question's key is none."""


class Question:
    """One question with a key pair of its own, which nobody else ever has."""

    def __init__(self, run_id: UUID, node_id: str, names: list[str]) -> None:
        self._key = X25519PrivateKey.generate()
        public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()
        self.asked = SecretsAsked(run_id, node_id, names, public_key)

    def opened(self, given: SecretsGiven) -> dict[str, str]:
        """The values by name. Raises Unsealable."""
        try:
            peer = X25519PublicKey.from_public_bytes(base64.b64decode(given.public_key))
            sealed = base64.b64decode(given.sealed)
            cipher = _cipher(self._key.exchange(peer), self.asked.public_key, given.public_key)
            opened = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(self.asked))
        except (ValueError, InvalidTag) as fault:
            raise Unsealable("the answer with the secrets was not sealed for this question") from fault
        return cast("dict[str, str]", msgspec.json.decode(opened))


def sealed_for(asked: SecretsAsked, values: dict[str, str]) -> SecretsGiven:
    """The values, for who asked and nobody else. Raises Unsealable for a question without a proper key."""
    key = X25519PrivateKey.generate()
    public_key = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    try:
        peer = X25519PublicKey.from_public_bytes(base64.b64decode(asked.public_key, validate=True))
        cipher = _cipher(key.exchange(peer), asked.public_key, public_key)
    except ValueError as fault:
        raise Unsealable("the question has no X25519 key") from fault
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + cipher.encrypt(nonce, msgspec.json.encode(values), _bound_to(asked))
    return SecretsGiven(base64.b64encode(sealed).decode(), public_key)


def subject(subjects: Subjects) -> str:
    """Where secrets are asked for."""
    return f"{subjects.namespace}.secrets.ask"


def _cipher(shared: bytes, asker: str, answerer: str) -> AESGCM:
    info = f"flowforge secrets for a worker: {asker} {answerer}".encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(shared))


def _bound_to(asked: SecretsAsked) -> bytes:
    return msgspec.json.encode(asked)
