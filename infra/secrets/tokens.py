"""Tokens of callbacks: the right to answer one call, in the address that the call was given. Stateless.

A token says which attempt of which node it is for, and carries an HMAC of that under a key derived from the
installation's key for secrets. That it counts once is not the token's doing: execution takes one answer per attempt.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from uuid import UUID

import msgspec

from infra.secrets.key import SecretKey

TOKEN_CHARS_MAX = 1_000
_MAC_BYTES = 32


class CallbackFor(msgspec.Struct, frozen=True, array_like=True):
    """Which call is answered."""

    run_id: UUID
    node_id: str
    instance: str
    attempt: int


class CallbackTokens:
    """Makes and reads tokens."""

    def __init__(self, key: SecretKey) -> None:
        self._key = key.derived(b"callbacks")

    def token(self, call: CallbackFor) -> str:
        """The token as it stands in an address: letters, digits, `-` and `_`."""
        said = msgspec.json.encode(call)
        return base64.urlsafe_b64encode(self._mac(said) + said).rstrip(b"=").decode()

    def read(self, token: str) -> CallbackFor | None:
        """What the token is for; None for one that was not made here."""
        if not token.isascii() or len(token) > TOKEN_CHARS_MAX:
            return None
        try:
            decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, said = decoded[:_MAC_BYTES], decoded[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(said)):
            return None
        return msgspec.json.decode(said, type=CallbackFor)

    def _mac(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, sha256)
