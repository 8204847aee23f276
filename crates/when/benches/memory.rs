//! Peak heap memory of `read`, not counting its input.
//!
//! Goal: at most one megabyte, also for a call of a thousand turns.

use std::process::ExitCode;

use peak_alloc::PeakAlloc;
use redialer_when::{Call, Role, Turn, read};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

const GOAL: usize = 1 << 20;

/// Calls of everyday sentences, and one very long turn.
fn calls() -> [(&'static str, Vec<Turn>); 3] {
    let said =
        "Um, tomorrow maybe, around half past three, no wait, make it Thursday, same time, if that's okay.";
    let turn = |n: usize| Turn {
        role: if n.is_multiple_of(2) { Role::Agent } else { Role::User },
        content: said.to_owned(),
    };
    [
        ("7 turns", (0..7).map(turn).collect()),
        ("1000 turns", (0..1000).map(turn).collect()),
        ("one turn of 10 KB", vec![Turn { role: Role::User, content: said.repeat(100) }]),
    ]
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn main() -> ExitCode {
    let mut within = true;
    for (name, turns) in calls() {
        let end = "2026-04-07T17:20:00Z".parse().unwrap_or_default();
        let call = Call::new(&turns, end, "America/Chicago");
        // The first read builds the static tables, which are not measured.
        read(&call);
        let before = PEAK.current_usage();
        PEAK.reset_peak_usage();
        read(&call);
        let peak = PEAK.peak_usage().saturating_sub(before);
        println!("{name}: {} KB at its peak (goal: {} KB)", peak / 1024, GOAL / 1024);
        within &= peak <= GOAL;
    }
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
