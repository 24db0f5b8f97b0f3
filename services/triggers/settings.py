"""Every limit of triggers, with its unit."""

from datetime import timedelta

PAYLOAD_INLINE_BYTES_MAX = 256 * 1024
"""Larger data is kept beside the log, under its content hash; the event holds the reference."""
VARIABLES_BYTES_MAX = 256 * 1024
"""Of one request, all together."""
JSON_DEPTH_MAX = 200
"""Of an event or command, levels; more than every reader of the log can take is not logged."""
FIRINGS_COUNTED_MAX = 10_000
"""Of one trigger, for its limit; no limit can be higher."""
DEPTH_MAX = 32
"""So long a chain of causes may be, runs."""
RUNS_PER_CAUSE_MAX = 1_000
"""What would fire beyond is suppressed `depth_exceeded` (interface.md 2.1)."""
RULE_OUT_ABOVE_COUNT = 8
"""Up to so many triggers on one event type and source are all evaluated and their decisions recorded; above, an
equality in a filter rules a trigger out unrecorded."""
DEFINITIONS_PAGE_COUNT = 500
NEAREST_IDS_MAX = 3
NEAREST_LOOKED_AT_MAX = 5_000
"""So many workflow ids are compared at most to find the ones that were perhaps meant."""
VERSIONS_CACHED_COUNT_MAX = 256
"""Older versions of workflows kept in memory."""
PLACES_CACHED_COUNT_MAX = 64
"""Versions of which the ids of nodes are kept, for runs that begin or halt at one."""
READS_AT_ONCE_MAX = 16
CAUSES_RECALLED_BYTES_MAX = 64 * 1024 * 1024
"""Of causes that triggers hold, kept in memory, so that they need not be read again when they fire."""
CHAINS_CACHED_COUNT_MAX = 10_000
EVENTS_BEFORE_START_MAX = 4
"""Of a run: among so many after its first one its start is looked for."""
JOB_MOMENT_EVENTS_MAX = 5_000
"""Of the runs that began in the millisecond of a job's id, looked through for the job's own."""
DUE_SLACK_COUNT = 8
"""So many instants, and as many more as a trigger holds causes, are kept of what it holds no longer."""
LEDGER_PAGE_COUNT = 5_000
LEDGER_KEPT_AFTER_COUNT = 5_000
"""After so many events of triggers that remember, or as many as they hold, the ledger is written down."""
LEDGER_KEPT_AFTER_POSITIONS = 200_000
"""Or after so many events of whatever kind, which a start would have to pass over."""
IDLE_SLOTS_KEPT_COUNT_MAX = 100_000
"""Of so many keys that nobody runs under now the place in the log is known; of an older one it is looked up."""
SCHEDULE_TICK = timedelta(microseconds=1)
"""Nominal times are no closer."""
REHEARSALS_AT_ONCE_MAX = 2
SCHEDULE_REHEARSED = timedelta(days=7)
"""So far back a schedule is rehearsed where no beginning is given."""
SCHEDULE_REHEARSED_COUNT_MAX = 10_000
RUNS_REMEMBERED_MAX = 200_000
"""Of the history, which of them are upstream; others are looked up when they end."""
REHEARSAL_PAGE_COUNT = 5_000
"""Events of the history read at once."""
REHEARSAL_STEP_COUNT = 50
"""After so many of them the turns of the service go first."""
REHEARSAL_ANSWER_BYTES_MAX = 700 * 1024
"""Of the decisions in one answer; the others come with the next page."""
FIRINGS_REMEMBERED_MAX = 10_000
"""Of the real firings beside which decisions are shown."""
CLOCK_DISORDER_S = 5
"""So far apart neighbours in the log may have been recorded in the wrong order."""
SHARED_COUNT_MAX = 10_000
"""Small things that many workflows have alike, kept once."""
TOLD_APART_ABOVE_COUNT = 16
"""More triggers that demand the same value at one path are told apart by what else they demand."""
PATTERN_MIDDLE_CHARS_MAX = 16
"""So much of a text between two `*` tells patterns apart."""
RULES_CACHED_COUNT_MAX = 10_000
"""Triggers that matched lately, kept ready to be evaluated."""
DEFINITIONS_CACHED_COUNT_MAX = 64
"""Definitions kept decoded; all others are kept as text."""
TEMPLATES_CACHED_COUNT_MAX = 1_000
"""Inputs of triggers kept compiled; many triggers have the same."""
SLOT_KEY_CHARS_MAX = 256
"""Of a rendered `concurrency.key`; a longer one is a decision `failed`."""
SLOT_QUEUE_COUNT_MAX = 10_000
"""Runs that may wait for the slots under one key; more are suppressed, `overlap`."""
HOLDERS_NAMED_MAX = 10
"""Of the runs that hold the slots, in a decision or an answer."""
SLOTS_UNLIMITED = 2**31 - 1
"""Of a workflow that has no `concurrency` any more."""
