-- A webhook and its decision are one commit: see docs/decisions/0007.

-- `events`: a bit for each moment of the call that was heard of; `seq` moves with every change.
alter table calls add column events bigint not null default 0;
alter table calls add column seq bigint not null default 1;
insert into calls (bucket, workspace_id, call_id, tenant_id, events, seq, settled, analyzed, seen_at)
    select bucket, workspace_id, call_id, tenant_id,
        max(case when dedup_key like 'call_started:%' or dedup_key like 'chat_started:%' then 1 else 0 end)
        + max(case when dedup_key like 'call_ended:%' or dedup_key like 'chat_ended:%' then 2 else 0 end)
        + max(case when dedup_key like 'call_analyzed:%' or dedup_key like 'chat_analyzed:%' then 4 else 0 end)
        + max(case when dedup_key like 'fetched:____\_started:%' escape '\' then 8 else 0 end)
        + max(case when dedup_key like 'fetched:____\_ended:%' escape '\' then 16 else 0 end)
        + max(case when dedup_key like 'fetched:____\_analyzed:%' escape '\' then 32 else 0 end),
        1, false, false, max(received_at)
    from deliveries where call_id is not null and dedup_key not like '%#%'
    group by bucket, workspace_id, call_id, tenant_id
    on conflict (bucket, workspace_id, call_id) do update set events = excluded.events;
alter table calls alter column events drop default;
alter table calls alter column seq drop default;

-- What two copies have in common where it is no moment of a call: their content.
create table odd_deliveries (
    bucket bigint not null,
    workspace_id uuid not null,
    dedup_key text not null,
    primary key (bucket, workspace_id, dedup_key)
);
insert into odd_deliveries (bucket, workspace_id, dedup_key)
    select bucket, workspace_id, dedup_key from deliveries where dedup_key like '%#%';
alter table deliveries drop column dedup_key;

-- Where ids grow with time, they come first in the key: new rows of all tenants then go to the same few pages.
alter table deliveries drop constraint deliveries_pkey, add primary key (id, bucket);
alter table bodies drop constraint bodies_pkey, add primary key (delivery_id, bucket);
alter table chains drop constraint chains_pkey, add primary key (id, bucket);
alter table callbacks drop constraint callbacks_pkey, add primary key (id, bucket);
drop index callbacks_of_chain;
create index callbacks_of_chain on callbacks (chain_id, bucket);
-- What is sealed cannot be compressed any more, and lies beside its row rather than in another table.
alter table bodies alter column body set storage external;
alter table bodies set (toast_tuple_target = 8160);
alter table callbacks alter column sealed set storage external;
alter table dispatches alter column sealed set storage external;
-- One index for two questions: who lives, and of whom something waits already (only equal values clash, and null
-- equals nothing). That a call leads to one callback of a kind is the business of the call's own row; an agent's
-- callbacks are found among its workspace's.
drop index callbacks_one_waiting;
drop index callbacks_live;
create unique index callbacks_live on callbacks
    (bucket, workspace_id, person_ix, (case when state in ('scheduled', 'held') then 0 end))
    where state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed');
drop index callbacks_one_a_call;
drop index callbacks_of_agent;
