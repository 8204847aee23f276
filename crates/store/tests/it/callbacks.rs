//! Chains, promises, tenants: what may stand beside what.

use redialer_core::{
    callback::{RedialReason, State},
    decide::{AfterCall, Follow, Settle},
    id,
};
use redialer_store::{AgentChange, NotNow, StoreError};

use crate::{
    engines::each,
    world::{World, at, follow, roster, settle},
};

#[tokio::test]
async fn a_first_callback_opens_a_chain_named_after_it_and_a_newer_one_supersedes_it() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let first = world.schedule("c1", 10).await;
        let second = world.schedule("c2", 20).await;
        let rows = world.callbacks().await;
        let of = |id| rows.iter().find(|r| r.id == id).expect("there");
        assert_eq!(of(first).chain, first.as_root());
        assert_eq!(of(second).chain, first.as_root());
        assert_eq!(
            (of(first).state, of(second).state),
            (State::Superseded, State::Scheduled),
            "{}",
            engine.name
        );
        assert_eq!(
            of(second)
                .secrets(&engine.store.open_key(world.tenant).await.expect("opened"))
                .expect("opens")
                .to,
            "+14155550117"
        );
    }
}

#[tokio::test]
async fn a_person_has_one_waiting_callback_whatever_is_asked() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        world.schedule("c1", 10).await;
        let delivery = world.delivery("call_ended", "c2").await;
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let person_ix = Some(key.index(crate::world::NUMBER));
        let about = redialer_store::DecisionKey {
            event: delivery.event,
            call_id: "c2",
            channel: redialer_core::agent::Channel::Voice,
            person_ix,
            redial: None,
        };
        let (decisions, known) = world.begin(about, 0).await.expect("open");
        // A decision that forgets to supersede: the database itself says no, and nothing of it stays.
        let forgetful = AfterCall { supersede: vec![], ..follow(&known, 20) };
        let refused = world.finish(decisions, forgetful, &crate::world::secrets(), &key).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{}: {refused:?}", engine.name);
        assert_eq!(world.callbacks().await.len(), 1);
        assert_eq!(crate::world::pending(&engine.store, at(1_000), 10).await.len(), 1, "it is decided again");
    }
}

#[tokio::test]
async fn a_waiting_retry_becomes_the_request_of_the_same_call() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let known = world
            .decide("call_analyzed", "c1", |known| {
                let retry = known.seen.retry.clone().expect("the retry is known");
                let AfterCall { follow: Some(Follow::New(planned)), .. } = follow(known, 99) else {
                    panic!("a plan")
                };
                let planned =
                    redialer_core::decide::Planned { reason: RedialReason::CallbackRequested, ..planned };
                AfterCall {
                    follow: Some(Follow::Move(retry.id, planned)),
                    analyzed: true,
                    ..AfterCall::default()
                }
            })
            .await;
        assert!(known.seen.settled && !known.seen.analyzed);
        let row = world.newest().await;
        assert_eq!((row.id, row.reason, row.scheduled_for), (id, RedialReason::CallbackRequested, at(99)));
        assert_eq!(world.callbacks().await.len(), 1, "{}", engine.name);
    }
}

#[tokio::test]
async fn people_move_cancel_and_force_what_waits_and_nothing_else() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (id, of) = (world.schedule("c1", 10).await, world.of());
        assert_eq!(of.reschedule(id, at(50), None, at(1)).await.expect("asked"), Ok(()));
        assert_eq!(world.newest().await.scheduled_for, at(50));
        assert_eq!(of.force(id, at(2)).await.expect("asked"), Ok(()));
        assert_eq!(of.cancel(id, at(3)).await.expect("asked"), Ok(()));
        assert_eq!(of.cancel(id, at(4)).await.expect("asked"), Err(NotNow::Final));
        assert_eq!(of.force(id, at(4)).await.expect("asked"), Err(NotNow::Final));
        let unknown = redialer_core::Id::from_uuid(uuid::Uuid::from_u128(7));
        assert!(matches!(of.cancel(unknown, at(4)).await, Err(StoreError::NotFound)));
    }
}

#[tokio::test]
async fn do_not_call_ends_what_waits_in_every_workspace() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        world
            .decide("call_ended", "c2", |_| AfterCall {
                suppress: true,
                settled: true,
                ..AfterCall::default()
            })
            .await;
        assert_eq!(world.of().callback(id).await.expect("read").state, State::Suppressed, "{}", engine.name);
        let known = world.decide("call_ended", "c3", |_| settle(Settle::Close(State::Completed))).await;
        assert!(known.person.expect("a person").suppressed);
    }
}

#[tokio::test]
async fn one_tenant_sees_nothing_of_another() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        let id = theirs.schedule("c1", 10).await;
        let of = ours.of();
        assert!(matches!(of.callback(id).await, Err(StoreError::NotFound)));
        assert!(matches!(of.cancel(id, at(1)).await, Err(StoreError::NotFound)));
        assert!(matches!(of.workspace(theirs.workspace).await, Err(StoreError::NotFound)));
        assert!(matches!(of.agent(theirs.agent.id).await, Err(StoreError::NotFound)));
        assert!(of.agent_by_provider_id(theirs.workspace, "agent_1").await.expect("read").is_none());
        assert!(ours.callbacks().await.is_empty(), "{}", engine.name);
        // The metadata of one tenant's dispatch means nothing in another's workspace (T27).
        let claim = theirs.claim_all(10).await.pop().expect("claimed");
        let dispatch = crate::dispatch::intend(&theirs, claim).await.expect("an intent");
        let delivery = ours.delivery("call_ended", "c9").await;
        assert!(ours.redial(delivery.event, Some(dispatch.id()), "c9").await.is_none());
    }
}

#[tokio::test]
async fn agents_start_enabled_while_the_plan_has_room_and_a_switched_off_one_holds_its_callbacks() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let of = world.of();
        let agents = [roster("agent_1"), roster("agent_2"), roster("agent_3")];
        of.sync_agents(world.workspace, &agents, None, 2, (at(1), at(1)), &world.chance)
            .await
            .expect("synced");
        let desk = engine.store.desk(world.tenant, world.workspace, 0).await.expect("read");
        let one = redialer_core::tenant::Limits { agents: 1, ..redialer_core::tenant::Plan::Free.limits() };
        let heard: Vec<_> = desk.heard(&one).map(|agent| agent.provider_agent_id.as_str()).collect();
        assert_eq!(heard, ["agent_1"], "of a smaller plan only the oldest");
        let enabled = async |name: &str| {
            of.agent_by_provider_id(world.workspace, name).await.expect("read").expect("there")
        };
        assert!(enabled("agent_1").await.enabled && enabled("agent_2").await.enabled);
        let third = enabled("agent_3").await;
        assert!(!third.enabled);
        let refused = of
            .change_agent(&third, &AgentChange { enabled: Some(true), ..AgentChange::default() }, 2, at(2))
            .await;
        assert!(matches!(refused, Err(StoreError::Conflict("plan_limit"))));
        let id = world.schedule("c1", 10).await;
        of.change_agent(
            &world.agent,
            &AgentChange { enabled: Some(false), ..AgentChange::default() },
            2,
            at(3),
        )
        .await
        .expect("changed");
        assert_eq!(of.callback(id).await.expect("read").state, State::Held);
        assert!(
            !engine.store.slug_owner(&world.agent.slug, at(3)).await.expect("read").expect("known").enabled
        );
        let off = of.agent(world.agent.id).await.expect("read");
        of.change_agent(&off, &AgentChange { enabled: Some(true), ..AgentChange::default() }, 2, at(4))
            .await
            .expect("changed");
        assert_eq!(of.callback(id).await.expect("read").state, State::Scheduled, "{}", engine.name);
        assert!(engine.store.slug_owner("nobody", at(4)).await.expect("read").is_none());
    }
}

#[tokio::test]
async fn pages_go_through_everything_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        for i in 0..7 {
            world.schedule(&format!("c{i}"), 10 + i).await;
        }
        let mut before =
            (redialer_core::Timestamp::MAX, redialer_core::Id::<id::Callback>::from_uuid(uuid::Uuid::max()));
        let mut seen = Vec::new();
        loop {
            let page =
                world.of().callbacks(&redialer_store::Filter::default(), before, 3).await.expect("listed");
            let Some(last) = page.last() else { break };
            before = (last.created_at, last.id);
            seen.extend(page.iter().map(|r| r.id));
        }
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((seen.len(), distinct.len()), (7, 7), "{}", engine.name);
    }
}
