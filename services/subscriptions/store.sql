-- What subscriptions own. Applied by the migrations, as the database's owner; it may be applied again.
--
-- `cursors` says of each subscription how far in the log it has looked for what it is owed: everything up to `position`
-- that its filter means is a row of `deliveries`, or was one. Both are written in one transaction. `ordered_position` is
-- the event (a save, a replay, a resumption that skips) whose order has been carried out; a later one in the stream has
-- not. Without a row a subscription begins where it was made.
--
-- `deliveries` has what is owed (`pending`), and the last of what was delivered or failed. Of one run the next event is
-- posted only once the one before it is no longer pending. `tries` are the last attempts, `[{at, status, …}]`.

create schema if not exists subscriptions;

create table if not exists subscriptions.cursors (
    subscription_id   text   primary key,
    position          bigint not null,
    ordered_position  bigint not null,
    delivered_count   bigint not null default 0,
    failed_count      bigint not null default 0,
    last_delivered_at timestamptz,
    failing_since     timestamptz,
    last_error        text
);

create table if not exists subscriptions.deliveries (
    subscription_id text        not null,
    position        bigint      not null,
    event_id        uuid        not null,
    event_type      text        not null,
    run_id          uuid        not null,
    workflow_id     text        not null,
    status          text        not null check (status in ('pending', 'delivered', 'failed')),
    attempts        int         not null default 0,
    tries           json        not null default '[]',
    created_at      timestamptz not null default now(),
    first_tried_at  timestamptz,
    due_at          timestamptz,
    ended_at        timestamptz,
    primary key (subscription_id, position)
);

create index if not exists deliveries_pending on subscriptions.deliveries (subscription_id, position)
    where status = 'pending';
