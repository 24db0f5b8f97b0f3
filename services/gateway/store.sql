-- What gateway keeps beside the log: who may call, and which answers were given.
--
-- keys: SHA-256 of an API key, whose it is, and the role (viewer, operator, editor, admin). The key itself is nowhere.
-- idempotency: one row per (actor, route, Idempotency-Key), hashed. A row is written before the command is sent, with
-- the hash of the request's body, and completed with the answer. A row without an answer is a request under way, or one
-- whose gateway died: it is sent again under the same command id, which the services know.

create schema if not exists gateway;

create table if not exists gateway.keys (
    hash bytea primary key,
    name text not null,
    role text not null,
    created_at timestamptz not null default now()
);

create table if not exists gateway.idempotency (
    key bytea primary key,
    body_hash bytea not null,
    answer bytea,
    created_at timestamptz not null default now()
);

create index if not exists idempotency_created_at on gateway.idempotency (created_at);
