//! The same work with few and with many waiting callbacks: adding one, dialing due ones, idling.
//!
//! Invariant: the ratios compare two runs of the same binary, minutes apart; nothing is compared with a limit.

use std::time::Duration;

use super::dispatch::compared;
use crate::{
    bench::{Bench, Engine},
    product::{Product, Shape},
    report::{Bound::AtMost, Row, number},
    say, schedule, seed,
    sink::Sink,
    stats::Sorted,
    watch::{Watch, now_ms, wait, wait_until_us},
};

pub(crate) const UNIT: &str = "backlog";
const FEW_WAITING: u64 = 1_000;
const ADDED: usize = 300;
const CLAIMED: u64 = 200;
const CLAIMED_OVER_MS: i64 = 2_000;
const IDLE: Duration = Duration::from_secs(20);
/// A tenth of a percent of one core: below it a server counts as idle, and a ratio of two such values means nothing.
const IDLE_GRAIN_MS: f64 = 20.0;

/// The cost of the work at one backlog size.
struct Work {
    /// One `POST /v1/callbacks`, in milliseconds.
    add_ms: f64,
    /// Median lateness of due callbacks.
    late_ms: f64,
    /// CPU time per due callback, including the database's, in microseconds.
    claim_us: f64,
    /// CPU time over the idle period, including the database's, in milliseconds.
    idle_ms: f64,
}

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let many = if bench.quick { 100_000 } else { 1_000_000 };
    for engine in bench.engines() {
        let few = work(bench, engine, FEW_WAITING).await?;
        let much = work(bench, engine, many).await?;
        let of = |what: &str| format!("{}, {} waiting: {what}", engine.name(), number(many as f64));
        let (goal, floor) = (AtMost(1.15), Some(AtMost(1.5)));
        for (what, figure, limit, measure) in [
            ("add one, median", much.add_ms, few.add_ms, "ms"),
            ("claim: lateness, median", much.late_ms, few.late_ms, "ms"),
            ("claim: CPU per callback", much.claim_us, few.claim_us, "µs"),
            ("idle: CPU over 20 s", much.idle_ms.max(IDLE_GRAIN_MS), few.idle_ms.max(IDLE_GRAIN_MS), "ms"),
        ] {
            let row = Row::new(UNIT, of(what), figure, measure)
                .beside(format!("{} waiting", number(FEW_WAITING as f64)), limit);
            bench.note(row.ratio(goal, floor));
        }
    }
    Ok(())
}

async fn work(bench: &Bench, engine: Engine, waiting: u64) -> anyhow::Result<Work> {
    let sink = Sink::start().await?;
    let mut product = seeded(bench, engine, waiting, &sink).await?;
    product.start(1).await?;
    let line = product.lines.first().cloned().ok_or_else(|| anyhow::anyhow!("no line"))?;
    let listen = product.replicas[0].listen.clone();

    let mut added = Vec::new();
    for _ in 0..ADDED {
        let watch = Watch::start();
        schedule::one(product.http(), &listen, &line, now_ms() + schedule::FAR_MS).await?;
        added.push(watch.us() as f64 / 1e3);
    }

    let from_ms = now_ms() + 5_000;
    let due = schedule::many(&product, CLAIMED, from_ms, CLAIMED_OVER_MS).await?;
    wait_until_us((from_ms - 500) * 1_000).await;
    let before = product.busy_us().await?;
    wait_until_us((from_ms + CLAIMED_OVER_MS + 1_500) * 1_000).await;
    let claim_us = (product.busy_us().await? - before) / CLAIMED as f64;
    let dials = compared(&sink, &due, from_ms, claim_us);
    if dials.missing > 0 {
        say(&format!(
            "           {} of {CLAIMED} due callbacks were not dialed, with {waiting} waiting",
            dials.missing
        ));
    }

    let before = product.busy_us().await?;
    wait(IDLE).await;
    let idle_ms = (product.busy_us().await? - before) / 1e3;
    product.stop()?;
    let (add_ms, late_ms) = (Sorted::new(added).median(), dials.lateness.median());
    Ok(Work { add_ms, late_ms, claim_us, idle_ms })
}

/// An installation with `waiting` waiting callbacks, stopped.
pub(super) async fn seeded(
    bench: &Bench,
    engine: Engine,
    waiting: u64,
    sink: &Sink,
) -> anyhow::Result<Product> {
    let shape = Shape { engine, replicas: 1, tenants: 1, pace: 100.0 };
    let mut product = Product::set_up(bench, &shape, sink).await?;
    product.stop()?;
    let url = product.database_url()?;
    let before = seed::counts(&url).await?;
    product.start(1).await?;
    let due_ms = now_ms() + schedule::FAR_MS;
    let line = product.lines.first().cloned().ok_or_else(|| anyhow::anyhow!("no line"))?;
    let listen = product.replicas[0].listen.clone();
    schedule::one(product.http(), &listen, &line, due_ms).await?;
    product.stop()?;
    let watch = Watch::start();
    seed::copies(&url, &before, due_ms, waiting).await?;
    say(&format!("           {waiting} waiting callbacks on {}, in {:.0} s", engine.name(), watch.secs()));
    Ok(product)
}
