"""Where things are in one `up`, and with which login each process reaches them."""

import os
import re
from urllib.parse import quote, urlsplit

from infra.embedded import nats, postgres
from infra.embedded.home import Credentials, Endpoints, Home
from infra.embedded.ports import LOOPBACK
from infra.embedded.services import Service
from infra.embedded.stale import SUPERVISED
from infra.settings import FILE_VARIABLES, Settings

EVENT_LOG = "eventlog.events"
_GIVEN_TO_SOME = frozenset({"FLOWFORGE_DATABASE_URL", "FLOWFORGE_SECRETS_KEY"}) | FILE_VARIABLES
_BETWEEN_URLS = re.compile(r",(?=\w+://)")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not listened on


class Addresses:
    """The logins and environments of one `up`; servers named by the settings take the place of our own."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        credentials: Credentials,
        *,
        http_port: int,
        nats_port: int,
        postgres_port: int,
    ) -> None:
        self._settings, self._home, self._credentials = settings, home, credentials
        self.http_port, self.nats_port, self.postgres_port = http_port, nats_port, postgres_port
        self.has_own_logins = True
        """False once it is known that the owner of the database may not make logins for services and readers."""

    def database(self, role: str, database: str = postgres.DATABASE) -> str:
        """The database's URL for owner, service or reader."""
        given = self._settings.database_url
        role = role if self.has_own_logins else "owner"
        password = self._credentials.postgres[role]
        login = postgres.OWNER if role == "owner" else f"{self._settings.namespace}_{role}"
        if given is None:
            return postgres.login_url(self.postgres_port, login, password, database)
        if role == "owner":
            return given
        parts = urlsplit(given)
        address = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{login}:{quote(password)}@{address}").geturl()

    def bus(self, user: str) -> str:
        """The bus's URL for one login; a server that is not ours has the one login given for it."""
        if self._settings.nats_url is not None:
            return self._settings.nats_url
        login = user if user in self._credentials.nats else nats.WORKER
        return nats.login_url(self.nats_port, login, self._credentials.nats[login])

    def _own_servers(self) -> list[str]:
        """Where our database and bus listen."""
        database, bus = self.database("owner"), self.bus(nats.SUPERVISOR)
        return [*_servers(database, postgres.DEFAULT_PORT), *_servers(bus, nats.DEFAULT_PORT)]

    def endpoints(self) -> Endpoints:
        host = LOOPBACK if self._settings.http_host in _EVERYWHERE else self._settings.http_host
        return Endpoints(
            http=f"http://{f'[{host}]' if ':' in host else host}:{self.http_port}",
            nats=self.bus(nats.EXTERNAL),
            database=self.database("reader"),
            event_log=EVENT_LOG,
            worker_nats=self.bus(nats.WORKER),
        )

    def server_environment(self) -> dict[str, str]:
        """Servers get nothing of ours but the mark by which a later start finds them."""
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC", SUPERVISED: str(self._home.folder)}

    def service_environment(self, service: Service) -> dict[str, str]:
        """A service gets our environment, with the settings in force and logins of its own."""
        settings = self._settings
        environment = {name: value for name, value in os.environ.items() if name not in _GIVEN_TO_SOME}
        environment |= {
            "PYTHONUNBUFFERED": "1",
            SUPERVISED: str(self._home.folder),
            "FLOWFORGE_HOME": str(self._home.folder),
            "FLOWFORGE_NATS_URL": self.bus(service.name),
            "FLOWFORGE_NAMESPACE": settings.namespace,
            "FLOWFORGE_HTTP_HOST": settings.http_host,
            "FLOWFORGE_HTTP_PORT": str(self.http_port),
            "FLOWFORGE_AUTH": settings.auth,
            "FLOWFORGE_SCRIPT_PATHS": os.pathsep.join(map(str, settings.script_paths)),
            "FLOWFORGE_LOG_LEVEL": settings.log_level,
            "FLOWFORGE_LOG_FORMAT": settings.log_format or "",
            "FLOWFORGE_PUBLIC_URL": settings.public_url or "",
            "FLOWFORGE_WEBHOOK_ALLOW": ",".join(settings.webhook_allow),
            "FLOWFORGE_WEBHOOK_DENY": ",".join((*settings.webhook_deny, *self._own_servers())),
        }
        if settings.nats_url is None:
            environment["FLOWFORGE_NATS_INBOX_PREFIX"] = nats.inbox_prefix(service.name)
        if service.has_database:
            environment["FLOWFORGE_DATABASE_URL"] = self.database("service")
        if service.has_secrets and settings.secrets_key is not None:
            environment["FLOWFORGE_SECRETS_KEY"] = settings.secrets_key
        return environment


def each_url(urls: str) -> list[str]:
    """Those of a setting that may name several, with commas between."""
    return _BETWEEN_URLS.split(urls)


def _servers(urls: str, default_port: int) -> list[str]:
    """`host:port` of each server in a URL; of several in one, and of several URLs, commas stand between."""
    netlocs = [urlsplit(url).netloc.rpartition("@")[2] for url in each_url(urls)]
    named = [name for netloc in netlocs for name in netloc.split(",")]
    return [name if _has_port(name) else f"{name}:{default_port}" for name in named if name]


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]
