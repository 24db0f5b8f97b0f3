"""Scheduler: what is due later, and fires it when it is.

Hears   `TimerSet` of every run, every change of a workflow, and `BackfillSchedule`.
Says    `TimerFired`, once per timer, never before its time; `ScheduleFired`, once per nominal time of a schedule, and
        `ScheduleMissed` for those that were missed and are not caught up.
Owns    streams `timer`, `backfill` and version 1 of streams `schedule`; the tables `scheduler.timers` of what is still
        due and `scheduler.schedules` of how far each schedule is, which the log can give again.
Never   decides what a firing means, and never forgets a timer whose run has ended: it fires, and nobody minds.

Read in this order: store.sql, state, decide, schedules, backfill, clock, store, definitions, backfilling,
handlers.
"""
