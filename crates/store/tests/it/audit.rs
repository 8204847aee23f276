//! The audit log, and what a deleted workspace leaves behind.

use redialer_core::{Id, time::minutes, time::plus};
use redialer_store::{Actor, AuditCheck, AuditFilter};

use crate::{
    engines::{Engine, each},
    world::{World, at},
};

/// Changes rows directly, bypassing the store.
async fn tamper(engine: &Engine, sql: &str) {
    let changed = engine.connection().await.run(sql).await;
    assert!(changed > 0, "{sql}");
}

#[tokio::test]
async fn a_changed_removed_or_truncated_entry_is_detected() {
    for (sql, found) in [
        ("update audit set actor = 'another' where seq = 3", AuditCheck::Broken(3)),
        ("update audit set after = '{}' where seq = 2", AuditCheck::Broken(2)),
        ("update audit set at = at + 1 where seq = 1", AuditCheck::Broken(1)),
        ("update audit set request_id = '' where seq = 2", AuditCheck::Broken(2)),
        ("delete from audit where seq = 2", AuditCheck::Broken(2)),
        ("delete from audit where seq > 3", AuditCheck::Truncated(3)),
        ("delete from audit", AuditCheck::Truncated(0)),
    ] {
        for engine in each().await {
            let world = World::new(&engine.store, 1).await;
            let of = world.tenant_store().by(Actor { name: "key_1".to_owned(), ..Actor::program() });
            world.switch(&of, false, 1).await;
            let whole = of.check_audit().await.expect("read");
            assert!(matches!(whole, AuditCheck::Intact(n) if n >= 4), "{whole:?}");
            tamper(&engine, sql).await;
            assert_eq!(of.check_audit().await.expect("read"), found, "{}: {sql}", engine.name);
        }
    }
}

#[tokio::test]
async fn a_log_truncated_together_with_its_head_is_detected_too() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        tamper(&engine, "delete from audit where seq = 3").await;
        tamper(&engine, "update audit_heads set seq = 2").await;
        assert_eq!(
            world.tenant_store().check_audit().await.expect("read"),
            AuditCheck::Broken(2),
            "{}",
            engine.name
        );
    }
}

#[tokio::test]
async fn entries_name_the_actor_and_the_action_and_are_visible_only_to_their_tenant() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        let of = ours.tenant_store().by(Actor { name: "key_1".to_owned(), ..Actor::program() });
        ours.switch(&of, false, 1).await;
        let audit_events = of.audit_events(&AuditFilter::default(), i64::MAX, 100).await.expect("read");
        let lines: Vec<_> =
            audit_events.iter().map(|a| (a.seq, a.actor.as_str(), a.action.as_str())).collect();
        assert_eq!(
            lines,
            [
                (4, "key_1", "agent.change"),
                (3, "program", "workspace.sync"),
                (2, "program", "workspace.create"),
                (1, "command", "tenant.create"),
            ]
        );
        assert_eq!(audit_events[0].before.as_deref(), Some("{\"enabled\":true}"));
        assert_eq!(audit_events[0].after.as_deref(), Some("{\"enabled\":false}"));
        let one = AuditFilter { action: Some("agent.change".to_owned()), ..AuditFilter::default() };
        assert_eq!(of.audit_events(&one, i64::MAX, 100).await.expect("read").len(), 1);
        assert_eq!(theirs.tenant_store().audit_events(&one, i64::MAX, 100).await.expect("read").len(), 0);
        let page = of.audit_events(&AuditFilter::default(), 3, 1).await.expect("read");
        assert_eq!(page.iter().map(|a| a.seq).collect::<Vec<_>>(), [2]);
    }
}

#[tokio::test]
async fn a_deleted_workspace_is_purged_after_a_day_and_nothing_else_is() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        ours.schedule("c1", 10).await;
        let kept = theirs.schedule("c1", 10).await;
        let of = ours.tenant_store();
        of.delete_workspace(ours.workspace, at(20)).await.expect("deleted");
        let day = minutes(24 * 60);
        let due = async |now| engine.store.removals((0, 4095), plus(now, -day)).await.expect("read");
        assert!(due(at(20 + 24 * 60)).await.is_empty());
        assert_eq!(due(at(21 + 24 * 60)).await.len(), 1);
        let mut steps = 0;
        while of.purge_workspace(ours.workspace, at(2_000)).await.expect("cleared") {
            steps += 1;
            assert!(steps < 100);
        }
        assert!(steps > 5, "{steps}");
        assert!(due(at(9_000)).await.is_empty());
        assert!(of.restore_workspace(ours.workspace, at(0), 10, at(2_000)).await.is_err());
        let newest = (at(9_000), Id::from_uuid(uuid::Uuid::max()));
        let rows = of.callbacks(&redialer_store::Filter::default(), newest, 10).await.expect("read");
        assert!(rows.is_empty());
        assert_eq!(theirs.tenant_store().callback(kept).await.expect("read").id, kept);
        assert!(matches!(of.check_audit().await.expect("read"), AuditCheck::Intact(_)));
    }
}

#[tokio::test]
async fn a_rotated_slug_is_valid_for_a_day_or_until_the_provider_uses_the_new_one() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (of, store) = (world.tenant_store(), &engine.store);
        let old = world.agent.slug.clone();
        let known = async |slug: &str, now| store.slug_target(slug, now, 0).await.expect("read").is_some();
        let new = of.rotate_slug(&world.agent, false, at(0), &world.rng).await.expect("rotated");
        assert!(new.len() >= 26 && new != old, "{new}");
        let again = of.rotate_slug(&world.agent, false, at(0), &world.rng).await;
        assert!(matches!(again, Err(redialer_store::StoreError::Changed)), "another change came first");
        let day = minutes(24 * 60);
        let second = jiff::SignedDuration::from_secs(1);
        assert!(known(&new, at(0)).await && known(&old, plus(at(0), day - second)).await, "{}", engine.name);
        assert!(!known(&old, plus(at(0), day)).await && known(&new, plus(at(0), day + second)).await);
        let agent = of.agent(world.agent.id).await.expect("read");
        assert!(agent.verified_at.is_none() && agent.slug == new);
        let third = of.rotate_slug(&agent, true, at(2), &world.rng).await.expect("rotated");
        assert!(known(&new, at(3)).await);
        store.verify_agent(agent.id, at(4)).await.expect("seen");
        assert!(!known(&new, at(4)).await && known(&third, at(4)).await, "{}", engine.name);
    }
}
