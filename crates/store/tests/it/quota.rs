//! A plan's limit of calls per month is exact, across replicas.

use redialer_core::{
    callback::State,
    decide::AfterDial,
    time::{minutes, plus},
};
use redialer_store::{Claim, Intent};

use crate::{
    engines::each,
    world::{World, at},
};

async fn intend(world: &World, claims: Vec<Claim>, limit: u64, minute: i64) -> Vec<Intent> {
    let key = world.store.open_key(world.tenant).await.expect("opened");
    let new = |claim| {
        let new = world.new_dispatch(&claim, Some(limit));
        (claim, new)
    };
    let begun = claims.into_iter().map(new).collect();
    world.dispatch_writer.begin(begun, &key, &world.rng, at(minute)).await.expect("done")
}

#[tokio::test]
async fn the_monthly_quota_is_exact_and_calls_that_were_not_placed_do_not_count() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        world.schedule_persons(0..6, 10, false).await;
        let mut claims = world.claim_all(10).await;
        assert_eq!(claims.len(), 6, "{}", engine.name);
        let rest = claims.split_off(3);
        // Two replicas at once, with room for four.
        let (mut intents, more) = tokio::join!(intend(&world, claims, 4, 10), intend(&world, rest, 4, 10));
        intents.extend(more);
        assert_eq!(intents.len(), 4, "{}", engine.name);
        let of = world.tenant_store();
        assert_eq!(of.calls_this_month(None, at(10)).await.expect("read"), 4);
        assert_eq!(of.calls_this_month(Some(world.workspace), at(10)).await.expect("read"), 4);
        assert_eq!(engine.store.over_quota((0, 4095), at(11)).await.expect("read"), [world.tenant]);
        let refused =
            AfterDial::Close { state: State::Failed, outcome: "refused".to_owned(), why: String::new() };
        let one = intents.into_iter().next().expect("one");
        world.dispatch_writer.finish(one, refused, at(11)).await.expect("recorded");
        assert_eq!(of.calls_this_month(None, at(11)).await.expect("read"), 3, "{}", engine.name);
        // Another month has room of its own.
        assert_eq!(of.calls_this_month(None, plus(at(11), minutes(60 * 24 * 31))).await.expect("read"), 0);
        assert_eq!(of.release_quota(1, at(12)).await.expect("released"), 1);
        let claims = world.claim_all(12).await;
        assert_eq!((claims.len(), intend(&world, claims, 4, 12).await.len()), (1, 1), "{}", engine.name);
        assert_eq!(of.release_quota(9, at(13)).await.expect("released"), 1);
        assert!(intend(&world, world.claim_all(13).await, 4, 13).await.is_empty());
        assert_eq!(
            engine.store.over_quota((0, 4095), at(14)).await.expect("read"),
            [world.tenant],
            "held again"
        );
    }
}
