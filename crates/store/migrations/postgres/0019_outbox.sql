-- The outbox: what happened to a callback, written in the transaction that changed it, for whoever is told of it.
-- See docs/decisions/0014.
insert into schema_versions (version, compatible_from) values (19, 17);

create table callback_events (
    bucket bigint not null,
    workspace_id uuid not null,
    id uuid not null,
    tenant_id uuid not null,
    callback_id uuid not null,
    event text not null,
    is_test boolean not null,
    at bigint not null,
    primary key (bucket, workspace_id, id)
);
create index callback_events_by_age on callback_events (at);
alter table callback_events enable row level security;
create policy of_program on callback_events using (current_user <> 'redialer_tenant');
create policy of_tenant on callback_events using (current_user = 'redialer_tenant' and tenant_id = (select current_setting('redialer.tenant')::uuid));
