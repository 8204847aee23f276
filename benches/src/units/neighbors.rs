//! A well-behaved tenant and a hostile one on the same server: webhooks without pause, huge bodies, clients that do not read or send
//! very slowly, pollers (I42). Measures the latency of the first tenant's webhooks and the lateness of its dials.
//!
//! The clients share the machine with the server, so their CPU use worsens the figures.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use super::{
    dispatch::{Dials, compared},
    soak::{MAX_RSS_MB, Sample, is_flat},
};
use crate::{
    bench::{Bench, Engine},
    load::{Connection, Target},
    payload::{Request, Template, analysis, call, next_serial, number, time},
    product::{ConnectedWorkspace, Product, Shape},
    say, schedule,
    sink::{Sink, digits},
    stats::Sorted,
    watch::{Watch, now_ms, wait},
};

/// Webhooks per second of the well-behaved tenant; each requests a callback.
const RATE: u64 = 20;
/// Time from a webhook to its callback.
const DUE_AFTER_MS: i64 = 15_000;
const MAX_WEBHOOK_MS: f64 = 1_000.0;
const MAX_LATE_MS: f64 = 5_000.0;
/// Distinct events of the flood per second; limited, because each grows the database and the disk is finite.
const FLOOD_RATE: u64 = 300;
const REPEATERS: usize = 4;
const HUGE: usize = 2;
const HUGE_BYTES: usize = 9 << 20;
const SILENT: usize = 32;
const SILENT_FOR: Duration = Duration::from_secs(20);
const POLLERS: usize = 24;
const SAMPLE_SECS: u64 = 10;
/// The well-behaved tenant connects from its own address.
const ITS_ADDRESS: &str = "127.0.0.2:0";

pub(crate) async fn run(minutes: u64) -> anyhow::Result<()> {
    let bench = Bench::begin(false)?;
    let mut failed = false;
    for engine in bench.engines() {
        failed |= !on(&bench, engine, minutes * 60).await?;
    }
    if failed {
        bail!("one tenant got in the way of another");
    }
    Ok(())
}

async fn on(bench: &Bench, engine: Engine, secs: u64) -> anyhow::Result<bool> {
    let sink = Sink::start().await?;
    let shape = Shape { engine, replicas: 1, tenants: 2, pace: 50.0 };
    let mut product = Product::set_up(bench, &shape, &sink).await?;
    let targets = product.targets()?;
    let (quiet, hostile) = (targets[0].clone(), targets[1].clone());
    let line = product.lines[1].clone();
    let url = format!("http://{}", product.replicas[0].listen);
    let mut others = JoinSet::new();
    disturb(&mut others, &hostile, &line, &url, product.http())?;
    let calls = tokio::spawn(behave(quiet, secs));
    let samples = watched(&mut product, secs).await?;
    let (latencies, refused, due) = calls.await??;
    wait(Duration::from_secs(DUE_AFTER_MS.unsigned_abs() / 1_000 + 10)).await;
    others.shutdown().await;
    let from_ms = due.values().min().context("a call")? / 1_000;
    let dials = compared(&sink, &due, from_ms, 0.0);
    product.stop()?;
    Ok(judged(engine, &latencies, refused, &dials, &samples))
}

/// Sends webhooks at `RATE`, each requesting a callback soon.
async fn behave(target: Target, secs: u64) -> anyhow::Result<(Sorted, usize, schedule::Due)> {
    let mut event = json!({"event": "call_analyzed", "call": call("inbound", "user_hangup")});
    event["call"]["call_analysis"] = analysis(true);
    let template = Template::new(&event, Vec::new())?;
    let mut request = Request::new(&template, &target.address.to_string(), &target.path)?;
    let mut connection = Connection::open_from(ITS_ADDRESS.parse()?, target.address).await?;
    let (watch, mut took, mut refused, mut due) = (Watch::start(), Vec::new(), 0, schedule::Due::new());
    for turn in 0..secs * RATE {
        let planned = turn * 1_000_000 / RATE;
        watch.wait_for(planned).await;
        let serial = next_serial();
        // Requested times are whole seconds.
        let at_ms = (now_ms() + DUE_AFTER_MS) / 1_000 * 1_000;
        let status = connection.ask(request.patched_for(serial, serial, Some(&time(at_ms)))).await?;
        took.push((watch.us() - planned) as f64 / 1e3);
        if (200..300).contains(&status) {
            due.insert(digits(&number(serial))?, at_ms * 1_000);
        } else {
            refused += 1;
        }
    }
    Ok((Sorted::new(took), refused, due))
}

/// Starts all clients of the hostile tenant; dropping `all` stops them.
fn disturb(
    all: &mut JoinSet<anyhow::Result<()>>,
    target: &Target,
    line: &ConnectedWorkspace,
    url: &str,
    http: &reqwest::Client,
) -> anyhow::Result<()> {
    let mut event = json!({"event": "call_analyzed", "call": call("inbound", "user_hangup")});
    event["call"]["call_analysis"] = analysis(false);
    let small = Template::new(&event, Vec::new())?;
    event["pad"] = "x".repeat(HUGE_BYTES).into();
    let huge = Template::new(&event, Vec::new())?;
    all.spawn(flood(target.clone(), Arc::clone(&small)));
    for _ in 0..REPEATERS {
        all.spawn(repeat(target.clone(), Arc::clone(&small), Duration::ZERO));
    }
    for _ in 0..HUGE {
        all.spawn(repeat(target.clone(), Arc::clone(&huge), Duration::from_millis(300)));
    }
    for i in 0..SILENT {
        all.spawn(keep_silent(target.clone(), i % 2 == 0));
    }
    for _ in 0..POLLERS {
        let (http, url, key) = (http.clone(), format!("{url}/v1/attention"), line.key.clone());
        all.spawn(async move {
            loop {
                // A refused poll is retried after a pause.
                let answer = http.get(&url).bearer_auth(&key).send().await;
                if !answer.is_ok_and(|a| a.status().is_success()) {
                    wait(Duration::from_millis(100)).await;
                }
            }
        });
    }
    Ok(())
}

async fn flood(target: Target, template: Arc<Template>) -> anyhow::Result<()> {
    let mut request = Request::new(&template, &target.address.to_string(), &target.path)?;
    loop {
        let Ok(mut connection) = Connection::open(target.address).await else {
            wait(Duration::from_millis(100)).await;
            continue;
        };
        let watch = Watch::start();
        for turn in 0.. {
            watch.wait_for(turn * 1_000_000 / FLOOD_RATE).await;
            let serial = next_serial();
            if connection.ask(request.patched(serial, serial)).await.is_err() {
                break;
            }
        }
    }
}

/// Sends one event repeatedly.
async fn repeat(target: Target, template: Arc<Template>, every: Duration) -> anyhow::Result<()> {
    let mut request = Request::new(&template, &target.address.to_string(), &target.path)?;
    let serial = next_serial();
    loop {
        let Ok(mut connection) = Connection::open(target.address).await else {
            wait(Duration::from_millis(100)).await;
            continue;
        };
        while connection.ask(request.patched(serial, serial)).await.is_ok() {
            wait(every).await;
        }
        wait(Duration::from_millis(50)).await;
    }
}

/// With `asks`, a client that sends many requests and reads no response; without, one that sends its body a byte per
/// second.
async fn keep_silent(target: Target, asks: bool) -> anyhow::Result<()> {
    let host = target.address;
    let list = format!("GET /openapi.json HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(50);
    let head = format!("POST {} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 9000000\r\n\r\n", target.path);
    loop {
        let Ok(mut stream) = TcpStream::connect(host).await else {
            wait(Duration::from_millis(100)).await;
            continue;
        };
        let written = stream.write_all(if asks { list.as_bytes() } else { head.as_bytes() }).await;
        let watch = Watch::start();
        while written.is_ok() && watch.secs() < SILENT_FOR.as_secs_f64() {
            wait(Duration::from_secs(1)).await;
            if !asks && stream.write_all(b"x").await.is_err() {
                break;
            }
        }
    }
}

async fn watched(product: &mut Product, secs: u64) -> anyhow::Result<Vec<Sample>> {
    let (watch, mut samples) = (Watch::start(), Vec::new());
    for second in (SAMPLE_SECS..=secs).step_by(usize::try_from(SAMPLE_SECS)?) {
        watch.wait_for(second * 1_000_000).await;
        let process = &mut product.replicas[0].process;
        process.must_run()?;
        samples.push(Sample {
            minutes: watch.secs() / 60.0,
            rss_mb: process.rss_mb()?,
            files: process.files()?,
        });
    }
    Ok(samples)
}

fn judged(engine: Engine, webhooks: &Sorted, refused: usize, dials: &Dials, samples: &[Sample]) -> bool {
    let (p99, longest) = (webhooks.at(0.99), webhooks.at(1.0));
    let (late, latest) = (dials.lateness.at(0.99), dials.lateness.at(1.0));
    let n = webhooks.len();
    let highest = samples.iter().map(|s| s.rss_mb).fold(0.0, f64::max);
    let (flat, slope) = is_flat(samples);
    let checks = [
        (format!("webhooks p99 {p99:.1} ms of {n}, longest {longest:.0}"), p99 < MAX_WEBHOOK_MS),
        (format!("{refused} webhooks turned away"), refused == 0),
        (
            format!("dials p99 {late:.1} ms late of {}, latest {latest:.0}", dials.lateness.len()),
            late < MAX_LATE_MS,
        ),
        (
            format!("{} dials missing, {} dialed twice", dials.missing, dials.repeated),
            dials.missing + dials.repeated == 0,
        ),
        (format!("RSS at most {highest:.0} MB, bound {MAX_RSS_MB}"), highest < MAX_RSS_MB),
        (format!("RSS flat: {slope}"), flat),
    ];
    for (text, holds) in &checks {
        say(&format!("{} {}: {text}", if *holds { "holds:" } else { "FAILS:" }, engine.name()));
    }
    checks.iter().all(|(_, holds)| *holds)
}
