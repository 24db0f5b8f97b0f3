-- What the scheduler owns. Applied by the migrations, as the database's owner; it may be applied again.
--
-- `timers` has a row for each timer that was set and has not fired. A row is written before the message that set the
-- timer is acknowledged, and deleted some time after the log has its `TimerFired`; one that is still here then fires
-- into a conflict and is deleted. Disposable: an empty table is filled from the log when the scheduler starts.
--
-- `set_position` is where the log has the `TimerSet`; `correlation_id` and `causation_id` are what the firing will carry.

create schema if not exists scheduler;

create table if not exists scheduler.timers (
    timer_id       uuid        primary key,
    run_id         uuid        not null,
    workflow_id    text        not null,
    due_at         timestamptz not null,
    purpose        text        not null,
    node_id        text        not null,
    instance       text        not null,
    attempt        int         not null,
    set_position   bigint      not null,
    correlation_id uuid,
    causation_id   uuid
);

create index if not exists timers_due on scheduler.timers (due_at, timer_id);

-- `schedules` has, of each schedule, the last nominal time that fired and the last one that was recorded as missed, and
-- when (null in rows of older versions), as the log says them up to the cursor `schedules:scheduler`. Disposable: with an
-- empty table the log is read from its start.

create table if not exists scheduler.schedules (
    workflow_id  text not null,
    trigger_id   text not null,
    fired_at     timestamptz,
    missed_until timestamptz,
    primary key (workflow_id, trigger_id)
);

alter table scheduler.schedules add column if not exists missed_at timestamptz;
