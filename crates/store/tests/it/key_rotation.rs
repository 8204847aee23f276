//! Key rotation (I22): every step alone, interrupted and resumed.

use redialer_kek::Kek;
use redialer_store::{KeyError, StoreError};

use crate::{
    engines::each,
    world::{World, at},
};

fn phone(e164: &str) -> redialer_core::Phone {
    redialer_core::Phone::parse(e164).expect("a number")
}

async fn reads_everything(world: &World) {
    let key = world.store.open_key(world.tenant).await.expect("opened");
    let workspace = world.tenant_store().workspace(world.workspace).await.expect("there");
    assert_eq!(&**workspace.api_key(&key).expect("opens"), "key_canary_api");
    assert_eq!(workspace.webhook_auth(&key).expect("opens"), b"key_canary_webhook");
    for listed in world
        .tenant_store()
        .suppressions((at(9_999), redialer_core::Id::from_uuid(uuid::Uuid::max())), 10)
        .await
        .expect("read")
    {
        listed.open(&key).expect("opens");
    }
}

#[tokio::test]
async fn a_rotation_can_stop_after_any_step_and_every_value_stays_readable() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        let key = ours.store.open_key(ours.tenant).await.expect("opened");
        ours.tenant_store()
            .suppress(&[phone("+14155550117")], None, &key, at(1), &ours.rng)
            .await
            .expect("listed");
        let index = key.index("+14155550117");
        let early = ours.store.open_key(ours.tenant).await.expect("opened");
        let both = async || {
            reads_everything(&ours).await;
            reads_everything(&theirs).await;
        };
        let store = &engine.store;
        assert_eq!(store.publish_next_keys(&ours.rng).await.expect("published").done, 2);
        assert_eq!(store.publish_next_keys(&ours.rng).await.expect("nothing").done, 0, "{}", engine.name);
        both().await;
        assert_eq!(store.unfinished().await.expect("read"), 2);
        assert_eq!(store.promote_keys(at(2)).await.expect("promoted").done, 2);
        assert_eq!(store.promote_keys(at(2)).await.expect("nothing").done, 0);
        both().await;
        // A key that is still needed is not dropped.
        assert_eq!(store.drop_old_keys().await.expect("looked").left, 2);
        both().await;
        // A process that opened the key earlier may still seal with it.
        ours.tenant_store()
            .suppress(&[phone("+14155550118")], None, &early, at(3), &ours.rng)
            .await
            .expect("listed");
        // Each tenant has a webhook secret and two keys of a workspace; ours also has two numbers.
        assert_eq!(store.reseal(&ours.rng).await.expect("sealed").done, 8);
        assert_eq!(store.reseal(&ours.rng).await.expect("nothing").done, 0);
        both().await;
        assert_eq!(store.drop_old_keys().await.expect("dropped").done, 2);
        both().await;
        assert_eq!(store.unfinished().await.expect("read"), 0);
        let now = ours.store.open_key(ours.tenant).await.expect("opened");
        assert_eq!(now.index("+14155550117"), index, "numbers are found as before");
        assert_eq!(
            ours.tenant_store().check_audit().await.expect("walked"),
            redialer_store::AuditCheck::Intact(6)
        );
    }
}

#[tokio::test]
async fn an_unreadable_value_only_keeps_its_own_key_from_being_dropped() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        let key = ours.store.open_key(ours.tenant).await.expect("opened");
        ours.tenant_store()
            .suppress(&[phone("+14155550117")], None, &key, at(1), &ours.rng)
            .await
            .expect("listed");
        engine.connection().await.run("update suppressions set sealed = substr(sealed, 1, 20)").await;
        engine.store.publish_next_keys(&ours.rng).await.expect("published");
        engine.store.promote_keys(at(2)).await.expect("promoted");
        let sealed = engine.store.reseal(&ours.rng).await.expect("sealed");
        assert_eq!((sealed.done, sealed.broken), (6, 1), "{}", engine.name);
        let dropped = engine.store.drop_old_keys().await.expect("dropped");
        assert_eq!((dropped.done, dropped.left), (1, 1));
        reads_everything(&theirs).await;
    }
}

#[tokio::test]
async fn keys_wrapped_by_an_old_key_file_are_rewrapped_and_the_old_key_opens_nothing() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let Kek::File(file) = engine.store.kek() else { panic!("a file") };
        file.add(&world.rng).expect("added");
        reads_everything(&world).await;
        assert_eq!(engine.store.rewrap_keys(&world.rng).await.expect("wrapped").done, 1);
        assert_eq!(engine.store.rewrap_keys(&world.rng).await.expect("nothing").done, 0);
        file.retire().expect("retired");
        reads_everything(&world).await;
        engine.store.prove_key(&world.rng).await.expect("it is the key");
    }
}

#[tokio::test]
async fn a_wrapped_key_of_another_tenant_or_version_cannot_be_unwrapped() {
    for engine in each().await {
        let (ours, _theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        engine.connection().await.run("update tenants set wrapped_key = (select o.wrapped_key from tenants o where o.id <> tenants.id limit 1)").await;
        let opened = ours.store.open_key(ours.tenant).await;
        assert!(matches!(opened, Err(StoreError::Key(KeyError::Sealed))), "{}", engine.name);
    }
}
