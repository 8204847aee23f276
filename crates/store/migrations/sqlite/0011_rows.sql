-- Row-level security is Postgres's: see the migration of the same name there.
select 1;
