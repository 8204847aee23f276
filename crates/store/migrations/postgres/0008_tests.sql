-- Keys for trying things out: what is made with one is dialled at the built-in simulator and at no provider.
alter table api_keys add column test boolean not null default false;
alter table callbacks add column test boolean not null default false;
alter table deliveries add column test boolean not null default false;
