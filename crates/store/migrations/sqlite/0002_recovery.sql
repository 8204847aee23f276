-- What recovery needs to remember: see docs/decisions/0005.

-- From then on no byte of the request can leave us; the first complete list of the provider's without it.
alter table dispatches add column over_at integer;
alter table dispatches add column absent_at integer;

-- How often it failed in our hands before anything was sent; at five it is held for a person (I33).
alter table callbacks add column failures integer not null default 0;

-- A call that is over and whose analysis has not come: when to fetch it, and how often it was tried.
alter table calls add column check_at integer;
alter table calls add column checks integer not null default 0;
create index calls_to_check on calls (check_at, bucket) where check_at is not null;

-- The provider's list of calls is read up to swept_to and read again at sweep_at. A workspace of an older epoch
-- than the database's does not dial: what was restored is first compared with the provider's records (I31).
alter table workspaces add column epoch integer not null default 0;
alter table workspaces add column swept_to integer;
alter table workspaces add column sweep_at integer not null default 0;
alter table workspaces add column swept_once_at integer;
create index workspaces_to_sweep on workspaces (bucket, sweep_at);

create table epochs (
    epoch integer not null primary key,
    backup_at integer not null,
    began_at integer not null
) strict;

-- What needs a look is counted every other second.
create index deliveries_aside on deliveries (received_at) where state = 'aside';
create index callbacks_failing on callbacks (updated_at) where state = 'held' and held_for = 'failing';
create index dispatches_unknown on dispatches (sent_at) where state = 'unknown';

-- A callback's tries, for whoever asks what happened.
create index dispatches_of_callback on dispatches (bucket, callback_id);

-- Whoever waits is found by time: the bucket bounds nothing where one process works on many.
drop index callbacks_due;
create index callbacks_due on callbacks (due_at, bucket) where state = 'scheduled';
drop index deliveries_pending;
create index deliveries_pending on deliveries (try_at, bucket) where state = 'pending';
drop index dispatches_to_ask;
create index dispatches_to_ask on dispatches (ask_at, bucket) where ask_at is not null;
drop index callbacks_leased;
create index callbacks_leased on callbacks (state, bucket) where state = 'dispatching';
