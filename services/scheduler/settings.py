"""Every limit of the scheduler, with its unit."""

from datetime import timedelta

WINDOW_COUNT_MAX = 10_000
"""So many of the nearest timers are in memory; twice as many, once so many more are set."""
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
HELD_BACK_COUNT_MAX = 10_000
"""So many nominal times of one schedule are looked at, at a start, for those that its jitter held back."""
FIRINGS_PER_TURN_MAX = 100
"""Of one schedule."""
BACKFILL_TIMES_MAX = 5_000
"""Nominal times in the span of one backfill, fired before or not: so many are looked up in the log."""
BACKFILL_FIRINGS_MAX = 1_000
"""Of one backfill; one first cause starts no more runs."""
BACKFILL_COUNTED_MAX = 10_000
"""So many nominal times are counted to say how many there are too many."""
BACKFILL_LISTED_MAX = 1_000
"""Of a preview."""
BACKFILL_PORTION_COUNT = 25
BACKFILL_PAUSE = timedelta(milliseconds=100)
"""Of all backfills under way one fires a portion, then all pause: 250 firings a second leave room for others."""
DEFINITIONS_PAGE_COUNT = 500
CLOCK_WENT_BACK_S = 1.0
