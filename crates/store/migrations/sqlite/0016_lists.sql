-- What lists filter by is found without reading all of a tenant's callbacks.
insert into schema_versions (version, compatible_from) values (16, 14);

-- What a person may have to look at. The statement repeats the condition word for word.
create index callbacks_attention on callbacks (bucket, tenant_id, created_at, id)
    where state in ('held', 'unconfirmed', 'failed', 'expired');
create index callbacks_of_state on callbacks (bucket, tenant_id, state, created_at, id);
create index callbacks_of_person on callbacks (bucket, tenant_id, person_ix, created_at, id);
