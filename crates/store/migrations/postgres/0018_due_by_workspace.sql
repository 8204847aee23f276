-- What is due is read workspace by workspace: rows of a paused workspace, or more than one reading takes, cost nothing.
insert into schema_versions (version, compatible_from) values (18, 17);

drop index callbacks_due;
create index callbacks_due on callbacks (workspace_id, test, due_at, id) where state = 'scheduled';

-- Held callbacks are counted by what they wait for.
drop index callbacks_failing;
create index callbacks_held on callbacks (held_for, updated_at) where state = 'held';
