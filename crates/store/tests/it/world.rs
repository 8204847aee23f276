//! A tenant, a workspace and an agent to test with.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::RedialReason,
    decide::{AfterCall, Attempt, CallbackPlan, NextCallback, Person, Settle},
    id,
    inbound_event::DedupKey,
    rng::Rng,
    tenant::Plan,
    time::{Zone, ZoneSource, minutes, plus},
    workspace::ProviderName,
};
use redialer_store::{
    AgentChange, AgentRow, Claim, Decided, DecisionKey, Decisions, DispatchWriter, EventRow, Inbox, Known,
    NewDispatch, NewInboundEvent, NewManualCallback, NewTenant, NewWorkspace, NextCallbackFields, PendingRow,
    Recorded, RedialProbe, RedialRow, RosterEntry, Secrets, Store, StoreError, TenantKey, TenantStore,
    bucket_of,
};

pub(crate) const NUMBER: &str = "+14155550117";
/// A fuse that never blows.
pub(crate) const NO_FUSE: redialer_core::fuse::FuseLimits =
    redialer_core::fuse::FuseLimits { per_day: u32::MAX, per_10_minutes: u32::MAX };

/// Pending events of every workspace.
pub(crate) async fn pending(store: &Store, now: Timestamp, limit: i64) -> Vec<redialer_store::PendingRow> {
    let mut rows = Vec::new();
    for workspace in store.workspaces_with_pending(ALL, now).await.expect("read") {
        rows.extend(store.pending(workspace, now, limit).await.expect("read"));
    }
    rows
}

pub(crate) const ALL: (i64, i64) = (0, redialer_store::BUCKETS - 1);

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) dispatch_writer: DispatchWriter,
    pub(crate) rng: Rng,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) agent: AgentRow,
}

pub(crate) fn at(minute: i64) -> Timestamp {
    plus("2026-11-23T12:00:00Z".parse().expect("a time"), minutes(minute))
}

impl World {
    pub(crate) async fn new(store: &Store, seed: u8) -> Self {
        let rng = Rng::seeded([seed; 32]);
        let tenant = Id::new(at(0), &rng);
        let new = NewTenant {
            id: tenant,
            name: "Example",
            plan: Plan::Unlimited,
            owner_email: &format!("owner{seed}@example.com"),
            password_hash: "hash",
            admin_key: &format!("rdl_live_canary_{seed}"),
            webhook_secret: "whsec_canary",
        };
        store.create_tenant(&new, at(0), &rng).await.expect("created");
        let workspace = Id::new(at(0), &rng);
        let new = NewWorkspace {
            id: workspace,
            provider: &ProviderName::new("retell"),
            name: "Line",
            api_key: "key_canary_api",
            webhook_auth: b"key_canary_webhook",
            account: None,
            settings: &serde_json::json!({}),
        };
        let key = store.open_key(tenant).await.expect("opened");
        let of = store.for_tenant(tenant);
        of.create_workspace(&new, 10, &key, at(0), &rng).await.expect("created");
        of.sync_agents(workspace, &[roster("agent_1")], None, 10, (at(0), at(0)), &rng)
            .await
            .expect("synced");
        let agent = of.agent_by_provider_id(workspace, "agent_1").await.expect("read").expect("there");
        let dispatch_writer = DispatchWriter::start(store.clone()).0;
        Self { store: store.clone(), dispatch_writer, rng, tenant, workspace, agent }
    }

    pub(crate) fn tenant_store(&self) -> TenantStore {
        self.store.for_tenant(self.tenant)
    }

    /// Enables or disables the agent.
    pub(crate) async fn switch(&self, of: &TenantStore, enabled: bool, minute: i64) {
        let agent = of.agent(self.agent.id).await.expect("read");
        let change = AgentChange { enabled: Some(enabled), ..AgentChange::default() };
        of.change_agent(&agent, &change, 10, at(minute)).await.expect("changed");
    }

    /// The fields of a next callback.
    pub(crate) fn next<'a>(&self, secrets: &'a Secrets) -> NextCallbackFields<'a> {
        NextCallbackFields {
            id: Id::new(at(0), &self.rng),
            agent: self.agent.id,
            channel: Channel::Voice,
            secrets,
            promise_scope: None,
        }
    }

    /// The contents of an intent for a claim, with the plan's calls per month.
    pub(crate) fn new_dispatch(&self, claim: &Claim, calls_a_month: Option<u64>) -> NewDispatch {
        NewDispatch {
            id: Id::new(at(0), &self.rng),
            attempt: Attempt { number: claim.attempts_used() + 1, max: 3, is_final: false },
            gates: Vec::new(),
            body: format!("{{\"to_number\":\"{NUMBER}\"}}").into_bytes(),
            lease_until_ms: 2_000,
            calls_a_month,
            fuse: NO_FUSE,
            account: None,
            secrets: None,
        }
    }

    /// Records one event of a call in the inbox and reads it back, to be decided.
    pub(crate) async fn delivery(&self, event: &str, call: &str) -> PendingRow {
        let (inbox, _writer) = Inbox::start(self.store.clone());
        assert_eq!(inbox.record(self.event(event, call).await).await.expect("recorded"), Recorded::New);
        let pending = crate::world::pending(&self.store, at(1_000), 100).await;
        pending.into_iter().find(|p| p.event.tenant == self.tenant).expect("it waits")
    }

    pub(crate) async fn event(&self, event_name: &str, call: &str) -> NewInboundEvent {
        let key = self.store.open_key(self.tenant).await.expect("opened");
        let id = Id::new(at(0), &self.rng);
        let event = EventRow {
            bucket: bucket_of(self.tenant),
            id,
            tenant: self.tenant,
            workspace: self.workspace,
            agent: self.agent.id,
            tries: 0,
            received_at: at(0),
            test: false,
        };
        NewInboundEvent {
            event,
            is_decidable: true,
            name: event_name.to_owned(),
            call_id: Some(call.to_owned()),
            dedup_key: dedup_key(event_name),
            body: key.seal_body(id.uuid(), format!("{{\"to\":\"{NUMBER}\"}}").as_bytes(), &self.rng),
            signature: String::new(),
        }
    }

    /// The callback that a call is a dial of.
    pub(crate) async fn redial(
        &self,
        event: EventRow,
        dispatch: Option<Id<id::Dispatch>>,
        call_id: &str,
    ) -> Option<RedialRow> {
        let probe = RedialProbe { event, dispatch, call_id };
        self.store.redials(&[probe]).await.expect("read").pop().flatten()
    }

    /// Opens a decision about one event; `None` if it is already decided.
    pub(crate) async fn begin<'a>(
        &self,
        key: DecisionKey<'a>,
        minute: i64,
    ) -> Option<(Decisions<'a>, Known)> {
        let decisions = self.store.begin_decisions(vec![key], at(minute)).await.expect("begun");
        let known = decisions.known()[0].clone()?;
        Some((decisions, known))
    }

    /// Writes a decision about one event; a next callback is dialed by the agent and has these secrets.
    pub(crate) async fn finish(
        &self,
        decisions: Decisions<'_>,
        after: AfterCall,
        secrets: &Secrets,
        key: &TenantKey,
    ) -> Result<(), StoreError> {
        let next = self.next(secrets);
        let (number, outcome) = (Some(NUMBER), Some("its_reason"));
        let decided = Decided { after, next: Some(next), number, outcome, key };
        decisions.finish(&[Some(decided)], &self.rng).await
    }

    /// Makes a whole decision: passes the state to `decide` and writes the result.
    pub(crate) async fn decide(
        &self,
        event: &str,
        call: &str,
        decide: impl FnOnce(&Known) -> AfterCall,
    ) -> Known {
        let delivery = self.delivery(event, call).await;
        let key = self.store.open_key(self.tenant).await.expect("opened");
        let redial = self.redial(delivery.event, None, call).await;
        let person = Some(key.index(NUMBER));
        let about = DecisionKey { redial: redial.as_ref(), ..about(delivery.event, call, person) };
        let (decisions, known) = self.begin(about, 0).await.expect("not yet decided");
        self.finish(decisions, decide(&known), &secrets(), &key).await.expect("finished");
        known
    }

    /// Schedules a callback after that call, due at that minute; returns its id.
    pub(crate) async fn schedule(&self, call: &str, minute: i64) -> Id<id::Callback> {
        let before: Vec<_> = self.callbacks().await.into_iter().map(|r| r.id).collect();
        self.decide("call_ended", call, |known| follow(known, minute)).await;
        let rows = self.callbacks().await;
        rows.iter().map(|r| r.id).find(|id| !before.contains(id)).expect("a new one")
    }

    /// Schedules a callback for each of these persons, due at that minute.
    pub(crate) async fn schedule_persons(&self, persons: std::ops::Range<u8>, minute: i64, test: bool) {
        let key = self.store.open_key(self.tenant).await.expect("opened");
        let secrets = secrets();
        for person in persons {
            let manual = NewManualCallback {
                id: Id::new(at(0), &self.rng),
                workspace: self.workspace,
                agent: self.agent.id,
                channel: Channel::Voice,
                phone_hash: [person; 16],
                secrets: &secrets,
                promise_scope: None,
                forces: None,
            };
            let decide = |_: &Person| Ok((planned(minute), vec![]));
            let of = self.tenant_store().for_tests(test);
            of.schedule(&manual, decide, &key, at(0), &self.rng).await.expect("written").expect("planned");
        }
    }

    /// The one callback that is not final.
    pub(crate) async fn newest(&self) -> redialer_store::CallbackRow {
        let rows = self.callbacks().await;
        rows.into_iter().find(|r| !r.state.is_final()).expect("one lives")
    }

    pub(crate) async fn callbacks(&self) -> Vec<redialer_store::CallbackRow> {
        self.tenant_store().callbacks(&redialer_store::Filter::default(), end(), 100).await.expect("listed")
    }

    /// Claims all due callbacks for replica `r1`, which is alive until real second 10.
    pub(crate) async fn claim_all(&self, minute: i64) -> Vec<Claim> {
        self.store.hold_leases("r1", 0, 10_000).await.expect("held");
        let due = self.store.due(ALL, at(minute), 100, 100).await.expect("read").rows;
        self.dispatch_writer.claim(&due, "r1", at(minute), 1_000).await.expect("claimed")
    }
}

/// The start position of a list in newest-first order.
pub(crate) fn end<N>() -> (Timestamp, Id<N>) {
    (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()))
}

/// The key of an event whose call is not a dial of ours.
pub(crate) const fn about(event: EventRow, call_id: &str, phone_hash: Option<[u8; 16]>) -> DecisionKey<'_> {
    DecisionKey { event, call_id, channel: Channel::Voice, phone_hash, redial: None }
}

fn dedup_key(event: &str) -> DedupKey {
    match event {
        "call_ended" => DedupKey::Phase(2),
        "call_analyzed" => DedupKey::Phase(4),
        other => DedupKey::Content(other.to_owned()),
    }
}

pub(crate) fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.to.push_str(NUMBER);
    secrets.variables.insert("name".to_owned(), "canary variable".to_owned());
    secrets
}

pub(crate) fn roster(id: &str) -> RosterEntry<'_> {
    RosterEntry {
        provider_agent_id: id,
        name: "Front desk",
        channel: Channel::Voice,
        timezone: Some("America/New_York"),
    }
}

/// The first callback of its own chain.
pub(crate) fn planned(minute: i64) -> CallbackPlan {
    CallbackPlan {
        chain: None,
        parent: None,
        reason: RedialReason::BusyFollowup,
        source_outcome: Some("its_reason".to_owned()),
        attempt: 1,
        max_attempts: 3,
        requested_for: Some(at(minute)),
        scheduled_for: at(minute),
        held: None,
        zone: Zone { name: "America/New_York".to_owned(), source: ZoneSource::Number, is_sure: true },
        source_ended_at: at(0),
    }
}

/// The next callback, in the chain of the redial or of an active callback.
pub(crate) fn follow(known: &Known, minute: i64) -> AfterCall {
    let live = known.person.as_ref().and_then(|p| p.live.first().cloned());
    let chain = known
        .redial
        .as_ref()
        .map(|r| (r.chain, r.attempts_used))
        .or(live.as_ref().map(|l| (l.chain, l.attempts_used)));
    let planned = CallbackPlan {
        chain: chain.map(|c| c.0),
        parent: known.redial.as_ref().map(|r| r.id),
        attempt: chain.map_or(0, |c| c.1) + 1,
        ..planned(minute)
    };
    let waiting = known.person.iter().flat_map(|p| &p.live).filter(|l| l.state.is_waiting()).map(|l| l.id);
    AfterCall {
        follow: Some(NextCallback::Create(planned)),
        supersede: waiting.collect(),
        settled: true,
        ..AfterCall::default()
    }
}

pub(crate) fn settle(settle: Settle) -> AfterCall {
    AfterCall { settle: Some(settle), settled: true, ..AfterCall::default() }
}
