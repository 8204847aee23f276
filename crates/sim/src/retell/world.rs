//! The state of the simulated Retell.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use redialer_core::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    calls::CallTimeline,
    script::{Agent, Behavior, Script},
};
use crate::SimTime;

pub(super) struct World {
    pub(super) time: SimTime,
    pub(super) http: reqwest::Client,
    script: Mutex<Script>,
    state: Mutex<State>,
    serial: AtomicU64,
    /// Whether the world is stepped manually; otherwise each step runs after its delay.
    pub(super) is_manually_stepped: bool,
    timelines: Mutex<BTreeMap<(Timestamp, u64), CallTimeline>>,
}

#[derive(Default)]
pub(super) struct State {
    /// Call objects by id, in order of creation.
    pub(super) calls: BTreeMap<String, Value>,
    /// Chat objects by id.
    pub(super) chats: BTreeMap<String, Value>,
    /// The person's and the agent's number of each chat; the chat object does not contain them.
    pub(super) chat_numbers: HashMap<String, (String, String)>,
    /// Idempotency keys, with the time of the request and the id of the call that it placed.
    pub(super) keys: HashMap<String, (Timestamp, String)>,
    /// When each call and chat was created.
    pub(super) created: HashMap<String, Timestamp>,
    pub(super) placed_calls: Vec<PlacedCall>,
    pub(super) requests: usize,
}

/// A call or chat that was placed through the API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlacedCall {
    /// When it was placed, in milliseconds since 1970.
    pub at_ms: i64,
    /// The id of the call or chat.
    pub id: String,
    /// The person's number.
    pub to: String,
    /// The account's number.
    pub from: String,
    /// The request body.
    pub request: Value,
}

impl PlacedCall {
    /// A dynamic variable of the request.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.request["retell_llm_dynamic_variables"][name].as_str()
    }
}

impl State {
    pub(super) fn record(&self, id: &str) -> Option<&Value> {
        self.calls.get(id).or_else(|| self.chats.get(id))
    }
}

impl World {
    pub(super) fn new(
        script: Script,
        time: SimTime,
        http: reqwest::Client,
        is_manually_stepped: bool,
    ) -> Self {
        Self {
            time,
            http,
            script: Mutex::new(script),
            state: Mutex::default(),
            serial: AtomicU64::new(1),
            is_manually_stepped,
            timelines: Mutex::default(),
        }
    }

    fn timelines(&self) -> MutexGuard<'_, BTreeMap<(Timestamp, u64), CallTimeline>> {
        self.timelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the next step of a call or chat for `at`.
    pub(super) fn queue(&self, timeline: CallTimeline, at: Timestamp) {
        self.timelines().insert((at, self.serial.fetch_add(1, Ordering::Relaxed)), timeline);
    }

    /// Removes the timeline whose next step is due, the longest overdue first.
    pub(super) fn next_timeline(&self) -> Option<CallTimeline> {
        let mut timelines = self.timelines();
        let first = timelines.first_entry()?;
        (first.key().0 <= self.time.now()).then(|| first.remove())
    }

    /// When the next queued step is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.timelines().keys().next().map(|(at, _)| *at)
    }

    pub(super) fn record_created(&self, id: &str) {
        let now = self.time.now();
        self.state().created.insert(id.to_owned(), now);
    }

    /// Whether the lists already show a record; they lag by `list_lag_seconds`.
    pub(super) fn is_listed(&self, state: &State, id: &str) -> bool {
        let lag = self.script().list_lag_seconds;
        state.created.get(id).is_none_or(|at| self.time.seconds_since(*at) >= lag)
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new id: the prefix and 27 hex digits that count up.
    pub(super) fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{:027x}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn agent(&self, id: &str) -> Option<Agent> {
        self.script().agents.iter().find(|a| a.agent_id == id).cloned()
    }

    /// Takes the person's behavior on this call from the script; the last entry is not removed.
    pub(super) fn next_behavior(&self, number: &str) -> Behavior {
        let mut script = self.script();
        let Some(behaviors) = script.people.get_mut(number) else { return Behavior::ending("user_hangup") };
        match behaviors.len() {
            0 => Behavior::ending("user_hangup"),
            1 => behaviors[0].clone(),
            _ => behaviors.pop_front().unwrap_or_default(),
        }
    }

    /// The number of calls that occupy a line now.
    pub(super) fn lines_in_use(&self) -> u32 {
        let busy = |call: &&Value| matches!(call["call_status"].as_str(), Some("registered" | "ongoing"));
        self.state().calls.values().filter(busy).count() as u32
    }
}
