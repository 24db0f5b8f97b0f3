"""Schedules: that they can be read, and that they fire at all."""

from flowforge.definition import ScheduleTrigger

from infra.schedules import ScheduleFault, schedule_of
from services.catalog.validation.draft import Draft
from services.catalog.validation.report import Findings

_HINTS = {
    "cron": "for each weekday at 9 write 0 9 * * MON-FRI: minute, hour, day of month, month, day of week",
    "every_ms": "write the interval in milliseconds, 60000 for each minute",
}
"""What to do where the fault itself does not say it."""


def check_schedules(draft: Draft, findings: Findings) -> None:
    """Every schedule, read as the scheduler reads it."""
    for placed in draft.triggers:
        if not isinstance(placed.item, ScheduleTrigger):
            continue
        try:
            schedule_of(placed.item.config, draft.head.id, placed.item.id)
        except ScheduleFault as fault:
            path = f"{placed.at}.config.{fault.field}"
            findings.error("INVALID_SCHEDULE", path, fault.message, fault.suggestion or _HINTS.get(fault.field, ""))
