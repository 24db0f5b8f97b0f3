"""Where sealed secrets are kept (store.sql), and the same without a server, for tests."""

from collections.abc import Collection, Iterable
from typing import Any, Protocol

import msgspec

from infra.eventlog.connections import Connections
from infra.secrets.key import SecretKey, WrongKey

CONNECTIONS_MAX = 2
UNREFERRED_KEPT_S = 60
"""A secret that nothing refers to yet is kept so long at least: the event that does is on its way."""
_PUT = """
    insert into secrets.sealed (owner, fingerprint, key_id, sealed) values ($1, $2, $3, $4)
    on conflict (owner, fingerprint) do update set created_at = now()
"""
_GET = "select fingerprint, key_id, sealed from secrets.sealed where owner = $1 and fingerprint = any ($2::text[])"
_OWNERS = "select distinct owner from secrets.sealed where starts_with(owner, $1)"
_FORGET = """
    delete from secrets.sealed where owner = $1 and fingerprint <> $2 and created_at < now() - make_interval(secs => $3)
"""
_KEY_IDS = "select distinct key_id from secrets.sealed"


class Secret(msgspec.Struct, frozen=True):
    """One secret of an owner, such as `webhooks/<workflow>/<trigger>`. Its value is not shown."""

    owner: str
    fingerprint: str
    value: str

    def __repr__(self) -> str:
        return f"Secret({self.owner!r}, {self.fingerprint!r}, …)"


def owner_of_webhook(workflow_id: str, trigger_id: str) -> str:
    """Under which owner the secrets of a webhook trigger are kept."""
    return f"webhooks/{workflow_id}/{trigger_id}"


def owner_of_named(name: str) -> str:
    """Under which owner a secret of workflows is kept."""
    return f"named/{name}"


def owner_of_subscription(subscription_id: str) -> str:
    """Under which owner the signing secrets of a subscription are kept."""
    return f"subscriptions/{subscription_id}"


class Secrets(Protocol):
    """What both promise. Every method but `fingerprint` may raise `Unavailable`."""

    def fingerprint(self, owner: str, value: str) -> str:
        """What stands for this secret of this owner."""
        ...

    async def put(self, secrets: Iterable[Secret]) -> None:
        """Keep them; keeping one twice keeps it once."""
        ...

    async def get(self, owner: str, fingerprints: Collection[str]) -> dict[str, str]:
        """Those that are kept, by fingerprint. Raises WrongKey."""
        ...

    async def owners(self, prefix: str) -> list[str]:
        """The owners of kept secrets whose names begin so."""
        ...

    async def forget_others(self, owner: str, fingerprint: str) -> None:
        """Keep of this owner only that one, and what was put within `UNREFERRED_KEPT_S`."""
        ...


class PostgresSecrets:
    """Secrets in the table `secrets.sealed`; connections are opened when first needed."""

    def __init__(self, dsn: str, key: SecretKey) -> None:
        self._connections = Connections(dsn, "flowforge secrets", CONNECTIONS_MAX)
        self._key = key

    def fingerprint(self, owner: str, value: str) -> str:
        """As promised by `Secrets`."""
        return self._key.fingerprint(owner, value)

    async def put(self, secrets: Iterable[Secret]) -> None:
        """As promised by `Secrets`."""
        rows = [
            (one.owner, one.fingerprint, self._key.id, self._key.seal(one.owner, one.fingerprint, one.value))
            for one in secrets
        ]
        async with self._connections.one() as connection:
            await connection.executemany(_PUT, rows)

    async def get(self, owner: str, fingerprints: Collection[str]) -> dict[str, str]:
        """As promised by `Secrets`."""
        async with self._connections.one() as connection:
            rows = await connection.fetch(_GET, owner, list(fingerprints))
        return {name: self._key.open(owner, name, sealed) for name, _, sealed in rows}

    async def owners(self, prefix: str) -> list[str]:
        """As promised by `Secrets`."""
        async with self._connections.one() as connection:
            return [row["owner"] for row in await connection.fetch(_OWNERS, prefix)]

    async def forget_others(self, owner: str, fingerprint: str) -> None:
        """As promised by `Secrets`."""
        async with self._connections.one() as connection:
            await connection.execute(_FORGET, owner, fingerprint, UNREFERRED_KEPT_S)

    async def close(self) -> None:
        """Let go of connections."""
        await self._connections.close()


class MemorySecrets:
    """The same, for tests without a server."""

    def __init__(self, key: SecretKey) -> None:
        self.sealed: dict[tuple[str, str], bytes] = {}
        self._key = key

    def fingerprint(self, owner: str, value: str) -> str:
        """As promised by `Secrets`."""
        return self._key.fingerprint(owner, value)

    async def put(self, secrets: Iterable[Secret]) -> None:
        """As promised by `Secrets`."""
        for one in secrets:
            sealed = self._key.seal(one.owner, one.fingerprint, one.value)
            self.sealed.setdefault((one.owner, one.fingerprint), sealed)

    async def get(self, owner: str, fingerprints: Collection[str]) -> dict[str, str]:
        """As promised by `Secrets`."""
        found = {name: self.sealed[owner, name] for name in fingerprints if (owner, name) in self.sealed}
        return {name: self._key.open(owner, name, sealed) for name, sealed in found.items()}

    async def owners(self, prefix: str) -> list[str]:
        """As promised by `Secrets`."""
        return sorted({owner for owner, _ in self.sealed if owner.startswith(prefix)})

    async def forget_others(self, owner: str, fingerprint: str) -> None:
        """As promised by `Secrets`, at once."""
        self.sealed = {key: value for key, value in self.sealed.items() if key[0] != owner or key[1] == fingerprint}


async def check_key(connection: Any, key: SecretKey) -> None:
    """Raises WrongKey where the database holds secrets that were sealed with another key."""
    others = {row["key_id"] for row in await connection.fetch(_KEY_IDS)} - {key.id}
    if others:
        raise WrongKey(
            f"the database holds secrets sealed with another key ({', '.join(sorted(others))}; this one is {key.id}): "
            "restore the key that was here before"
        )
