//! Every change of a callback writes to the outbox and signals what may be due sooner, without help from the caller.

use futures_util::FutureExt as _;
use redialer_core::{
    callback::State,
    decide::{AfterDial, Settle},
};

use crate::{
    dispatch::intend,
    engines::{Engine, each},
    world::{World, at, settle},
};

/// The names of the events in the outbox, in order.
async fn events(engine: &Engine) -> Vec<String> {
    const SQL: &str = "select event from callback_events order by at, id";
    engine.connection().await.texts(SQL).await
}

#[tokio::test]
async fn every_state_that_a_callback_enters_is_in_the_outbox() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let of = world.tenant_store();
        let id = world.schedule("c1", 10).await;
        of.reschedule(id, at(20), None, at(1)).await.expect("written").expect("moved");
        let claim = world.claim_all(20).await.pop().expect("due");
        let intent = intend(&world, claim).await.expect("an intent");
        let placed = AfterDial::Dialing { call_id: "call_1".to_owned() };
        world.dispatch_writer.finish(intent, placed, at(21)).await.expect("recorded");
        world.decide("call_ended", "call_1", |_| settle(Settle::Close(State::Completed))).await;
        let mut found = events(&engine).await;
        found.sort();
        let expected =
            ["callback.completed", "callback.dialing", "callback.rescheduled", "callback.scheduled"];
        assert_eq!(found, expected, "{}", engine.name);
        assert_eq!(engine.store.prune_outbox(at(1_000)).await.expect("pruned"), 4);
        assert!(events(&engine).await.is_empty());
    }
}

#[tokio::test]
async fn a_callback_due_within_the_horizon_is_signaled_after_the_commit() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (of, signal) = (world.tenant_store(), engine.store.due_signal());
        let signaled = || signal.changed().now_or_never().is_some();
        while signaled() {}
        signal.set_horizon(at(15));
        let id = world.schedule("c1", 20).await;
        assert!(!signaled(), "{}: it is due later", engine.name);
        of.reschedule(id, at(10), None, at(1)).await.expect("written").expect("moved");
        assert!(signaled(), "{}", engine.name);
        of.cancel(id, at(2)).await.expect("written").expect("canceled");
        assert!(!signaled(), "{}: nothing is due because of that", engine.name);
        engine
            .store
            .pause(world.workspace, redialer_core::workspace::Pause::Key, None, at(3))
            .await
            .expect("paused");
        assert!(!signaled());
        engine.store.resume(world.workspace, at(4)).await.expect("resumed");
        assert!(signaled(), "{}: any waiting callback may be due", engine.name);
    }
}
