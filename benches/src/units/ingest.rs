//! Webhooks in: how many a second become durable, decided and scheduled, how soon each is answered, and what
//! it costs.
//!
//! Invariant: what is still undecided when patience ends does not count; only scheduled callbacks do.

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
    /// Latencies at 200 a second.
    quiet: Sorted,
}

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let template = Template::analyzed()?;
    limit(bench, &template, "read").await?;
    let hmac = limit(bench, &template, "hmac").await?;
    let file = limit(bench, &template, "file").await?;
    limit(bench, &template, "sqlite").await?;
    saturated(bench, &template, Engine::Sqlite, ("axum+HMAC", hmac.rate)).await?;
    quiet(bench, &template, Engine::Sqlite, ("file", &file.quiet)).await?;
    if bench.postgres.is_some() {
        let unnest = limit(bench, &template, "postgres").await?;
        saturated(bench, &template, Engine::Postgres, ("UNNEST", unnest.rate)).await?;
        quiet(bench, &template, Engine::Postgres, ("UNNEST", &unnest.quiet)).await?;
    }
    Ok(())
}

async fn limit(bench: &mut Bench, template: &Arc<Template>, kind: &str) -> anyhow::Result<Limit> {
    let server = bench.limit(kind).await?;
    let targets = [Target { address: server.listen.parse()?, path: "/".to_owned() }];
    let window = bench.secs(10, 4);
    let before = server.process.cpu_us()?;
    let outcome = load::saturate(&targets, template, CONNECTIONS, window).await?;
    outcome.all_taken()?;
    let cpu = (server.process.cpu_us()? - before) as f64 / outcome.n() as f64;
    let quiet = load::paced(&targets, template, QUIET_RATE, window).await?;
    quiet.all_taken()?;
    let (rate, quiet) = (outcome.rate(0.0, window.as_secs_f64()), quiet.latencies());
    let what = |text: &str| format!("limit `{kind}`, {text}");
    bench.note(Row::new(UNIT, what("64 connections"), rate, "/s"));
    bench.note(Row::new(UNIT, what("64 connections: p99"), outcome.latencies().at(0.99), "ms"));
    bench.note(Row::new(UNIT, what("64 connections: its own CPU a webhook"), cpu, "µs"));
    bench.note(Row::new(UNIT, what("200/s: p50"), quiet.median(), "ms"));
    bench.note(Row::new(UNIT, what("200/s: p99"), quiet.at(0.99), "ms"));
    server.process.end()?;
    Ok(Limit { rate, quiet })
}

/// Several tenants, so that nothing is measured that only one of them would show.
fn shape(engine: Engine) -> Shape {
    Shape { engine, replicas: 1, tenants: 4, pace: 100.0 }
}

async fn saturated(
    bench: &mut Bench,
    template: &Arc<Template>,
    engine: Engine,
    (name, limit): (&str, f64),
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
    let (goal, floor) = match engine {
        Engine::Sqlite => (AtLeast(0.4), AtLeast(0.2)),
        Engine::Postgres => (AtLeast(0.8), AtLeast(0.5)),
    };
    let rate = Row::new(UNIT, what("durable, decided, scheduled"), scheduled / secs, "/s");
    bench.note(rate.beside(name, limit).ratio(goal, Some(floor)));
    let (span, end) = (window.as_secs_f64() / 6.0, window.as_secs_f64());
    let answered = Row::new(UNIT, what("answered (durable)"), outcome.rate(0.0, end), "/s");
    bench.note(answered.beside(name, limit));
    let last = Row::new(UNIT, what("answered in the last sixth"), outcome.rate(end - span, end), "/s");
    let first = outcome.rate(0.0, span);
    bench.note(last.beside("the first sixth", first).ratio(AtLeast(0.9), Some(AtLeast(0.75))));
    let latencies = outcome.latencies();
    bench.note(Row::new(UNIT, what("p50"), latencies.median(), "ms"));
    let p99 = Row::new(UNIT, what("p99"), latencies.at(0.99), "ms");
    let cost = Row::new(UNIT, what("CPU a webhook, all of it"), cpu, "µs");
    // The goals of what follows are SQLite's; a Postgres alone takes more.
    if engine == Engine::Sqlite {
        bench.note(p99.figure(AtMost(10.0), None));
        bench.note(cost.figure(AtMost(45.0), Some(AtMost(90.0))));
    } else {
        bench.note(p99);
        bench.note(cost);
    }
    Ok(())
}

/// Waits until everything answered is scheduled, or twice the window has passed: how many are, since when.
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
        [("p50", 0.5, AtMost(0.7), Some(AtMost(1.2))), ("p99", 0.99, AtMost(2.0), None)]
    {
        let what = format!("{}, 200/s: {label}", engine.name());
        let row = Row::new(UNIT, what, latencies.at(share), "ms").beside(name, limit.at(share));
        // The goals of this unit are SQLite's.
        bench.note(if engine == Engine::Sqlite { row.figure(goal, floor) } else { row });
    }
    Ok(())
}
