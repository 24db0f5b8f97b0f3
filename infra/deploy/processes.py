"""The processes of a deployment: the services that `up` keeps alive, but for the one HTTP process, which is two here.

Reads and writes scale apart from one another; the ingress (`chart/files/front.conf.template`) chooses between them by
method, but sends `/login` to the writes, where sessions begin. The reads serve the console's pages as well: what a browser
asks for with GET is either. Pure.
"""

import msgspec

from infra.embedded import nats
from infra.embedded.services import FRONT, PAGES, default_services

SECRETS_FOLDER = "/etc/flowforge/secrets"
READY_FILE = "/run/flowforge/ready"
HOME = "/var/lib/flowforge"
HTTP_PORT = 8080
READS_APP = "services.projections.api:create_app"
WRITES_APP = "services.gateway.api:create_app"
READS, WRITES, PREPARE = "reads", "writes", "prepare"


class Process(msgspec.Struct, frozen=True):
    """One process: its command after `python`, its NATS login, and the files of `SECRETS_FOLDER` that it is given."""

    name: str
    command: tuple[str, ...]
    nats_user: str
    has_database: bool
    has_secrets_key: bool
    has_http: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The secrets it is given, by file name."""
        database = ("database-url",) if self.has_database else ()
        key = ("secrets-key",) if self.has_secrets_key else ()
        return (*database, f"nats-url-{self.nats_user}", *key)

    @property
    def environment(self) -> dict[str, str]:
        """What this process must be told, beside what all are."""
        told = {
            "FLOWFORGE_NATS_URL_FILE": f"{SECRETS_FOLDER}/nats-url-{self.nats_user}",
            "FLOWFORGE_NATS_INBOX_PREFIX": nats.inbox_prefix(self.nats_user),
        }
        if self.has_database:
            told["FLOWFORGE_DATABASE_URL_FILE"] = f"{SECRETS_FOLDER}/database-url"
        if self.has_secrets_key:
            told["FLOWFORGE_SECRETS_KEY_FILE"] = f"{SECRETS_FOLDER}/secrets-key"
        if self.has_http:
            told |= {"FLOWFORGE_HTTP_HOST": "0.0.0.0", "FLOWFORGE_HTTP_PORT": str(HTTP_PORT)}  # noqa: S104  a container
        return told


def processes() -> tuple[Process, ...]:
    """Every long-running process, by what `up` runs."""
    kept = [service for service in default_services() if service.name != FRONT]
    return (
        *(
            Process(service.name, service.command[1:], service.name, service.has_database, service.has_secrets)
            for service in kept
        ),
        Process(
            READS, (*_front(READS_APP), *PAGES), nats.FRONT, has_database=True, has_secrets_key=False, has_http=True
        ),
        Process(WRITES, _front(WRITES_APP), nats.GATEWAY, has_database=True, has_secrets_key=True, has_http=True),
    )


def _front(app: str) -> tuple[str, ...]:
    return ("-m", "infra.embedded.front", "--reads", app, "--writes", app)
