//! Disk space per 10 KB webhook, after its decision and the scheduling of its callback.

use std::time::Duration;

use crate::{
    bench::Bench,
    load::saturate,
    payload::Template,
    product::{Product, Shape},
    report::{Bound::AtMost, Row},
    seed,
    sink::Sink,
    watch::{Watch, wait},
};

pub(crate) const UNIT: &str = "disk";
const CONNECTIONS: usize = 16;
const SCHEDULED: &str = "redialer_callbacks_scheduled_total";

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    for engine in bench.engines() {
        let sink = Sink::start().await?;
        let shape = Shape { engine, replicas: 1, tenants: 4, pace: 100.0 };
        let mut product = Product::set_up(bench, &shape, &sink).await?;
        product.stop()?;
        let before = seed::kilobytes(&product.database_url()?).await?;
        product.start(1).await?;
        let window = bench.secs(20, 4);
        let sent = saturate(&product.targets()?, &Template::analyzed()?, CONNECTIONS, window).await?;
        sent.all_taken()?;
        let (n, watch) = (sent.n() as f64, Watch::start());
        while product.counter(SCHEDULED).await? < n {
            anyhow::ensure!(watch.secs() < 120.0, "not everything was scheduled");
            wait(Duration::from_millis(100)).await;
        }
        product.stop()?;
        let after = seed::kilobytes(&product.database_url()?).await?;
        let of = |what: &str| format!("{}: {what}, per webhook of 10 KB", engine.name());
        let rows = after.rows - before.rows;
        let row = Row::new(UNIT, of("without captured payloads"), rows / n, "KB");
        bench.note(row.figure(AtMost(1.0), Some(AtMost(2.0))));
        bench.note(Row::new(UNIT, of("captured payloads"), (after.payloads - before.payloads) / n, "KB"));
    }
    Ok(())
}
