"""The life of a run: which nodes run when, and how it ends.

Hears `WorkflowTriggered` (a run begins, or waits), `RunAdmitted` and `RunDisplaced` (it may begin, has to end), the reports
of workers, timers that came due, jobs that JetStream gave up on, and the command `CancelRun`. Says every event of a run but
the first, the jobs (`JobRequested`) and the cancels. Owns the run streams from version 2 on, the streams of circuit
breakers, and the table of outputs that may be used again. Never reads the clock, or another service's tables, to decide.

Rooms: `plan` (a definition made ready to run), `state` (what a run remembers; `evolve`), `decide` (what follows from a
message), `rules` (interface.md 1.3: edges and `run_if`), `inputs` (values and templates), `handlers` (load, decide, say),
`meaning` (what each message is), `runs` and `open_runs` (in memory, and which there are), `jobs` (what workers hear),
`wiring`. What runs share: `around` (what a step may ask), `places`, `breakers`, `outputs` with `store`, and `sharing`, which
fills and keeps them. What is looked for each second: `waits` (events that nodes wait for), `lost_jobs`, `spent_jobs`,
`awaited` (jobs that nobody takes).
"""
