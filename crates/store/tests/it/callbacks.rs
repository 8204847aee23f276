//! Which callbacks may exist side by side: chains, promises, tenants.

use redialer_core::{
    callback::{HeldFor, RedialReason, State},
    decide::{AfterCall, NextCallback, Settle},
    workspace::ProviderName,
};
use redialer_store::{
    AgentChange, Filter, NewWorkspace, Order, StoreError, TransitionError, WorkspaceChange,
};

use crate::{
    engines::each,
    world::{World, about, at, end, follow, roster, settle},
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
async fn a_person_has_at_most_one_waiting_callback() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        world.schedule("c1", 10).await;
        let delivery = world.delivery("call_ended", "c2").await;
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let phone_hash = Some(key.index(crate::world::NUMBER));
        let (decisions, known) = world.begin(about(delivery.event, "c2", phone_hash), 0).await.expect("open");
        // A decision that does not supersede violates a constraint of the database, and nothing of it is written.
        let forgetful = AfterCall { supersede: vec![], ..follow(&known, 20) };
        let refused = world.finish(decisions, forgetful, &crate::world::secrets(), &key).await;
        assert!(matches!(refused, Err(StoreError::Duplicate)), "{}: {refused:?}", engine.name);
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
                let AfterCall { follow: Some(NextCallback::Create(planned)), .. } = follow(known, 99) else {
                    panic!("a plan")
                };
                let planned = redialer_core::decide::CallbackPlan {
                    reason: RedialReason::CallbackRequested,
                    ..planned
                };
                AfterCall {
                    follow: Some(NextCallback::Replace(retry.id, planned)),
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
async fn of_two_concurrent_cancels_one_succeeds_and_the_other_gets_a_conflict() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        for round in 0..10 {
            let (id, of) = (world.schedule(&format!("c{round}"), 10).await, world.tenant_store());
            let (one, other) = tokio::join!(of.cancel(id, at(1)), of.cancel(id, at(1)));
            let mut results = [one.expect("done"), other.expect("asked")];
            results.sort_by_key(Result::is_err);
            assert_eq!(results, [Ok(()), Err(TransitionError::Final)], "{}", engine.name);
        }
    }
}

#[tokio::test]
async fn only_waiting_callbacks_can_be_moved_canceled_or_forced() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (id, of) = (world.schedule("c1", 10).await, world.tenant_store());
        assert_eq!(of.reschedule(id, at(50), None, at(1)).await.expect("done"), Ok(()));
        assert_eq!(world.newest().await.scheduled_for, at(50));
        assert_eq!(of.force(id, at(2)).await.expect("done"), Ok(()));
        assert_eq!(of.cancel(id, at(3)).await.expect("done"), Ok(()));
        assert_eq!(of.cancel(id, at(4)).await.expect("done"), Err(TransitionError::Final));
        assert_eq!(of.force(id, at(4)).await.expect("done"), Err(TransitionError::Final));
        let unknown = redialer_core::Id::from_uuid(uuid::Uuid::from_u128(7));
        assert!(matches!(of.cancel(unknown, at(4)).await, Err(StoreError::NotFound)));
    }
}

#[tokio::test]
async fn do_not_call_suppresses_waiting_callbacks_in_every_workspace() {
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
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Suppressed,
            "{}",
            engine.name
        );
        let known = world.decide("call_ended", "c3", |_| settle(Settle::Close(State::Completed))).await;
        assert!(known.person.expect("a person").suppressed);
    }
}

#[tokio::test]
async fn one_tenant_sees_nothing_of_another() {
    for engine in each().await {
        let (ours, theirs) = (World::new(&engine.store, 1).await, World::new(&engine.store, 2).await);
        let id = theirs.schedule("c1", 10).await;
        let of = ours.tenant_store();
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
async fn agents_start_enabled_within_the_plan_and_a_disabled_one_holds_its_callbacks() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let of = world.tenant_store();
        let agents = [roster("agent_1"), roster("agent_2"), roster("agent_3")];
        of.sync_agents(world.workspace, &agents, None, 2, (at(1), at(1)), &world.rng).await.expect("synced");
        let workspace_context =
            engine.store.workspace_context(world.tenant, world.workspace, 0).await.expect("read");
        let one = redialer_core::tenant::Limits { agents: 1, ..redialer_core::tenant::Plan::Free.limits() };
        let active_agents: Vec<_> =
            workspace_context.active_agents(&one).map(|agent| agent.provider_agent_id.as_str()).collect();
        assert_eq!(active_agents, ["agent_1"], "of a smaller plan only the oldest");
        let enabled = async |name: &str| {
            of.agent_by_provider_id(world.workspace, name).await.expect("read").expect("there")
        };
        assert!(enabled("agent_1").await.enabled && enabled("agent_2").await.enabled);
        let third = enabled("agent_3").await;
        assert!(!third.enabled);
        let refused = of
            .change_agent(&third, &AgentChange { enabled: Some(true), ..AgentChange::default() }, 2, at(2))
            .await;
        assert!(matches!(refused, Err(StoreError::PlanLimit)));
        let id = world.schedule("c1", 10).await;
        world.switch(&of, false, 3).await;
        assert_eq!(of.callback(id).await.expect("read").state, State::Held);
        let workspace_context =
            engine.store.workspace_context(world.tenant, world.workspace, 0).await.expect("read");
        assert!(
            !workspace_context.agent(world.agent.id).expect("at the desk").agent.enabled,
            "what was remembered is forgotten"
        );
        world.switch(&of, true, 4).await;
        assert_eq!(of.callback(id).await.expect("read").state, State::Scheduled, "{}", engine.name);
        assert!(engine.store.slug_target("nobody", at(4), 0).await.expect("read").is_none());
    }
}

#[tokio::test]
async fn pages_list_every_row_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        for i in 0..7 {
            world.schedule(&format!("c{i}"), 10 + i).await;
        }
        let mut before = end();
        let mut seen = Vec::new();
        loop {
            let page = world
                .tenant_store()
                .callbacks(&redialer_store::Filter::default(), before, 3)
                .await
                .expect("listed");
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

#[tokio::test]
async fn a_callback_held_past_its_time_is_no_longer_forced() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let forced_after = async |minute: i64| {
            world.tenant_store().reschedule(id, at(20), None, at(2)).await.expect("done").expect("moved");
            world.switch(&world.tenant_store(), false, 3).await;
            world.switch(&world.tenant_store(), true, minute).await;
            let row = world.tenant_store().callback(id).await.expect("read");
            (row.state, row.forced, row.scheduled_for)
        };
        assert_eq!(forced_after(19).await, (State::Scheduled, true, at(20)), "{}", engine.name);
        assert_eq!(forced_after(21).await, (State::Scheduled, false, at(21)), "{}", engine.name);
    }
}

#[tokio::test]
async fn a_claim_is_not_held_for_an_agent_that_was_enabled_in_the_meantime() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let id = world.schedule("c1", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        engine.store.hold(claim, HeldFor::Agent, at(10)).await.expect("given back");
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Scheduled,
            "{}",
            engine.name
        );
        let claim = world.claim_all(12).await.pop().expect("due again");
        engine.store.hold(claim, HeldFor::Country, at(12)).await.expect("held");
        assert_eq!(
            world.tenant_store().callback(id).await.expect("read").state,
            State::Held,
            "{}",
            engine.name
        );
    }
}

#[tokio::test]
async fn no_intent_is_written_for_a_number_that_was_suppressed_after_the_claim() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let opt_out = |_: &_| AfterCall { suppress: true, settled: true, ..AfterCall::default() };
        world.decide("call_ended", "c1", opt_out).await;
        world.schedule("c2", 10).await;
        let claim = world.claim_all(10).await.pop().expect("due");
        assert!(claim.suppressed());
        assert!(crate::dispatch::intend(&world, claim).await.is_none(), "{}", engine.name);
    }
}

#[tokio::test]
async fn no_two_workspaces_share_a_provider_account() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (of, key) = (world.tenant_store(), engine.store.open_key(world.tenant).await.expect("opened"));
        let connect = async |n: u128, account: &str| {
            let id = redialer_core::Id::from_uuid(uuid::Uuid::from_u128(n));
            let new = NewWorkspace {
                id,
                provider: &ProviderName::new("retell"),
                name: "Another",
                api_key: "key_canary_other",
                webhook_auth: b"key_canary_webhook",
                account: Some(account),
                settings: &serde_json::json!({}),
            };
            of.create_workspace(&new, 10, &key, at(1), &world.rng).await.map(|()| id)
        };
        let taken = |result: Result<(), StoreError>| {
            assert!(matches!(result, Err(StoreError::AlreadyConnected)), "{}", engine.name);
        };
        let first = connect(1, "org_1").await.expect("connected");
        taken(connect(2, "org_1").await.map(|_| ()));
        of.delete_workspace(first, at(2)).await.expect("deleted");
        let second = connect(3, "org_1").await.expect("connected");
        taken(of.restore_workspace(first, at(0), 10, at(3)).await);
        let third = connect(4, "org_2").await.expect("connected");
        let change = WorkspaceChange {
            api_key: Some("key_canary_new"),
            account: Some("org_1"),
            ..WorkspaceChange::default()
        };
        taken(of.change_workspace(third, &change, &key, at(4), &world.rng).await);
        of.change_workspace(second, &change, &key, at(4), &world.rng).await.expect("its own");
    }
}

#[tokio::test]
async fn a_chain_is_listed_in_either_order_page_by_page() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let first = world.schedule("c1", 30).await;
        world.schedule("c2", 20).await;
        world.schedule("c3", 40).await;
        let chain = world.tenant_store().callback(first).await.expect("read").chain;
        for order in [Order::Created, Order::Scheduled] {
            let filter = Filter { chain: Some(chain), order, ..Filter::default() };
            let mut before = end();
            let mut minutes = Vec::new();
            for _ in 0..4 {
                let page = world.tenant_store().callbacks(&filter, before, 1).await.expect("listed");
                let Some(row) = page.first() else { break };
                before = (if order == Order::Created { row.created_at } else { row.scheduled_for }, row.id);
                minutes.push(row.scheduled_for.duration_since(at(0)).as_mins());
            }
            minutes.sort_unstable();
            assert_eq!(minutes, [20, 30, 40], "{} {order:?}", engine.name);
        }
    }
}

#[tokio::test]
async fn attention_shows_nothing_of_a_deleted_workspace() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        world.schedule("c1", 10).await;
        world.switch(&world.tenant_store(), false, 1).await;
        let first = end();
        let shown = async || world.tenant_store().attention(None, first, 10).await.expect("listed").len();
        assert_eq!(shown().await, 1, "{}", engine.name);
        world.tenant_store().delete_workspace(world.workspace, at(2)).await.expect("deleted");
        assert_eq!(shown().await, 0, "{}", engine.name);
        world.tenant_store().restore_workspace(world.workspace, at(0), 10, at(3)).await.expect("restored");
        assert_eq!(shown().await, 1, "{}", engine.name);
    }
}
