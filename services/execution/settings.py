"""Every limit of this service."""

from flowforge.subjects import JOB_LEASE_S

RUNS_CACHED_MAX = 20_000
"""Runs kept in memory; the longest unused are read from the log again when needed."""
PLANS_CACHED_MAX = 2_000
INPUT_INLINE_BYTES_MAX = 512 * 1024
"""A larger computed input is refused with PAYLOAD_TOO_LARGE (an output of a job travels by reference and is not)."""
JOB_BYTES_MAX = 1_000_000
"""Of what a job takes along in its message: its payload, its input, and its node's own text, such as a script."""
VALUE_DEPTH_MAX = 200
"""Lists and objects inside one another; about what expressions take, and far below where decoding gives up."""
MAP_INSTANCES_MAX = 100_000
STEP_EVENTS_MAX = 5_000
"""A run that has more to do at once does it in several steps: other runs are not kept waiting meanwhile, and what is logged
and said in one go stays small. A step may exceed it by what one node, or the end of one, takes with it."""
JOBS_LOOKED_AT_AFTER_S = JOB_LEASE_S + 5
"""After a start, or after NATS was away: how long workers have to give a sign of life before lost jobs are said again."""
LOST_OUTPUTS_KNOWN_MAX = 10_000
"""Attempts whose output was lost, and that are handed out again: how often is remembered of so many."""
SPENT_JOBS_LOOKED_FOR_EVERY_S = 3
"""How long after its last delivery ran out a job without any worker left is known to be lost."""
OPEN_RUNS_KEPT_EVERY_S = 10
"""How often the position below which no run is open is kept."""
DELAY_MS_MAX = 10 * 366 * 86_400_000
"""The longest that a delay may be."""
WAITS_PAGE_COUNT = 1_000
WAITS_KEPT_EVERY_S = 5.0
"""How often it is kept how far the log was read for nodes that wait for events."""
CACHE_KEY_CHARS_MAX = 256
"""A longer rendered `cache_key` is kept as its hash."""
WORKER_AWAITED_AFTER_S = 2.0
"""So long after a job was queued it is told that nobody serves its type, if nobody does."""
CONNECTIONS_MAX = 2
"""To the table of outputs that may be used again."""
OUTPUTS_PAGE_COUNT = 5_000
OUTPUTS_KEPT_EVERY_S = 10
"""How often it is kept up to where the log's outputs are in the table."""
OUTPUTS_FORGOTTEN_EVERY_S = 600
"""How often those that are too old are deleted."""
RUNS_PAGE_COUNT = 200
"""Runs read at once, where many are looked at."""
RUNS_NUDGED_MAX = 1_000
"""Per second after a start: runs that may have asked for something when the process before ended."""
INVITED_AGAIN_EVERY_S = 5.0
"""In case an invitation to take a place was lost."""
WOKEN_BEFORE_BREAKER_MAX = 10
"""Runs that are woken when a breaker lets one attempt through; the first that comes has it."""
BREAKER_EVENTS_READ_MAX = 200
"""Of a longer stream only the end is read from the next start on."""
ATTEMPTS_TRACED_MAX = 20_000
"""Attempts under way whose beginning is remembered for their span; those of more are not recorded."""
EVENT_TYPES_TRACED_MAX = 20
"""How many events of a step its span names."""
RUNS_TRACED_MAX = 20_000
"""Runs whose span is remembered; that of others is computed anew."""
