"""The only composition of this service."""

from infra.bus.process import run_service
from infra.eventlog import EventLog
from infra.settings import Settings
from services.execution.handlers import ExecutionService


def build(settings: Settings, log: EventLog) -> ExecutionService:
    """The service on its log."""
    return ExecutionService(log, settings.namespace)


def main() -> None:
    """Run the process."""
    run_service("execution", build)
