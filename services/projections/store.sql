-- What projections own. Applied by the migrations, as the database's owner; it may be applied again.
--
-- `projections`           the read models. Their tables (tables.sql) are made by the service itself, which drops and
--                         exchanges them when it rebuilds.
-- `projections_next`      read models while they are built anew, until they take the place of the live ones.
-- `projections_verified`  read models built anew to be compared with the live ones.
-- `projections_kept`      what a rebuild cannot give back, because the log does not have it: the lines that jobs wrote.
--
-- `job_log_lines`: one row per report of lines. A report that is delivered again has the same key and changes nothing.
-- `logged_at` is when NATS stored the report; rows older than the retention setting are deleted.

create schema if not exists projections;
create schema if not exists projections_next;
create schema if not exists projections_verified;
create schema if not exists projections_kept;

create table if not exists projections_kept.job_log_lines (
    run_id     uuid not null,
    node_id    text not null,
    instance   text not null,
    attempt    int not null,
    first_line int not null,
    job_id     uuid not null,
    lines      text[] not null,
    logged_at  timestamptz not null,
    primary key (run_id, node_id, instance, attempt, first_line)
);
create index if not exists job_log_lines_age on projections_kept.job_log_lines using brin (logged_at);
