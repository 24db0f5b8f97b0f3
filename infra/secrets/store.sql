-- Secrets, sealed: what definitions refer to and the log must never hold.
--
-- sealed: `owner` is whose it is (`webhooks/<workflow>/<trigger>`), `fingerprint` the keyed hash under which definitions
-- refer to it, `key_id` the name of the key it was sealed with, `sealed` a nonce and the AES-256-GCM ciphertext, to which
-- owner and fingerprint are bound. A row is written before the event that refers to it, and never changed; one that
-- nothing refers to was left by a save that did not come about, or by a rotation.

create schema if not exists secrets;

create table if not exists secrets.sealed (
    owner       text        not null,
    fingerprint text        not null,
    key_id      text        not null,
    sealed      bytea       not null,
    created_at  timestamptz not null default now(),
    primary key (owner, fingerprint)
);
