"""Triggers: which cause starts which workflow, and why not.

Hears   external events on the inbox; commands `RequestRun`, `ReceiveEvents`, `ReceiveWebhook`, `CountRejections`;
        `ScheduleFired` and `ScheduleMissed` of the scheduler, and its timers; the end of every run, its jobs
        (`JobEnded`), the children that it asks for (`ChildRunRequested`) or wants no more (`ChildCancelRequested`), and
        that it is to go on (`RunRetryRequested`); every change of a workflow.
Says    `WorkflowTriggered`, the first event of every run; `ChildRunRefused` of a child that does not start; of runs that
        waited for a slot or are retried `RunAdmitted` or `RetryRefused`, of those that have to make room `RunDisplaced`;
        `TriggerTimerSet` of what a trigger holds.
Owns    streams `cause` (what came, then each decision that is not `fired`) and version 1 of streams `run`; streams `trigger`,
        what a trigger remembers, `chain`, what one first cause led to, and `child`, that a child will not start;
        of streams `schedule` what was decided, from version 2; streams `slot`, who may run (slots, admission, concurrency).
Never   looks at what a run does, keeps a table, or decides on definitions older than the log's.

Read in this order: state (a workflow), cause, inputs, patterns, buckets, index, memory and pipeline (triggers that remember),
endings, admission, decide, scheduled, jobs, children, failures, simulation;
then reading, answers, definitions, ledger, recalling, known, occasions, run_occasions, handlers.
"""
