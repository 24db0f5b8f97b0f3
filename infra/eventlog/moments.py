"""Past moments: a position of the log, or an instant, by which everything counts that was recorded until then."""

from collections.abc import Sequence
from datetime import UTC, datetime

from infra.eventlog.types import StoredEvent

Moment = int | datetime
_POSITION_DIGITS_MAX = 18
_SHOWN_CHARS_MAX = 40


def moment_of(text: str) -> Moment:
    """As it is written: digits are a position, all else an ISO 8601 time, UTC where it names no zone. Raises ValueError."""
    if text.isascii() and text.isdigit() and len(text) <= _POSITION_DIGITS_MAX:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC it may be of the year 0, or 10000
        shown = text[:_SHOWN_CHARS_MAX]
        raise ValueError(
            f"'{shown}' is neither a position of the log nor a time such as 2026-01-31T12:00:00Z"
        ) from None


def beyond(moment: Moment, head_position: int, now: datetime) -> str | None:
    """Why this is no past moment of a log that ends at `head_position`; None where it is one."""
    if isinstance(moment, datetime):
        return f"{moment.isoformat()} lies in the future: what will be is not known" if moment > now else None
    return f"{moment} lies beyond the end of this log ({head_position})" if moment > head_position else None


def until(events: Sequence[StoredEvent], moment: Moment) -> Sequence[StoredEvent]:
    """What of a stream was there at that moment."""
    for count, event in enumerate(events):
        if event.position > moment if isinstance(moment, int) else event.recorded_at > moment:
            return events[:count]
    return events
