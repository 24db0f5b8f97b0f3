"""Past moments, as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.eventlog import beyond, moment_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0), ("17", 17), ("2026-01-31T12:00:00Z", NOON), ("2026-01-31T12:00:00", NOON),
        ("2026-01-31T14:00:00+02:00", NOON), ("2026-01-31 12:00:00.5", NOON + timedelta(seconds=0.5)),
    ],
)  # fmt: skip
def test_digits_are_a_position_and_a_time_without_zone_is_utc(text: str, moment: object):
    assert moment_of(text) == moment


@pytest.mark.parametrize("text", ["", "-1", "soon", "1.5", "9" * 19, "²", "2026-13-01"])
def test_what_is_neither_is_told(text: str):
    with pytest.raises(ValueError, match="is neither a position of the log nor a time such as"):
        moment_of(text)


def test_what_has_not_happened_is_no_past_moment():
    assert beyond(7, 7, NOON) is None
    assert "beyond the end of this log (7)" in (beyond(8, 7, NOON) or "")
    assert beyond(NOON, 0, NOON) is None
    assert "lies in the future" in (beyond(NOON + timedelta(seconds=1), 0, NOON) or "")
