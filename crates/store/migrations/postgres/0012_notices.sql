-- What did not go the usual way, for the feed: webhooks that were turned away (counted, a row a minute at most), dials put off.
create table notices (
    bucket bigint not null,
    id uuid not null,
    tenant_id uuid not null,
    workspace_id uuid not null,
    agent_id uuid not null,
    callback_id uuid,
    code text not null,
    n bigint not null,
    test boolean not null,
    at bigint not null,
    primary key (bucket, tenant_id, at, id)
);
create index notices_old on notices (at);
alter table notices enable row level security;
create policy of_program on notices using (current_user <> 'redialer_tenant');
create policy of_tenant on notices using (current_user = 'redialer_tenant' and tenant_id = (select current_setting('redialer.tenant')::uuid));

-- Dials as they stand in the feed.
create index dispatches_of_tenant on dispatches (bucket, tenant_id, sent_at, id);
