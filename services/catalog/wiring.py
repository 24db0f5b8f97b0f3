"""The only composition: catalog hears nothing but commands."""

from infra.bus.process import run_service
from infra.eventlog import EventLog
from infra.secrets import NoKey, PostgresSecrets, find_key
from infra.settings import Settings
from services.catalog.handlers import Catalog


def build(settings: Settings, log: EventLog) -> Catalog:
    """Without a key for secrets, all is carried out but saves that bring one. Raises WrongKey."""
    assert settings.database_url
    try:
        secrets = PostgresSecrets(settings.database_url, find_key(settings))
    except NoKey:
        secrets = None
    return Catalog(log, settings.namespace, secrets)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    run_service("catalog", build)
