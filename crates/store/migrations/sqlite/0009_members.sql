-- One person may be a member of several tenants, none of which learns of the others.
create table members_anew (
    id blob not null primary key,
    tenant_id blob not null,
    email text not null,
    password_hash text not null,
    role text not null,
    created_at integer not null
) strict, without rowid;
insert into members_anew select id, tenant_id, email, password_hash, role, created_at from members;
drop table members;
alter table members_anew rename to members;
create unique index members_of_tenant on members (tenant_id, email);
create index members_by_email on members (email);
