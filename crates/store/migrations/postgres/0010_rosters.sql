-- When the provider's roster of agents is pulled again.
alter table workspaces add column sync_at bigint not null default 0;
create index workspaces_to_sync on workspaces (bucket, sync_at);
