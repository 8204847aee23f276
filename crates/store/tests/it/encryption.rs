//! Personal data is never stored in plain text; the wrong key opens nothing.

use std::fs;

use redialer_core::rng::Rng;
use redialer_store::{Kek, KeyError, Store, StoreError};

use crate::{
    engines::{KEK, each},
    world::{NUMBER, World, at},
};

#[tokio::test]
async fn no_database_file_contains_personal_data_in_plain_text() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        world.schedule("c1", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        crate::dispatch::intend(&world, claim).await.expect("an intent");
        world
            .decide("call_ended", "c2", |_| redialer_core::decide::AfterCall {
                suppress: true,
                ..Default::default()
            })
            .await;
        engine.store.close().await;
        if engine.url.is_some() {
            continue; // the server's files cannot be read from here
        }
        let mut bytes = Vec::new();
        for entry in fs::read_dir(engine.dir.path()).expect("listed") {
            bytes.extend(fs::read(entry.expect("a file").path()).expect("read"));
        }
        assert!(bytes.len() > 4_096, "the database is there");
        for canary in [
            NUMBER,
            &NUMBER[1..],
            "key_canary_api",
            "key_canary_webhook",
            "whsec_canary",
            "rdl_live_canary_1",
            "canary variable",
        ] {
            assert!(!bytes.windows(canary.len()).any(|w| w == canary.as_bytes()), "{canary}");
        }
    }
}

#[tokio::test]
async fn a_store_does_not_open_with_a_wrong_key() {
    for engine in each().await {
        engine.store.close().await;
        let open = async |kek: [u8; 32]| {
            let store = match &engine.url {
                Some(url) => Store::postgres(url, Kek::from_bytes(kek)).await,
                None => Store::sqlite(&engine.dir.path().join("test.db"), Kek::from_bytes(kek)).await,
            };
            store.expect("opened").migrate(&Rng::seeded([1; 32])).await
        };
        assert!(matches!(open([7; 32]).await, Err(StoreError::Key(KeyError::Wrong))), "{}", engine.name);
        open(KEK).await.expect("the right one still opens");
    }
}

#[tokio::test]
async fn the_rows_of_a_tenant_decrypt_only_with_its_own_key() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        ours.schedule("c1", 10).await;
        let row = ours.newest().await;
        let key = engine.store.open_key(theirs.tenant).await.expect("opened");
        assert!(row.secrets(&key).is_err(), "{}", engine.name);
        let workspace = ours.tenant_store().workspace(ours.workspace).await.expect("read");
        assert!(workspace.api_key(&key).is_err());
        let key = engine.store.open_key(ours.tenant).await.expect("opened");
        assert_eq!(workspace.api_key(&key).expect("opens").as_str(), "key_canary_api");
        assert!(engine.store.key_owner("rdl_live_canary_1", at(0)).await.expect("done").is_some());
        assert!(engine.store.key_owner("rdl_live_canary_9", at(0)).await.expect("done").is_none());
    }
}
