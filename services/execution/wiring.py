"""The only composition of this service."""

from infra.bus.process import run_service
from infra.eventlog import EventLog
from infra.secrets import NoKey, find_key
from infra.secrets.tokens import CallbackTokens
from infra.settings import Settings
from services.execution.handlers import ExecutionService
from services.execution.jobs import Callbacks
from services.execution.outputs import Outputs
from services.execution.places import Limits
from services.execution.store import OutputStore


def build(settings: Settings, log: EventLog) -> ExecutionService:
    """The service on its log. Without a key for secrets no webhook waits for a callback. Raises WrongKey."""
    assert settings.database_url is not None
    try:
        tokens = CallbackTokens(find_key(settings))
    except NoKey:
        tokens = None
    limits = Limits(
        pools=settings.pools,
        queues=settings.queue_limits,
        jobs_max=settings.max_concurrent_jobs,
        user_jobs_max=settings.user_max_concurrent_jobs,
    )
    outputs = Outputs(log, OutputStore(settings.database_url), settings.cache_kept_ms)
    return ExecutionService(log, settings.namespace, outputs, limits, Callbacks(settings.callbacks_url, tokens))


def main() -> None:
    """Run the process."""
    run_service("execution", build)
