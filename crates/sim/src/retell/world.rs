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
    calls::Course,
    script::{Agent, Does, Script},
};
use crate::SimTime;

pub(super) struct World {
    pub(super) time: SimTime,
    pub(super) http: reqwest::Client,
    script: Mutex<Script>,
    state: Mutex<State>,
    serial: AtomicU64,
    /// Whether the world is stepped manually; otherwise each step runs after its delay.
    pub(super) by_hand: bool,
    courses: Mutex<BTreeMap<(Timestamp, u64), Course>>,
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
    pub(super) rings: Vec<Ring>,
    pub(super) requests: usize,
}

/// A call or chat that was placed through the API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ring {
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

impl Ring {
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
    pub(super) fn new(script: Script, time: SimTime, http: reqwest::Client, by_hand: bool) -> Self {
        Self {
            time,
            http,
            script: Mutex::new(script),
            state: Mutex::default(),
            serial: AtomicU64::new(1),
            by_hand,
            courses: Mutex::default(),
        }
    }

    fn courses(&self) -> MutexGuard<'_, BTreeMap<(Timestamp, u64), Course>> {
        self.courses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the next step of a call or chat for `at`.
    pub(super) fn queue(&self, course: Course, at: Timestamp) {
        self.courses().insert((at, self.serial.fetch_add(1, Ordering::Relaxed)), course);
    }

    /// Removes the course whose next step is due, the longest overdue first.
    pub(super) fn next_course(&self) -> Option<Course> {
        let mut courses = self.courses();
        let first = courses.first_entry()?;
        (first.key().0 <= self.time.now()).then(|| first.remove())
    }

    /// When the next queued step is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.courses().keys().next().map(|(at, _)| *at)
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
    pub(super) fn person_does(&self, number: &str) -> Does {
        let mut script = self.script();
        let Some(does) = script.people.get_mut(number) else { return Does::end("user_hangup") };
        match does.len() {
            0 => Does::end("user_hangup"),
            1 => does[0].clone(),
            _ => does.pop_front().unwrap_or_default(),
        }
    }

    /// The number of calls that occupy a line now.
    pub(super) fn lines_in_use(&self) -> u32 {
        let busy = |call: &&Value| matches!(call["call_status"].as_str(), Some("registered" | "ongoing"));
        self.state().calls.values().filter(busy).count() as u32
    }
}
