//! Row-level security on Postgres (I16, T7): the store's own queries with the wrong tenant set find and change nothing.

use redialer_core::{
    Id, Phone,
    access::{Role, Scopes},
    id,
};
use redialer_store::{
    ActivityFilter, AgentChange, AuditCheck, AuditEvent, AuditFilter, CallbackRow, Filter, Kek, NewKey,
    NewMember, Store, StoreError, TenantStore, WorkspaceChange,
};
use sqlx::{Connection as _, PgConnection};

use crate::{
    engines::{KEK, each, new_database, postgres},
    world::{World, at, end},
};

fn phone(e164: &str) -> Phone {
    Phone::parse(e164).expect("a number")
}

/// How many of our rows are found.
async fn found(of: &TenantStore, world: &World, callback: &CallbackRow, key: Id<id::Key>) -> Vec<usize> {
    let there = |known: Result<(), StoreError>| match known {
        Ok(()) => 1,
        Err(StoreError::NotFound) => 0,
        Err(error) => panic!("{error}"),
    };
    vec![
        there(of.workspace(world.workspace).await.map(|_| ())),
        of.workspaces(end(), 10).await.expect("read").len(),
        usize::try_from(of.count_workspaces().await.expect("read")).expect("a count"),
        there(of.agent(world.agent.id).await.map(|_| ())),
        of.agents(None, end(), 10).await.expect("read").len(),
        of.roster(world.workspace).await.expect("read").len(),
        there(of.callback(callback.id).await.map(|_| ())),
        of.callbacks(&Filter::default(), end(), 10).await.expect("read").len(),
        of.activity(&ActivityFilter::default(), (end::<id::InboundEvent>().0, uuid::Uuid::max()), 10)
            .await
            .expect("read")
            .len(),
        of.payloads(callback).await.expect("read").len(),
        there(of.key(key).await.map(|_| ())),
        of.keys(None, end(), 10).await.expect("read").len(),
        of.members(end(), 10).await.expect("read").len(),
        of.suppressions(end(), 10).await.expect("read").len(),
        of.audit_events(&AuditFilter::default(), i64::MAX, 100).await.expect("read").len().min(1),
        usize::from(of.check_audit().await.expect("walked") != AuditCheck::Intact(0)),
    ]
}

#[tokio::test]
async fn with_the_wrong_tenant_set_no_row_is_found_or_changed() {
    for engine in each().await {
        let Some(url) = &engine.url else { continue };
        assert!(engine.store.guards_rows(), "the role is there");
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        let open = engine.store.open_key(ours.tenant).await.expect("opened");
        let callback = ours.schedule("call_1", 600).await;
        let row = ours.tenant_store().callback(callback).await.expect("there");
        ours.tenant_store()
            .suppress(&[phone("+14155550188")], None, &open, at(2), &ours.rng)
            .await
            .expect("listed");
        let key = Id::new(at(2), &ours.rng);
        let new_key = |id, secret| NewKey {
            id,
            name: "k",
            secret,
            workspace: None,
            scopes: Scopes::usual(),
            expires_at: None,
            test: false,
        };
        ours.tenant_store().create_key(&new_key(key, "rdl_live_one"), at(2)).await.expect("made");
        let right = found(&ours.tenant_store(), &ours, &row, key).await;
        assert!(right.iter().all(|n| *n > 0), "all of it is there: {right:?}");
        let wrong = ours.tenant_store().on_rows_of(theirs.tenant);
        let nothing = found(&wrong, &ours, &row, key).await;
        assert!(nothing.iter().all(|n| *n == 0), "none of it: {nothing:?}");
        changes_nothing(&wrong, &ours, callback).await;
        let still = found(&ours.tenant_store(), &ours, &row, key).await;
        assert_eq!(still, right);
        assert_eq!(ours.tenant_store().callback(callback).await.expect("there").state.as_str(), "scheduled");
        forgets_its_condition(url, &ours, &theirs).await;
    }
}

/// Each of these changes fails or finds no row.
async fn changes_nothing(wrong: &TenantStore, ours: &World, callback: Id<id::Callback>) {
    let key = ours.store.open_key(ours.tenant).await.expect("opened");
    let workspace = WorkspaceChange { name: Some("theirs"), ..WorkspaceChange::default() };
    let agent = AgentChange { enabled: Some(false), ..AgentChange::default() };
    let member = NewMember {
        id: Id::new(at(3), &ours.rng),
        email: "x@example.com",
        password_hash: "hash",
        role: Role::Viewer,
    };
    let act = AuditEvent::new("pii.reveal", None, "x");
    let failed = [
        wrong.change_workspace(ours.workspace, &workspace, &key, at(3), &ours.rng).await.is_err(),
        wrong.delete_workspace(ours.workspace, at(3)).await.is_err(),
        wrong.change_agent(&ours.agent, &agent, 10, at(3)).await.is_err(),
        wrong.rotate_slug(&ours.agent, false, at(3), &ours.rng).await.is_err(),
        wrong.cancel(callback, at(3)).await.is_err(),
        wrong.force(callback, at(3)).await.is_err(),
        wrong.reschedule(callback, at(9), None, at(3)).await.is_err(),
        wrong.suppress(&[phone("+14155550177")], None, &key, at(3), &ours.rng).await.is_err(),
        wrong.add_member(&member, at(3)).await.is_err(),
        wrong.record_audit_event(act, at(3)).await.is_err(),
    ];
    assert!(failed.iter().all(|failed| *failed), "{failed:?}");
}

/// A statement without a tenant condition sees the rows of the current tenant only. Without a current tenant it sees
/// none.
async fn forgets_its_condition(url: &str, ours: &World, theirs: &World) {
    let mut pg = PgConnection::connect(url).await.expect("connected");
    for (tenant, other) in [(ours.tenant, theirs.tenant), (theirs.tenant, ours.tenant)] {
        let mut tx = pg.begin().await.expect("begun");
        let scope =
            format!("set local role redialer_tenant; set local redialer.tenant = '{}'", tenant.uuid());
        sqlx::raw_sql(sqlx::AssertSqlSafe(scope)).execute(&mut *tx).await.expect("set");
        let seen: Vec<uuid::Uuid> = sqlx::query_scalar("select distinct tenant_id from workspaces union select tenant_id from audit union select id from tenants")
            .fetch_all(&mut *tx)
            .await
            .expect("read");
        assert_eq!(seen, [tenant.uuid()]);
        let moved =
            sqlx::query("update workspaces set tenant_id = $1").bind(other.uuid()).execute(&mut *tx).await;
        assert!(moved.is_err(), "a row cannot be given away");
    }
    let mut tx = pg.begin().await.expect("begun");
    sqlx::query("set local role redialer_tenant").execute(&mut *tx).await.expect("set");
    let unset = sqlx::query("select 1 from workspaces").fetch_all(&mut *tx).await;
    assert!(unset.is_err() || unset.is_ok_and(|rows| rows.is_empty()), "without a tenant there is nothing");
}

/// The database user needs no special rights: the store works without the role, and uses it once it is granted.
#[tokio::test]
async fn a_plain_database_user_works_with_and_without_the_tenants_role() {
    let Some(server) = postgres() else { return };
    let owned = new_database(&server).await;
    let name = owned.rsplit('/').next().expect("a name").to_owned();
    let run = async |sql: String| {
        let mut admin = PgConnection::connect(&format!("{server}/{name}")).await.expect("connected");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.expect("done");
    };
    let user = format!("u_{name}");
    run(format!(
        "create role {user} login; alter database {name} owner to {user}; alter schema public owner to {user}"
    ))
    .await;
    let url = owned.replacen("postgres://postgres@", &format!("postgres://{user}@"), 1);
    let rng = redialer_core::rng::Rng::seeded([9; 32]);
    let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&rng).await.expect("migrated");
    assert!(!store.guards_rows(), "no grant lets it act as the role");
    let world = World::new(&store, 1).await;
    world.tenant_store().workspace(world.workspace).await.expect("there");
    run(format!("grant redialer_tenant to {user}")).await;
    store.migrate(&rng).await.expect("again");
    assert!(store.guards_rows(), "now it may, and the tables are open to it");
    world.tenant_store().workspace(world.workspace).await.expect("there");
    let theirs = World::new(&store, 2).await;
    let wrong = world.tenant_store().on_rows_of(theirs.tenant).workspace(world.workspace).await;
    assert!(matches!(wrong.err(), Some(StoreError::NotFound)));
    store.close().await;
    run(format!("reassign owned by {user} to postgres")).await;
}

/// A table that is added without a policy would be visible to every tenant.
#[tokio::test]
async fn every_table_that_the_tenants_role_may_read_has_a_policy() {
    for engine in each().await {
        let Some(url) = &engine.url else { continue };
        let mut pg = PgConnection::connect(url).await.expect("connected");
        let open: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace
               and has_table_privilege('redialer_tenant', oid, 'select') and not relrowsecurity order by 1",
        )
        .fetch_all(&mut pg)
        .await
        .expect("read");
        assert_eq!(open, ["restore_generations"], "only rows without a tenant");
    }
}
