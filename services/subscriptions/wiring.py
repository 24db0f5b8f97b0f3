"""The only composition of the service."""

import logging

from flowforge.envelope import now

from infra.bus.process import run_service
from infra.calls import Calls, Targets
from infra.eventlog import EventLog
from infra.secrets import NoKey, PostgresSecrets, find_key
from infra.settings import Settings
from services.subscriptions.handlers import Subscriptions
from services.subscriptions.posting import Poster
from services.subscriptions.settings import ANSWER_BYTES_MAX, attempt_waits_s
from services.subscriptions.store import Store


def build(settings: Settings, log: EventLog) -> Subscriptions:
    """Without a key for secrets nothing can be signed, so nothing is posted. Raises WrongKey, SettingsError."""
    assert settings.database_url
    for name in ("httpx", "httpcore"):  # they write addresses, in which secrets may be
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        secrets = PostgresSecrets(settings.database_url, find_key(settings))
    except NoKey:
        secrets = None
    targets = Targets(settings.webhook_allow, settings.own_servers)
    poster = Poster(Calls(targets, ANSWER_BYTES_MAX), secrets, settings.namespace, now)
    return Subscriptions(log, Store(settings.database_url), poster, targets, secrets, attempt_waits_s())


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    run_service("subscriptions", build)
