//! Outbound: 10,000 callbacks due at once; how many per second reach the provider.

use super::dispatch;
use crate::{
    bench::{Bench, Engine},
    report::{Bound::AtLeast, Row},
};

pub(crate) const UNIT: &str = "burst";

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let n = dispatch::n(bench);
    let limit = n as f64 / dispatch::timer(n, 0).await?.secs;
    for engine in bench.engines() {
        let replicas = if engine == Engine::Sqlite { 1 } else { 3 };
        let dials = dispatch::product(bench, engine, replicas, n, 0).await?;
        let on = format!("{}, {}", engine.name(), dispatch::replicas_of(replicas));
        let row = Row::new(UNIT, format!("{on}: calls"), dials.lateness.len() as f64 / dials.secs, "/s");
        bench.note(row.beside("timer", limit).ratio(AtLeast(0.5), Some(AtLeast(0.2))));
        dispatch::once(bench, UNIT, &on, &dials);
        bench.note(Row::new(UNIT, format!("{on}: CPU per dial"), dials.cpu_us, "µs"));
    }
    Ok(())
}
