//! The laws, checked against the requests that the provider received and the rows in the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use redialer_core::{
    Id, Timestamp,
    callback::{State, is_named},
    dispatch, id,
    time::{minutes, plus},
    timing::NAMED_FOR_MINUTES,
    windows::Quiet,
};
use redialer_sim::retell::Retell;
use redialer_store::{ActivityFilter, ActivityKind, ActivityRow, CallbackRow, Filter, TenantStore};
use serde_json::Value;

use super::shared::Shared;

pub(super) const MAX_ATTEMPTS: usize = 3;
/// How long the provider keeps an idempotency key.
const KEY_LIVES_MS: i64 = 60 * 60_000;

pub(super) struct Laws {
    pub(super) shared: Arc<Shared>,
    /// The data on disk, read without faults.
    pub(super) store: TenantStore,
    pub(super) sim: Retell,
    finals: Mutex<BTreeMap<String, State>>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Laws {
    pub(super) fn new(shared: &Arc<Shared>, store: TenantStore, sim: &Retell) -> Self {
        Self { shared: Arc::clone(shared), store, sim: sim.clone(), finals: Mutex::default() }
    }

    pub(super) async fn rows(&self) -> Vec<CallbackRow> {
        let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
        self.store.callbacks(&Filter::default(), first, 1_000).await.expect("read")
    }

    /// Checks a request to place a call when it arrives at the provider.
    pub(super) async fn at_arrival(&self, request: &Value) {
        let metadata = &request["metadata"];
        let (callback, dispatch) = (text(&metadata["redialer_id"]), text(&metadata["redialer_dispatch"]));
        self.shared.note(&format!("arrives {dispatch} of {callback}"));
        let times = self.shared.requested(&dispatch);
        let repeats_under_a_key = request["idempotency_key"].is_string()
            && times.last().zip(times.first()).is_some_and(|(last, first)| last - first < KEY_LIVES_MS);
        if times.len() > 1 && !repeats_under_a_key {
            self.shared.broke("I1: a dispatch was sent twice");
        }
        if self.shared.was_canceled(&callback) {
            self.shared.broke("I7: a request after a cancel that answered success");
        }
        let id: Id<id::Callback> = callback.parse().expect("an id of ours");
        let row = self.store.callback(id).await.expect("read");
        let tries = self.store.dispatches(id).await.expect("read");
        if !tries.iter().any(|t| t.id.to_string() == dispatch) {
            self.shared.broke("I4: a request without an intent on disk");
        }
        if self.shared.latest() < row.scheduled_for {
            self.shared.broke("I6: before its time");
        }
        self.quiet(&row);
        self.attempt(request, &row);
    }

    /// Checks that no phone rings in quiet hours, except near a named time. A request may be in flight for a while.
    fn quiet(&self, row: &CallbackRow) {
        const ON_ITS_WAY_MS: i64 = 10 * 60_000;
        let (zone, quiet) = (row.zone.rules(), Quiet::default());
        let now = self.shared.now();
        let before = plus(now, jiff::SignedDuration::from_millis(-ON_ITS_WAY_MS));
        let is_near = before <= plus(row.scheduled_for, minutes(NAMED_FOR_MINUTES));
        if is_near && is_named(row.reason, row.forced, row.requested_for, row.scheduled_for) {
            return;
        }
        // The database's clock is authoritative.
        if [now, before, self.shared.latest()].into_iter().all(|at| quiet.covers(at, &zone)) {
            self.shared.broke("I6: a phone rang at night, and not near a moment that was named");
        }
    }

    fn attempt(&self, request: &Value, row: &CallbackRow) {
        let variables = &request["retell_llm_dynamic_variables"];
        let attempt: i64 = text(&variables["redialer_attempt"]).parse().unwrap_or(0);
        let is_final = variables["redialer_is_final_attempt"] == "true";
        if attempt > row.max_attempts {
            self.shared.broke("I5: an attempt past the ceiling");
        }
        if is_final != (attempt == row.max_attempts) {
            self.shared.broke("I5: the final flag is wrong");
        }
    }

    /// Runs after every step.
    pub(super) async fn check(&self) {
        self.rings();
        self.fuse();
        let rows = self.rows().await;
        self.forced(&rows);
        self.expired(&rows).await;
        let mut finals = self.finals.lock().expect("no panic inside").clone();
        let mut led_to = BTreeSet::new();
        for row in rows {
            if let Some(call) = &row.source_call_id
                && !led_to.insert((call.clone(), row.reason.is_retry()))
            {
                self.shared.broke("I10: a call led to two callbacks of a kind");
            }
            let id = row.id.to_string();
            if let Some(before) = finals.get(&id)
                && *before != row.state
            {
                self.shared.broke("I12: a final state was left");
            }
            if row.state.is_final() {
                finals.insert(id, row.state);
            }
            let tries = self.store.dispatches(row.id).await.expect("read");
            let open = tries.iter().filter(|t| t.state.is_open()).count();
            if open > 1 {
                self.shared.broke("I2: two open dispatches");
            }
        }
        *self.finals.lock().expect("no panic inside") = finals;
    }

    /// Checks that no number rings more often than the fuse allows (I38).
    fn fuse(&self) {
        let mut rang = BTreeMap::<_, Vec<i64>>::new();
        for ring in self.sim.placed_calls() {
            rang.entry(ring.to).or_default().push(ring.at_ms);
        }
        for (number, times) in rang {
            let most = |ms: i64| {
                let from = |first: &i64| times.iter().filter(|at| (*first..first + ms).contains(*at)).count();
                times.iter().map(from).max().unwrap_or_default()
            };
            let (day, minutes) = (most(24 * 60 * 60_000), most(10 * 60_000));
            if day > 12 || minutes > 3 {
                self.shared.broke(&format!(
                    "I38: {number} rang {day} times in a day, {minutes} in ten minutes: more than the fuse allows"
                ));
            }
        }
    }

    /// Checks that a round decided some of our waiting events, regardless of how many of another tenant's were first.
    pub(super) fn decided(&self, before: &[Id<id::InboundEvent>], after: &[Id<id::InboundEvent>]) {
        if !before.is_empty() && before.iter().all(|id| after.contains(id)) {
            self.shared.broke("I42: a flood of another tenant's events kept ours waiting");
        }
    }

    /// Checks that an unresolved callback is forced only once.
    fn forced(&self, rows: &[CallbackRow]) {
        let unresolved = |row: &&CallbackRow| row.outcome.as_deref() == Some("unresolved");
        for row in rows.iter().filter(unresolved) {
            let successors = rows.iter().filter(|r| r.forced && r.parent == Some(row.id)).count();
            if successors > 1 {
                self.shared.broke("I2: an unresolved callback was forced twice");
            }
        }
    }

    /// Checks that every expiry is recorded in the activity feed (I43).
    async fn expired(&self, rows: &[CallbackRow]) {
        let expired: Vec<_> = rows.iter().filter(|row| row.state == State::Expired).collect();
        if expired.is_empty() {
            return;
        }
        let filter = ActivityFilter { kind: Some(ActivityKind::Notice), ..ActivityFilter::default() };
        let first = (Timestamp::MAX, uuid::Uuid::max());
        let feed = self.store.activity(&filter, first, 5_000).await.expect("read");
        for row in expired {
            if !feed.iter().any(|line| line.callback == Some(row.id) && line.event == "expired") {
                self.shared.broke("I43: a callback expired and the feed does not show it");
            }
        }
    }

    /// Checks, while no operation is in progress, that a refused key has paused the workspace (I43).
    pub(super) async fn refused(&self, workspace: Id<id::Workspace>) {
        if !self.shared.is_refused() {
            return;
        }
        let row = self.store.workspace(workspace).await.expect("read");
        if row.paused.is_none() {
            self.shared.broke("I43: the provider refused the key and the workspace is not paused");
        }
    }

    /// Checks how often phones rang, by dispatch, by callback and by chain.
    fn rings(&self) {
        let (mut dispatches, mut callbacks, mut chains) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for ring in self.sim.placed_calls() {
            let metadata = &ring.request["metadata"];
            *dispatches.entry(text(&metadata["redialer_dispatch"])).or_insert(0) += 1;
            if self.counts(&ring.id) {
                *callbacks.entry(text(&metadata["redialer_id"])).or_insert(0) += 1;
                *chains.entry(text(&metadata["redialer_chain"])).or_insert(0) += 1;
            }
        }
        if dispatches.values().any(|n| *n > 1) {
            self.shared.broke("I1: one dispatch rang twice");
        }
        if callbacks.values().any(|n| *n > 1) {
            self.shared.broke("I2: one callback rang twice");
        }
        if chains.values().any(|n| *n > MAX_ATTEMPTS) {
            self.shared.broke("I5: a chain rang more often than its ceiling");
        }
    }

    /// Whether a call spent an attempt. A call that got no line did not.
    fn counts(&self, call: &str) -> bool {
        let record = self.sim.record(call).unwrap_or_default();
        !["concurrency_limit_reached", "no_valid_payment"]
            .contains(&record["disconnection_reason"].as_str().unwrap_or_default())
    }

    async fn webhooks(&self) -> Vec<ActivityRow> {
        let filter = ActivityFilter { kind: Some(ActivityKind::Webhook), ..ActivityFilter::default() };
        let first = (Timestamp::MAX, uuid::Uuid::max());
        self.store.activity(&filter, first, 5_000).await.expect("read")
    }

    /// Checks that a webhook that was answered with 2xx is on disk (I9).
    pub(super) async fn acknowledged(&self, event: &str, call: &str) {
        let feed = self.webhooks().await;
        if !feed.iter().any(|d| d.event == event && d.call_id.as_deref() == Some(call)) {
            self.shared.broke("I9: acknowledged and not on disk");
        }
    }

    /// Open callbacks and events; empty once everything has finished.
    pub(super) async fn open(&self) -> Vec<String> {
        let rows = self.rows().await;
        let open = rows.iter().filter(|r| !r.state.is_final() && r.state != State::Held);
        let mut open: Vec<String> = open.map(|r| format!("{} {}", r.id, r.state.as_str())).collect();
        let feed = self.webhooks().await;
        open.extend(feed.iter().filter(|d| d.state != "done").map(|d| format!("{} {}", d.event, d.state)));
        open
    }

    /// Runs after the faults have stopped and all work has finished.
    pub(super) async fn at_the_end(&self, requested: &BTreeSet<String>) {
        let open = self.open().await;
        if !open.is_empty() {
            self.shared.broke(&format!("I3: not at an end: {open:?}"));
        }
        let rows = self.rows().await;
        let feed = self.webhooks().await;
        // An agent that is disabled when the request is decided promises nothing.
        let off = |call: &String| {
            feed.iter().any(|d| d.call_id.as_ref() == Some(call) && d.notes.contains("agent_disabled"))
        };
        for call in requested.iter().filter(|call| !off(call)) {
            if !rows.iter().any(|r| r.source_call_id.as_ref() == Some(call)) {
                self.shared.broke(&format!("I3, I11: the promise of {call} was lost"));
            }
        }
        let mut attempts_used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        // A call that got no line may count if its record was lost before it was read.
        let mut perhaps: BTreeMap<String, usize> = BTreeMap::new();
        for ring in self.sim.placed_calls() {
            let metadata = &ring.request["metadata"];
            let chain = text(&metadata["redialer_chain"]);
            if self.counts(&ring.id) {
                attempts_used.entry(chain).or_default().insert(text(&metadata["redialer_dispatch"]));
            } else if self.shared.has_lost(&ring.id) {
                *perhaps.entry(chain).or_default() += 1;
            }
        }
        for row in &rows {
            for done in self
                .store
                .dispatches(row.id)
                .await
                .expect("read")
                .iter()
                .filter(|t| t.state == dispatch::State::Unresolved)
            {
                attempts_used.entry(row.chain.to_string()).or_default().insert(done.id.to_string());
            }
        }
        for row in rows {
            let counted = self.store.attempts_used(row.chain).await.expect("read") as usize;
            let rang = attempts_used.get(&row.chain.to_string()).map_or(0, BTreeSet::len);
            let at_most = rang + perhaps.get(&row.chain.to_string()).unwrap_or(&0);
            if !(rang..=at_most).contains(&counted) {
                self.shared.broke(&format!(
                    "I2: chain {} counts {counted} attempts and rang {rang} times",
                    row.chain
                ));
            }
        }
    }
}
