//! Simulates the real flows on a manual clock: replicas, a provider, a database and a network that fail at random.
//!
//! One seed is one run, step for step (I36). The laws are checked after every step; when the faults stop, all work must
//! finish. `cargo xtask simulate --days N` runs many more seeds.

mod bugs;
mod driver;
mod faults;
mod laws;
mod replica;
mod shared;
mod wire;

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use bugs::Bug;
use driver::Simulation;

use crate::tidy::sources;

/// The result of one seed: its trace, and the first law that it broke.
struct RunResult {
    trace: String,
    days: f64,
    broken: Option<String>,
}

fn run(seed: u64, bug: Option<Bug>) -> RunResult {
    // Nothing else runs on this thread, so the seed alone determines what happens next.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { Simulation::new(seed, bug).await.run().await })
}

/// Runs seeds on two threads; returns the broken laws, with the commands that replay them.
fn run_all(seeds: impl Iterator<Item = u64> + Send, until_days: f64) -> (u64, f64, Vec<String>) {
    let (seeds, broken) = (Mutex::new(seeds), Mutex::new(Vec::new()));
    let (ran, hours) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    if (hours.load(Ordering::Relaxed) as f64 / 24.0) >= until_days {
                        return;
                    }
                    let Some(seed) = seeds.lock().expect("no panic inside").next() else { return };
                    let result = run(seed, None);
                    ran.fetch_add(1, Ordering::Relaxed);
                    hours.fetch_add((result.days * 24.0) as u64, Ordering::Relaxed);
                    if let Some(law) = result.broken {
                        broken.lock().expect("no panic inside").push(format!(
                            "{law}\n  replay: REDIALER_SIMULATE_SEED={seed} cargo test --test it simulation::one -- --nocapture"
                        ));
                    }
                }
            });
        }
    });
    let days = hours.into_inner() as f64 / 24.0;
    (ran.into_inner(), days, broken.into_inner().expect("no panic inside"))
}

#[test]
fn no_fault_breaks_an_invariant() {
    let (ran, days, broken) = run_all(0..200, f64::INFINITY);
    eprintln!("simulation: {ran} seeds, {days:.0} days");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn one_seed_gives_one_history() {
    for seed in 1..4 {
        let (first, second) = (run(seed, None).trace, run(seed, None).trace);
        let differs = first.lines().zip(second.lines()).find(|(a, b)| a != b);
        assert!(first == second, "seed {seed}: {differs:?}");
    }
    assert!(run(1, None).trace != run(2, None).trace);
}

#[test]
fn every_planted_bug_is_in_an_existing_statement() {
    let of_store = sources().into_iter().filter(|(name, _)| name.starts_with("crates/store/src/"));
    let text: String = of_store.map(|(_, text)| text).collect();
    for bug in Bug::ALL {
        for (from, _) in bug.edits() {
            assert!(text.contains(from), "{bug:?}: no statement has `{from}`");
        }
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let (bugs, missed) = (Mutex::new(Bug::ALL.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(bug) = { bugs.lock().expect("no panic inside").next() } {
                    let from = bug.search_from();
                    let found = (from..from + 300)
                        .find_map(|seed| run(seed, Some(*bug)).broken.map(|law| (seed, law)))
                        // A law that is broken without the bug is no evidence of the bug.
                        .filter(|(seed, _)| run(*seed, None).broken.is_none());
                    match found {
                        Some((seed, law)) => eprintln!("{bug:?} is caught by seed {seed}: {law}"),
                        None => missed.lock().expect("no panic inside").push(bug),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no panic inside");
    assert!(missed.is_empty(), "nothing caught {missed:?}");
}

/// `REDIALER_SIMULATE_SEED=7 cargo test --test it simulation::one -- --nocapture` prints the trace of one seed.
#[test]
fn one() {
    let Some(seed) = std::env::var("REDIALER_SIMULATE_SEED").ok().and_then(|s| s.parse().ok()) else {
        return;
    };
    let bug = std::env::var("REDIALER_SIMULATE_BUG").ok();
    let bug = bug.and_then(|name| Bug::ALL.iter().copied().find(|b| format!("{b:?}") == name));
    let result = run(seed, bug);
    eprintln!("{}", result.trace);
    assert!(result.broken.is_none(), "{:?}", result.broken);
}

/// Run by `cargo xtask simulate --days N`.
#[test]
fn many_days() {
    let Some(days) = std::env::var("REDIALER_SIMULATE_DAYS").ok().and_then(|s| s.parse().ok()) else {
        return;
    };
    let from = std::env::var("REDIALER_SIMULATE_FROM").ok().and_then(|s| s.parse().ok()).unwrap_or(10_000);
    let (ran, days, broken) = run_all(from.., days);
    eprintln!("simulation: {ran} seeds from {from}, {days:.0} days");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
