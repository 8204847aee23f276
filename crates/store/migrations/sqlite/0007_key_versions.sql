-- While a tenant's key is rotated it has a neighbour: first the next one, then the one before (docs/decisions/0010).
alter table tenants add column other_version integer;
alter table tenants add column other_wrapped blob;
-- Whatever is sealed can be walked by its id.
create index suppressions_by_id on suppressions (id, bucket);
create index replays_by_id on replays (id, bucket);
