-- A webhook and its decision are one commit: see docs/decisions/0007.
-- Tables that are found by a random key keep their rows in that key's tree, without a second one. Where ids grow with
-- time, they come first in the key: new rows of all tenants then go to the same few pages.

-- `events`: a bit for each moment of the call that was heard of; `seq` moves with every change.
create table calls_new (
    bucket integer not null,
    workspace_id blob not null,
    call_id text not null,
    tenant_id blob not null,
    events integer not null,
    seq integer not null,
    settled integer not null,
    analyzed integer not null,
    retry_id blob,
    seen_at integer not null,
    check_at integer,
    checks integer not null default 0,
    primary key (bucket, workspace_id, call_id)
) strict, without rowid;
insert into calls_new
    (bucket, workspace_id, call_id, tenant_id, events, seq, settled, analyzed, retry_id, seen_at, check_at, checks)
    select bucket, workspace_id, call_id, tenant_id, 0, 1, settled, analyzed, retry_id, seen_at, check_at, checks
    from calls;
drop table calls;
alter table calls_new rename to calls;
create index calls_to_check on calls (check_at, bucket) where check_at is not null;
insert into calls (bucket, workspace_id, call_id, tenant_id, events, seq, settled, analyzed, seen_at)
    select bucket, workspace_id, call_id, tenant_id,
        max(case when dedup_key like 'call_started:%' or dedup_key like 'chat_started:%' then 1 else 0 end)
        + max(case when dedup_key like 'call_ended:%' or dedup_key like 'chat_ended:%' then 2 else 0 end)
        + max(case when dedup_key like 'call_analyzed:%' or dedup_key like 'chat_analyzed:%' then 4 else 0 end)
        + max(case when dedup_key like 'fetched:____\_started:%' escape '\' then 8 else 0 end)
        + max(case when dedup_key like 'fetched:____\_ended:%' escape '\' then 16 else 0 end)
        + max(case when dedup_key like 'fetched:____\_analyzed:%' escape '\' then 32 else 0 end),
        1, 0, 0, max(received_at)
    from deliveries where call_id is not null and dedup_key not like '%#%'
    group by bucket, workspace_id, call_id, tenant_id
    on conflict (bucket, workspace_id, call_id) do update set events = excluded.events;

-- What two copies have in common where it is no moment of a call: their content.
create table odd_deliveries (
    bucket integer not null,
    workspace_id blob not null,
    dedup_key text not null,
    primary key (bucket, workspace_id, dedup_key)
) strict, without rowid;
insert into odd_deliveries (bucket, workspace_id, dedup_key)
    select bucket, workspace_id, dedup_key from deliveries where dedup_key like '%#%';

create table deliveries_new (
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    agent_id blob not null,
    event text not null,
    call_id text,
    state text not null,
    tries integer not null,
    try_at integer not null,
    notes text not null,
    callback_id blob,
    received_at integer not null,
    primary key (id, bucket)
) strict;
insert into deliveries_new
    (bucket, id, tenant_id, workspace_id, agent_id, event, call_id, state, tries, try_at, notes, callback_id, received_at)
    select bucket, id, tenant_id, workspace_id, agent_id, event, call_id, state, tries, try_at, notes, callback_id,
        received_at
    from deliveries;
drop table deliveries;
alter table deliveries_new rename to deliveries;
create index deliveries_pending on deliveries (try_at, bucket) where state = 'pending';
create index deliveries_aside on deliveries (received_at) where state = 'aside';
create index deliveries_of_tenant on deliveries (bucket, tenant_id, received_at, id);

create table persons_new (
    bucket integer not null,
    workspace_id blob not null,
    person_ix blob not null,
    tenant_id blob not null,
    seq integer not null,
    reached_at integer,
    primary key (bucket, workspace_id, person_ix)
) strict, without rowid;
insert into persons_new (bucket, workspace_id, person_ix, tenant_id, seq, reached_at)
    select bucket, workspace_id, person_ix, tenant_id, seq, reached_at from persons;
drop table persons;
alter table persons_new rename to persons;

create table bodies_new (
    bucket integer not null,
    delivery_id blob not null,
    body blob not null,
    signature text not null,
    primary key (delivery_id, bucket)
) strict;
insert into bodies_new
    (bucket, delivery_id, body, signature)
    select bucket, delivery_id, body, signature
    from bodies;
drop table bodies;
alter table bodies_new rename to bodies;

create table chains_new (
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    spent integer not null,
    created_at integer not null,
    primary key (id, bucket)
) strict;
insert into chains_new
    (bucket, id, tenant_id, workspace_id, spent, created_at)
    select bucket, id, tenant_id, workspace_id, spent, created_at
    from chains;
drop table chains;
alter table chains_new rename to chains;

create table callbacks_new (
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
    failures integer not null default 0,
    primary key (id, bucket)
) strict;
insert into callbacks_new
    (bucket, id, tenant_id, workspace_id, agent_id, channel, chain_id, parent_id, person_ix, state,
    held_for, reason, cause, attempt, max_attempts, is_final, forced, requested_for, scheduled_for,
    due_at, timezone, timezone_source, born_of, source_call_id, source_kind, provider_call_id,
    outcome, dispatch_id, lease_owner, lease_until, fence, unsent, sealed, created_at, updated_at,
    failures)
    select bucket, id, tenant_id, workspace_id, agent_id, channel, chain_id, parent_id, person_ix,
        state, held_for, reason, cause, attempt, max_attempts, is_final, forced, requested_for,
        scheduled_for, due_at, timezone, timezone_source, born_of, source_call_id, source_kind,
        provider_call_id, outcome, dispatch_id, lease_owner, lease_until, fence, unsent, sealed,
        created_at, updated_at, failures
    from callbacks;
drop table callbacks;
alter table callbacks_new rename to callbacks;
create index callbacks_due on callbacks (due_at, bucket) where state = 'scheduled';
create index callbacks_leased on callbacks (state, bucket) where state = 'dispatching';
create index callbacks_failing on callbacks (updated_at) where state = 'held' and held_for = 'failing';
create index callbacks_of_chain on callbacks (chain_id, bucket);
create index callbacks_of_tenant on callbacks (bucket, tenant_id, created_at, id);
-- One index for two questions: who lives, and of whom something waits already (only equal values clash, and null
-- equals nothing). That a call leads to one callback of a kind is the business of the call's own row; an agent's
-- callbacks are found among its workspace's.
create unique index callbacks_live on callbacks
    (bucket, workspace_id, person_ix, (case when state in ('scheduled', 'held') then 0 end))
    where state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed');
