"""What validation says of schedules."""

from typing import Any

import pytest

from services.catalog.validation import validate


def errors(**config: Any) -> list[tuple[str, str, str]]:
    trigger = {"id": "nightly", "type": "schedule", "config": config}
    job = {"id": "a", "type": "job", "job_type": "x"}
    report = validate({"id": "w", "name": "W", "nodes": [job], "triggers": [trigger]})
    return [(item.path, item.message, item.suggested_resolution) for item in report.errors]


@pytest.mark.parametrize(
    "config",
    [
        {"cron": "30 2 * * MON-FRI", "timezone": "Europe/Berlin", "exclude_dates": ["2026-12-25"], "catch_up": "all"},
        {"cron": "*/5 0 2 * * *"},
        {"cron": "@hourly", "jitter_ms": 5_000},
        {"every_ms": 200, "start_at": "2026-01-01T00:00:00", "end_at": "2026-02-01T00:00:00Z"},
    ],
)
def test_a_sound_schedule_has_no_findings(config: dict[str, Any]):
    assert errors(**config) == []


@pytest.mark.parametrize(
    ("config", "field", "said", "mend"),
    [
        ({"cron": "61 2 * * *"}, "cron", "minute", ""),
        ({"cron": "0 0 31 2 *"}, "cron", "it would never fire", "L"),
        ({"cron": "0 2 * * *", "timezone": "Europe/Berlim"}, "timezone", "no IANA time zone", "Europe/Berlin"),
        ({"cron": "0 2 * * *", "every_ms": 500}, "every_ms", "not both", "leave one of them out"),
        ({}, "cron", "needs cron or every_ms", ""),
        ({"every_ms": 1}, "every_ms", "out of range", ""),
        ({"every_ms": 500, "start_at": "2026-02-01", "end_at": "2026-01-01"}, "start_at", "", ""),
        (
            {"every_ms": 500, "start_at": "2026-02-01T00:00:00Z", "end_at": "2026-01-01T00:00:00Z"},
            "end_at", "before the start", "",
        ),
        (
            {"cron": "0 0 1 6 *", "start_at": "2026-02-01T00:00:00Z", "end_at": "2026-03-01T00:00:00Z"},
            "end_at", "nothing fires between", "",
        ),
        ({"cron": "@daily", "catch_up": "some"}, "catch_up", "Invalid enum value", ""),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused_where_it_is_wrong(
    config: dict[str, Any], field: str, said: str, mend: str
):
    [(path, message, resolution)] = errors(**config)
    assert path == f"$.triggers[0].config.{field}"
    assert said in message
    assert mend in resolution
