-- A webhook writes into as few trees as it can: see docs/decisions/0012.
-- Deliveries lie in the tree of their ids, instead of in one by number and one that finds the number. Bodies stay: a row
-- as long as theirs costs more pages in such a tree.

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
    test integer not null default 0,
    primary key (id, bucket)
) strict, without rowid;
insert into deliveries_new
    (bucket, id, tenant_id, workspace_id, agent_id, event, call_id, state, tries, try_at, notes, callback_id,
    received_at, test)
    select bucket, id, tenant_id, workspace_id, agent_id, event, call_id, state, tries, try_at, notes, callback_id,
        received_at, test
    from deliveries;
drop table deliveries;
alter table deliveries_new rename to deliveries;
create index deliveries_pending on deliveries (try_at, bucket) where state = 'pending';
create index deliveries_aside on deliveries (received_at) where state = 'aside';
create index deliveries_of_tenant on deliveries (bucket, tenant_id, received_at, id);

-- Most chains are one callback, which has its chain's id.
drop index callbacks_of_chain;
create index callbacks_of_chain on callbacks (chain_id, bucket) where chain_id <> id;
