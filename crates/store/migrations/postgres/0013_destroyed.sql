-- A tenant whose key was destroyed is not one whose key is kept elsewhere.
alter table tenants add column destroyed_at bigint;
