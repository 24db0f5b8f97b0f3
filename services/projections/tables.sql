-- The read models: what the log says, as tables. Created in the schema that the search path names: see store.sql.
--
-- `checkpoint` is one row: the position up to which every table here agrees with the log, the log's incarnation, and
-- the version of these tables. It moves in the transaction that writes the rows, from the position that was read: who
-- finds it elsewhere has lost the race, or the tables were exchanged, and loads anew.
--
-- `workflows` has the newest version of each, `workflow_versions` every definition as logged. `runs` has one row per
-- run from its first event on, also of those whose events are in an archive, which have no rows of nodes. `node_runs` has one row per node that did anything in a run (one that is idle has none:
-- readers add it from the definition), `node_instances` one per item of a map, and per iteration for each node of a loop's
-- body; it may hold rows of an earlier try (`instances_since_position` of the map or the loop). `approvals` has one row
-- per question to people. `run_labels` has one row per label of a run, by which
-- lists find it. `slots` has one row per run that asked for a slot of `concurrency`. `templates` has those that
-- people saved, deleted ones too; `prompts` the newest version of each stored prompt, `prompt_versions` all of them; `users` who may ask, removed ones too, and `user_keys` their keys that were not revoked.
-- `decisions` has every answer of a trigger, the fired ones too; `received_events`
-- what came from outside; `webhook_rejections` how many deliveries were turned away; `dead_letters` what could not be
-- handled; `audit` who asked for what; `secret_changes` which secrets there are, and who changed them when;
-- `breakers` how each circuit breaker stands that has ever opened; `node_statistics`, `run_hours` and `usage` are counts:
-- see statistics.py.
--
-- Columns, their order and names are the fields of the rows in state.py. JSON is `json`: the text as it was.
-- Rows that change leave room on their page for it (fillfactor), so that most updates touch no index.

create table checkpoint (
    is_only_row boolean primary key default true check (is_only_row),
    position    bigint not null,
    incarnation uuid   not null,
    tables_version int not null
) with (fillfactor = 10);

create table workflows (
    id               text primary key,
    created_at       timestamptz not null,
    created_by       text,
    created_position bigint not null unique,
    template_id      text,
    version          int not null,
    status           text not null,
    name             text not null,
    experiment_id    text,
    tags             text[] not null,
    has_schedule     boolean not null,
    updated_at       timestamptz not null,
    position         bigint not null
) with (fillfactor = 70);

create table workflow_versions (
    workflow_id    text not null,
    version        int not null,
    definition     json not null,
    rolled_back_to int,
    created_at     timestamptz not null,
    created_by     text,
    position       bigint not null,
    primary key (workflow_id, version)
);

create table runs (
    run_id           uuid primary key,
    workflow_id      text not null,
    workflow_version int not null,
    trigger_type     text not null,
    trigger_id       text not null,
    cause_event_id   uuid not null,
    cause_type       text not null,
    cause_id         text not null,
    cause_source     text not null,
    parent_run_id    uuid,
    parent_node_id   text,
    parent_instance  text,
    caused_by_run_id uuid,
    actor            text,
    input_data       json not null,
    depth            int not null,
    from_node        text,
    forked_from      json,
    is_shadow        boolean not null,
    created_at       timestamptz not null,
    created_position bigint not null,
    labels           jsonb not null,
    priority         int not null,
    status           text not null,
    variables        json not null,
    output_data      json not null,
    error            json not null,
    started_at       timestamptz,
    completed_at     timestamptz,
    total_nodes      int not null,
    completed_nodes  int not null,
    ended_nodes      int not null,
    breakpoints      json,
    paused_at        timestamptz,
    paused_before    json,
    retries          int not null,
    sla_missed_at    timestamptz,
    recovery_actions json,
    archive          text,
    position         bigint not null
) with (fillfactor = 60);

create table run_labels (
    label            text not null,
    created_position bigint not null,
    workflow_id      text not null,
    primary key (label, created_position)
);

create table node_runs (
    run_id           uuid not null,
    node_id          text not null,
    instance         text not null,
    status           text not null,
    attempt          int not null,
    skip_reason      text,
    progress         float8,
    progress_message text,
    input            json,
    input_from       text,
    output           json not null,
    error            json not null,
    job_id           uuid,
    job_type         text,
    queue            text,
    worker           text,
    instances_count  int,
    queued_at        timestamptz,
    started_at       timestamptz,
    completed_at     timestamptz,
    retry_at         timestamptz,
    waiting_for      json,
    child_run_id     uuid,
    isolation        json,
    usage            json,
    cached_from      json,
    by_hand          json,
    instance_counts  json,
    instances_since_position bigint,
    started_position bigint,
    position         bigint not null,
    primary key (run_id, node_id, instance)
) with (fillfactor = 60);

-- Its only index, so that the planner has no choice: numbers in the name of an instance are in order as numbers.
create table node_instances (like node_runs) with (fillfactor = 60);
create unique index node_instances_in_order on node_instances (run_id, node_id, (string_to_array(instance, '.')::int[]));

create table approvals (
    requested_position bigint primary key,
    id                 text not null,
    run_id             uuid not null,
    workflow_id        text not null,
    node_id            text not null,
    instance           text not null,
    attempt            int not null,
    message            text not null,
    approvers          json not null,
    requested_at       timestamptz not null,
    expires_at         timestamptz,
    status             text not null,
    decision           text,
    comment            text,
    decided_by         text,
    decided_at         timestamptz,
    position           bigint not null
) with (fillfactor = 70);
create index approvals_of_run on approvals (run_id);

create table slots (
    run_id         uuid primary key,
    slot_id        uuid not null,
    workflow_id    text not null,
    pool           text,
    key            text not null,
    slot_limit     int not null,
    state          text not null,
    priority       int not null,
    since_position bigint not null,
    position       bigint not null
) with (fillfactor = 60);

create table templates (
    id               text primary key,
    version          int not null,
    status           text not null,
    name             text not null,
    description      text not null,
    category         text not null,
    definition       json not null,
    workflow_id      text,
    workflow_version int,
    created_at       timestamptz not null,
    created_by       text,
    created_position bigint not null,
    updated_at       timestamptz not null,
    position         bigint not null
) with (fillfactor = 70);

create table prompts (
    id               text primary key,
    version          int not null,
    status           text not null,
    name             text not null,
    description      text not null,
    created_at       timestamptz not null,
    created_by       text,
    created_position bigint not null,
    updated_at       timestamptz not null,
    position         bigint not null
) with (fillfactor = 70);

create table prompt_versions (
    prompt_id   text not null,
    version     int not null,
    name        text not null,
    description text not null,
    prompt      json not null,
    system      json,
    created_at  timestamptz not null,
    created_by  text,
    position    bigint not null,
    primary key (prompt_id, version)
);

create table users (
    name             text primary key,
    role             text not null,
    status           text not null,
    created_at       timestamptz,
    created_by       text,
    created_position bigint not null,
    updated_at       timestamptz not null,
    position         bigint not null
);

create table user_keys (
    user_name   text not null,
    id          text not null,
    description text not null,
    created_at  timestamptz not null,
    created_by  text,
    expires_at  timestamptz,
    position    bigint not null,
    primary key (user_name, id)
);

create table decisions (
    position        bigint primary key,
    workflow_id     text not null,
    trigger_id      text not null,
    trigger_version int not null,
    cause_event_id  uuid not null,
    cause_type      text not null,
    cause_id        text not null,
    cause_source    text not null,
    decision        text not null,
    reason          text,
    detail          text,
    consumed        uuid[] not null,
    run_id          uuid,
    decided_at      timestamptz not null
);

create table received_events (
    position        bigint primary key,
    event_id        uuid not null,
    id              text not null,
    source          text not null,
    type            text not null,
    subject         text,
    time            text,
    datacontenttype text,
    data            json not null,
    extensions      json not null,
    received_at     timestamptz not null
);

create table webhook_rejections (
    position    bigint not null,
    reason      text not null,
    workflow_id text not null,
    trigger_id  text not null,
    count       bigint not null,
    counted_at  timestamptz not null,
    primary key (position, reason)
);

create table dead_letters (
    stream_id      uuid primary key,
    id             uuid not null unique,
    first_position bigint not null unique,
    service        text not null,
    subject        text not null,
    body           text not null,
    body_encoding  text not null,
    status         text not null,
    reason         text not null,
    deliveries     int not null,
    quarantined_at timestamptz not null,
    failures       int not null,
    retries        int not null,
    retried_at     timestamptz,
    retried_by     text,
    position       bigint not null
) with (fillfactor = 70);

create table audit (
    position bigint primary key,
    actor    text,
    action   text not null,
    resource text not null,
    subject  text not null,
    workflow_id text,
    at       timestamptz not null
);

create table node_statistics (
    workflow_id     text not null,
    node_id         text not null,
    completed_count bigint not null,
    failed_count    bigint not null,
    skipped_count   bigint not null,
    timed_count     bigint not null,
    mean_ms         float8 not null,
    variance_ms2    float8 not null,
    position        bigint not null,
    primary key (workflow_id, node_id)
) with (fillfactor = 50);

create table run_hours (
    workflow_id  text not null,
    hour         timestamptz not null,
    trigger_type text not null,
    trigger_id   text not null,
    created      bigint not null,
    completed    bigint not null,
    failed       bigint not null,
    cancelled    bigint not null,
    partial      bigint not null,
    duration_ms  bigint not null,
    durations    json not null,
    position     bigint not null,
    primary key (workflow_id, hour, trigger_type, trigger_id)
) with (fillfactor = 50);

create table usage (
    kind     text not null,
    id       text not null,
    count    bigint not null,
    first_at timestamptz not null,
    last_at  timestamptz not null,
    position bigint not null,
    primary key (kind, id)
) with (fillfactor = 50);

create table secret_changes (
    position   bigint primary key,
    name       text not null,
    version    int,
    changed_at timestamptz not null,
    changed_by text
);

create table breakers (
    breaker        text primary key,
    status         text not null,
    since          timestamptz not null,
    until          timestamptz,
    failures_count int,
    error          text,
    run_id         uuid,
    node_id        text,
    position       bigint not null unique
) with (fillfactor = 70);

-- --- for readers only ------------------------------------------------------------------------------------------------
-- Whoever writes the rows needs none of these: where read models are built anew they are made last.

create unique index runs_created on runs (created_position);
create index runs_of_workflow on runs (workflow_id, created_at, created_position);
create index runs_by_time on runs (created_at, created_position);
create index runs_by_trigger_type on runs (trigger_type, created_position);
create index runs_with_status on runs (status, created_position);
create index runs_by_span on runs (
    (width_bucket(extract(epoch from completed_at - created_at)::float8, array[1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216]::float8[])),
    created_at, created_position
) where completed_at is not null;
create index runs_of_workflow_in_vain on runs (workflow_id, status, created_at, created_position)
    where status in ('failed', 'cancelled', 'partial');
create index workflows_on_schedules on workflows (id) where has_schedule and status = 'active';
create index runs_in_shadow on runs (created_position) where is_shadow;
create index runs_of_parent on runs (parent_run_id, created_position) where parent_run_id is not null;
create index runs_caused_by on runs (caused_by_run_id, created_position) where caused_by_run_id is not null;
create index run_labels_of_workflow on run_labels (workflow_id, label, created_position);
create index approvals_named on approvals (id, requested_position);
create index approvals_with_status on approvals (status, requested_position);
create index approvals_of_workflow on approvals (workflow_id, requested_position);
create index slots_in_use on slots (slot_id, state, since_position) where state <> 'gone';
create index slots_of_workflow on slots (workflow_id, slot_id) where state <> 'gone';
create index templates_created on templates (created_position);
create index prompts_created on prompts (created_position);
create index decisions_of_trigger on decisions (workflow_id, trigger_id, position);
create index decisions_of_trigger_by_answer on decisions (workflow_id, trigger_id, decision, position);
create index decisions_for_cause on decisions (cause_event_id);
create index decisions_for_cause_named on decisions (cause_id);
create index received_events_by_time on received_events (received_at, position);
create index received_events_of_source on received_events (source, position);
create index received_events_named on received_events (id);
create index received_events_by_event_id on received_events (event_id);
create index received_events_of_type on received_events (type, position);
create index webhook_rejections_of_trigger on webhook_rejections (workflow_id, trigger_id);
create index audit_of_actor on audit (actor, position);
create index audit_of_action on audit (action, position);
create index audit_by_time on audit (at, position);
create index audit_of_resource on audit (resource, position);
create index audit_of_subject on audit (subject, position);
create index audit_of_workflow on audit (workflow_id, position) where workflow_id is not null;
create index run_hours_of_hour on run_hours (hour);
create index secret_changes_of_name on secret_changes (name, position);
