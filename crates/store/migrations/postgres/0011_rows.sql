-- Row-level security: whatever is done in a tenant's name is done as the role `redialer_tenant`, which sees that tenant's rows
-- and no others, whatever a statement forgets to ask for (docs/decisions/0009). The program's own work is not affected.
-- Where the role cannot be made, `redialer doctor` says so, and the statements' own conditions are all there is.

do $$ begin
    if not exists (select 1 from pg_roles where rolname = 'redialer_tenant') then
        create role redialer_tenant nologin;
    end if;
exception when duplicate_object or unique_violation or insufficient_privilege then null;
end $$;

do $$ begin
    if not pg_has_role(current_user, 'redialer_tenant', 'member') then
        execute format('grant redialer_tenant to %I', current_user);
    end if;
exception when undefined_object or unique_violation or insufficient_privilege then null;
end $$;

do $$ begin
    execute format('grant usage on schema %I to redialer_tenant', current_schema());
    execute format('grant select, insert, update, delete on all tables in schema %I to redialer_tenant', current_schema());
    execute format('alter default privileges in schema %I grant select, insert, update, delete on tables to redialer_tenant', current_schema());
    revoke all on _sqlx_migrations, meta, clock, leases, replicas from redialer_tenant;
    revoke insert, update, delete on epochs from redialer_tenant;
    revoke update, delete on audit from redialer_tenant;
exception when undefined_object or insufficient_privilege then null;
end $$;

do $$
declare
    t text;
    mine text;
begin
    for t, mine in values
        ('tenants', 'id = $'),
        ('members', 'tenant_id = $'),
        ('api_keys', 'tenant_id = $'),
        ('workspaces', 'tenant_id = $'),
        ('agents', 'tenant_id = $'),
        ('slugs', 'exists (select 1 from agents a where a.id = agent_id and a.tenant_id = $)'),
        ('own_numbers', 'exists (select 1 from workspaces w where w.id = workspace_id and w.tenant_id = $)'),
        ('odd_deliveries', 'exists (select 1 from workspaces w where w.id = workspace_id and w.tenant_id = $)'),
        ('deliveries', 'tenant_id = $'),
        ('bodies', 'exists (select 1 from deliveries d where d.id = delivery_id and d.bucket = bodies.bucket and d.tenant_id = $)'),
        ('calls', 'tenant_id = $'),
        ('persons', 'tenant_id = $'),
        ('chains', 'tenant_id = $'),
        ('callbacks', 'tenant_id = $'),
        ('dispatches', 'tenant_id = $'),
        ('suppressions', 'tenant_id = $'),
        ('audit', 'tenant_id = $'),
        ('audit_heads', 'tenant_id = $'),
        ('replays', 'tenant_id = $'),
        ('usage', 'tenant_id = $')
    loop
        execute format('alter table %I enable row level security', t);
        execute format('create policy of_program on %I using (current_user <> ''redialer_tenant'')', t);
        execute format('create policy of_tenant on %I using (current_user = ''redialer_tenant'' and %s)', t,
            replace(mine, '$', '(select current_setting(''redialer.tenant'')::uuid)'));
    end loop;
end $$;
