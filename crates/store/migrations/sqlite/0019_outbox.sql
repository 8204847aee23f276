-- The outbox: what happened to a callback, written in the transaction that changed it, for whoever is told of it.
-- See docs/decisions/0014.
insert into schema_versions (version, compatible_from) values (19, 17);

create table callback_events (
    bucket integer not null,
    workspace_id blob not null,
    id blob not null,
    tenant_id blob not null,
    callback_id blob not null,
    event text not null,
    is_test integer not null,
    at integer not null,
    primary key (bucket, workspace_id, id)
) strict, without rowid;
create index callback_events_by_age on callback_events (at);
