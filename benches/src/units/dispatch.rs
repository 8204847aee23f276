//! Outbound: callbacks due one after the other over ten seconds; how late each request reaches the provider, and
//! whether exactly once. At 200 per second there are floors; at 1,000, which saturates a slow machine, there are none.

use std::time::Duration;

use crate::{
    bench::{Bench, Engine},
    limits::timer::Plan,
    payload::number,
    product::{Product, Shape},
    report::{Bound::AtMost, Row},
    say,
    schedule::{self, Due},
    sink::{Sink, digits},
    stats::Sorted,
    watch::{Watch, now_ms, now_us, wait, wait_until_us},
};

pub(crate) const UNIT: &str = "dispatch";
const OVER_MS: i64 = 10_000;
/// More call starts per second than any unit reaches.
const NO_PACE: f64 = 40_000.0;
/// Dials count as missing if none arrives for this long.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// A second request for the same callback would arrive within this time.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Both clocks have a resolution of one millisecond.
const GRAIN_MS: f64 = -1.0;

/// Statistics of the dials that arrived.
pub(super) struct Dials {
    /// Milliseconds from due time to arrival.
    pub(super) lateness: Sorted,
    pub(super) missing: usize,
    pub(super) repeated: usize,
    /// From the first due time to the last arrival, in seconds.
    pub(super) secs: f64,
    /// CPU time of all replicas per dial, in microseconds.
    pub(super) cpu_us: f64,
}

pub(super) const fn n(bench: &Bench) -> u64 {
    if bench.quick { 2_000 } else { 10_000 }
}

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    for rate in [200, 1_000] {
        let over_ms = if bench.quick { OVER_MS / 5 } else { OVER_MS };
        let n = rate * u64::try_from(over_ms)? / 1_000;
        let limit = timer(n, over_ms).await?;
        for engine in bench.engines() {
            let (replicas, goal, floor) =
                if engine == Engine::Sqlite { (1, 5.0, 25.0) } else { (3, 15.0, 50.0) };
            let dials = product(bench, engine, replicas, n, over_ms).await?;
            let on = format!("{}, {}, {rate}/s", engine.name(), replicas_of(replicas));
            for (label, share) in [("p50", 0.5), ("p99", 0.99), ("latest", 1.0)] {
                let row = Row::new(UNIT, format!("{on}: {label} lateness"), dials.lateness.at(share), "ms");
                let stall = limit.lateness.at(share);
                let row = row.beside("timer", stall);
                // Stalls of the machine itself do not count: the bound is at least twice the timer's lateness.
                let bound = |most: f64| AtMost(most.max(stall * 2.0));
                let has_floor = rate == 200 && label == "p99";
                bench.note(if has_floor { row.figure(AtMost(goal), Some(bound(floor))) } else { row });
            }
            once(bench, UNIT, &on, &dials);
            bench.note(Row::new(UNIT, format!("{on}: CPU per dial"), dials.cpu_us, "µs"));
        }
    }
    Ok(())
}

pub(super) fn replicas_of(n: usize) -> String {
    if n == 1 { "1 replica".to_owned() } else { format!("{n} replicas") }
}

/// Reports early, repeated and missing dials; the goal is zero.
pub(super) fn once(bench: &mut Bench, unit: &'static str, on: &str, dials: &Dials) {
    let (early, twice, never) = (dials.lateness.below(GRAIN_MS), dials.repeated, dials.missing);
    if early + twice + never > 0 {
        say(&format!("           {on}: {early} early, {twice} dialed twice, {never} not dialed"));
    }
    let row = Row::new(
        unit,
        format!("{on}: dials that were early, repeated or missing"),
        (early + twice + never) as f64,
        "",
    );
    bench.note(row.figure(AtMost(0.0), Some(AtMost(0.0))));
}

/// The limit: the same plan executed from memory.
pub(super) async fn timer(n: u64, over_ms: i64) -> anyhow::Result<Dials> {
    let sink = Sink::start().await?;
    let plan = Plan { url: sink.url(), n, from_ms: now_ms() + 1_500, over_ms };
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["limit", "timer", "--url", &plan.url, "--n", &plan.n.to_string()]);
    command.args(["--from-ms", &plan.from_ms.to_string(), "--over-ms", &over_ms.to_string()]);
    let process = crate::process::Process::start(&mut command)?;
    let mut due = Due::new();
    for i in 0..plan.n {
        due.insert(digits(&number(i))?, plan.due_ms(i) * 1_000);
    }
    wait_until_us(plan.from_ms * 1_000).await;
    arrived(&sink, due.len()).await;
    drop(process);
    Ok(compared(&sink, &due, plan.from_ms, 0.0))
}

/// The product: callbacks are scheduled beforehand and dialed when due.
pub(super) async fn product(
    bench: &Bench,
    engine: Engine,
    replicas: usize,
    n: u64,
    over_ms: i64,
) -> anyhow::Result<Dials> {
    let sink = Sink::start().await?;
    // Replicas divide the work by tenant.
    let shape = Shape { engine, replicas, tenants: 12, pace: NO_PACE };
    let mut product = Product::set_up(bench, &shape, &sink).await?;
    let (due, from_ms) = schedule::ahead(&product, n, over_ms).await?;
    wait_until_us((from_ms - 100) * 1_000).await;
    let before = product.cpu_us()?;
    wait_until_us(from_ms * 1_000).await;
    arrived(&sink, due.len()).await;
    let cpu_us = product.cpu_us()? - before;
    wait(AFTERMATH).await;
    let dials = compared(&sink, &due, from_ms, cpu_us as f64 / due.len() as f64);
    product.stop()?;
    Ok(dials)
}

/// Waits until `n` dials arrived, or none has for `STEP_TIMEOUT`.
async fn arrived(sink: &Sink, n: usize) {
    let (mut seen, mut since) = (0, Watch::start());
    while seen < n && since.secs() < STEP_TIMEOUT.as_secs_f64() {
        wait(Duration::from_millis(10)).await;
        if sink.n_arrived() > seen {
            (seen, since) = (sink.n_arrived(), Watch::start());
        }
    }
}

/// Compares the arrivals with the due times.
pub(super) fn compared(sink: &Sink, due: &Due, from_ms: i64, cpu_us: f64) -> Dials {
    let arrivals = sink.arrivals();
    let first = |number: &u64| arrivals.get(number)?.iter().min().copied();
    let lateness = due.iter().filter_map(|(number, at)| Some((first(number)? - at) as f64 / 1e3));
    let last = arrivals.values().flatten().max().copied().unwrap_or_else(now_us);
    Dials {
        lateness: Sorted::new(lateness),
        missing: due.keys().filter(|number| !arrivals.contains_key(number)).count(),
        repeated: arrivals.values().filter(|times| times.len() > 1).count(),
        secs: (last - from_ms * 1_000) as f64 / 1e6,
        cpu_us,
    }
}
