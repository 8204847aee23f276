-- Which versions of the program can use what each migration leaves: those that know the migration `compatible_from`.
-- Every migration from here on adds its own row; see store/src/schema.rs.
create table schema_versions (
    version bigint not null primary key,
    compatible_from bigint not null
);
insert into schema_versions (version, compatible_from) values (15, 14);
