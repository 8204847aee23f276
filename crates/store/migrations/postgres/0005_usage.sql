-- Calls of a calendar month (UTC, as 202611), of each workspace and, under the id of zeros, of the tenant: what a plan's
-- limit is held against, in the transaction of each intent. What was certainly not placed is taken off again.

create table usage (
    bucket bigint not null,
    tenant_id uuid not null,
    period bigint not null,
    workspace_id uuid not null,
    calls bigint not null,
    primary key (bucket, tenant_id, period, workspace_id)
);
insert into usage (bucket, tenant_id, period, workspace_id, calls)
    select bucket, tenant_id, cast(to_char(to_timestamp(sent_at / 1000) at time zone 'UTC', 'YYYYMM') as bigint), workspace_id, count(*) from dispatches
    where state in ('intent', 'unknown', 'placed', 'ended', 'unresolved') group by 1, 2, 3, 4;
insert into usage (bucket, tenant_id, period, workspace_id, calls)
    select bucket, tenant_id, period, '00000000-0000-0000-0000-000000000000'::uuid, cast(sum(calls) as bigint) from usage group by 1, 2, 3;

-- What waits for the next month, or for another plan.
create index callbacks_of_quota on callbacks (due_at, bucket, tenant_id) where state = 'held' and held_for = 'quota';
