//! Dispatching: claims, fences, intents, and recovery after a crash.

use redialer_core::{
    Id,
    callback::{HeldFor, State},
    decide::{AfterCall, AfterDial, Resolution, Settle},
    workspace::Pause,
};
use redialer_store::{Claim, DecisionKey, DispatchWriter, Intent, TransitionError};

use crate::{
    engines::each,
    world::{ALL, World, about, at, end, follow, settle},
};

/// Writes an intent for a claim.
pub(crate) async fn intend(world: &World, claim: Claim) -> Option<Intent> {
    let key = world.store.open_key(world.tenant).await.expect("opened");
    let new = world.new_dispatch(&claim, None);
    world.dispatch_writer.begin(vec![(claim, new)], &key, &world.rng, at(10)).await.expect("done").pop()
}

fn placed(call: &str) -> AfterDial {
    AfterDial::Dialing { call_id: call.to_owned() }
}

async fn dialing(world: &World, call: &str) -> Id<redialer_core::id::Callback> {
    let id = world.schedule(&format!("before {call}"), 10).await;
    let intent = intend(world, world.claim_all(10).await.pop().expect("due")).await.expect("an intent");
    world.dispatch_writer.finish(intent, placed(call), at(10)).await.expect("recorded");
    id
}

#[tokio::test]
async fn no_callback_is_claimed_early_or_twice() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        world.schedule("c1", 10).await;
        assert!(world.claim_all(9).await.is_empty());
        let due = engine.store.due(ALL, at(10), 10, 10).await.expect("read").rows;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            // Each has its own writer, like separate replicas.
            let (dispatch_writer, due) = (DispatchWriter::start(engine.store.clone()).0, due.clone());
            tasks.spawn(async move {
                dispatch_writer.claim(&due, "r1", at(10), 1_000).await.expect("done").len()
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 1, "{}", engine.name);
        assert!(world.claim_all(10).await.is_empty());
    }
}

#[tokio::test]
async fn a_read_takes_the_longest_due_of_each_workspace_and_test_callbacks_separately() {
    for engine in each().await {
        let (first, second) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        first.schedule_persons(0..4, 10, false).await;
        first.schedule_persons(4..5, 10, true).await;
        second.schedule_persons(5..6, 12, false).await;
        let due = async |each, limit| {
            let due = engine.store.due(ALL, at(12), each, limit).await.expect("read");
            let rows = due.rows.iter().map(|row| (row.workspace == first.workspace, row.test));
            (rows.collect::<Vec<_>>(), due.is_all)
        };
        let (live, test, other) = ((true, false), (true, true), (false, false));
        for (each, limit, live_rows, is_all) in
            [(2, 100, 2, false), (4, 100, 4, false), (5, 100, 4, true), (5, 6, 2, false)]
        {
            let (mut rows, all) = due(each, limit).await;
            rows.sort_unstable();
            let mut expected = vec![other];
            expected.extend(std::iter::repeat_n(live, live_rows));
            expected.push(test);
            assert_eq!(
                (rows, all),
                (expected, is_all),
                "{}: {each} of a workspace, {limit} in all",
                engine.name
            );
        }
    }
}

#[tokio::test]
async fn a_call_is_placed_and_its_outcome_ends_the_callback() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = dialing(&world, "call_1").await;
        let row = world.tenant_store().callback(id).await.expect("read");
        assert_eq!((row.state, row.provider_call_id.as_deref()), (State::Dialing, Some("call_1")));
        assert_eq!(
            world.tenant_store().cancel(id, at(11)).await.expect("done"),
            Err(TransitionError::Dialling)
        );
        let known = world.decide("call_ended", "call_1", |known| {
            let mut after = settle(Settle::Close(State::Failed));
            after.follow = follow(known, 30).follow;
            after
        });
        let redial = known.await.redial.expect("it is a dial of ours");
        assert_eq!((redial.id, redial.attempts_used), (id, 1));
        assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Failed);
        let next = world.newest().await;
        assert_eq!((next.chain, next.parent, next.attempt), (id.as_root(), Some(id), 2), "{}", engine.name);
    }
}

#[tokio::test]
async fn a_chain_dials_once_at_a_time() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let next = async |minute| world.claim_all(minute).await.pop().expect("due");
        let root = world.schedule("c1", 10).await;
        let first = intend(&world, next(10).await).await.expect("an intent");
        let second = world.schedule("c2", 11).await;
        let claim = next(11).await;
        assert_eq!((claim.id(), claim.chain()), (second, root.as_root()));
        assert!(intend(&world, claim).await.is_none(), "{}: the first has no answer yet", engine.name);
        world.dispatch_writer.finish(first, placed("call_1"), at(11)).await.expect("recorded");
        let second = intend(&world, next(12).await).await.expect("the first is answered");
        let third = world.schedule("c3", 13).await;
        let claim = next(13).await;
        assert_eq!((claim.id(), claim.chain()), (third, root.as_root()));
        assert!(intend(&world, claim).await.is_none(), "{}: the second has no answer yet", engine.name);
        world.dispatch_writer.finish(second, placed("call_2"), at(13)).await.expect("recorded");
    }
}

#[tokio::test]
async fn the_first_callback_of_a_chain_waits_for_a_later_one_that_is_dialing() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let next = async |minute| world.claim_all(minute).await.pop().expect("due");
        world.schedule("c1", 10).await;
        let root = next(10).await;
        world.schedule("c2", 11).await;
        let _second = intend(&world, next(11).await).await.expect("an intent");
        assert!(intend(&world, root).await.is_none(), "{}: the second has no answer yet", engine.name);
    }
}

#[tokio::test]
async fn a_webhook_that_arrives_before_the_response_settles_the_dispatch() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let intent = intend(&world, world.claim_all(10).await.pop().expect("due")).await.expect("an intent");
        let delivery = world.delivery("call_started", "call_1").await;
        let redial = world.redial(delivery.event, Some(intent.id()), "call_1").await.expect("ours");
        let about = DecisionKey { redial: Some(&redial), ..about(delivery.event, "call_1", None) };
        let (decisions, known) = world.begin(about, 11).await.expect("open");
        assert_eq!(known.redial.expect("ours").attempts_used, 1);
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let nothing = redialer_core::decide::AfterCall::default();
        world.finish(decisions, nothing, &crate::world::secrets(), &key).await.expect("finished");
        assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Dialing);
        // The provider's response arrives after the webhook: the attempt is spent once.
        world.dispatch_writer.finish(intent, placed("call_1"), at(12)).await.expect("recorded");
        let known = world.decide("call_ended", "call_1", |_| settle(Settle::Close(State::Completed))).await;
        assert_eq!(known.redial.expect("ours").attempts_used, 1, "{}", engine.name);
    }
}

#[tokio::test]
async fn a_dial_without_capacity_spends_no_attempt() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = dialing(&world, "call_1").await;
        world.decide("call_ended", "call_1", |_| settle(Settle::Reschedule { at: at(20) })).await;
        assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Scheduled);
        assert!(world.claim_all(19).await.is_empty());
        let claim = world.claim_all(20).await.pop().expect("due again");
        assert_eq!((claim.id(), claim.attempts_used()), (id, 0), "{}", engine.name);
    }
}

#[tokio::test]
async fn a_final_state_is_never_left() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = dialing(&world, "call_1").await;
        world.decide("call_ended", "call_1", |_| settle(Settle::Close(State::Completed))).await;
        // Later events of the same call with another outcome change nothing.
        world.decide("call_analyzed", "call_1", |_| settle(Settle::Close(State::Failed))).await;
        world.decide("fetched", "call_1", |_| settle(Settle::Reschedule { at: at(20) })).await;
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Completed,
            "{}",
            engine.name
        );
    }
}

#[tokio::test]
async fn no_intent_is_written_after_a_cancel_or_for_a_disabled_agent() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        assert_eq!(
            world.tenant_store().cancel(id, at(10)).await.expect("done"),
            Ok(()),
            "claimed, but nothing is on its way"
        );
        assert!(intend(&world, claim).await.is_none());
        world.schedule("c2", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        world.switch(&world.tenant_store(), false, 10).await;
        assert!(intend(&world, claim).await.is_none());
        assert_eq!(world.newest().await.state, State::Held);
        world.switch(&world.tenant_store(), true, 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        world
            .decide("call_ended", "c9", |_| AfterCall { pause: Some(Pause::Key), ..AfterCall::default() })
            .await;
        assert!(intend(&world, claim).await.is_none());
        assert_eq!(world.newest().await.state, State::Scheduled, "{}", engine.name);
        assert!(world.claim_all(11).await.is_empty(), "a paused workspace does not dial");
        assert!(engine.store.due_probes(ALL, at(14), at(40)).await.expect("read").is_empty());
        assert_eq!(engine.store.due_probes(ALL, at(15), at(40)).await.expect("read").len(), 1);
        assert!(
            engine.store.due_probes(ALL, at(15), at(40)).await.expect("read").is_empty(),
            "one replica probes"
        );
        engine.store.resume(world.workspace, at(1)).await.expect("resumed");
        assert_eq!(world.claim_all(11).await.len(), 1);
    }
}

#[tokio::test]
async fn an_expired_claim_is_dialed_again_and_an_expired_intent_is_not() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let stale = world.claim_all(10).await.pop().expect("due");
        assert_eq!(engine.store.recover(ALL, 999, at(11), 1).await.expect("done"), 0, "the lease still runs");
        assert_eq!(engine.store.recover(ALL, 1_001, at(11), 1).await.expect("done"), 1);
        let fresh = world.claim_all(11).await.pop().expect("due again");
        assert!(intend(&world, stale).await.is_none(), "the fence keeps the old claimer out");
        let intent = intend(&world, fresh).await.expect("an intent");
        assert_eq!(engine.store.recover(ALL, 2_001, at(12), 1).await.expect("done"), 1);
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Unconfirmed,
            "{}",
            engine.name
        );
        assert!(world.claim_all(1_000).await.is_empty(), "what may have been placed is not claimed");
        let ask = engine
            .store
            .due_lookups(ALL, at(12), at(22), 10)
            .await
            .expect("read")
            .pop()
            .expect("to be asked about");
        assert_eq!((ask.id, ask.call_id.as_deref()), (intent.id(), None));
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        assert_eq!(
            ask.body(&key).expect("opens").as_slice(),
            intent.body(),
            "a repeat would send the same bytes"
        );
        assert!(
            engine.store.due_lookups(ALL, at(12), at(22), 10).await.expect("read").is_empty(),
            "one replica asks"
        );
        engine
            .store
            .finish_lookup(&ask, &Resolution::Placed { call_id: "call_1".to_owned() }, at(12))
            .await
            .expect("recorded");
        assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Dialing);
        // The first sender resumes and reports its result: nothing changes.
        world
            .dispatch_writer
            .finish(intent, AfterDial::Unconfirmed { why: String::new() }, at(13))
            .await
            .expect("recorded");
        assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Dialing);
    }
}

#[tokio::test]
async fn callbacks_of_a_dead_replica_are_recovered_without_waiting_for_its_lease() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        intend(&world, world.claim_all(10).await.pop().expect("due"))
            .await
            .expect("an intent until second 2");
        assert_eq!(engine.store.recover(ALL, 1_500, at(11), 1).await.expect("done"), 0, "its owner lives");
        engine.store.release_leases("r1").await.expect("given up");
        let taken = engine.store.recover(ALL, 1_500, at(11), 1).await.expect("done");
        // The embedded database has one process: the caller is the owner.
        assert_eq!(taken, u64::from(engine.store.is_shared()), "{}", engine.name);
        if taken == 1 {
            assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Unconfirmed);
        }
    }
}

#[tokio::test]
async fn a_refused_dial_is_rescheduled_or_closed_as_decided() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let again = AfterDial::Retry { at: at(15), pause: None, slow: false, why: String::new() };
        let intent = intend(&world, world.claim_all(10).await.pop().expect("due")).await.expect("an intent");
        world.dispatch_writer.finish(intent, again.clone(), at(10)).await.expect("recorded");
        assert!(world.claim_all(14).await.is_empty());
        let claim = world.claim_all(15).await.pop().expect("due again");
        assert_eq!(claim.attempts_used(), 0, "a refusal spends nothing");
        let intent = intend(&world, claim).await.expect("an intent");
        assert_eq!(intent.unplaced_tries(), 1);
        let close =
            AfterDial::Close { state: State::Failed, outcome: "refused_422".to_owned(), why: String::new() };
        world.dispatch_writer.finish(intent, close, at(15)).await.expect("recorded");
        let row = world.tenant_store().callback(id).await.expect("read");
        assert_eq!(
            (row.state, row.outcome.as_deref()),
            (State::Failed, Some("refused_422")),
            "{}",
            engine.name
        );
    }
}

#[tokio::test]
async fn a_rescheduled_callback_yields_to_a_newer_one() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        // While it is being dispatched, the person asks for a newer callback.
        world.schedule("c2", 60).await;
        engine.store.snooze(claim, at(30), Some("missed"), at(10)).await.expect("done");
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Superseded,
            "{}",
            engine.name
        );
        let claim = world.claim_all(60).await.pop().expect("due");
        engine.store.hold(claim, HeldFor::FromNumber, at(60)).await.expect("held");
        assert_eq!(world.newest().await.held_for, Some(HeldFor::FromNumber));
    }
}

#[tokio::test]
async fn replicas_share_the_buckets_and_take_over_from_the_dead() {
    for engine in each().await {
        let hold = async |who: &str, now: i64| {
            let held = engine.store.hold_leases(who, now, now + 10).await.expect("done");
            held.0.iter().map(|(from, to)| to - from + 1).sum::<i64>()
        };
        let all = redialer_store::BUCKETS;
        assert_eq!(hold("a", 0).await, all);
        assert_eq!(hold("b", 1).await, 0, "nothing is free yet, but it shows that it lives");
        assert_eq!(hold("a", 2).await, all / 2);
        assert_eq!(hold("b", 3).await, all / 2);
        assert_eq!(hold("c", 4).await, 0);
        assert!(hold("a", 5).await + hold("b", 6).await <= all - all / 4);
        assert!(hold("c", 7).await > 0);
        assert_eq!(hold("b", 16).await, all / 2, "the first is gone");
        engine.store.release_leases("c").await.expect("given up");
        assert_eq!(hold("b", 17).await, all, "{}", engine.name);
    }
}

async fn unknown(world: &World) -> (Id<redialer_core::id::Callback>, redialer_store::UnconfirmedDispatch) {
    let id = world.schedule("c1", 10).await;
    let intent = intend(world, world.claim_all(10).await.pop().expect("due")).await.expect("an intent");
    let uncertain = AfterDial::Unconfirmed { why: String::new() };
    world.dispatch_writer.finish(intent, uncertain, at(10)).await.expect("recorded");
    (
        id,
        world
            .store
            .due_lookups(ALL, at(10), at(20), 10)
            .await
            .expect("read")
            .pop()
            .expect("to be asked about"),
    )
}

#[tokio::test]
async fn a_dispatch_proven_absent_is_rescheduled_and_an_unresolved_one_spends_the_attempt() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (id, ask) = unknown(&world).await;
        let known = ask.unknown(None);
        assert_eq!((known.in_flight_until, known.first_absent_at), (at(10), None));
        let later = Resolution::Later { at: at(21), first_absent_at: Some(at(20)) };
        engine.store.finish_lookup(&ask, &later, at(20)).await.expect("recorded");
        assert!(engine.store.due_lookups(ALL, at(20), at(30), 10).await.expect("read").is_empty());
        let ask = engine.store.due_lookups(ALL, at(21), at(30), 10).await.expect("read").pop().expect("due");
        assert_eq!(ask.unknown(None).first_absent_at, Some(at(20)));
        engine.store.finish_lookup(&ask, &Resolution::NotPlaced, at(21)).await.expect("recorded");
        let claim = world.claim_all(21).await.pop().expect("due again");
        assert_eq!((claim.id(), claim.attempts_used()), (id, 0), "{}: the attempt is unspent", engine.name);
        let intent = intend(&world, claim).await.expect("an intent");
        let late = Resolution::Placed { call_id: "call_0".to_owned() };
        engine.store.finish_lookup(&ask, &late, at(22)).await.expect("recorded");
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Dispatching,
            "the old one is over"
        );
        let uncertain = AfterDial::Unconfirmed { why: String::new() };
        world.dispatch_writer.finish(intent, uncertain, at(22)).await.expect("recorded");
        let ask = engine.store.due_lookups(ALL, at(22), at(30), 10).await.expect("read").pop().expect("due");
        engine.store.finish_lookup(&ask, &Resolution::Unresolved, at(23)).await.expect("recorded");
        let row = world.tenant_store().callback(id).await.expect("read");
        assert_eq!((row.state, row.outcome.as_deref()), (State::Failed, Some("unresolved")));
        assert_eq!(
            world.tenant_store().attempts_used(row.chain).await.expect("read"),
            1,
            "it counts as an attempt"
        );
        engine.store.finish_lookup(&ask, &late, at(24)).await.expect("recorded");
        assert_eq!(world.tenant_store().callback(id).await.expect("read").state, State::Failed, "never left");
        assert_eq!(world.tenant_store().attempts_used(row.chain).await.expect("read"), 1, "and spent once");
        let first = end();
        assert_eq!(world.tenant_store().attention(None, first, 10).await.expect("read").len(), 1);
    }
}

#[tokio::test]
async fn a_repeated_request_restarts_the_proof_of_absence() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (_, mut ask) = unknown(&world).await;
        let stale =
            engine.store.due_lookups(ALL, at(20), at(20), 10).await.expect("read").pop().expect("due");
        let later = Resolution::Later { at: at(21), first_absent_at: Some(at(20)) };
        engine.store.finish_lookup(&ask, &later, at(20)).await.expect("recorded");
        assert!(engine.store.begin_repeat(&mut ask, at(40), at(21)).await.expect("recorded"));
        // A list that was read before the repeat proves nothing about it.
        engine.store.finish_lookup(&stale, &Resolution::NotPlaced, at(21)).await.expect("done");
        let mut ask =
            engine.store.due_lookups(ALL, at(21), at(30), 10).await.expect("read").pop().expect("due");
        let known = ask.unknown(None);
        assert_eq!((known.in_flight_until, known.first_absent_at), (at(40), None), "{}", engine.name);
        engine.store.finish_lookup(&ask, &Resolution::NotPlaced, at(60)).await.expect("recorded");
        assert!(
            !engine.store.begin_repeat(&mut ask, at(70), at(61)).await.expect("done"),
            "settled is settled"
        );
    }
}

#[tokio::test]
async fn a_callback_that_keeps_failing_is_held_and_its_fence_is_incremented() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        for minute in 10..15 {
            let claim = world.claim_all(minute).await.pop().expect("due");
            let (row, fence) = (claim.due_row(), claim.fence());
            engine.store.fail_claim(row, fence, at(minute + 1), at(minute)).await.expect("recorded");
            assert!(intend(&world, claim).await.is_none(), "{}", engine.name);
        }
        let row = world.tenant_store().callback(id).await.expect("read");
        assert_eq!((row.state, row.held_for), (State::Held, Some(HeldFor::Failing)));
        let stuck = engine.store.stuck(ALL, at(16), 1).await.expect("counted");
        assert!(stuck.contains(&("failing callbacks", 1)), "{stuck:?}");
        let one = |word: &str| vec![(word.to_owned(), 1)];
        let found = engine.store.census(ALL, at(17)).await.expect("counted");
        assert_eq!((found.due, found.held), (0, one("failing")), "{}", engine.name);
        // A newer callback for the same person supersedes it.
        world.schedule("c2", 20).await;
        engine.store.pause(world.workspace, Pause::Key, None, at(20)).await.expect("paused");
        let found = engine.store.census(ALL, at(21)).await.expect("counted");
        assert_eq!((found.due, found.held, found.paused), (1, vec![], one("key_refused")));
        assert_eq!((found.events, found.oldest_event_ms), (0, 0), "{}", engine.name);
    }
}

#[tokio::test]
async fn a_batch_of_claims_becomes_intents_except_for_lost_claims() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        assert_eq!(world.tenant_store().cancel(id, at(10)).await.expect("done"), Ok(()));
        let kept = world.schedule("c2", 10).await;
        let other = world.claim_all(10).await.pop().expect("due");
        let (first, second) = (world.new_dispatch(&claim, None), world.new_dispatch(&other, None));
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let both = vec![(claim, first), (other, second)];
        let intents = world.dispatch_writer.begin(both, &key, &world.rng, at(10)).await.expect("done");
        assert_eq!(intents.iter().map(|i| i.callback()).collect::<Vec<_>>(), [kept], "{}", engine.name);
    }
}
