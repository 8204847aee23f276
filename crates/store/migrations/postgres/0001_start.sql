-- Times are milliseconds since 1970 UTC; ids are UUIDs; sealed columns open only with the tenant's key.
-- Hot tables have the tenant's bucket first in their key and in every where clause.

create table meta (
    name text not null primary key,
    value bytea not null
);

create table clock (
    id bigint not null primary key,
    real_ms bigint not null,
    virtual_ms bigint not null,
    speed bigint not null
);

create table leases (
    slot bigint not null primary key,
    owner text,
    epoch bigint not null,
    until_ms bigint not null
);

create table replicas (
    name text not null primary key,
    until_ms bigint not null
);

create table tenants (
    id uuid not null primary key,
    bucket bigint not null,
    name text not null,
    plan text not null,
    key_version bigint not null,
    wrapped_key bytea not null,
    webhook_secret bytea not null,
    created_at bigint not null
);

create table members (
    id uuid not null primary key,
    tenant_id uuid not null,
    email text not null unique,
    password_hash text not null,
    role text not null,
    created_at bigint not null
);

create table api_keys (
    hash bytea not null primary key,
    id uuid not null,
    tenant_id uuid not null,
    workspace_id uuid,
    name text not null,
    prefix text not null,
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

create table workspaces (
    id uuid not null primary key,
    bucket bigint not null,
    tenant_id uuid not null,
    provider text not null,
    name text not null,
    api_key bytea not null,
    webhook_keys bytea not null,
    defaults text not null,
    retention text not null,
    paused text,
    paused_at bigint,
    probe_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);
create index workspaces_of_tenant on workspaces (tenant_id, created_at, id);
create index workspaces_to_probe on workspaces (bucket, probe_at) where paused is not null;

create table agents (
    id uuid not null primary key,
    bucket bigint not null,
    tenant_id uuid not null,
    workspace_id uuid not null,
    provider_agent_id text not null,
    name text not null,
    channel text not null,
    timezone text,
    enabled boolean not null,
    downstream_url text,
    overrides text not null,
    slug text not null,
    verified_at bigint,
    gone_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    unique (workspace_id, provider_agent_id)
);
create index agents_of_tenant on agents (tenant_id, created_at, id);

-- A directory: found by slug alone, before the tenant is known.
create table slugs (
    slug text not null primary key,
    agent_id uuid not null,
    valid_until bigint
);

create table own_numbers (
    workspace_id uuid not null,
    number_ix bytea not null,
    primary key (workspace_id, number_ix)
);

create table deliveries (
    bucket bigint not null,
    id uuid not null,
    tenant_id uuid not null,
    workspace_id uuid not null,
    agent_id uuid not null,
    dedup_key text not null,
    event text not null,
    call_id text,
    state text not null,
    tries bigint not null,
    try_at bigint not null,
    notes text not null,
    callback_id uuid,
    received_at bigint not null,
    primary key (bucket, id),
    unique (bucket, workspace_id, dedup_key)
);
create index deliveries_pending on deliveries (bucket, try_at) where state = 'pending';
create index deliveries_of_tenant on deliveries (bucket, tenant_id, received_at, id);

-- Bodies lie apart so that the rows that are searched stay narrow.
create table bodies (
    bucket bigint not null,
    delivery_id uuid not null,
    body bytea not null,
    signature text not null,
    primary key (bucket, delivery_id)
);

create table calls (
    bucket bigint not null,
    workspace_id uuid not null,
    call_id text not null,
    tenant_id uuid not null,
    settled boolean not null,
    analyzed boolean not null,
    retry_id uuid,
    seen_at bigint not null,
    primary key (bucket, workspace_id, call_id)
);

create table persons (
    bucket bigint not null,
    workspace_id uuid not null,
    person_ix bytea not null,
    tenant_id uuid not null,
    seq bigint not null,
    reached_at bigint,
    primary key (bucket, workspace_id, person_ix)
);

create table chains (
    bucket bigint not null,
    id uuid not null,
    tenant_id uuid not null,
    workspace_id uuid not null,
    spent bigint not null,
    created_at bigint not null,
    primary key (bucket, id)
);

create table callbacks (
    bucket bigint not null,
    id uuid not null,
    tenant_id uuid not null,
    workspace_id uuid not null,
    agent_id uuid not null,
    channel text not null,
    chain_id uuid not null,
    parent_id uuid,
    person_ix bytea not null,
    state text not null,
    held_for text,
    reason text not null,
    cause text,
    attempt bigint not null,
    max_attempts bigint not null,
    is_final boolean not null,
    forced boolean not null,
    requested_for bigint,
    scheduled_for bigint not null,
    due_at bigint not null,
    timezone text not null,
    timezone_source text not null,
    born_of bigint not null,
    source_call_id text,
    source_kind text not null,
    provider_call_id text,
    outcome text,
    dispatch_id uuid,
    lease_owner text,
    lease_until bigint,
    fence bigint not null,
    unsent bigint not null,
    sealed bytea not null,
    created_at bigint not null,
    updated_at bigint not null,
    primary key (bucket, id)
);
create index callbacks_due on callbacks (bucket, due_at) where state = 'scheduled';
create unique index callbacks_one_waiting on callbacks (bucket, workspace_id, person_ix)
    where state in ('scheduled', 'held');
create index callbacks_live on callbacks (bucket, workspace_id, person_ix)
    where state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed');
create index callbacks_leased on callbacks (bucket, lease_until) where state = 'dispatching';
create unique index callbacks_one_a_call on callbacks (bucket, workspace_id, source_call_id, source_kind)
    where source_call_id is not null;
create index callbacks_of_chain on callbacks (bucket, chain_id);
create index callbacks_of_tenant on callbacks (bucket, tenant_id, created_at, id);
create index callbacks_of_agent on callbacks (bucket, agent_id)
    where state in ('scheduled', 'held', 'dispatching');

create table dispatches (
    bucket bigint not null,
    id uuid not null,
    tenant_id uuid not null,
    workspace_id uuid not null,
    callback_id uuid not null,
    channel text not null,
    state text not null,
    attempt bigint not null,
    call_id text,
    answer text,
    sealed bytea not null,
    sent_at bigint not null,
    ask_at bigint,
    asks bigint not null,
    updated_at bigint not null,
    primary key (bucket, id)
);
create unique index dispatches_one_open on dispatches (bucket, callback_id)
    where state in ('intent', 'unknown', 'placed');
create index dispatches_to_ask on dispatches (bucket, ask_at) where ask_at is not null;
create unique index dispatches_of_call on dispatches (bucket, workspace_id, call_id) where call_id is not null;

create table suppressions (
    bucket bigint not null,
    tenant_id uuid not null,
    number_ix bytea not null,
    id uuid not null,
    source text not null,
    sealed bytea not null,
    created_at bigint not null,
    primary key (bucket, tenant_id, number_ix)
);
