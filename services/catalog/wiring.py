"""The only composition: catalog hears nothing but commands."""

from infra.bus.process import run_service
from infra.eventlog import EventLog
from infra.settings import Settings
from services.catalog.handlers import Catalog


def build(settings: Settings, log: EventLog) -> Catalog:
    return Catalog(log, settings.namespace)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    run_service("catalog", build)
