"""Every limit of subscriptions, with its unit."""

import os
from collections.abc import Mapping
from datetime import timedelta

from infra.settings import SettingsError

SUBSCRIPTIONS_MAX = 1_000
URL_CHARS_MAX = 2_000
NAME_CHARS_MAX = 200
TYPES_MAX = 50
"""Event types of one filter."""
WAITS_VARIABLE = "FLOWFORGE_SUBSCRIPTION_WAITS_S"
ATTEMPT_WAITS_S: tuple[float, ...] = (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200)
"""Between the attempts of one delivery, where the installation says nothing else: ten attempts within 23 hours."""
ATTEMPTS_MAX = 50
JITTER_SHARE = 0.2
"""A wait is up to so much shorter or longer, so that what failed together does not come again together."""
RETRY_AFTER_MAX_S = 43_200
"""A receiver that says when to come again is not asked later than that."""
ATTEMPT_S = 15.0
"""Until the receiver has answered."""
ANSWER_BYTES_MAX = 64 * 1024
ERROR_CHARS_KEPT = 500
TRIES_KEPT = 10
"""Attempts that are shown of one delivery."""
SECRET_OVERLAP = timedelta(days=1)
"""So long the secret before signs beside a new one."""
PENDING_MAX = 500
"""Deliveries that one subscription is owed at once; the rest waits in the log."""
IN_FLIGHT_MAX = 8
"""Posts to one subscription at once, each of another run."""
POSTS_MAX = 128
"""Posts at once to all."""
SETTLED_PER_STATEMENT_MAX = 200
PAGE_COUNT = 1_000
"""Events read at once."""
SECRETS_SWEPT_EVERY_S = 3_600.0
"""Secrets that were kept for a command that was refused are looked for so often."""
ORDERS_KNOWN_MAX = 100
"""The last orders of one subscription that are remembered after they were carried out."""
COMMANDS_KNOWN_MAX = 1_000
"""The last commands of one subscription that are known again when they come twice; the gateway knows all for a day."""
CHOSEN_AT_ONCE_S = 0.005
"""So long conditions are evaluated before whoever asks the service for something has a turn."""
RECENT_COUNT = 5_000
"""Events at the end of the log that are kept for all who are up to date."""
RECENT_BYTES_MAX = 32 * 1024 * 1024
RUNS_KNOWN_MAX = 20_000
"""Runs whose workflow and labels are remembered."""
POLL_S = 1.0
RETRY_WAIT_S = 0.5
"""After the log or the tables did not answer."""
CURSOR_KEPT_EVERY_S = 5.0
"""How far a subscription has come that is owed nothing new is written so often."""
KEPT_COUNT = 1_000
"""Ended deliveries that are kept of one subscription."""
SWEPT_EVERY_S = 60.0
CONNECTIONS_MAX = 4
"""To Postgres, beside those of the event log."""
DELIVERIES_PAGE_MAX = 201
"""One more than is shown: whether there are more."""


def attempt_waits_s(environ: Mapping[str, str] | None = None) -> tuple[float, ...]:
    """The waits in force. Raises SettingsError."""
    given = (os.environ if environ is None else environ).get(WAITS_VARIABLE)
    if not given:
        return ATTEMPT_WAITS_S
    try:
        waits_s = tuple(float(part) for part in given.split(","))
    except ValueError:
        waits_s = ()
    if not 0 < len(waits_s) < ATTEMPTS_MAX or not all(0 < wait_s <= RETRY_AFTER_MAX_S * 14 for wait_s in waits_s):
        raise SettingsError(
            f"{WAITS_VARIABLE}: {given!r} is refused: expected 1 to {ATTEMPTS_MAX - 1} numbers of seconds between two "
            "attempts, such as 5,30,120,3600"
        )
    return waits_s
