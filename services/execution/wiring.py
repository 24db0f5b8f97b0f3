"""The only composition of this service."""

from infra.bus.process import run_service
from infra.eventlog import EventLog
from infra.secrets import NoKey, find_key
from infra.secrets.tokens import CallbackTokens
from infra.settings import Settings
from services.execution.handlers import ExecutionService
from services.execution.jobs import Callbacks


def build(settings: Settings, log: EventLog) -> ExecutionService:
    """The service on its log. Without a key for secrets no webhook waits for a callback. Raises WrongKey."""
    try:
        tokens = CallbackTokens(find_key(settings))
    except NoKey:
        tokens = None
    return ExecutionService(log, settings.namespace, Callbacks(settings.callbacks_url, tokens))


def main() -> None:
    """Run the process."""
    run_service("execution", build)
