"""The secrets of a deployment, made once, as files: for compose as they are, for Kubernetes as one Secret of them.

database-password, database-owner-url    of the owner, who makes tables and logins; for `prepare` and Postgres only
database-url, database-reader-url        of the services, and of a reader of the log and the read models
nats.conf                                the server's configuration with every login and what it may say
nats-url-<login>                         one per login
secrets-key, admin-key                   what secrets are sealed with; the first key of HTTP
"""

import os
import secrets
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec
from flowforge.people import KEY_PREFIX
from flowforge.subjects import DEFAULT_NAMESPACE

from infra.embedded import nats, postgres
from infra.embedded.home import SECRET_BYTES
from infra.secrets import new_key_text

NATS_STORE = Path("/data")


class Servers(msgspec.Struct, frozen=True):
    """Where the servers are, as the services reach them: `host:port`, a database, a namespace."""

    database: str = "postgres:5432"
    database_name: str = postgres.DATABASE
    nats: str = "nats:4222"
    namespace: str = DEFAULT_NAMESPACE
    owner_url: str | None = None
    """Of a Postgres that somebody else runs: the login that may make tables and logins; its host and database count."""


class BadServer(ValueError):
    """An address makes no sense; the message says which, and what is expected."""


def make(folder: Path, servers: Servers) -> list[str]:
    """Write the files that are missing; the names of those. What is there stays, so that it may be called again.

    Raises BadServer, OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    texts = _Texts(folder, servers)
    made: list[str] = []
    for name, text in texts.all().items():
        if not (folder / name).exists():
            _write(folder / name, text)
            made.append(name)
    return made


class _Texts:
    """What stands in each file; passwords that are there already are used again."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self._folder, self._servers = folder, servers
        owner = servers.owner_url
        if owner is not None and (
            urlsplit(owner).scheme not in ("postgresql", "postgres") or not urlsplit(owner).hostname
        ):
            raise BadServer(
                f"{owner!r} is no address of a Postgres: expected postgresql://LOGIN:PASSWORD@HOST/DATABASE"
            )

    def all(self) -> dict[str, str]:
        password = self._password("database-owner-url") or _new_password()
        owner_url = self._servers.owner_url or self._database(postgres.OWNER, password)
        logins = {login: self._password(f"nats-url-{login}") or _new_password() for login in nats.USERS}
        namespace = self._servers.namespace
        return {
            "database-password": urlsplit(owner_url).password or "",
            "database-owner-url": owner_url,
            "database-url": self._database(f"{namespace}_service", _new_password()),
            "database-reader-url": self._database(f"{namespace}_reader", _new_password()),
            **{
                f"nats-url-{login}": f"nats://{login}:{password}@{self._servers.nats}"
                for login, password in logins.items()
            },
            "nats.conf": nats.config_text(
                _port(self._servers.nats),
                NATS_STORE,
                logins,
                namespace,
                host="0.0.0.0",  # noqa: S104  in a container
                written_by="prepare credentials",
            ),
            "secrets-key": new_key_text(),
            "admin-key": KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES),
        }

    def _database(self, login: str, password: str) -> str:
        if self._servers.owner_url is None:
            return f"postgresql://{login}:{quote(password)}@{self._servers.database}/{self._servers.database_name}"
        parts = urlsplit(self._servers.owner_url)
        return parts._replace(netloc=f"{login}:{quote(password)}@{parts.netloc.rpartition('@')[2]}").geturl()

    def _password(self, name: str) -> str | None:
        try:
            return urlsplit((self._folder / name).read_text().strip()).password
        except FileNotFoundError:
            return None


def _new_password() -> str:
    return secrets.token_hex(SECRET_BYTES)


def _port(address: str) -> int:
    port = address.rpartition(":")[2]
    if ":" not in address or not port.isdigit():
        raise BadServer(f"{address!r} names no port: expected HOST:PORT, such as nats:4222")
    return int(port)


def _write(path: Path, text: str) -> None:
    """In a folder that only its owner may enter, a file that a container's account can read once it is mounted there."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(handle, "w") as file:
        file.write(text if text.endswith("\n") else text + "\n")
