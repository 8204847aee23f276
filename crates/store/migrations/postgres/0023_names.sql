-- Tables and columns get the names that the code uses (docs/decisions/0015). `odd_deliveries` and the columns `events` and `seq`
-- of `calls` go: only versions before 22 read them. Earlier versions cannot use this schema: stop them before the upgrade.
insert into schema_versions (version, compatible_from) values (23, 23);

alter table deliveries rename to inbound_events;
alter table bodies rename to event_payloads;
alter table replays rename to idempotency_keys;
alter table notices rename to activity_notices;
alter table own_numbers rename to workspace_numbers;
alter table slugs rename to webhook_slugs;
alter table clock rename to virtual_clock;
alter table epochs rename to restore_generations;

alter table callbacks rename column person_ix to phone_hash;
alter table callbacks rename column external_ix to external_id_hash;
alter table callbacks rename column cause to source_outcome;
alter table callbacks rename column born_of to source_ended_at;
alter table callbacks rename column unsent to unplaced_tries;
alter table callbacks rename column test to is_test;
alter table chains rename column spent to attempts_used;
alter table dispatches rename column person_ix to phone_hash;
alter table dispatches rename column answer to result;
alter table dispatches rename column asks to lookups;
alter table dispatches rename column ask_at to next_lookup_at;
alter table dispatches rename column over_at to in_flight_until;
alter table dispatches rename column absent_at to first_absent_at;
alter table persons rename column person_ix to phone_hash;
alter table persons rename column seq to version;
alter table suppressions rename column number_ix to phone_hash;
alter table workspaces rename column epoch to restore_generation;
alter table workspaces rename column swept_to to backfilled_to;
alter table workspaces rename column sweep_at to backfill_at;
alter table workspaces rename column swept_once_at to backfilled_once_at;
alter table tenants rename column other_version to alternate_version;
alter table tenants rename column other_wrapped to alternate_wrapped_key;
alter table api_keys rename column test to is_test;
alter table inbound_events rename column test to is_test;
alter table inbound_events rename column sameness to dedup_key;
alter table event_payloads rename column delivery_id to event_id;
alter table idempotency_keys rename column name to key_hash;
alter table idempotency_keys rename column answer to response;
alter table activity_notices rename column test to is_test;
alter table workspace_numbers rename column number_ix to phone_hash;
alter table webhook_slugs rename column until_seen to valid_until_new_seen;
alter table restore_generations rename column epoch to generation;

drop table odd_deliveries;
alter table calls drop column events;
alter table calls drop column seq;

-- An event that failed too often.
update inbound_events set state = 'quarantined' where state = 'aside';
drop index deliveries_aside;
create index inbound_events_quarantined on inbound_events (received_at) where state = 'quarantined';
alter index deliveries_of_call rename to inbound_events_of_call;
alter index deliveries_pending rename to inbound_events_pending;
alter index deliveries_pending_of rename to inbound_events_pending_of;
alter index deliveries_of_tenant rename to inbound_events_of_tenant;
alter index deliveries_of_callback rename to inbound_events_of_callback;
alter index replays_old rename to idempotency_keys_old;
alter index replays_by_id rename to idempotency_keys_by_id;
alter index notices_old rename to activity_notices_old;
alter index slugs_of_agent rename to webhook_slugs_of_agent;
alter index dispatches_to_ask rename to dispatches_to_look_up;
alter index workspaces_to_sweep rename to workspaces_to_backfill;
alter index deliveries_pkey rename to inbound_events_pkey;
alter index bodies_pkey rename to event_payloads_pkey;
alter index replays_pkey rename to idempotency_keys_pkey;
alter index notices_pkey rename to activity_notices_pkey;
alter index own_numbers_pkey rename to workspace_numbers_pkey;
alter index slugs_pkey rename to webhook_slugs_pkey;
alter index clock_pkey rename to virtual_clock_pkey;
alter index epochs_pkey rename to restore_generations_pkey;
