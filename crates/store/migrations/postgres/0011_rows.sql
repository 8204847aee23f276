-- Row-level security: whatever is done in a tenant's name is done as the role `redialer_tenant`, which sees that tenant's rows
-- and no others, whatever a statement forgets to ask for (docs/decisions/0009). The program's own work is not affected.
-- The role and its rights are made at each start (store/src/schema.rs), for it belongs to the server, not to this database.

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
