//! Callbacks out: 10,000 due at once; how many a second reach the provider.

use super::dispatch;
use crate::{
    bench::{Bench, Engine},
    report::{Bound::AtLeast, Row},
};

pub(crate) const UNIT: &str = "burst";

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let n = dispatch::n(bench) as f64;
    let limit = n / dispatch::timer(bench, 0).await?.secs;
    for engine in bench.engines() {
        let (replicas, goal) = if engine == Engine::Sqlite { (1, 12_000.0) } else { (3, 9_000.0) };
        let dials = dispatch::product(bench, engine, replicas, 0).await?;
        let on = format!("{}, {}", engine.name(), dispatch::replicas_of(replicas));
        let row = Row::new(UNIT, format!("{on}: calls"), dials.lateness.len() as f64 / dials.secs, "/s");
        bench.note(row.beside("timer", limit).figure(AtLeast(goal), Some(AtLeast(4_000.0))));
        dispatch::once(bench, UNIT, &on, &dials);
        bench.note(Row::new(UNIT, format!("{on}: CPU a dial"), dials.cpu_us, "µs"));
    }
    Ok(())
}
