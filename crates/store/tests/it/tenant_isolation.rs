//! A store limited to one workspace finds and changes nothing of the tenant's other workspaces, and nothing of the
//! whole tenant.

use redialer_core::{
    Id, Phone,
    access::{Role, Scopes},
    id,
    workspace::ProviderName,
};
use redialer_store::{
    ActivityFilter, AgentChange, AuditFilter, Filter, KeyInfo, MemberRow, NewKey, NewMember, NewWorkspace,
    StoreError, TenantStore, WorkspaceChange,
};

use crate::{
    engines::each,
    world::{World, at, end},
};

/// Rows of a workspace and of the whole tenant.
struct Things {
    callback: Id<id::Callback>,
    workspace_key: Id<id::Key>,
    tenant_key: Id<id::Key>,
    member: Id<id::Member>,
}

impl Things {
    async fn prepare(world: &World) -> Self {
        let callback = world.schedule("call_1", 600).await;
        let open = world.store.open_key(world.tenant).await.expect("opened");
        world.tenant_store().suppress(&[phone()], None, &open, at(2), &world.rng).await.expect("listed");
        let [workspace_key, tenant_key] =
            [Some(world.workspace), None].map(|workspace| new_key(world, workspace));
        for key in [&workspace_key, &tenant_key] {
            world.tenant_store().create_key(key, at(2)).await.expect("made");
        }
        let members = world.tenant_store().members(end(), 10).await.expect("read");
        let member = members.first().expect("the owner").id;
        Self { callback, workspace_key: workspace_key.id, tenant_key: tenant_key.id, member }
    }
}

fn phone() -> Phone {
    Phone::parse("+14155550188").expect("a number")
}

fn new_key(world: &World, workspace: Option<Id<id::Workspace>>) -> NewKey<'static> {
    NewKey {
        id: Id::new(at(2), &world.rng),
        name: "k",
        secret: if workspace.is_some() { "rdl_live_of_one" } else { "rdl_live_of_all" },
        workspace,
        scopes: Scopes::usual(),
        expires_at: None,
        test: false,
    }
}

/// A second workspace of the same tenant.
async fn another(world: &World) -> Id<id::Workspace> {
    let open = world.store.open_key(world.tenant).await.expect("opened");
    let id = Id::new(at(1), &world.rng);
    let new = NewWorkspace {
        id,
        provider: &ProviderName::new("retell"),
        name: "Another line",
        api_key: "key_of_another",
        webhook_auth: b"key_of_another",
        account: None,
        settings: &serde_json::json!({}),
    };
    world.tenant_store().create_workspace(&new, 10, &open, at(1), &world.rng).await.expect("created");
    id
}

/// A hidden result is not found, or is an empty page.
trait Hidden {
    fn is_hidden(&self) -> bool;
}

impl<T> Hidden for Result<Vec<T>, StoreError> {
    fn is_hidden(&self) -> bool {
        self.as_ref().map_or_else(|error| matches!(error, StoreError::NotFound), Vec::is_empty)
    }
}

/// Same for one row.
fn is_not_found<T>(one: Result<T, StoreError>) -> bool {
    matches!(one, Err(StoreError::NotFound))
}

/// For each row of the first workspace, whether it is hidden.
async fn hidden(of: &TenantStore, world: &World, things: &Things) -> Vec<bool> {
    let Things { callback, workspace_key, tenant_key, .. } = *things;
    let open = world.store.open_key(world.tenant).await.expect("opened");
    let (ours, newest) = (Some(world.workspace), (at(1_000_000), uuid::Uuid::max()));
    let named = Filter { workspace: ours, ..Filter::default() };
    let audit_events = AuditFilter { workspace: ours, ..AuditFilter::default() };
    let activity = ActivityFilter { workspace: ours, ..ActivityFilter::default() };
    vec![
        is_not_found(of.workspace(world.workspace).await),
        is_not_found(of.agent(world.agent.id).await),
        is_not_found(of.agent_by_provider_id(world.workspace, "agent_1").await),
        of.roster(world.workspace).await.is_hidden(),
        of.agents(None, end(), 10).await.is_hidden(),
        of.agents(ours, end(), 10).await.is_hidden(),
        is_not_found(of.callback(callback).await),
        of.callbacks(&Filter::default(), end(), 10).await.is_hidden(),
        of.callbacks(&named, end(), 10).await.is_hidden(),
        of.attention(ours, end(), 10).await.is_hidden(),
        of.activity(&ActivityFilter::default(), newest, 10).await.is_hidden(),
        of.activity(&activity, newest, 10).await.is_hidden(),
        is_not_found(of.key(workspace_key).await),
        is_not_found(of.key(tenant_key).await),
        of.keys(None, end(), 10).await.is_hidden(),
        of.audit_events(&audit_events, i64::MAX, 100).await.is_hidden(),
        is_not_found(of.calls_this_month(ours, at(3)).await),
        of.members(end(), 10).await.is_hidden(),
        is_not_found(of.member(things.member).await),
        of.suppressions(end(), 10).await.is_hidden(),
        is_not_found(of.suppression_of(&phone(), &open).await),
    ]
}

/// For each change outside the scope, whether it is rejected.
async fn refused(of: &TenantStore, world: &World, things: &Things) -> Vec<bool> {
    let open = world.store.open_key(world.tenant).await.expect("opened");
    let (id, ours) = (things.callback, world.workspace);
    let renamed = WorkspaceChange { name: Some("theirs"), ..WorkspaceChange::default() };
    let switched_off = AgentChange { enabled: Some(false), ..AgentChange::default() };
    let new_member = NewMember {
        id: Id::new(at(3), &world.rng),
        email: "x@example.com",
        password_hash: "hash",
        role: Role::Viewer,
    };
    let listed = world.tenant_store().suppression_of(&phone(), &open).await.expect("read").expect("listed");
    let (members, key) = (
        world.tenant_store().members(end(), 10).await.expect("read"),
        world.tenant_store().key(things.workspace_key).await.expect("there"),
    );
    let (member, key): (&MemberRow, &KeyInfo) = (&members[0], &key);
    vec![
        is_not_found(of.change_workspace(ours, &renamed, &open, at(3), &world.rng).await),
        is_not_found(of.delete_workspace(ours, at(3)).await),
        is_not_found(of.restore_workspace(ours, at(0), 10, at(3)).await),
        is_not_found(of.sync_agents(ours, &[], None, 10, (at(3), at(3)), &world.rng).await),
        is_not_found(of.change_agent(&world.agent, &switched_off, 10, at(3)).await),
        is_not_found(of.rotate_slug(&world.agent, false, at(3), &world.rng).await),
        is_not_found(of.cancel(id, at(3)).await),
        is_not_found(of.force(id, at(3)).await),
        is_not_found(of.reschedule(id, at(9), None, at(3)).await),
        is_not_found(of.revoke_key(key, at(3)).await),
        is_not_found(of.create_key(&new_key(world, Some(ours)), at(3)).await),
        is_not_found(of.create_key(&new_key(world, None), at(3)).await),
        is_not_found(of.unsuppress(listed.id, at(3)).await),
        is_not_found(of.add_member(&new_member, at(3)).await),
        is_not_found(of.change_role(member, Role::Viewer, at(3)).await),
        is_not_found(of.remove_member(member, at(3)).await),
    ]
}

#[tokio::test]
async fn a_store_limited_to_a_workspace_finds_and_changes_nothing_of_another() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let things = Things::prepare(&world).await;
        let other = another(&world).await;
        let seen = hidden(&world.tenant_store(), &world, &things).await;
        // Nothing needs attention, so that page is empty for the tenant's own store too.
        assert_eq!(seen.iter().filter(|hidden| **hidden).count(), 1, "{}: {seen:?}", engine.name);
        let within = world.tenant_store().within(Some(other));
        let missed = hidden(&within, &world, &things).await;
        assert!(missed.iter().all(|hidden| *hidden), "{}: {missed:?}", engine.name);
        let changed = refused(&within, &world, &things).await;
        assert!(changed.iter().all(|refused| *refused), "{}: {changed:?}", engine.name);
        assert_eq!(
            hidden(&world.tenant_store(), &world, &things).await,
            seen,
            "{}: all of it is there still",
            engine.name
        );
        let own: Vec<_> = within.workspaces(end(), 10).await.expect("read").iter().map(|w| w.id).collect();
        assert_eq!(
            (own, within.count_workspaces().await.expect("read")),
            (vec![other], 1),
            "{}",
            engine.name
        );
    }
}

#[tokio::test]
async fn a_store_limited_to_a_workspace_finds_everything_of_it() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let things = Things::prepare(&world).await;
        another(&world).await;
        let within = world.tenant_store().within(Some(world.workspace));
        let hidden = hidden(&within, &world, &things).await;
        // The attention page is empty; the tenant's own key, its members and its do-not-call list are not a
        // workspace's.
        assert_eq!(hidden.iter().filter(|hidden| **hidden).count(), 6, "{}: {hidden:?}", engine.name);
        assert!(
            within
                .change_workspace(
                    world.workspace,
                    &WorkspaceChange { name: Some("Ours"), ..WorkspaceChange::default() },
                    &engine.store.open_key(world.tenant).await.expect("opened"),
                    at(3),
                    &world.rng,
                )
                .await
                .is_ok()
        );
        within.cancel(things.callback, at(4)).await.expect("done").expect("canceled");
    }
}

#[tokio::test]
async fn a_key_of_a_deleted_workspace_is_invalid_until_the_workspace_is_restored() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let of = world.tenant_store();
        let new = NewKey {
            id: Id::new(at(0), &world.rng),
            name: "of one workspace",
            secret: "rdl_live_canary_one",
            workspace: Some(world.workspace),
            scopes: Scopes::EVERY,
            expires_at: None,
            test: false,
        };
        of.create_key(&new, at(0)).await.expect("made");
        let opens = async |minute: i64| {
            engine.store.key_owner("rdl_live_canary_one", at(minute)).await.expect("done").is_some()
        };
        assert!(opens(1).await, "{}", engine.name);
        of.delete_workspace(world.workspace, at(1)).await.expect("deleted");
        assert!(!opens(2).await, "{}", engine.name);
        of.restore_workspace(world.workspace, at(0), 10, at(2)).await.expect("restored");
        assert!(opens(3).await, "{}", engine.name);
    }
}
