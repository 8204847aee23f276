-- Keys for trying things out: what is made with one is dialled at the built-in simulator and at no provider.
alter table api_keys add column test integer not null default 0;
alter table callbacks add column test integer not null default 0;
alter table deliveries add column test integer not null default 0;
