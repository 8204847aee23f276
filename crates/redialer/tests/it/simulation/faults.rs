//! What goes wrong inside a replica and its database.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use redialer_store::{Faults, Passing, Point, Verdict};

use super::{
    bugs::Bug,
    shared::{Fate, Gate, Shared},
};

/// The faults of one replica.
pub(super) struct ReplicaFaults {
    pub(super) replica: usize,
    pub(super) shared: Arc<Shared>,
    /// What the open transaction is about, where a fault or a planted bug is of some transactions only.
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
    fn at(&self, point: Point) -> Passing<'_> {
        Box::pin(async move {
            let shared = &self.shared;
            let doing = match point {
                Point::BeforeCommit => std::mem::take(&mut *self.doing.lock().expect("no panic inside")),
                _ => "",
            };
            if point == Point::BeforeCommit && self.pretends(doing) {
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
            if point == Point::Begin && shared.is_gathering() {
                shared.park(Gate::Gathering).await;
                return Verdict::Go;
            }
            match point {
                Point::BeforeCommit | Point::AfterCommit => {
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
                // The database or the key service is slow; perhaps it answers too late.
                Point::Begin | Point::Unwrap => {
                    if shared.sometimes(0.7) {
                        shared.note(&format!("r{} stalls at {}", self.replica, point.as_str()));
                        if shared.park(Gate::Stalled).await == Fate::Lost {
                            shared.failed();
                            return Verdict::Fail;
                        }
                    }
                }
                // The wire has its own ways to die there.
                Point::C6 | Point::C7 => {}
                point => {
                    if shared.sometimes(2.0) {
                        shared.note(&format!("r{} crashes at {}", self.replica, point.as_str()));
                        shared.crash(self.replica);
                    }
                    let may_freeze =
                        matches!(point, Point::C1 | Point::C2 | Point::C3 | Point::C5 | Point::C8);
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
            _ if sql.starts_with("insert into deliveries") => "inbox",
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

/// The statement with the bug in it. Made once and kept: statements live as long as the program.
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
