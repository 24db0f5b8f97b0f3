"""Schedules: when a cron or an interval fires, and what of it was missed (interface.md 2). Pure: no clock, no I/O.

    schedule = compile_schedule(ScheduleSpec(cron="30 2 * * MON-FRI", timezone="Europe/Berlin"), identity="nightly")
    next_after(schedule, now)                                  # Firing(scheduled_at, previous_at, next_at, due_at)
    missed(schedule, last_fired_at, now, "latest", cap=100)    # Missed(fire, expired, unlisted_until)

Nominal times are found in wall-clock time and mapped to instants by the rules of Debian's cron. Zone data is read
through `zoneinfo`: the machine's if it has one, else that of the package `tzdata`.

Read in this order: limits, faults, fields, dates, cron, zones, instants, schedule, firings, written.
"""

from infra.schedules.faults import ScheduleFault
from infra.schedules.firings import CatchUp, Firing, Missed, between, missed, next_after, upcoming
from infra.schedules.schedule import Schedule, ScheduleSpec, compile_schedule
from infra.schedules.written import schedule_of

__all__ = [
    "CatchUp",
    "Firing",
    "Missed",
    "Schedule",
    "ScheduleFault",
    "ScheduleSpec",
    "between",
    "compile_schedule",
    "missed",
    "next_after",
    "schedule_of",
    "upcoming",
]
