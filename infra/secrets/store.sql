-- Secrets, sealed: what definitions refer to and the log must never hold.
--
-- sealed: `owner` is whose it is (`webhooks/<workflow>/<trigger>`, `named/<name>`), `fingerprint` the keyed hash under
-- which definitions and events refer to it, `key_id` the name of the key it was sealed with, `sealed` a nonce and the
-- AES-256-GCM ciphertext, to which owner and fingerprint are bound. A row is written before the event that refers to it;
-- put again, only its time changes. One that nothing refers to was left by a save that did not come about, or by a
-- rotation; of secrets set by name such rows are removed.

create schema if not exists secrets;

create table if not exists secrets.sealed (
    owner       text        not null,
    fingerprint text        not null,
    key_id      text        not null,
    sealed      bytea       not null,
    created_at  timestamptz not null default now(),
    primary key (owner, fingerprint)
);
