"""What an attempt leads to: it is done, it is tried again at some time, or it is given up. Pure.

Source of the rules: Standard Webhooks 1.0 (retry schedule, 410 Gone ends a subscription, Retry-After).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from services.subscriptions.settings import ATTEMPT_WAITS_S, JITTER_SHARE, RETRY_AFTER_MAX_S

GONE = 410


class Attempt(msgspec.Struct, frozen=True):
    """One post: `status` None where no answer came; `error` is empty where it arrived."""

    at: datetime
    status: int | None
    duration_ms: int
    error: str = ""
    retry_after: str = ""

    @property
    def arrived(self) -> bool:
        return not self.error


class Again(msgspec.Struct, frozen=True):
    """It is tried again then."""

    at: datetime


Verdict = Again | Literal["delivered", "gone", "spent"]


def verdict(attempt: Attempt, attempts: int, jitter: float, waits_s: Sequence[float] = ATTEMPT_WAITS_S) -> Verdict:
    """What follows from an attempt, the `attempts`th. `jitter` is a number from 0 to 1."""
    if attempt.arrived:
        return "delivered"
    if attempt.status == GONE:
        return "gone"
    if attempts > len(waits_s):
        return "spent"
    wait_s = waits_s[attempts - 1] * (1 + JITTER_SHARE * (2 * jitter - 1))
    asked_s = _asked_wait_s(attempt.retry_after, attempt.at)
    return Again(attempt.at + timedelta(seconds=max(wait_s, min(asked_s, RETRY_AFTER_MAX_S))))


def _asked_wait_s(retry_after: str, now: datetime) -> float:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a date; 0 for none and for what is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
