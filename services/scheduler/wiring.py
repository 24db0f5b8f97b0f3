"""The composition of the service."""

from infra.eventlog import EventLog
from infra.settings import Settings
from services.scheduler.clock import WallClock
from services.scheduler.handlers import Scheduler
from services.scheduler.store import TimerStore


def build(settings: Settings, log: EventLog) -> Scheduler:
    """The service for the shell to run."""
    assert settings.database_url is not None
    return Scheduler(log, TimerStore(settings.database_url), settings.namespace, WallClock())
