-- Keys with scopes, the book of privileged acts, answers kept for a repeated request: see docs/decisions/0009.

alter table api_keys add column last_used_at bigint;
create index api_keys_of_tenant on api_keys (tenant_id, created_at, id);

-- One row an act, numbered without gaps; `mac` seals it together with the row before.
create table audit (
    bucket bigint not null,
    tenant_id uuid not null,
    seq bigint not null,
    at bigint not null,
    actor text not null,
    action text not null,
    workspace_id uuid,
    target text not null,
    before text,
    after text,
    request_id text,
    address text,
    mac bytea not null,
    primary key (bucket, tenant_id, seq)
);

create table audit_heads (
    bucket bigint not null,
    tenant_id uuid not null,
    seq bigint not null,
    mac bytea not null,
    primary key (bucket, tenant_id)
);

-- The answer to a POST, for whoever sends it again under the same key.
create table replays (
    bucket bigint not null,
    tenant_id uuid not null,
    name bytea not null,
    id uuid not null,
    request bytea not null,
    status bigint,
    answer bytea,
    created_at bigint not null,
    primary key (bucket, tenant_id, name)
);
create index replays_old on replays (created_at);

-- A deleted workspace is kept for a day, then everything of it goes.
create index workspaces_deleted on workspaces (bucket, deleted_at) where deleted_at is not null;

-- The do-not-call list as it is shown.
create index suppressions_of_tenant on suppressions (bucket, tenant_id, created_at, id);
