"""The key of an installation, and what it does: fingerprints, sealing, opening. No I/O but reading the key itself.

Secrets are sealed with AES-256-GCM under a random nonce; their owner and fingerprint are authenticated with them, so
that no row of the table can take another's place. The keys for sealing, for fingerprints and the key's own name are
derived from the one key (HKDF, RFC 5869).
"""

import base64
import binascii
import hmac
import os
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from infra.settings import PREFIX, Settings

KEY_BYTES = 32
KEY_FILE = "secrets.key"
FINGERPRINT_BYTES = 16
_NONCE_BYTES = 12
_VARIABLE = f"{PREFIX}SECRETS_KEY"
_HOW = "it is 32 random bytes in base64, as `openssl rand -base64 32` gives them"


class NoKey(LookupError):
    """There is no key here; the message says where one is looked for."""


class WrongKey(ValueError):
    """The key cannot be read, or is not the one that the secrets were sealed with; the message never holds it."""


class SecretKey:
    """Seals and opens secrets. `id` tells keys apart and says nothing of them."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise WrongKey(f"the key for secrets has {len(key)} bytes: {_HOW}")
        self._key = key
        self._sealing = AESGCM(_derived(key, b"sealing"))
        self._fingerprints = _derived(key, b"fingerprints")
        self.id = _derived(key, b"name")[:8].hex()

    @classmethod
    def read(cls, text: str, origin: str) -> "SecretKey":
        """The key in a text, which came from `origin`. Raises WrongKey."""
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except (binascii.Error, WrongKey):
            raise WrongKey(f"{origin}: this is no key for secrets: {_HOW}") from None

    def derived(self, purpose: bytes) -> bytes:
        """32 bytes for another purpose, from which nothing follows about this key or those of other purposes."""
        return _derived(self._key, b"for " + purpose)

    def fingerprint(self, owner: str, value: str) -> str:
        """32 hex digits that stand for this secret of this owner; to others they say nothing."""
        named = f"{len(owner)}:{owner}{value}".encode(errors="surrogatepass")
        return hmac.digest(self._fingerprints, named, sha256)[:FINGERPRINT_BYTES].hex()

    def seal(self, owner: str, fingerprint: str, value: str) -> bytes:
        """The secret as it is stored."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, value.encode(), _bound_to(owner, fingerprint))

    def open(self, owner: str, fingerprint: str, sealed: bytes) -> str:
        """The secret. Raises WrongKey for what was sealed with another key, or is not what was sealed."""
        try:
            opened = self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(owner, fingerprint))
        except (InvalidTag, ValueError):
            raise WrongKey(f"the secret {fingerprint} of '{owner}' cannot be opened with this key") from None
        return opened.decode()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"flowforge secrets: " + purpose).derive(key)


def _bound_to(owner: str, fingerprint: str) -> bytes:
    return f"{fingerprint}:{owner}".encode()


def new_key_text() -> str:
    """A fresh key, as its file holds it."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def find_key(settings: Settings) -> SecretKey:
    """The key of this installation: `FLOWFORGE_SECRETS_KEY`, else the file in FLOWFORGE_HOME. Raises NoKey, WrongKey."""
    if settings.secrets_key is not None:
        return SecretKey.read(settings.secrets_key, _VARIABLE)
    path = Path(settings.home) / KEY_FILE
    try:
        return SecretKey.read(path.read_text(), str(path))
    except FileNotFoundError:
        raise NoKey(f"there is no key for secrets: neither {_VARIABLE} nor {path}; {_HOW}") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise WrongKey(f"{path}: the key for secrets cannot be read: {type(fault).__name__}") from None
