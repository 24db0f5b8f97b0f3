"""Scheduler: what is due later, and fires it when it is.

Hears   `TimerSet` of every run.
Says    `TimerFired`, once per timer, never before its time.
Owns    streams `timer`, and the table `scheduler.timers` of what is still due, which the log can give again.
Never   decides what a firing means, and never forgets a timer whose run has ended: it fires, and nobody minds.

Read in this order: store.sql, state, decide, clock, store, handlers.
"""
