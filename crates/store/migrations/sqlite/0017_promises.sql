-- One promise a person, told apart where it is one an agent; who replaced whom; what is shown of a dial.
-- See docs/decisions/0013.
-- Earlier versions cannot read the new state, reason and settings.
insert into schema_versions (version, compatible_from) values (17, 17);

-- What replaced a callback; of an unresolved one, the callback that a person forced in its place.
alter table callbacks add column superseded_by blob;
alter table callbacks add column dialed_at integer;
-- The provider's own words about a dial that it refused, without digits that could be a number.
alter table callbacks add column outcome_message text;
-- The keyed index of the id that a program gave it.
alter table callbacks add column external_ix blob;
-- Zeros where a person has one promise in the workspace, else the agent.
alter table callbacks add column promise_scope blob not null default x'00000000000000000000000000000000';
drop index callbacks_live;
create unique index callbacks_live on callbacks
    (bucket, workspace_id, person_ix, (case when state in ('scheduled', 'held') then promise_scope end))
    where state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed');
create index callbacks_of_external_id on callbacks (bucket, tenant_id, external_ix) where external_ix is not null;
update callbacks set state = 'canceled' where state = 'cancelled';

-- The fuse counts what was sent to a number (I38).
alter table dispatches add column person_ix blob;
update dispatches set person_ix =
    (select c.person_ix from callbacks c where c.bucket = dispatches.bucket and c.id = dispatches.callback_id);
create index dispatches_of_number on dispatches (bucket, tenant_id, person_ix, sent_at);
-- Which account a request went to: after another key was given, its lists prove nothing about the one before.
alter table dispatches add column account text;
alter table workspaces add column account text;
-- Voice or chat is stored with a call: an id does not tell.
alter table calls add column channel text;
update calls set channel = case when call_id like 'chat%' then 'chat' else 'voice' end;

-- Countries of the workspace's own numbers, and what its key may not read; joined by commas.
alter table workspaces add column number_countries text not null default '';
alter table workspaces add column missing_permissions text not null default '';
-- The provider's own words about a pause.
alter table workspaces add column pause_message text;
-- Quiet hours are the default now. Until this version null was the default and cannot be told from a choice.
update workspaces set defaults = replace(defaults, '"quiet_hours":null', '"quiet_hours":{"start":"21:00","end":"09:00"}');
-- Nothing has been taken away by a retention so far, whatever the document said.
update workspaces set retention = '{"level":"default","days":-1}';

-- Decisions are made and shown, and nothing is dialed.
alter table agents add column observe integer not null default 0;

-- Events that wait are taken workspace by workspace.
create index deliveries_pending_of on deliveries (workspace_id, try_at) where state = 'pending';

-- Lists by when something is due; an agent's newest callbacks.
create index callbacks_of_schedule on callbacks (bucket, tenant_id, scheduled_for, id);
create index callbacks_of_agent on callbacks (bucket, tenant_id, agent_id, created_at, id);
-- What happened to one call, and to one callback.
create index deliveries_of_call on deliveries (bucket, tenant_id, call_id, received_at, id) where call_id is not null;
create index deliveries_of_callback on deliveries (bucket, tenant_id, callback_id, received_at, id)
    where callback_id is not null;
