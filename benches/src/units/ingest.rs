//! Inbound: how many webhooks per second become durable, decided and scheduled, how soon each is answered, and the CPU
//! cost.
//!
//! Invariant: only scheduled callbacks count; webhooks that are still undecided at the deadline do not.

use std::{sync::Arc, time::Duration};

use crate::{
    bench::{Bench, Engine},
    load::{self, Outcome, Target},
    machine,
    payload::Template,
    product::{Product, Shape},
    report::{
        Bound::{AtLeast, AtMost},
        Row,
    },
    say,
    sink::Sink,
    stats::Sorted,
    watch::{Watch, wait},
};

pub(crate) const UNIT: &str = "ingest";
const CONNECTIONS: usize = 64;
const QUIET_RATE: u64 = 200;
const SCHEDULED: &str = "redialer_callbacks_scheduled_total";

/// One of the limits, measured like the product.
struct Limit {
    rate: f64,
    /// Ratio of the rate in the last sixth of the window to that in the first sixth.
    decay: f64,
    /// Latencies at 200 requests per second.
    quiet: Sorted,
}

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let template = Template::analyzed()?;
    limit(bench, &template, "hmac").await?;
    let file = limit(bench, &template, "file").await?;
    let sqlite = limit(bench, &template, "sqlite").await?;
    saturated(bench, &template, Engine::Sqlite, ("bare SQLite", &sqlite)).await?;
    quiet(bench, &template, Engine::Sqlite, ("file", &file.quiet)).await?;
    if bench.postgres.is_some() {
        let unnest = limit(bench, &template, "postgres").await?;
        saturated(bench, &template, Engine::Postgres, ("UNNEST", &unnest)).await?;
        quiet(bench, &template, Engine::Postgres, ("UNNEST", &unnest.quiet)).await?;
    }
    Ok(())
}

async fn limit(bench: &mut Bench, template: &Arc<Template>, kind: &str) -> anyhow::Result<Limit> {
    let server = bench.limit(kind).await?;
    let targets = [Target { address: server.listen.parse()?, path: "/".to_owned() }];
    // Where the two are compared over time, the same length as the product's window.
    let window = if matches!(kind, "sqlite" | "postgres") { bench.secs(60, 10) } else { bench.secs(10, 4) };
    let before = server.process.cpu_us()?;
    let outcome = load::saturate(&targets, template, CONNECTIONS, window).await?;
    outcome.all_taken()?;
    let cpu = (server.process.cpu_us()? - before) as f64 / outcome.n() as f64;
    let quiet = load::paced(&targets, template, QUIET_RATE, bench.secs(10, 4)).await?;
    quiet.all_taken()?;
    let decay = decay(&outcome, window);
    let (rate, quiet) = (outcome.rate(0.0, window.as_secs_f64()), quiet.latencies());
    let what = |text: &str| format!("limit `{kind}`, {text}");
    bench.note(Row::new(UNIT, what("64 connections"), rate, "/s"));
    bench.note(Row::new(UNIT, what("64 connections: p99"), outcome.latencies().at(0.99), "ms"));
    bench.note(Row::new(UNIT, what("64 connections: CPU per webhook"), cpu, "µs"));
    bench.note(Row::new(UNIT, what("200/s: p50"), quiet.median(), "ms"));
    bench.note(Row::new(UNIT, what("200/s: p99"), quiet.at(0.99), "ms"));
    server.process.end()?;
    Ok(Limit { rate, decay, quiet })
}

/// Ratio of the rate in the last sixth of a window to that in the first sixth.
fn decay(outcome: &Outcome, window: Duration) -> f64 {
    let (sixth, end) = (window.as_secs_f64() / 6.0, window.as_secs_f64());
    outcome.rate(end - sixth, end) / outcome.rate(0.0, sixth).max(1.0)
}

/// Tolerance for random differences between two decays on one machine.
const NOISE: f64 = 0.9;

/// Several tenants, so that no figure depends on having only one.
fn shape(engine: Engine) -> Shape {
    Shape { engine, replicas: 1, tenants: 4, pace: 100.0 }
}

async fn saturated(
    bench: &mut Bench,
    template: &Arc<Template>,
    engine: Engine,
    (name, limit): (&str, &Limit),
) -> anyhow::Result<()> {
    let sink = Sink::start().await?;
    let mut product = Product::set_up(bench, &shape(engine), &sink).await?;
    let window = bench.secs(60, 10);
    let (cpu, watch) = (product.busy_us().await?, Watch::start());
    let outcome = load::saturate(&product.targets()?, template, CONNECTIONS, window).await?;
    outcome.all_taken()?;
    let (scheduled, secs) = until_scheduled(&product, &outcome, watch, window).await?;
    let cpu = (product.busy_us().await? - cpu) / scheduled;
    product.stop()?;
    machine::settled(bench.root()).await?;

    let what = |text: &str| format!("{}, 64 connections: {text}", engine.name());
    let rate = Row::new(UNIT, what("durable, decided, scheduled"), scheduled / secs, "/s");
    bench.note(rate.beside(name, limit.rate).ratio(AtLeast(0.7), Some(AtLeast(0.4))));
    let answered = outcome.rate(0.0, window.as_secs_f64());
    bench.note(Row::new(UNIT, what("answered (durable)"), answered, "/s").beside(name, limit.rate));
    let last =
        Row::new(UNIT, what("rate of the last sixth relative to the first"), decay(&outcome, window), "");
    let last = last.beside(name, limit.decay);
    bench.note(last.figure(AtLeast(1.0), Some(AtLeast(limit.decay.min(1.0) * NOISE))));
    let latencies = outcome.latencies();
    bench.note(Row::new(UNIT, what("p50"), latencies.median(), "ms"));
    bench.note(Row::new(UNIT, what("p99"), latencies.at(0.99), "ms"));
    bench.note(Row::new(UNIT, what("CPU per webhook, decision included"), cpu, "µs"));
    Ok(())
}

/// Waits until a callback is scheduled for every answered webhook, or until two more windows have passed. Returns the
/// number of scheduled callbacks and the seconds since the start.
async fn until_scheduled(
    product: &Product,
    outcome: &Outcome,
    watch: Watch,
    window: Duration,
) -> anyhow::Result<(f64, f64)> {
    let all = outcome.n() as f64;
    loop {
        let scheduled = product.counter(SCHEDULED).await?;
        let secs = watch.secs();
        if scheduled >= all {
            return Ok((scheduled, secs));
        }
        if secs > 3.0 * window.as_secs_f64() {
            let late = all - scheduled;
            say(&format!("           {late} of {all} webhooks were still undecided after {secs:.0} s"));
            return Ok((scheduled.max(1.0), secs));
        }
        wait(Duration::from_millis(20)).await;
    }
}

async fn quiet(
    bench: &mut Bench,
    template: &Arc<Template>,
    engine: Engine,
    (name, limit): (&str, &Sorted),
) -> anyhow::Result<()> {
    let sink = Sink::start().await?;
    let mut product = Product::set_up(bench, &shape(engine), &sink).await?;
    let outcome = load::paced(&product.targets()?, template, QUIET_RATE, bench.secs(30, 5)).await?;
    outcome.all_taken()?;
    product.stop()?;
    let latencies = outcome.latencies();
    for (label, share, goal, floor) in
        [("p50", 0.5, AtMost(1.0), AtMost(2.0)), ("p99", 0.99, AtMost(4.0), AtMost(10.0))]
    {
        let what = format!("{}, 200/s: {label}", engine.name());
        let row = Row::new(UNIT, what, latencies.at(share), "ms").beside(name, limit.at(share));
        bench.note(row.figure(goal, Some(floor)));
    }
    Ok(())
}
