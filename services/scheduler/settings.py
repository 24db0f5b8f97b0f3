"""Every limit of the scheduler, with its unit."""

from datetime import timedelta

WINDOW_COUNT_MAX = 10_000
"""So many of the nearest timers are in memory."""
WINDOW = timedelta(hours=1)
"""Timers due later than that are in the table only."""
LOOK_AHEAD = timedelta(minutes=1)
"""So long before the end of the window the next one is loaded."""
LOOK_AHEAD_COUNT = 1_000
"""Or when so many of a full window are left."""
REBUILD_PAGE_COUNT = 1_000
ROWS_PER_STATEMENT_MAX = 10_000
READS_AT_ONCE_MAX = 4
"""Reads of the log at the same time, while runs are looked up."""
CONNECTIONS_MAX = 2
"""To Postgres, beside those of the event log."""
CATCH_UP_MAX = 1_000
"""Missed firings of one schedule that `catch_up: all` fires; the rest, and no more one by one, is recorded as missed."""
MISSED_AFTER_MS = 1_000
"""A firing that comes up so late was missed; before that it is only late."""
MISSED_COUNT_MAX = 10_000
"""So many missed firings are counted beyond those that are listed."""
FIRINGS_PER_TURN_MAX = 100
"""Of one schedule."""
DEFINITIONS_PAGE_COUNT = 500
CLOCK_WENT_BACK_S = 1.0
