//! A tenant with a million callbacks polls `/v1/attention` constantly: how long do another tenant's webhooks take during
//! that?

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::backlog::seeded;
use crate::{
    bench::{Bench, Engine},
    load::{Outcome, Target, paced},
    payload::Template,
    product::Product,
    report::{Bound::AtMost, Row, number},
    sink::Sink,
    stats::Sorted,
};

pub(crate) const UNIT: &str = "pollers";
const POLLERS: usize = 24;
const RATE: u64 = 200;
/// The number of windows with pollers, and of windows without.
const WINDOWS: usize = 5;

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let (callbacks, secs) = if bench.quick { (100_000, 3) } else { (1_000_000, 10) };
    for engine in bench.engines() {
        let (alone_ms, beside_ms) = webhooks(bench, engine, callbacks, Duration::from_secs(secs)).await?;
        let what = format!(
            "{}, {} callbacks, {POLLERS} pollers: another tenant's webhooks p99",
            engine.name(),
            number(callbacks as f64)
        );
        let row = Row::new(UNIT, what, beside_ms, "ms").beside("without pollers", alone_ms);
        bench.note(row.ratio(AtMost(2.0), Some(AtMost(2.0))));
    }
    Ok(())
}

/// The webhooks' p99 latency in milliseconds, without and with pollers: medians of alternating windows, so that the
/// database's background work after a million inserts favors neither side.
async fn webhooks(
    bench: &Bench,
    engine: Engine,
    callbacks: u64,
    window: Duration,
) -> anyhow::Result<(f64, f64)> {
    let sink = Sink::start().await?;
    let mut product = seeded(bench, engine, callbacks, &sink).await?;
    product.add_tenant("another@example.com")?;
    product.start(1).await?;
    let polling = product.lines.first().cloned().context("a line")?;
    product.connect_last(100.0).await?;
    let address = product.replicas[0].listen.parse()?;
    let path = product.lines.last().context("a line")?.path.clone();
    let (targets, template) = ([Target { address, path }], Template::analyzed()?);
    // A warm-up, which is not measured.
    paced(&targets, &template, RATE, window).await?.all_taken()?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        alone.push(p99(paced(&targets, &template, RATE, window).await?)?);
        let mut pollers = polling_on(&product, address, &polling.key);
        beside.push(p99(paced(&targets, &template, RATE, window).await?)?);
        pollers.shutdown().await;
    }
    product.stop()?;
    eprintln!("           p99 of each window: without pollers {alone:.1?} ms, with {beside:.1?}");
    Ok((Sorted::new(alone).median(), Sorted::new(beside).median()))
}

fn p99(run: Outcome) -> anyhow::Result<f64> {
    run.all_taken()?;
    Ok(run.latencies().at(0.99))
}

/// Starts pollers that send the next request as soon as the last one is answered.
fn polling_on(product: &Product, address: SocketAddr, key: &str) -> JoinSet<()> {
    let mut pollers = JoinSet::new();
    for _ in 0..POLLERS {
        let (http, key) = (product.http().clone(), key.to_owned());
        let url = format!("http://{address}/v1/attention");
        pollers.spawn(async move {
            loop {
                // Refused polls are repeated as well.
                let _whatever = http.get(&url).bearer_auth(&key).send().await;
            }
        });
    }
    pollers
}
