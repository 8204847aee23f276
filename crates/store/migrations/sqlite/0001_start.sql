-- Times are milliseconds since 1970 UTC; ids are 16 bytes; sealed columns open only with the tenant's key.
-- Hot tables have the tenant's bucket first in their key and in every where clause.

create table meta (
    name text not null primary key,
    value blob not null
) strict;

create table clock (
    id integer not null primary key,
    real_ms integer not null,
    virtual_ms integer not null,
    speed integer not null
) strict;

create table leases (
    slot integer not null primary key,
    owner text,
    epoch integer not null,
    until_ms integer not null
) strict;

create table replicas (
    name text not null primary key,
    until_ms integer not null
) strict;

create table tenants (
    id blob not null primary key,
    bucket integer not null,
    name text not null,
    plan text not null,
    key_version integer not null,
    wrapped_key blob not null,
    webhook_secret blob not null,
    created_at integer not null
) strict;

create table members (
    id blob not null primary key,
    tenant_id blob not null,
    email text not null unique,
    password_hash text not null,
    role text not null,
    created_at integer not null
) strict;

create table api_keys (
    hash blob not null primary key,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob,
    name text not null,
    prefix text not null,
    scopes text not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer
) strict;

create table workspaces (
    id blob not null primary key,
    bucket integer not null,
    tenant_id blob not null,
    provider text not null,
    name text not null,
    api_key blob not null,
    webhook_keys blob not null,
    defaults text not null,
    retention text not null,
    paused text,
    paused_at integer,
    probe_at integer,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer
) strict;
create index workspaces_of_tenant on workspaces (tenant_id, created_at, id);
create index workspaces_to_probe on workspaces (bucket, probe_at) where paused is not null;

create table agents (
    id blob not null primary key,
    bucket integer not null,
    tenant_id blob not null,
    workspace_id blob not null,
    provider_agent_id text not null,
    name text not null,
    channel text not null,
    timezone text,
    enabled integer not null,
    downstream_url text,
    overrides text not null,
    slug text not null,
    verified_at integer,
    gone_at integer,
    created_at integer not null,
    updated_at integer not null,
    unique (workspace_id, provider_agent_id)
) strict;
create index agents_of_tenant on agents (tenant_id, created_at, id);

-- A directory: found by slug alone, before the tenant is known.
create table slugs (
    slug text not null primary key,
    agent_id blob not null,
    valid_until integer
) strict;

create table own_numbers (
    workspace_id blob not null,
    number_ix blob not null,
    primary key (workspace_id, number_ix)
) strict;

create table deliveries (
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    agent_id blob not null,
    dedup_key text not null,
    event text not null,
    call_id text,
    state text not null,
    tries integer not null,
    try_at integer not null,
    notes text not null,
    callback_id blob,
    received_at integer not null,
    primary key (bucket, id),
    unique (bucket, workspace_id, dedup_key)
) strict;
create index deliveries_pending on deliveries (bucket, try_at) where state = 'pending';
create index deliveries_of_tenant on deliveries (bucket, tenant_id, received_at, id);

-- Bodies lie apart so that the rows that are searched stay narrow.
create table bodies (
    bucket integer not null,
    delivery_id blob not null,
    body blob not null,
    signature text not null,
    primary key (bucket, delivery_id)
) strict;

create table calls (
    bucket integer not null,
    workspace_id blob not null,
    call_id text not null,
    tenant_id blob not null,
    settled integer not null,
    analyzed integer not null,
    retry_id blob,
    seen_at integer not null,
    primary key (bucket, workspace_id, call_id)
) strict;

create table persons (
    bucket integer not null,
    workspace_id blob not null,
    person_ix blob not null,
    tenant_id blob not null,
    seq integer not null,
    reached_at integer,
    primary key (bucket, workspace_id, person_ix)
) strict;

create table chains (
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    spent integer not null,
    created_at integer not null,
    primary key (bucket, id)
) strict;

create table callbacks (
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    agent_id blob not null,
    channel text not null,
    chain_id blob not null,
    parent_id blob,
    person_ix blob not null,
    state text not null,
    held_for text,
    reason text not null,
    cause text,
    attempt integer not null,
    max_attempts integer not null,
    is_final integer not null,
    forced integer not null,
    requested_for integer,
    scheduled_for integer not null,
    due_at integer not null,
    timezone text not null,
    timezone_source text not null,
    born_of integer not null,
    source_call_id text,
    source_kind text not null,
    provider_call_id text,
    outcome text,
    dispatch_id blob,
    lease_owner text,
    lease_until integer,
    fence integer not null,
    unsent integer not null,
    sealed blob not null,
    created_at integer not null,
    updated_at integer not null,
    primary key (bucket, id)
) strict;
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
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    callback_id blob not null,
    channel text not null,
    state text not null,
    attempt integer not null,
    call_id text,
    answer text,
    sealed blob not null,
    sent_at integer not null,
    ask_at integer,
    asks integer not null,
    updated_at integer not null,
    primary key (bucket, id)
) strict;
create unique index dispatches_one_open on dispatches (bucket, callback_id)
    where state in ('intent', 'unknown', 'placed');
create index dispatches_to_ask on dispatches (bucket, ask_at) where ask_at is not null;
create unique index dispatches_of_call on dispatches (bucket, workspace_id, call_id) where call_id is not null;

create table suppressions (
    bucket integer not null,
    tenant_id blob not null,
    number_ix blob not null,
    id blob not null,
    source text not null,
    sealed blob not null,
    created_at integer not null,
    primary key (bucket, tenant_id, number_ix)
) strict;
