"""Projections: what the log says, as tables that answer questions, and as live streams.

hears   the event log by position, nudged by `<ns>.log.appended`; `JobLogged` reports of workers
says    `<ns>.log.projected`, the position up to which the read models stand
owns    the schema `projections` (rebuilt from the log at any time) and `projections_kept` (lines that jobs logged)
answers which runs are like this, and where a dead letter stands
serves  every GET of the HTTP interface, server-sent events included
logs    what retention has done (`retention.py`), and reports of lines that cannot be read
never   decides anything, or reads a clock into a read model

`state` the rows · `fold` event → rows, pure · `store` rows → Postgres · `loop` live · `rebuild` from nothing, and the
proof that both agree · `job_logs` · `archiving`, `retention` what is kept for how long · `streams` live events for
HTTP · `api` the HTTP reads · `answers` to other services.
"""
