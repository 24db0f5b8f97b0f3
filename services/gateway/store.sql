-- What gateway keeps beside the log: who may call, and which answers were given.
--
-- users: who there is and the role of each (viewer, operator, editor, admin). A new installation has `admin`, who is
-- original as long as nobody removes that user. The installation's own key is let in for the original one only: a key that
-- went with its user does not come back with another user of that name.
-- keys: SHA-256 of an API key, whose it is, and the role of that user. The key itself is nowhere. `key_id` is what people
-- call it; the administrator's first key, which is a file of the installation, has none.
-- people: up to which version of the stream of people in the log these two have it; sessions and links of users who are
-- gone go with them.
-- sessions: SHA-256 of the id that a browser has in its cookie, whose it is, since when, and when it was used last.
-- login_links: SHA-256 of a token that begins a session, once, until `expires_at`.
-- idempotency: one row per (actor, route, Idempotency-Key), hashed. A row is written before the command is sent, with
-- the hash of the request's body, and completed with the answer. A row without an answer is a request under way, or one
-- whose gateway died: it is sent again under the same command id, which the services know. `period` numbers the stretches
-- of time, each as long as a row is kept; it is that in which the key was taken, and part of the command's id: the services
-- know a command for ever, and a key is free after seven days. Rows from before this was so have none.

create schema if not exists gateway;

create table if not exists gateway.keys (
    hash bytea primary key,
    name text not null,
    role text not null,
    created_at timestamptz not null default now()
);

alter table gateway.keys add column if not exists key_id text;
alter table gateway.keys add column if not exists expires_at timestamptz;
create index if not exists keys_name on gateway.keys (name);

create table if not exists gateway.users (
    name text primary key,
    role text not null
);

alter table gateway.users add column if not exists is_original boolean not null default true;

create table if not exists gateway.people (
    is_only_row boolean primary key default true check (is_only_row),
    version int not null
);

with first as (insert into gateway.people (version) values (0) on conflict do nothing returning version)
insert into gateway.users (name, role) select 'admin', 'admin' from first on conflict do nothing;

create table if not exists gateway.sessions (
    hash bytea primary key,
    name text not null,
    role text not null,
    created_at timestamptz not null default now(),
    used_at timestamptz not null default now()
);

create index if not exists sessions_name on gateway.sessions (name);

create table if not exists gateway.login_links (
    hash bytea primary key,
    name text not null,
    expires_at timestamptz not null
);

create table if not exists gateway.idempotency (
    key bytea primary key,
    body_hash bytea not null,
    answer bytea,
    created_at timestamptz not null default now()
);

alter table gateway.idempotency add column if not exists period bigint;
create index if not exists idempotency_created_at on gateway.idempotency (created_at);
