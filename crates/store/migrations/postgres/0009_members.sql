-- One person may be a member of several tenants, none of which learns of the others.
alter table members drop constraint members_email_key;
create unique index members_of_tenant on members (tenant_id, email);
create index members_by_email on members (email);
