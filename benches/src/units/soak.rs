//! Runs a server under load for minutes, against the simulator and its faults. Checks that its memory stays bounded, that
//! it keeps responding, and that no phone rings twice.
//!
//! Invariant: only the server's memory is judged, because the simulator keeps every call it ever placed.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    bench::{Bench, Engine},
    load::{Connection, Target},
    payload::{AGENT, KEY, OURS, Request, Template, analysis, call, next_serial, time},
    process::Process,
    product::{Product, free_port},
    say,
    stats::{mean, slope},
    watch::{Watch, now_ms, wait},
};

const RATE: u64 = 500;
const CONNECTIONS: u64 = 8;
const SAMPLE_SECS: u64 = 10;
/// Time for work in progress to finish after the load ends.
const AFTERMATH: Duration = Duration::from_secs(20);
pub(super) const MAX_RSS_MB: f64 = 512.0;
/// Without the faults that pause a workspace, because the rest of the run would test nothing.
const FAULTS: [&str; 9] = [
    "error_before",
    "error_after",
    "drop_reply",
    "drop_request",
    "silence",
    "html",
    "html_ok",
    "throttled",
    "do_not_call",
];

/// The server's state at one moment.
pub(super) struct Sample {
    pub(super) minutes: f64,
    pub(super) rss_mb: f64,
    pub(super) files: usize,
}

pub(crate) async fn run(minutes: u64) -> anyhow::Result<()> {
    let bench = Bench::begin(false)?;
    let (sim, sim_url) = simulator(&bench)?;
    let settings = [("REDIALER_PLACE_DEADLINE_SECS", "5".to_owned())];
    let mut product = Product::install(&bench, Engine::Sqlite, 1, &sim_url, &settings).await?;
    product.start(1).await?;
    product.connect(100.0).await?;
    product.defaults(&json!({"retry_triggers": {"no_answer": {"wait_minutes": 1}}})).await?;
    let target = product.targets()?.pop().context("a webhook")?;
    let webhook = format!("http://{}{}", target.address, target.path);
    product
        .http()
        .put(format!("{sim_url}/sim/webhook-url"))
        .json(&webhook)
        .send()
        .await?
        .error_for_status()?;

    let sent = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn(load(target, minutes * 60, Arc::clone(&sent)));
    let samples = watched(&mut product, &sim_url, minutes * 60, &sent).await?;
    let statuses = load.await??;
    wait(AFTERMATH).await;
    product.replicas[0].process.must_run()?;
    let rings = product.http().get(format!("{sim_url}/sim/rings")).send().await?.json().await?;
    product.stop()?;
    sim.end()?;
    judged(&samples, &statuses, &rings)
}

/// Starts `redialer sim retell` with our agent, enough lines for all calls, and short calls.
fn simulator(bench: &Bench) -> anyhow::Result<(Process, String)> {
    let script = json!({"api_key": KEY, "concurrency_limit": 100_000, "reserved_inbound_concurrency": 0,
        "ring_seconds": 0.5, "talk_seconds": 1.0, "analysis_seconds": 0.5,
        "agents": [{"agent_id": AGENT, "agent_name": "Front desk", "channel": "voice",
                    "timezone": "America/New_York"}],
        "numbers": [{"phone_number": OURS, "agent_id": AGENT}]});
    let path = bench.root().join("world.json");
    fs::write(&path, script.to_string())?;
    let listen = free_port()?;
    let mut command = std::process::Command::new(&bench.binary);
    command.env_clear().env("REDIALER_LOG", "error").current_dir(bench.root());
    command.args(["sim", "retell", "--listen", &listen, "--script"]).arg(path);
    Ok((Process::start(&mut command)?, format!("http://{listen}")))
}

/// The events of one call, in order.
struct Stories {
    /// An inbound call: started, ended, analyzed without and with a callback request.
    inbound: [Arc<Template>; 4],
    /// An unanswered outbound call of the account's own: ended, analyzed.
    unanswered: [Arc<Template>; 2],
}

impl Stories {
    fn new() -> anyhow::Result<Self> {
        let event = |name: &str, direction: &str, reason: &str, asks: Option<bool>| {
            let mut event = json!({"event": name, "call": call(direction, reason)});
            if let Some(asks) = asks {
                event["call"]["call_analysis"] = analysis(asks);
            }
            Template::new(&event, Vec::new())
        };
        Ok(Self {
            inbound: [
                event("call_started", "inbound", "user_hangup", None)?,
                event("call_ended", "inbound", "user_hangup", None)?,
                event("call_analyzed", "inbound", "user_hangup", Some(false))?,
                event("call_analyzed", "inbound", "user_hangup", Some(true))?,
            ],
            unanswered: [
                event("call_ended", "outbound", "dial_no_answer", None)?,
                event("call_analyzed", "outbound", "dial_no_answer", Some(false))?,
            ],
        })
    }

    /// One call in ten requests a callback, one in twenty is unanswered; every third call sends its last event twice.
    fn templates_of(&self, call: u64) -> Vec<&Arc<Template>> {
        let [started, ended, done, requested] = &self.inbound;
        let mut events = match call % 20 {
            0 | 10 => vec![started, ended, requested],
            5 => self.unanswered.iter().collect(),
            _ => vec![started, ended, done],
        };
        if call.is_multiple_of(3) {
            events.extend_from_within(events.len() - 1..);
        }
        events
    }
}

/// Sends calls' events at the rate; returns how often each status occurred.
async fn load(target: Target, secs: u64, sent: Arc<AtomicUsize>) -> anyhow::Result<BTreeMap<u16, u64>> {
    let (watch, mut all) = (Watch::start(), JoinSet::new());
    let target = Arc::new(target);
    for i in 0..CONNECTIONS {
        let (target, sent) = (Arc::clone(&target), Arc::clone(&sent));
        all.spawn(async move {
            let stories = Stories::new()?;
            let mut connection = Connection::open(target.address).await?;
            let mut statuses = BTreeMap::new();
            let mut turn = i;
            while watch.secs() < secs as f64 {
                let call = next_serial();
                for template in stories.templates_of(call) {
                    watch.wait_for(turn * 1_000_000 / RATE).await;
                    turn += CONNECTIONS;
                    let mut request = Request::new(template, &target.address.to_string(), &target.path)?;
                    let soon = time(now_ms() + 5_000 + i64::try_from(call % 20)? * 1_000);
                    // Callers call again, some while their callback is waiting.
                    let status =
                        connection.ask(request.patched_for(call, call % 50_000, Some(&soon))).await?;
                    *statuses.entry(status).or_insert(0_u64) += 1;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(statuses)
        });
    }
    let mut sum = BTreeMap::new();
    while let Some(one) = all.join_next().await {
        for (status, n) in one?? {
            *sum.entry(status).or_insert(0) += n;
        }
    }
    Ok(sum)
}

/// Injects a fault every second and samples the server every ten seconds.
async fn watched(
    product: &mut Product,
    sim_url: &str,
    secs: u64,
    sent: &AtomicUsize,
) -> anyhow::Result<Vec<Sample>> {
    say("minute    RSS MB  files     sent  processed  scheduled   dialed");
    let (watch, mut samples, mut rng) = (Watch::start(), Vec::new(), 0x2545_f491_4f6c_dd1d_u64);
    for second in 1..=secs {
        watch.wait_for(second * 1_000_000).await;
        // Xorshift with a fixed seed: the same faults in every run.
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        let fault = FAULTS[(rng % FAULTS.len() as u64) as usize];
        product.http().post(format!("{sim_url}/sim/faults")).json(&json!(fault)).send().await?;
        if second % SAMPLE_SECS > 0 {
            continue;
        }
        let process = &mut product.replicas[0].process;
        process.must_run()?;
        let (minutes, rss_mb, files) = (watch.secs() / 60.0, process.rss_mb()?, process.files()?);
        samples.push(Sample { minutes, rss_mb, files });
        let processed = product.counter("redialer_events_processed_total").await?;
        let scheduled = product.counter("redialer_callbacks_scheduled_total").await?;
        let dialed = product.counter("redialer_dials_total").await?;
        let sent = sent.load(Ordering::Relaxed);
        say(&format!(
            "{minutes:>6.1} {rss_mb:>9.1} {files:>6} {sent:>8} {processed:>10} {scheduled:>10} {dialed:>8}"
        ));
    }
    Ok(samples)
}

/// Whether memory use is flat, and the trend in words.
pub(super) fn is_flat(samples: &[Sample]) -> (bool, String) {
    let rss: Vec<f64> = samples.iter().map(|s| s.rss_mb).collect();
    let third = rss.len() / 3;
    let (middle, last) = (mean(&rss[third..2 * third]), mean(&rss[2 * third..]));
    let second_half: Vec<_> = samples[samples.len() / 2..].iter().map(|s| (s.minutes, s.rss_mb)).collect();
    let slope = slope(&second_half);
    let words = format!("{slope:+.2} MB a minute over the second half, thirds {middle:.0} and {last:.0} MB");
    (slope < 1.0 || last <= 1.15 * middle, words)
}

fn judged(samples: &[Sample], statuses: &BTreeMap<u16, u64>, rings: &Value) -> anyhow::Result<()> {
    let mut by_dispatch: HashMap<&str, u64> = HashMap::new();
    let rings = rings.as_array().context("a list of rings")?;
    for ring in rings {
        let dispatch = ring["request"]["metadata"]["redialer_dispatch"].as_str().context("a dispatch")?;
        *by_dispatch.entry(dispatch).or_default() += 1;
    }
    let double = by_dispatch.values().filter(|n| **n > 1).count();
    let highest = samples.iter().map(|s| s.rss_mb).fold(0.0, f64::max);
    let (flat, slope) = is_flat(samples);
    let files = samples.iter().map(|s| s.files).max().unwrap_or(0);
    let is_fault = |status: &u16| !(200..300).contains(status) && *status != 503;
    let checks = [
        (format!("answers {statuses:?}, nothing but 2xx and 503"), !statuses.keys().any(is_fault)),
        (format!("RSS at most {highest:.0} MB, bound {MAX_RSS_MB}"), highest < MAX_RSS_MB),
        (format!("RSS flat: {slope}"), flat),
        (format!("{} phones rang, {double} of them twice for one dispatch", rings.len()), double == 0),
        (format!("at most {files} open files"), files < 1_024),
    ];
    for (text, holds) in &checks {
        say(&format!("{} {text}", if *holds { "holds:" } else { "FAILS:" }));
    }
    if checks.iter().any(|(_, holds)| !holds) {
        bail!("the soak failed");
    }
    Ok(())
}
