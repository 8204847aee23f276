-- Keys with scopes, the book of privileged acts, answers kept for a repeated request: see docs/decisions/0009.

alter table api_keys add column last_used_at integer;
create index api_keys_of_tenant on api_keys (tenant_id, created_at, id);

-- One row an act, numbered without gaps; `mac` seals it together with the row before.
create table audit (
    bucket integer not null,
    tenant_id blob not null,
    seq integer not null,
    at integer not null,
    actor text not null,
    action text not null,
    workspace_id blob,
    target text not null,
    before text,
    after text,
    request_id text,
    address text,
    mac blob not null,
    primary key (bucket, tenant_id, seq)
) strict, without rowid;

create table audit_heads (
    bucket integer not null,
    tenant_id blob not null,
    seq integer not null,
    mac blob not null,
    primary key (bucket, tenant_id)
) strict, without rowid;

-- The answer to a POST, for whoever sends it again under the same key.
create table replays (
    bucket integer not null,
    tenant_id blob not null,
    name blob not null,
    id blob not null,
    request blob not null,
    status integer,
    answer blob,
    created_at integer not null,
    primary key (bucket, tenant_id, name)
) strict, without rowid;
create index replays_old on replays (created_at);

-- A deleted workspace is kept for a day, then everything of it goes.
create index workspaces_deleted on workspaces (bucket, deleted_at) where deleted_at is not null;

-- The do-not-call list as it is shown.
create index suppressions_of_tenant on suppressions (bucket, tenant_id, created_at, id);
