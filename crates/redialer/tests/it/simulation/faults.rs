//! Faults inside a replica and its database.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use redialer_store::{FailPoint, Faults, Passing, Verdict};

use super::{
    bugs::Bug,
    shared::{Fate, Gate, Shared},
};

/// The faults of one replica.
pub(super) struct ReplicaFaults {
    pub(super) replica: usize,
    pub(super) shared: Arc<Shared>,
    /// The kind of the open transaction; some faults and planted bugs affect only some kinds.
    doing: Mutex<&'static str>,
}

impl ReplicaFaults {
    pub(super) fn new(replica: usize, shared: &Arc<Shared>) -> Self {
        Self { replica, shared: Arc::clone(shared), doing: Mutex::new("") }
    }

    fn pretends(&self, doing: &str) -> bool {
        let shared = &self.shared;
        doing == "intent" && shared.has(Bug::SkipTheIntent)
            || doing == "inbox" && shared.has(Bug::AcknowledgeBeforeCommit) && shared.sometimes(20.0)
    }
}

impl Faults for ReplicaFaults {
    fn at(&self, point: FailPoint) -> Passing<'_> {
        Box::pin(async move {
            let shared = &self.shared;
            let doing = match point {
                FailPoint::BeforeCommit => std::mem::take(&mut *self.doing.lock().expect("no panic inside")),
                _ => "",
            };
            if point == FailPoint::BeforeCommit && self.pretends(doing) {
                return Verdict::Pretend;
            }
            if !shared.faults_on() {
                return Verdict::Go;
            }
            if doing == "decision" && shared.is_decided_in_vain() {
                shared.note(&format!("r{} no decision can be committed", self.replica));
                shared.failed();
                return Verdict::Fail;
            }
            if point == FailPoint::Begin && shared.is_gathering() {
                shared.park(Gate::Gathering).await;
                return Verdict::Go;
            }
            match point {
                FailPoint::BeforeCommit | FailPoint::AfterCommit => {
                    if shared.sometimes(0.4) {
                        shared.note(&format!("r{} crashes {}", self.replica, point.as_str()));
                        shared.crash(self.replica);
                    }
                    if shared.sometimes(0.4) {
                        shared.note(&format!("r{} {} fails", self.replica, point.as_str()));
                        shared.failed();
                        return Verdict::Fail;
                    }
                }
                // The database or the key service is slow, and may answer too late.
                FailPoint::Begin | FailPoint::Unwrap => {
                    if shared.sometimes(0.7) {
                        shared.note(&format!("r{} stalls at {}", self.replica, point.as_str()));
                        if shared.park(Gate::Stalled).await == Fate::Lost {
                            shared.failed();
                            return Verdict::Fail;
                        }
                    }
                }
                // `SimWire` has its own gates here, at which the process may die.
                FailPoint::C6 | FailPoint::C7 => {}
                point => {
                    if shared.sometimes(2.0) {
                        shared.note(&format!("r{} crashes at {}", self.replica, point.as_str()));
                        shared.crash(self.replica);
                    }
                    let may_freeze = matches!(
                        point,
                        FailPoint::C1 | FailPoint::C2 | FailPoint::C3 | FailPoint::C5 | FailPoint::C8
                    );
                    if may_freeze && shared.sometimes(4.0) {
                        shared.note(&format!("r{} freezes at {}", self.replica, point.as_str()));
                        shared.park(Gate::Frozen).await;
                    }
                }
            }
            Verdict::Go
        })
    }

    fn sql(&self, sql: &'static str) -> &'static str {
        let doing = match sql {
            _ if sql.starts_with("insert into dispatches") => "intent",
            _ if sql.starts_with("insert into inbound_events") => "inbox",
            _ if sql.starts_with("with v (bucket, id, notes, callback_id)") => "decision",
            _ => "",
        };
        if !doing.is_empty() {
            *self.doing.lock().expect("no panic inside") = doing;
        }
        self.shared.bug.map_or(sql, |bug| edited(bug, sql))
    }

    fn database_ms(&self) -> Option<i64> {
        (!self.shared.has(Bug::TrustOwnClock)).then(|| self.shared.database_ms())
    }
}

/// The statement with the bug in it. Created once and kept, because statements are `'static`.
fn edited(bug: Bug, sql: &'static str) -> &'static str {
    static MADE: LazyLock<Mutex<HashMap<(BugNumber, &'static str), &'static str>>> =
        LazyLock::new(Mutex::default);
    let edits = bug.edits();
    if !edits.iter().any(|(from, _)| sql.contains(from)) {
        return sql;
    }
    let mut made = MADE.lock().expect("no panic inside");
    made.entry((bug as BugNumber, sql)).or_insert_with(|| {
        let text = edits.iter().fold(sql.to_owned(), |text, (from, to)| text.replace(from, to));
        Box::leak(text.into_boxed_str())
    })
}

type BugNumber = u8;
