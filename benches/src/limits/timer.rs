//! Limit: requests sent at their times from memory, nothing durable, each over its own connection like the product's.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    payload::{KEY, OURS, number},
    product::client_builder,
    watch::wait_until_us,
};

/// Concurrent requests: enough for 50,000 per second at a response time of 20 ms, and no queue overflows.
const UNDER_WAY: usize = 1_024;

/// The requests to send: target, number and times.
#[derive(Args, Clone)]
pub(crate) struct Plan {
    #[arg(long, default_value = "")]
    pub(crate) url: String,
    #[arg(long, default_value_t = 0)]
    pub(crate) n: u64,
    /// Time of the first request, in milliseconds since 1970
    #[arg(long, default_value_t = 0)]
    pub(crate) from_ms: i64,
    /// Period over which the requests are spread, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub(crate) over_ms: i64,
}

impl Plan {
    /// When request `i` is due, in milliseconds since 1970.
    pub(crate) fn due_ms(&self, i: u64) -> i64 {
        let part = i as f64 / self.n.max(1) as f64;
        self.from_ms + (part * self.over_ms as f64) as i64
    }
}

pub(super) async fn run(plan: &Plan) -> anyhow::Result<()> {
    let client = client_builder(Duration::from_secs(120))?.pool_max_idle_per_host(0).build()?;
    let url = format!("{}/v2/create-phone-call", plan.url);
    let (mut sent, room) = (JoinSet::new(), Arc::new(Semaphore::new(UNDER_WAY)));
    for i in 0..plan.n {
        let body = json!({"from_number": OURS, "to_number": number(i)}).to_string();
        wait_until_us(plan.due_ms(i) * 1_000).await;
        let request =
            client.post(&url).bearer_auth(KEY).header("content-type", "application/json").body(body);
        let permit = Arc::clone(&room).acquire_owned().await?;
        sent.spawn(async move {
            let answer = request.send().await;
            drop(permit);
            answer
        });
    }
    while let Some(answer) = sent.join_next().await {
        answer?.context("the sink answers")?.error_for_status()?;
    }
    Ok(())
}
