-- Calls of a calendar month (UTC, as 202611), of each workspace and, under the id of zeros, of the tenant: what a plan's
-- limit is held against, in the transaction of each intent. What was certainly not placed is taken off again.

create table usage (
    bucket integer not null,
    tenant_id blob not null,
    period integer not null,
    workspace_id blob not null,
    calls integer not null,
    primary key (bucket, tenant_id, period, workspace_id)
) strict, without rowid;
insert into usage (bucket, tenant_id, period, workspace_id, calls)
    select bucket, tenant_id, cast(strftime('%Y%m', sent_at / 1000, 'unixepoch') as integer), workspace_id, count(*) from dispatches
    where state in ('intent', 'unknown', 'placed', 'ended', 'unresolved') group by 1, 2, 3, 4;
insert into usage (bucket, tenant_id, period, workspace_id, calls)
    select bucket, tenant_id, period, x'00000000000000000000000000000000', sum(calls) from usage group by 1, 2, 3;

-- What waits for the next month, or for another plan.
create index callbacks_of_quota on callbacks (due_at, bucket, tenant_id) where state = 'held' and held_for = 'quota';
