-- What did not go the usual way, for the feed: webhooks that were turned away (counted, a row a minute at most), dials put off.
create table notices (
    bucket integer not null,
    id blob not null,
    tenant_id blob not null,
    workspace_id blob not null,
    agent_id blob not null,
    callback_id blob,
    code text not null,
    n integer not null,
    test integer not null,
    at integer not null,
    primary key (bucket, tenant_id, at, id)
) strict, without rowid;
create index notices_old on notices (at);

-- Dials as they stand in the feed.
create index dispatches_of_tenant on dispatches (bucket, tenant_id, sent_at, id);
