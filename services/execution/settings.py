"""Every limit of this service."""

from flowforge.subjects import JOB_LEASE_S

RUNS_CACHED_MAX = 20_000
"""Runs kept in memory; the longest unused are read from the log again when needed."""
PLANS_CACHED_MAX = 2_000
INPUT_INLINE_BYTES_MAX = 512 * 1024
"""A larger computed input is refused with PAYLOAD_TOO_LARGE (an output of a job travels by reference and is not)."""
OUTPUT_VALUE_BYTES_MAX = 64 * 1024 * 1024
MAP_INSTANCES_MAX = 100_000
JOBS_LOOKED_AT_AFTER_S = JOB_LEASE_S + 5
"""After a start, or after NATS was away: how long workers have to give a sign of life before lost jobs are said again."""
SPENT_JOBS_LOOKED_FOR_EVERY_S = 3
"""How long after its last delivery ran out a job without any worker left is known to be lost."""
OPEN_RUNS_KEPT_EVERY_S = 10
"""How often the position below which no run is open is kept."""
DELAY_MS_MAX = 10 * 366 * 86_400_000
"""The longest that a delay may be."""
WAITS_PAGE_COUNT = 1_000
WAITS_KEPT_EVERY_S = 5.0
"""How often it is kept how far the log was read for nodes that wait for events."""
