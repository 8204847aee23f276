-- What an event has in common with its copies stands with the event: a unique tree keeps them out, and finds the events of a
-- call, in the place of a bit in `calls`, the table `odd_deliveries` and a tree of their own. Null for events of before: a
-- copy of one that comes late is recorded again, and nothing follows from it. The columns `events` and `seq` of `calls` and
-- the table `odd_deliveries` stay for replicas of the version before. See docs/decisions/0014.
insert into schema_versions (version, compatible_from) values (22, 17);

alter table deliveries add column sameness text;
drop index deliveries_of_call;
create unique index deliveries_of_call on deliveries (bucket, workspace_id, coalesce(call_id, ''), sameness);
