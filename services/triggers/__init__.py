"""Triggers: which cause starts which workflow, and why not.

Hears   external events on the inbox; commands `RequestRun`, `ReceiveEvents`, `ReceiveWebhook`, `CountRejections`;
        `ScheduleFired` and `ScheduleMissed` of the scheduler; the end of every run, and its jobs (`JobEnded`).
Says    `WorkflowTriggered`, the first event of every run; of runs that waited for a slot `RunAdmitted`, of those that
        have to make room `RunDisplaced`.
Owns    streams `cause` (what came, then each decision that is not `fired`) and version 1 of streams `run`;
        of streams `schedule` what was decided, from version 2; streams `slot`, who may run (slots, admission, concurrency).
Never   looks at what a run does, keeps a table, or decides on definitions older than the log's.

Read in this order: state (what is remembered of a workflow), cause, inputs, patterns, buckets, index, decide, scheduled,
jobs; then reading, answers, definitions, known, handlers.
"""
