-- A rotated slug may end as soon as the provider is seen on the new one.
alter table slugs add column until_seen boolean not null default false;
create index slugs_of_agent on slugs (agent_id);
