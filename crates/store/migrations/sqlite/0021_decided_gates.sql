-- The gates that a dial, or the end of a callback without one, was decided by: JSON, core's `GateRecord`s. Null where a
-- version before this one decided. See docs/decisions/0014.
insert into schema_versions (version, compatible_from) values (21, 17);

alter table dispatches add column gates text;
alter table callbacks add column gates text;
