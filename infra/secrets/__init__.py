"""Secrets beside the log: sealed in a table of their own, known everywhere else by a reference.

A reference is the secret's owner and a fingerprint that only a holder of the key can make: the same secret of the same
owner has one reference, however often it is stored, and nobody can try out guesses on it. What opens a secret is the
one key of the installation, in `FLOWFORGE_HOME/secrets.key` or `FLOWFORGE_SECRETS_KEY`.

Who reads the key: the gateway, which verifies signatures with secrets of webhooks and seals those that are set by name
and those of subscriptions; subscriptions, which signs what it posts; catalog, which takes secrets out of definitions and
gives those that jobs name to the built-in workers (`asking`); and execution, which keeps of it only what it makes tokens
of callbacks with (`tokens`). Workers never do.
"""

from infra.secrets.key import NoKey, SecretKey, WrongKey, find_key, new_key_text
from infra.secrets.store import (
    MemorySecrets,
    PostgresSecrets,
    Secret,
    Secrets,
    check_key,
    owner_of_named,
    owner_of_subscription,
    owner_of_webhook,
)

__all__ = [
    "MemorySecrets",
    "NoKey",
    "PostgresSecrets",
    "Secret",
    "SecretKey",
    "Secrets",
    "WrongKey",
    "check_key",
    "find_key",
    "new_key_text",
    "owner_of_named",
    "owner_of_subscription",
    "owner_of_webhook",
]
