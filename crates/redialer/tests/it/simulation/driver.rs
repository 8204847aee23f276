//! The driver: picks the next event, one at a time, from the seed alone.

use std::{
    collections::BTreeSet,
    future::Future,
    ops::Range,
    panic::AssertUnwindSafe,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    task::Poll,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use futures_util::future::join_all;
use redialer::{
    actions::callbacks,
    app::App,
    clock::ManualClock,
    flow::{
        backfill,
        dial::{self, PreparedDial},
        due, ingest, maintenance, reconcile,
    },
};
use redialer_core::{
    Id, Timestamp, callback::State, id, inbound_event::DedupKey, rng::Rng, tenant::Plan,
    workspace::ProviderName,
};
use redialer_sim::{
    SimTime,
    retell::{KeyState, Retell, Script, ScriptedCall, Webhook, script::Behavior},
};
use redialer_store::{
    AgentChange, Buckets, CallbackRow, EventRow, Kek, NewInboundEvent, NewTenant, NewWorkspace, Store,
    bucket_of,
};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::{
    RunResult,
    bugs::Bug,
    laws::Laws,
    replica::{Parts, Replica},
    shared::{Fate, Gate, OpId, Shared},
};
use crate::harness::{CHAT, KEY, VOICE, scripted_call, scripted_chat};

/// Wednesday, 25 November 2026, 10:00 in New York.
const START_MS: i64 = 1_795_618_800_000;
/// Some seeds start in the evening, shortly before quiet hours.
const EVENING_MS: i64 = START_MS + 10 * 60 * MINUTE_MS;
const STEPS: usize = 220;
/// In every seventh seed, the steps in which no decision about an event can be committed.
const VAIN_STEPS: Range<usize> = 60..150;
const REPLICAS: usize = 2;
const PEOPLE: usize = 5;
const MINUTE_MS: i64 = 60_000;
/// The number of events of one workspace that are decided before those of another.
const MAX_PER_WORKSPACE: usize = 32;
/// The agent and the key of another tenant.
const FLOODING: &str = "agent_of_a_flood";

enum Done {
    Nothing,
    /// Intents to send; each becomes a separate operation.
    Send(Vec<PreparedDial>),
    /// The statuses with which webhooks were answered.
    Answers(Vec<StatusCode>),
    /// A workspace's waiting events before a round of decisions, and after it.
    Decided(Vec<Id<id::InboundEvent>>, Vec<Id<id::InboundEvent>>),
}

struct Op {
    id: OpId,
    replica: usize,
    hooks: Vec<Hook>,
    /// The number of failures before it started.
    failures: u64,
    future: Pin<Box<dyn Future<Output = Done>>>,
}

/// A webhook in transit.
#[derive(Clone)]
struct Hook {
    due_ms: i64,
    tries: u32,
    hook: Webhook,
}

struct Machine {
    wall: Arc<AtomicI64>,
    skew_ms: i64,
    process: Option<Replica>,
}

pub(super) struct Simulation {
    seed: u64,
    shared: Arc<Shared>,
    parts: Parts,
    machines: Vec<Machine>,
    ops: Vec<Op>,
    hooks: Vec<Hook>,
    upcoming_calls: Vec<(i64, ScriptedCall)>,
    requested: BTreeSet<String>,
    /// Calls whose events the database refuses.
    poisoned: BTreeSet<String>,
    next_op: OpId,
    agent: Id<id::Agent>,
    dir: TempDir,
}

impl Simulation {
    pub(super) async fn new(seed: u64, bug: Option<Bug>) -> Self {
        let start_ms = if seed % 4 == 3 { EVENING_MS } else { START_MS };
        let shared = Shared::new(seed, start_ms, bug);
        if seed % 5 == 2 {
            shared.set_filler_pages(60);
        }
        let dir = scratch();
        let file = dir.path().join("redialer.db");
        std::fs::copy(template(), &file).expect("copied");
        let store = Store::sqlite(&file, Kek::from_bytes(KEK)).await.expect("opened").shared();
        let (tenant, workspace) = ids();
        let time = {
            let now = Arc::clone(&shared);
            SimTime::new(move || now.now(), |_| std::future::pending())
        };
        let http =
            redialer_providers::http::Clients::new(std::time::Duration::from_secs(1)).expect("clients");
        let sim = Retell::manually_stepped(script(&shared), time, http.reading);
        let laws = Arc::new(Laws::new(&shared, store.for_tenant(tenant), &sim));
        let parts = Parts { store, shared: Arc::clone(&shared), laws, sim, tenant };
        let machines = (0..REPLICAS).map(|_| Machine::new(&shared)).collect();
        let mut simulation = Self {
            seed,
            shared,
            parts,
            machines,
            ops: Vec::new(),
            hooks: Vec::new(),
            upcoming_calls: Vec::new(),
            requested: BTreeSet::new(),
            poisoned: BTreeSet::new(),
            next_op: 1,
            agent: Id::from_uuid(uuid::Uuid::nil()),
            dir,
        };
        for n in 0..REPLICAS {
            simulation.start(n).await;
        }
        simulation.connect(workspace).await;
        if seed % 6 == 1 {
            simulation.flood().await;
        }
        simulation
    }

    /// Points the agents' webhooks at the server, and schedules the people's calls.
    async fn connect(&mut self, workspace: Id<id::Workspace>) {
        let store = self.parts.store.for_tenant(self.parts.tenant);
        for provider_id in [VOICE, CHAT] {
            let agent =
                store.agent_by_provider_id(workspace, provider_id).await.expect("read").expect("synced");
            self.parts
                .sim
                .set_agent_webhook_url(provider_id, &format!("/api/webhooks/retell/{}", agent.slug));
            if provider_id == VOICE {
                self.agent = agent.id;
            }
        }
        for i in 0..PEOPLE {
            let person = format!("+1415555017{i}");
            let after = (self.shared.rng.next_f64() * 40.0 * MINUTE_MS as f64) as i64;
            self.upcoming_calls.push((self.shared.now_ms() + after, random_call(&self.shared, &person)));
        }
        self.upcoming_calls.sort_by_key(|(at, _)| *at);
    }

    async fn start(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        machine.wall.store(self.shared.now_ms() + machine.skew_ms, Ordering::Relaxed);
        let hands = ManualClock { wall: Arc::clone(&machine.wall), steady: self.shared.steady() };
        machine.process = Some(self.parts.start(n, hands).await);
    }

    pub(super) async fn run(mut self) -> RunResult {
        self.shared.set_faults(true);
        for step in 0..STEPS {
            // Long enough that an event that is retried meanwhile is set aside.
            self.shared.set_decided_in_vain(self.seed % 7 == 4 && VAIN_STEPS.contains(&step));
            self.step().await;
            self.parts.laws.check().await;
            if self.ops.is_empty() {
                self.parts.laws.refused(ids().1).await;
            }
            if self.shared.broken().is_some() {
                return self.result();
            }
        }
        self.shared.set_faults(false);
        self.heal().await;
        self.shared.note("the faults stop");
        self.come_to_rest().await;
        let unresolved: Vec<_> = self.parts.laws.rows().await.into_iter().filter(is_unresolved).collect();
        if !unresolved.is_empty() {
            for row in unresolved {
                self.force(0, row).await;
            }
            self.come_to_rest().await;
        }
        if self.shared.broken().is_none() {
            self.parts.laws.check().await;
            self.parts.laws.at_the_end(&self.requested).await;
        }
        self.result()
    }

    fn result(&self) -> RunResult {
        RunResult {
            trace: self.shared.trace(),
            days: (self.shared.now_ms() - START_MS) as f64 / 86_400_000.0,
            broken: self.shared.broken(),
        }
    }

    /// Runs one random action.
    async fn step(&mut self) {
        match self.shared.below(100) {
            0..=15 => self.time_passes().await,
            16..=33 => self.a_gate_opens().await,
            34..=50 => self.a_webhook_travels().await,
            51 => self.machine_dies(),
            62 => self.the_account_changes(),
            63 => self.a_record_is_lost(),
            64 => self.a_call_is_poisoned().await,
            52..=56 => self.machine_starts().await,
            57..=60 => self.a_person_acts().await,
            61 => self.a_clock_jumps(),
            _ => self.a_turn().await,
        }
    }

    async fn time_passes(&mut self) {
        let minutes = [0.02, 0.1, 1.0, 3.0, 7.0, 25.0][self.shared.below(6)];
        self.move_to(self.shared.now_ms() + (minutes * MINUTE_MS as f64) as i64).await;
    }

    /// Advances time; scheduled calls and the simulator's own events happen on the way.
    async fn move_to(&mut self, ms: i64) {
        loop {
            let world = self.parts.sim.next_at().map(|at| at.as_millisecond());
            let upcoming = self.upcoming_calls.first().map(|(at, _)| *at);
            let next = world.into_iter().chain(upcoming).min().filter(|next| *next <= ms);
            self.set_time(next.unwrap_or(ms));
            if let Some((_, call)) =
                self.upcoming_calls.first().filter(|(at, _)| *at <= self.shared.now_ms()).cloned()
            {
                self.upcoming_calls.remove(0);
                let id = self.parts.sim.start_call(&call);
                self.shared.note(&format!("{} {id}", call.kind));
                if call.behavior.extracts.contains_key("redialer.io_callback") {
                    self.requested.insert(id);
                }
            }
            for hook in self.parts.sim.step() {
                if self.shared.has_lost(&hook.id) {
                    continue;
                }
                self.hooks.push(Hook { due_ms: self.shared.now_ms(), tries: 0, hook });
            }
            if next.is_none() {
                return;
            }
        }
    }

    fn set_time(&self, ms: i64) {
        self.shared.set_now(ms.max(self.shared.now_ms()));
        for machine in &self.machines {
            machine.wall.store(self.shared.now_ms() + machine.skew_ms, Ordering::Relaxed);
        }
    }

    fn a_clock_jumps(&mut self) {
        let n = self.shared.below(REPLICAS + 1);
        let skew_ms = (self.shared.below(21) as i64 - 10) * MINUTE_MS;
        if n == REPLICAS {
            self.shared.note(&format!("the database's clock is wrong by {} s", skew_ms / 1_000));
            self.shared.set_database_skew(skew_ms);
        } else {
            self.machines[n].skew_ms = skew_ms;
        }
        self.set_time(self.shared.now_ms());
    }

    /// The provider refuses the key for a while, or hides metadata in its lists.
    fn the_account_changes(&self) {
        match self.shared.below(4) {
            0 => {
                self.shared.note("the provider refuses the key");
                self.parts.sim.set_key_state(KEY, KeyState::Revoked);
            }
            1 | 2 => {
                self.shared.note("the key is good");
                self.parts.sim.set_key_state(KEY, KeyState::Good);
            }
            _ => {
                let hide = self.shared.sometimes(60.0);
                self.shared.note(&format!("lists hide metadata: {hide}"));
                self.parts.sim.edit_script(|script| script.lists_hide_metadata = hide);
            }
        }
    }

    /// The provider loses its record of a call, whose outcome is then never reported.
    fn a_record_is_lost(&mut self) {
        let rings = self.parts.sim.placed_calls();
        if rings.is_empty() {
            return;
        }
        let call = rings[self.shared.below(rings.len())].id.clone();
        self.shared.note(&format!("the provider loses {call}"));
        self.hooks.retain(|hook| hook.hook.id != call);
        self.shared.lose(&call);
    }

    /// The database refuses every event of one call, or accepts all events again.
    async fn a_call_is_poisoned(&mut self) {
        if self.hooks.is_empty() || !self.poisoned.is_empty() {
            return self.heal().await;
        }
        let call = self.hooks[self.shared.below(self.hooks.len())].hook.id.clone();
        self.shared.note(&format!("the database takes no event of {call}"));
        self.write(&format!("insert into poisoned values ('{call}')")).await;
        self.poisoned.insert(call);
    }

    async fn heal(&mut self) {
        self.write("delete from poisoned").await;
        self.poisoned.clear();
    }

    /// Writes to the database directly, once no replica has a transaction open.
    async fn write(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.dir.path().join("redialer.db")).expect("opened");
        // A replica that holds the lock makes progress only if this wait does not block the thread.
        database.busy_timeout(std::time::Duration::ZERO).expect("set");
        while let Err(error) = database.execute_batch(sql) {
            let code = error.sqlite_error_code();
            assert_eq!(code, Some(rusqlite::ErrorCode::DatabaseBusy), "{error}");
            tokio::task::yield_now().await;
        }
    }

    /// Queues undecided events of another tenant, and one of ours behind them.
    async fn flood(&self) {
        for i in 0..2 * MAX_PER_WORKSPACE {
            self.let_wait(floods(), FLOODING, i).await;
        }
        self.let_wait(ids(), VOICE, 0).await;
    }

    /// Queues an undecided event without consequences.
    async fn let_wait(
        &self,
        (tenant, workspace): (Id<id::Tenant>, Id<id::Workspace>),
        agent: &str,
        n: usize,
    ) {
        let (store, rng) = (&self.parts.store, &self.shared.rng);
        let key = store.open_key(tenant).await.expect("opened");
        let agent = store
            .for_tenant(tenant)
            .agent_by_provider_id(workspace, agent)
            .await
            .expect("read")
            .expect("synced");
        let id = Id::new(self.shared.now(), rng);
        let event = EventRow {
            bucket: bucket_of(tenant),
            id,
            tenant,
            workspace,
            agent: agent.id,
            tries: 0,
            received_at: self.shared.now(),
            test: false,
        };
        let delivery = NewInboundEvent {
            event,
            is_decidable: true,
            name: "call_analyzed".to_owned(),
            call_id: Some(format!("call_of_a_flood_{n}")),
            dedup_key: DedupKey::Content(format!("flood {n}")),
            body: key.seal_body(id.uuid(), b"{}", rng),
            signature: String::new(),
        };
        let app = &self.machines[0].process.as_ref().expect("it runs").app;
        app.inbox.record(delivery).await.expect("recorded");
    }

    /// Resumes a parked operation, or makes it fail.
    async fn a_gate_opens(&mut self) {
        let parked: Vec<OpId> =
            self.ops.iter().map(|op| op.id).filter(|id| self.shared.parked(*id).is_some()).collect();
        if parked.is_empty() {
            return;
        }
        let id = parked[self.shared.below(parked.len())];
        // Frozen and stalled operations stay parked for long, so that other replicas take over.
        let is_slow = matches!(self.shared.parked(id), Some(Gate::Frozen | Gate::Stalled));
        if is_slow && !self.shared.sometimes(15.0) {
            return;
        }
        let fate = match self.shared.parked(id) {
            Some(Gate::Sending) => {
                [Fate::Go, Fate::Go, Fate::Go, Fate::Go, Fate::Unsent, Fate::Lost][self.shared.below(6)]
            }
            Some(Gate::Answering) => {
                [Fate::Go, Fate::Go, Fate::Go, Fate::Lost, Fate::BadGateway][self.shared.below(5)]
            }
            Some(Gate::Stalled) => [Fate::Go, Fate::Go, Fate::Lost][self.shared.below(3)],
            _ => Fate::Go,
        };
        self.open(id, fate).await;
    }

    async fn open(&mut self, id: OpId, fate: Fate) {
        self.shared.note(&format!("op {id}: {:?} {fate:?}", self.shared.parked(id)));
        self.shared.decide(id, fate);
        if let Some(at) = self.ops.iter().position(|op| op.id == id) {
            let op = self.ops.remove(at);
            self.drive(op).await;
        }
    }

    /// Delivers a webhook once, twice, late, with others, or never.
    async fn a_webhook_travels(&mut self) {
        let now = self.shared.now_ms();
        let due: Vec<usize> = (0..self.hooks.len()).filter(|i| self.hooks[*i].due_ms <= now).collect();
        if due.is_empty() {
            return;
        }
        let hook = self.hooks.remove(due[self.shared.below(due.len())]);
        match self.shared.below(100) {
            0..=13 => self.shared.note(&format!("a webhook of {} is lost", hook.hook.id)),
            14..=20 => {
                self.hooks.push(Hook { due_ms: now + 5 * MINUTE_MS, ..hook.clone() });
                self.deliver(hook).await;
            }
            21..=30 => self.hooks.push(Hook { due_ms: now + 2 * MINUTE_MS, ..hook }),
            31..=60 => {
                let others = self.hooks.extract_if(.., |hook| hook.due_ms <= now).take(5);
                let burst = std::iter::once(hook).chain(others).collect();
                self.deliver_together(burst).await;
            }
            _ => self.deliver(hook).await,
        }
    }

    async fn deliver(&mut self, hook: Hook) {
        match self.anybody() {
            Some(n) => self.deliver_to(n, hook).await,
            None => self.retry(hook),
        }
    }

    async fn deliver_to(&mut self, n: usize, hook: Hook) {
        let Some(replica) = &self.machines[n].process else { return self.retry(hook) };
        let request = Request::post(&hook.hook.url)
            .header("x-retell-signature", hook.hook.signature(self.shared.now_ms()))
            .body(Body::from(hook.hook.body.clone()))
            .expect("a request");
        let door = replica.door.clone();
        let answered =
            async move { Done::Answers(vec![door.oneshot(request).await.expect("never fails").status()]) };
        self.begin(n, "webhook", vec![hook], answered).await;
    }

    /// Delivers webhooks to one replica concurrently, so that its writer records them in one batch.
    async fn deliver_together(&mut self, hooks: Vec<Hook>) {
        let Some(n) = self.anybody() else {
            hooks.into_iter().for_each(|hook| self.retry(hook));
            return;
        };
        let first = self.next_op;
        self.shared.set_gathering(true);
        for hook in hooks {
            self.deliver_to(n, hook).await;
        }
        self.shared.set_gathering(false);
        let shared = Arc::clone(&self.shared);
        let stand = |op: &mut Op| op.id >= first && shared.parked(op.id) == Some(Gate::Gathering);
        let (mut hooks, mut futures) = (Vec::new(), Vec::new());
        for op in self.ops.extract_if(.., stand) {
            shared.decide(op.id, Fate::Go);
            hooks.extend(op.hooks);
            futures.push(op.future);
        }
        if futures.is_empty() {
            return;
        }
        let answered = async move {
            let answers = |done| if let Done::Answers(answers) = done { answers } else { vec![] };
            Done::Answers(join_all(futures).await.into_iter().flat_map(answers).collect())
        };
        self.begin(n, "webhooks together", hooks, answered).await;
    }

    fn retry(&mut self, hook: Hook) {
        if hook.tries < 3 {
            let due_ms = self.shared.now_ms() + 2_000;
            self.hooks.push(Hook { due_ms, tries: hook.tries + 1, hook: hook.hook });
        }
    }

    /// A running machine.
    fn anybody(&self) -> Option<usize> {
        let running: Vec<usize> = (0..REPLICAS).filter(|n| self.machines[*n].process.is_some()).collect();
        (!running.is_empty()).then(|| running[self.shared.below(running.len())])
    }

    fn machine_dies(&mut self) {
        if let Some(n) = self.anybody() {
            self.kill(n);
        }
    }

    fn kill(&mut self, n: usize) {
        self.shared.note(&format!("r{n} is gone"));
        self.shared.failed();
        for op in self.ops.extract_if(.., |op| op.replica == n) {
            self.shared.forget(op.id);
        }
        self.machines[n].process = None;
    }

    async fn machine_starts(&mut self) {
        if let Some(n) = (0..REPLICAS).find(|n| self.machines[*n].process.is_none()) {
            self.shared.note(&format!("r{n} starts"));
            self.start(n).await;
        }
    }

    async fn a_person_acts(&mut self) {
        let Some(n) = self.anybody() else { return };
        let rows = self.parts.laws.rows().await;
        if rows.is_empty() {
            return;
        }
        // A cancel is most likely to go wrong at this moment.
        if let Some(claimed) = rows.iter().find(|row| row.state == State::Dispatching).map(|row| row.id) {
            return self.cancel(n, claimed).await;
        }
        let row = rows[self.shared.below(rows.len())].clone();
        match self.shared.below(4) {
            0 => self.cancel(n, row.id).await,
            1 => self.switch(n, false).await,
            2 => self.switch(n, true).await,
            _ if is_unresolved(&row) => self.force(n, row).await,
            _ => {}
        }
    }

    /// Forces twice in a row, as an impatient person does.
    async fn force(&mut self, n: usize, row: CallbackRow) {
        let (app, tenant) = (self.app(n), self.parts.tenant);
        let forced = async move {
            for _ in 0..2 {
                let _ignored = callbacks::redial_unresolved(&app, &app.store.for_tenant(tenant), &row).await;
            }
            Done::Nothing
        };
        self.begin(n, "force", vec![], forced).await;
    }

    async fn cancel(&mut self, n: usize, id: Id<id::Callback>) {
        let (app, tenant, shared) = (self.app(n), self.parts.tenant, Arc::clone(&self.shared));
        let canceled = async move {
            if matches!(app.store.for_tenant(tenant).cancel(id, app.clock.now()).await, Ok(Ok(()))) {
                shared.note(&format!("canceled {id}"));
                shared.canceled(&id.to_string());
            }
            Done::Nothing
        };
        self.begin(n, "cancel", vec![], canceled).await;
    }

    async fn switch(&mut self, n: usize, enabled: bool) {
        if !enabled {
            // A disabled agent promises nothing: requests that are not recorded yet are not expected.
            let rows = self.parts.laws.rows().await;
            self.requested.retain(|call| rows.iter().any(|r| r.source_call_id.as_ref() == Some(call)));
        }
        let (app, tenant, agent) = (self.app(n), self.parts.tenant, self.agent);
        let switched = async move {
            let store = app.store.for_tenant(tenant);
            if let Ok(agent) = store.agent(agent).await {
                let _ignored = store
                    .change_agent(
                        &agent,
                        &AgentChange { enabled: Some(enabled), ..AgentChange::default() },
                        10,
                        app.clock.now(),
                    )
                    .await;
            }
            Done::Nothing
        };
        self.begin(n, "switch", vec![], switched).await;
    }

    fn app(&self, n: usize) -> Arc<App> {
        Arc::clone(&self.machines[n].process.as_ref().expect("it runs").app)
    }

    /// Runs one round of one loop on one replica.
    async fn a_turn(&mut self) {
        if let Some(n) = self.anybody() {
            let turns = [0, 0, 0, 2, 2, 2, 3, 3, 4, 5];
            self.turn(n, turns[self.shared.below(turns.len())]).await;
        }
    }

    async fn turn(&mut self, n: usize, which: usize) {
        let app = self.app(n);
        match which {
            0 => self.begin(n, "dispatch", vec![], dial(app)).await,
            2 => {
                let store = self.parts.store.clone();
                let waiting = async move |at| {
                    let rows = store.pending(ids().1, at, MAX_PER_WORKSPACE as i64).await.expect("read");
                    rows.iter().map(|row| row.event.id).collect()
                };
                let shared = Arc::clone(&self.shared);
                let drained = async move {
                    let at = app.clock.now();
                    // A replica whose maintenance is stalled may hold no buckets, and then decides nothing.
                    let before = if app.ranges().is_empty() { Vec::new() } else { waiting(at).await };
                    if let Err(error) = ingest::drain(&app).await {
                        shared.note(&format!("r{n} could not decide: {error}"));
                    }
                    Done::Decided(before, waiting(at).await)
                };
                self.begin(n, "ingest", vec![], drained).await;
            }
            3 if !self.shared.has(Bug::NeverAsk) => {
                let reconciled = async move {
                    let _ignored = reconcile::round(&app).await;
                    Done::Nothing
                };
                self.begin(n, "reconcile", vec![], reconciled).await;
            }
            4 if !self.shared.has(Bug::NeverSweep) => {
                let record_backfill = async move {
                    let _ignored = backfill::round(&app).await;
                    Done::Nothing
                };
                self.begin(n, "sweep", vec![], record_backfill).await;
            }
            _ => {
                let kept = async move {
                    let _ignored = maintenance::round(&app).await;
                    // Both replicas believe that they own everything: correctness must not depend on leases.
                    app.buckets.send_replace(Buckets::all());
                    Done::Nothing
                };
                self.begin(n, "housekeeping", vec![], kept).await;
            }
        }
    }

    async fn begin(
        &mut self,
        replica: usize,
        label: &str,
        hooks: Vec<Hook>,
        future: impl Future<Output = Done> + 'static,
    ) {
        let id = self.next_op;
        self.next_op += 1;
        self.shared.note(&format!("r{replica} {label} (op {id})"));
        let op = Op { id, replica, hooks, failures: self.shared.failures(), future: Box::pin(future) };
        self.drive(op).await;
    }

    /// Drives one operation until it is done, is parked, or its process dies.
    async fn drive(&mut self, mut op: Op) {
        self.shared.begin(op.id);
        let (shared, id) = (Arc::clone(&self.shared), op.id);
        let future = &mut op.future;
        let done = std::future::poll_fn(|cx| {
            shared.wake_on_crash(cx.waker());
            if shared.has_crashed() {
                return Poll::Ready(None);
            }
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
            if shared.has_crashed() {
                return Poll::Ready(None);
            }
            match polled.expect("nothing else panics") {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if shared.parked(id).is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if let Some(replica) = self.shared.take_crash() {
            std::mem::take(&mut op.hooks).into_iter().for_each(|hook| self.retry(hook));
            self.shared.forget(op.id);
            drop(op);
            self.kill(replica);
            return;
        }
        match done {
            None => self.ops.push(op),
            Some(Done::Nothing) => {}
            Some(Done::Answers(answers)) => {
                let nothing_failed = op.failures == self.shared.failures();
                for (hook, status) in op.hooks.into_iter().zip(answers) {
                    self.answered(hook, status, nothing_failed).await;
                }
            }
            Some(Done::Decided(before, after)) => {
                if op.failures == self.shared.failures() {
                    self.parts.laws.decided(&before, &after);
                }
            }
            Some(Done::Send(intents)) => {
                for ready in intents {
                    let app = self.app(op.replica);
                    let label = format!("send {}", ready.intent().id());
                    let sent = async move {
                        dial::send(&app, ready).await;
                        Done::Nothing
                    };
                    Box::pin(self.begin(op.replica, &label, vec![], sent)).await;
                    if self.machines[op.replica].process.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn answered(&mut self, hook: Hook, status: StatusCode, nothing_failed: bool) {
        self.shared.note(&format!("a webhook of {} is answered {status}", hook.hook.id));
        if status.is_server_error() && nothing_failed && !self.poisoned.contains(&hook.hook.id) {
            self.shared.broke("I42: a webhook was turned away although nothing of its own failed");
        }
        if !status.is_success() {
            // A disabled agent's webhook is refused correctly, and its request is not expected.
            if status == StatusCode::FORBIDDEN {
                self.requested.remove(&hook.hook.id);
            }
            self.retry(hook);
            return;
        }
        let body: serde_json::Value = serde_json::from_str(&hook.hook.body).expect("JSON");
        self.parts.laws.acknowledged(body["event"].as_str().unwrap_or_default(), &hook.hook.id).await;
    }

    /// Runs without faults until all open work has finished.
    async fn come_to_rest(&mut self) {
        for n in 0..REPLICAS {
            self.machines[n].skew_ms = 0;
            if self.machines[n].process.is_none() {
                self.start(n).await;
            }
        }
        self.switch(0, true).await;
        self.parts.sim.set_key_state(KEY, KeyState::Good);
        // Long enough for the longest possible wait, and for giving up after a day.
        for round in 0..400 {
            let parked: Vec<OpId> = self.ops.iter().map(|op| op.id).collect();
            for id in parked {
                self.open(id, Fate::Go).await;
            }
            while !self.hooks.is_empty() {
                let hook = self.hooks.remove(0);
                self.deliver(hook).await;
            }
            for which in [2, 5, 3, 4, 0, 2] {
                self.turn(0, which).await;
            }
            if self.shared.broken().is_some() {
                return;
            }
            let quiet = self.upcoming_calls.is_empty() && self.hooks.is_empty() && self.ops.is_empty();
            if round > 12
                && quiet
                && self.parts.laws.open().await.is_empty()
                && self.parts.sim.next_at().is_none()
            {
                return;
            }
            let minutes = if round < 40 { 4 } else { 15 };
            self.move_to(self.shared.now_ms() + minutes * MINUTE_MS).await;
        }
    }
}

impl Machine {
    fn new(shared: &Shared) -> Self {
        let skew_ms = (shared.below(21) as i64 - 10) * MINUTE_MS;
        Self { wall: Arc::new(AtomicI64::new(START_MS + skew_ms)), skew_ms, process: None }
    }
}

/// Whether a person has to decide if the call was placed.
fn is_unresolved(row: &CallbackRow) -> bool {
    row.state == State::Failed && row.outcome.as_deref() == Some("unresolved")
}

/// One round of the dispatch loop, up to the requests.
async fn dial(app: Arc<App>) -> Done {
    let mut sending = Vec::new();
    if due::read(&app).await.is_err() {
        return Done::Nothing;
    }
    for (workspace, rows) in dial::due_by_workspace(&app, app.clock.now()) {
        if let Ok(intents) = dial::prepare(&app, workspace, &rows).await {
            sending.extend(intents);
        }
    }
    Done::Send(sending)
}

/// The lag of lists and the behavior of people, from the seed.
fn script(shared: &Shared) -> Script {
    let endings = [
        "dial_no_answer",
        "dial_busy",
        "voicemail_reached",
        "user_hangup",
        "user_hangup",
        "concurrency_limit_reached",
        "inactivity",
        "dial_failed",
    ];
    let mut script = Script {
        list_lag_seconds: [0.0, 60.0, 500.0][shared.below(3)],
        chat_silence_seconds: 600.0,
        concurrency_limit: 100,
        ..Script::default()
    };
    for i in 0..PEOPLE {
        let some = (0..6).map(|_| Behavior::ending(endings[shared.below(endings.len())]));
        // In the end, every person answers.
        let behaviors = some.chain([Behavior::ending("user_hangup")]).collect();
        script.people.insert(format!("+1415555017{i}"), behaviors);
    }
    script
}

fn random_call(shared: &Shared, person: &str) -> ScriptedCall {
    let ask = Behavior::asking(&["User: call me back later"], Some("in 25 minutes"));
    let call = match shared.below(6) {
        0 => scripted_call("outbound", person, Behavior::ending("dial_no_answer")),
        1 => scripted_call("outbound", person, Behavior::ending("voicemail_reached")),
        2 | 3 => scripted_chat(person, ask),
        _ => scripted_call("inbound", person, ask),
    };
    ScriptedCall { duplicates: shared.below(2) as u32, ..call }
}

const KEK: [u8; 32] = [7; 32];

/// Uses a file system in memory if there is one: a dead process loses only uncommitted data there, too.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// The tenant and the workspace that receive many more events than are decided at once.
fn floods() -> (Id<id::Tenant>, Id<id::Workspace>) {
    (Id::from_uuid(uuid::Uuid::from_u128(3)), Id::from_uuid(uuid::Uuid::from_u128(4)))
}

fn ids() -> (Id<id::Tenant>, Id<id::Workspace>) {
    (Id::from_uuid(uuid::Uuid::from_u128(1)), Id::from_uuid(uuid::Uuid::from_u128(2)))
}

/// A database with one connected workspace, created once per process.
fn template() -> PathBuf {
    static MADE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, file) = MADE.get_or_init(|| {
        let dir = scratch();
        let file = dir.path().join("template.db");
        std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(make(&file));
            });
            made.join().expect("made");
        });
        (dir, file)
    });
    file.clone()
}

async fn make(file: &std::path::Path) {
    let rng = Rng::seeded([5; 32]);
    let store = Store::sqlite(file, Kek::from_bytes(KEK)).await.expect("opened");
    store.migrate(&rng).await.expect("migrated");
    add_tenant(&store, ids(), KEY, &[VOICE, CHAT], &rng).await;
    add_tenant(&store, floods(), FLOODING, &[FLOODING], &rng).await;
    store.checkpoint().await.expect("written");
    store.close().await;
    // The database refuses events of these calls in any transaction.
    let db = rusqlite::Connection::open(file).expect("opened");
    db.execute_batch(
        "create table poisoned (call_id text not null);
         create trigger poison before insert on inbound_events
         when new.call_id in (select call_id from poisoned) begin select raise(abort, 'poisoned'); end;",
    )
    .expect("done");
}

/// A tenant with one connected workspace.
async fn add_tenant(
    store: &Store,
    ids: (Id<id::Tenant>, Id<id::Workspace>),
    api_key: &str,
    agents: &[&str],
    rng: &Rng,
) {
    let (tenant, workspace) = ids;
    let now: Timestamp = redialer_core::time::from_ms(START_MS - MINUTE_MS).expect("in range");
    let admin_key = format!("rdl_live_simulated_{}", tenant.uuid());
    let owner_email = format!("{}@example.com", tenant.uuid());
    let new = NewTenant {
        id: tenant,
        name: "Example",
        plan: Plan::Unlimited,
        owner_email: &owner_email,
        password_hash: "none",
        admin_key: &admin_key,
        webhook_secret: "whsec_simulated",
    };
    store.create_tenant(&new, now, rng).await.expect("created");
    let wait = |minutes: u32| serde_json::json!({"wait_minutes": minutes});
    let settings = serde_json::json!({
        "max_attempts": super::laws::MAX_ATTEMPTS, "calls_per_second": 50, "missed_after_minutes": 120,
        "retry_triggers": {"voicemail": wait(40), "conversation_silent": wait(50)},
    });
    let new = NewWorkspace {
        id: workspace,
        provider: &ProviderName::new("retell"),
        name: "Line",
        api_key,
        webhook_auth: &redialer_providers::WebhookAuth::of_key(api_key).to_stored(),
        account: None,
        settings: &settings,
    };
    let key = store.open_key(tenant).await.expect("opened");
    let of = store.for_tenant(tenant);
    of.create_workspace(&new, 10, &key, now, rng).await.expect("created");
    let agent = |id| redialer_store::RosterEntry {
        provider_agent_id: id,
        name: id,
        channel: if id == CHAT {
            redialer_core::agent::Channel::Chat
        } else {
            redialer_core::agent::Channel::Voice
        },
        timezone: Some("America/New_York"),
    };
    let roster: Vec<_> = agents.iter().copied().map(agent).collect();
    of.sync_agents(workspace, &roster, None, 10, (now, now), rng).await.expect("synced");
}
