//! How much later one tenant's dials are while another tenant's backlog comes due at once, with a provider that takes
//! 20 s to respond.

use super::dispatch::compared;
use crate::{
    bench::{Bench, Engine},
    product::{ConnectedWorkspace, Product, Shape},
    report::{Bound::AtMost, Row, number},
    schedule::{Due, many_on},
    sink::Sink,
    stats::Sorted,
    watch::{now_ms, wait_until_us},
};

pub(crate) const UNIT: &str = "neighbor";
/// Dials per second of the watched tenant.
const RATE: u64 = 50;
const OVER_MS: i64 = 10_000;
/// Call starts per second that the settings allow.
const PACE: f64 = 2_000.0;
/// Lead time, longer than scheduling the backlog takes.
const TO_SCHEDULE_MS: i64 = 90_000;
/// How long to wait for late dials after the last due time.
const AFTERMATH_MS: i64 = 3_000;

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let backlog = if bench.quick { 4_000 } else { 20_000 };
    for engine in bench.engines() {
        let (alone, beside) = lateness(bench, engine, backlog).await?;
        let what = |label: &str| {
            format!("{}, with {} callbacks due at once: {label}", engine.name(), number(backlog as f64))
        };
        let row = Row::new(UNIT, what("another tenant's median lateness"), beside.median(), "ms");
        let row = row.beside("no other tenant", alone.median());
        bench.note(row.ratio(AtMost(1.0), Some(AtMost(1.1))));
        let row = Row::new(UNIT, what("another tenant's p99 lateness"), beside.at(0.99), "ms");
        bench.note(row.beside("no other tenant", alone.at(0.99)));
    }
    Ok(())
}

/// The watched tenant's lateness in milliseconds, alone and beside the backlog.
async fn lateness(bench: &Bench, engine: Engine, backlog: u64) -> anyhow::Result<(Sorted, Sorted)> {
    let sink = Sink::start().await?;
    let shape = Shape { engine, replicas: 1, tenants: 2, pace: PACE };
    let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "100000".to_owned())];
    let mut product = Product::set_up_with(bench, &shape, &sink, &settings).await?;
    let lines = product.lines.clone();
    let of_first = |line: &&ConnectedWorkspace| line.key == lines[0].key;
    let watched: Vec<ConnectedWorkspace> = lines.iter().filter(of_first).cloned().collect();
    let others: Vec<ConnectedWorkspace> = lines.iter().filter(|line| !of_first(line)).cloned().collect();
    let alone = dialed(&product, &sink, &watched, now_ms() + 5_000).await?;
    // This lead time is enough to schedule the backlog on either engine.
    let from_ms = now_ms() + TO_SCHEDULE_MS;
    let theirs = many_on(&product, &others, backlog, from_ms, 1).await?;
    sink.be_slow_for(theirs.keys().copied());
    let beside = dialed(&product, &sink, &watched, from_ms).await?;
    product.stop()?;
    Ok((alone, beside))
}

/// Schedules dials at `RATE` from `from_ms` on; returns their lateness.
async fn dialed(
    product: &Product,
    sink: &Sink,
    lines: &[ConnectedWorkspace],
    from_ms: i64,
) -> anyhow::Result<Sorted> {
    let n = RATE * u64::try_from(OVER_MS)? / 1_000;
    let due: Due = many_on(product, lines, n, from_ms, OVER_MS).await?;
    anyhow::ensure!(now_ms() < from_ms, "scheduling took longer than the time set aside for it");
    wait_until_us((from_ms + OVER_MS + AFTERMATH_MS) * 1_000).await;
    let dials = compared(sink, &due, from_ms, 0.0);
    anyhow::ensure!(dials.missing == 0, "{} dials never came", dials.missing);
    Ok(dials.lateness)
}
