"""The composition of the service."""

from infra.eventlog import EventLog
from infra.settings import Settings
from services.triggers.handlers import Triggers


def build(settings: Settings, log: EventLog) -> Triggers:
    """The service for the shell to run."""
    return Triggers(log, settings.namespace)
