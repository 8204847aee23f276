//! Killed at random moments under load: no person is called twice, and none is forgotten.
//!
//! `REDIALER_KILLS` sets the number of kills (`cargo xtask crash --kills N`), `REDIALER_KILLS_SEED` repeats a run.

use std::{collections::BTreeSet, time::Duration};

use redialer_core::rng::Rng;
use redialer_sim::retell::{Fault, Script, script::Behavior};
use serde_json::Value;

use crate::harness::{Engine, Walk, engines, is_final, scripted_call};

const PEOPLE: usize = 10;
const AREAS: [u16; 6] = [305, 312, 415, 617, 713, 206];
/// New callbacks are requested once per this many kills; in between they are dialed.
const CALL_EVERY: usize = 4;
/// Faults of requests and answers; the others succeed.
const FAULTS: [Fault; 7] = [
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::DropReply,
    Fault::DropRequest,
    Fault::Late,
    Fault::Stall,
    Fault::HtmlOk,
];

fn from_env<T: std::str::FromStr>(name: &str, or: T) -> T {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(or)
}

struct Load {
    walk: Walk,
    rng: Rng,
    /// The calls in which a callback was requested.
    requested: BTreeSet<String>,
}

impl Load {
    async fn new(engine: Engine, seed: u8) -> Self {
        let script = Script { slow_seconds: 600.0, concurrency_limit: 50, ..Script::default() };
        // A short deadline, because requests of a dead process that may be in flight are waited for in real time.
        let settings = [("REDIALER_PLACE_DEADLINE_SECS", "2")];
        let walk = Walk::with_settings(engine, 600, script, &settings).await;
        Self { walk, rng: Rng::seeded([seed; 32]), requested: BTreeSet::new() }
    }

    fn below(&self, n: usize) -> usize {
        ((self.rng.next_f64() * n as f64) as usize).min(n - 1)
    }

    /// A new person calls and requests a callback; some are hard to reach afterwards.
    fn new_caller(&mut self) {
        let (area, line) = (AREAS[self.requested.len() / 100 % AREAS.len()], self.requested.len() % 100);
        let person = format!("+1{area}55501{line:02}");
        let ends = ["user_hangup", "user_hangup", "dial_no_answer", "dial_busy"][self.below(4)];
        self.walk.sim.set_person(&person, vec![Behavior::ending(ends), Behavior::ending("user_hangup")]);
        let minutes = 10 + self.below(50);
        let words = format!("User: call me in {minutes} minutes");
        let call = scripted_call("inbound", &person, Behavior::asking(&[&words], None));
        self.requested.insert(self.walk.sim.start_call(&call));
    }

    async fn kill_at_random(&mut self, kill: usize) {
        if kill.is_multiple_of(CALL_EVERY) {
            for _ in 0..PEOPLE.div_ceil(2) {
                self.new_caller();
            }
        }
        for _ in 0..3 {
            let fault = if self.below(2) == 0 { Fault::None } else { FAULTS[self.below(FAULTS.len())] };
            self.walk.sim.fail_next(fault);
        }
        self.walk.pass(Duration::from_millis(20 + self.below(1_200) as u64)).await;
        self.walk.kill();
        self.walk.serve().await;
    }

    /// Waits until every request has a callback and every callback is final.
    async fn settle(&self) -> Vec<Value> {
        self.walk.sim.edit_script(|script| script.faults.clear());
        self.walk
            .until("every request to be settled", async |walk: &Walk| {
                let rows = walk.all_callbacks().await;
                let kept: BTreeSet<_> = rows.iter().filter_map(|r| r["source_call_id"].as_str()).collect();
                self.requested.iter().all(|call| kept.contains(call.as_str()))
                    && rows.iter().all(|r| is_final(r["state"].as_str().unwrap_or_default()))
            })
            .await;
        self.walk.all_callbacks().await
    }
}

async fn killed_under_load(engine: Engine) {
    let (kills, seed) = (from_env("REDIALER_KILLS", 20), from_env("REDIALER_KILLS_SEED", 1));
    let mut load = Load::new(engine, seed).await;
    for kill in 0..kills {
        load.kill_at_random(kill).await;
    }
    let rows = load.settle().await;
    let rings = load.walk.sim.placed_calls().len();
    eprintln!(
        "{engine:?}, seed {seed}: {kills} kills, {} requests, {} callbacks, {rings} rings",
        load.requested.len(),
        rows.len()
    );
    load.walk.assert_rung_once_each();
    for row in &rows {
        let reached = ["completed", "failed", "exhausted"].contains(&row["state"].as_str().unwrap_or("none"));
        assert!(reached && row["outcome"] != "unresolved", "{row}");
    }
    assert!(rings >= load.requested.len(), "every caller was called back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_random_moments_dials_every_callback_once() {
    futures_util::future::join_all(engines().into_iter().map(killed_under_load)).await;
}
