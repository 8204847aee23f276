//! The footprint of an idle server: memory, startup time, disk.

use std::{fs, time::Duration};

use super::backlog::seeded;
use crate::{
    bench::{Bench, Engine, Limit},
    product::{Product, Shape},
    report::{Bound::AtMost, Row, number},
    sink::Sink,
    stats::Sorted,
    watch::{Watch, wait},
};

pub(crate) const UNIT: &str = "footprint";
const STARTS: usize = 5;
const SETTLES: Duration = Duration::from_secs(5);

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let sink = Sink::start().await?;
    let shape = Shape { engine: Engine::Sqlite, replicas: 1, tenants: 1, pace: 1.0 };
    let mut product = Product::set_up(bench, &shape, &sink).await?;
    product.stop()?;
    let start_ms = starts(&mut product).await?;
    product.start(1).await?;
    wait(SETTLES).await;
    let rss = product.replicas[0].process.rss_mb()?;
    product.stop()?;

    let many = if bench.quick { 100_000 } else { 1_000_000 };
    let mut full = seeded(bench, Engine::Sqlite, many, &sink).await?;
    let full_ms = starts(&mut full).await?;
    full.start(1).await?;
    wait(SETTLES).await;
    let full_rss = full.replicas[0].process.rss_mb()?;
    full.stop()?;

    let waiting = number(many as f64);
    let (empty_ms, empty_rss) = empty(bench).await?;
    let mb = |path: &std::path::Path| anyhow::Ok(fs::metadata(path)?.len() as f64 / f64::from(1 << 20));
    let name = "empty axum + SQLite server";
    let row = Row::new(UNIT, "memory, idle", rss, "MB").beside(name, empty_rss);
    bench.note(row.figure(AtMost(30.0), Some(AtMost(40.0))));
    bench.note(Row::new(UNIT, format!("memory, idle, {waiting} waiting"), full_rss, "MB"));
    let row = Row::new(UNIT, "start to ready", start_ms, "ms").beside(name, empty_ms);
    bench.note(row.figure(AtMost(40.0), Some(AtMost(150.0))));
    let row = Row::new(UNIT, format!("start to ready, {waiting} waiting"), full_ms, "ms");
    bench.note(row.figure(AtMost(500.0), None));
    let size = mb(&bench.binary)?;
    let row =
        Row::new(UNIT, "binary", size, "MB").beside("this benchmark itself", mb(&std::env::current_exe()?)?);
    bench.note(row.figure(AtMost(20.0), Some(AtMost(30.0))));
    Ok(())
}

/// Median time from start to ready, in milliseconds.
async fn starts(product: &mut Product) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(product.start(1).await?);
        product.stop()?;
    }
    Ok(Sorted::new(times).median())
}

async fn empty(bench: &Bench) -> anyhow::Result<(f64, f64)> {
    let mut times = Vec::new();
    let mut last: Option<Limit> = None;
    for _ in 0..STARTS {
        if let Some(limit) = last.take() {
            limit.process.end()?;
        }
        let watch = Watch::start();
        last = Some(bench.limit("empty").await?);
        times.push(watch.secs() * 1e3);
    }
    let limit = last.ok_or_else(|| anyhow::anyhow!("nothing was started"))?;
    wait(SETTLES).await;
    let rss = limit.process.rss_mb()?;
    limit.process.end()?;
    Ok((Sorted::new(times).median(), rss))
}
