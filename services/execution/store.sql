-- What execution owns. Applied by the migrations, as the database's owner; it may be applied again.
--
-- `outputs` has, by the name of what it stands for (`NodeCompleted.cache_key`), where in the log the newest output is that
-- may be used again; the output itself is in the log. `outputs_read` is one row: up to which position of the log every such
-- output is in the table. Disposable: with both tables empty the log is read from its start.

create schema if not exists execution;

create table if not exists execution.outputs (
    name         bytea       primary key,
    position     bigint      not null,
    completed_at timestamptz not null
);

create index if not exists outputs_completed on execution.outputs (completed_at);

create table if not exists execution.outputs_read (
    is_only_row boolean primary key default true check (is_only_row),
    position    bigint  not null
);
