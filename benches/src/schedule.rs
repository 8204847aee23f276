//! Schedules many callbacks at once: `POST /v1/callbacks` from many connections, over all lines and replicas.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    payload::{OURS, next_serial, number},
    product::{ConnectedWorkspace, Product},
    sink::digits,
    watch::{Watch, now_ms, wait},
};

const WORKERS: usize = 32;
const TRIES: usize = 20;

/// The due time of each number, in microseconds since 1970.
pub(crate) type Due = HashMap<u64, i64>;

/// Far enough in the future that no benchmark reaches it.
pub(crate) const FAR_MS: i64 = 40 * 24 * 3_600_000;

/// Schedules one callback; returns its number and the due time in the response.
pub(crate) async fn one(
    http: &reqwest::Client,
    listen: &str,
    line: &ConnectedWorkspace,
    at_ms: i64,
) -> anyhow::Result<(u64, i64)> {
    let to = number(next_serial());
    let at = Timestamp::from_millisecond(at_ms)?.to_string();
    let body = json!({"agent_id": line.agent, "to_number": to, "from_number": OURS, "at": at});
    for _ in 0..TRIES {
        let request = http.post(format!("http://{listen}/v1/callbacks")).bearer_auth(&line.key).json(&body);
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::TOO_MANY_REQUESTS => {
                let header = |name| answer.headers().get(name)?.to_str().ok()?.parse().ok();
                let secs: u64 = header("retry-after").or_else(|| header("ratelimit-reset")).unwrap_or(1);
                wait(Duration::from_secs(secs.clamp(1, 60))).await;
            }
            StatusCode::CREATED => {
                let made: Value = answer.json().await?;
                let due: Timestamp = made["scheduled_for"].as_str().context("a time")?.parse()?;
                return Ok((digits(&to)?, due.as_microsecond()));
            }
            status => bail!("POST /v1/callbacks: {status}: {}", answer.text().await?),
        }
    }
    bail!("POST /v1/callbacks was answered 429 {TRIES} times")
}

/// Schedules `n` callbacks on all lines, due evenly over `over_ms` from `from_ms`.
pub(crate) async fn many(product: &Product, n: u64, from_ms: i64, over_ms: i64) -> anyhow::Result<Due> {
    many_on(product, &product.lines, n, from_ms, over_ms).await
}

/// The same on the given lines.
pub(crate) async fn many_on(
    product: &Product,
    lines: &[ConnectedWorkspace],
    n: u64,
    from_ms: i64,
    over_ms: i64,
) -> anyhow::Result<Due> {
    let lines = Arc::new(lines.to_vec());
    let listen: Arc<Vec<String>> = Arc::new(product.replicas.iter().map(|r| r.listen.clone()).collect());
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (lines, listen, http) = (Arc::clone(&lines), Arc::clone(&listen), product.http().clone());
        workers.spawn(async move {
            let mut due = Vec::new();
            for i in (worker as u64..n).step_by(WORKERS) {
                let at = from_ms + (i as f64 / n as f64 * over_ms as f64) as i64;
                let (line, listen) = (&lines[i as usize % lines.len()], &listen[i as usize % listen.len()]);
                due.push(one(&http, listen, line, at).await?);
            }
            anyhow::Ok(due)
        });
    }
    let mut all = Due::new();
    while let Some(some) = workers.join_next().await {
        all.extend(some??);
    }
    Ok(all)
}

/// Schedules `n` callbacks, due from a time that leaves enough time to schedule them all. Also returns that time.
pub(crate) async fn ahead(product: &Product, n: u64, over_ms: i64) -> anyhow::Result<(Due, i64)> {
    const PROBE: u64 = 256;
    let watch = Watch::start();
    many(product, PROBE, now_ms() + FAR_MS, 1_000).await?;
    let lead_ms = (watch.secs() / PROBE as f64 * n as f64 * 1_500.0) as i64 + 4_000;
    let from_ms = now_ms() + lead_ms;
    let due = many(product, n, from_ms, over_ms).await?;
    if now_ms() > from_ms - 500 {
        bail!("scheduling {n} callbacks took longer than the {lead_ms} ms set aside for it");
    }
    Ok((due, from_ms))
}
