//! `redialer doctor`: checks everything that a server depends on. Read-only: it creates no file or table and places no call.

use anyhow::Context as _;
use clap::Args;
use redialer_core::{Id, Timestamp};
use redialer_kek::Kek;
use redialer_providers::Providers;
use redialer_store::{Store, TenantRow};
use serde_json::{Value, json};

use crate::{
    cli::{
        database, say, serve,
        warnings::{self, Warning},
    },
    clock::Clock,
    config::{Config, ServerFlags},
};

#[derive(Args)]
pub(crate) struct Doctor {
    /// Print one line of JSON for each check
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ServerFlags,
}

/// The largest allowed difference between a database server's clock and this machine's.
const CLOCKS_APART_MS: i64 = 10 * 60 * 1_000;
/// How far virtual time may be ahead of real time at speed 1, to allow for small corrections of the machine's clock.
const VIRTUAL_AHEAD_MS: i64 = 60 * 1_000;
/// The most workspaces of each tenant whose keys are checked.
const MAX_WORKSPACES: i64 = 200;

impl Doctor {
    /// Runs all checks. Returns whether they passed.
    pub(crate) async fn run(self) -> anyhow::Result<bool> {
        let config = &Config::load(&self.flags, &self.flags.storage.file)?;
        let mut report = Report { json: self.json, ok: true };
        report.note("config", Ok(changed_settings(config)));
        for warning in warnings::all(config) {
            report.warn(&warning);
        }
        let store = match database::open(config).await {
            Ok(store) => store,
            Err(error) => {
                report.note("database", Err(error));
                return Ok(false);
            }
        };
        let mut ok = report.note("database", answers(&store).await);
        ok &= report.note("key service", key_service(&store, config).await);
        report.note("clock", clocks(&store, config).await);
        if ok {
            providers(&mut report, &store, config).await?;
        }
        store.close().await;
        Ok(report.ok)
    }
}

/// Prints the checks, and whether all have passed so far.
struct Report {
    json: bool,
    ok: bool,
}

impl Report {
    /// Prints a check. Returns whether it passed.
    fn note(&mut self, what: &str, result: anyhow::Result<String>) -> bool {
        match result {
            Ok(message) => self.report(what, "ok", &message),
            Err(error) => self.report(what, "fail", &format!("{error:#}")),
        }
    }

    fn warn(&mut self, warning: &Warning) {
        let status = if warning.fails { "fail" } else { "warn" };
        self.report(warning.check, status, &warning.message);
    }

    fn report(&mut self, what: &str, status: &str, message: &str) -> bool {
        let ok = status != "fail";
        self.ok &= ok;
        say(&match (self.json, status) {
            (true, _) => json!({"check": what, "ok": ok, "status": status, "message": message}).to_string(),
            (false, "ok") => format!("ok   {what}: {message}"),
            (false, status) => format!("{} {what}: {message}", status.to_uppercase()),
        });
        ok
    }
}

/// The settings that differ from their defaults, without secrets.
fn changed_settings(config: &Config) -> String {
    let defaults = Config::default().values();
    let mut changed = config.values();
    changed.retain(|name, value| defaults.get(name) != Some(value));
    if let Some(Value::String(url)) = changed.get_mut("database_url") {
        *url = database::masked(url);
    }
    let changed: Vec<_> = changed.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    match changed.is_empty() {
        true => "all settings have their default values".to_owned(),
        false => changed.join(", "),
    }
}

/// Checks that the database responds. Its schema was checked when it was opened.
async fn answers(store: &Store) -> anyhow::Result<String> {
    store.ping().await?;
    let applied = store.schema().await?;
    let guard = match (store.is_shared(), store.has_tenant_role().await?) {
        (false, _) => "",
        (true, true) => "; the database isolates tenants with row-level security",
        (true, false) => {
            "; WARNING: the role redialer_tenant does not exist or is not granted, so tenants are separated by queries only"
        }
    };
    Ok(format!("the database is reachable; {applied} migrations are applied{guard}"))
}

async fn key_service(store: &Store, config: &Config) -> anyhow::Result<String> {
    let proven = store.key_opens().await?;
    let proof = if proven { "decrypts the data" } else { "is usable; nothing is encrypted yet" };
    let file = config.kek_file();
    Ok(match store.kek() {
        Kek::File(keys) if keys.count() == 1 => {
            format!("the key file {} contains one key, which {proof}", file.display())
        }
        Kek::File(keys) => {
            format!("the key file {} contains {} keys; the current one {proof}", file.display(), keys.count())
        }
        Kek::Transit(_) => format!("the key at the key service {proof}"),
    })
}

/// Compares the stored virtual clock with real time, and this machine's clock with the database's.
async fn clocks(store: &Store, config: &Config) -> anyhow::Result<String> {
    let speed = i64::from(config.clock_speed);
    let stored = store.clock().await?;
    if let Some(row) = stored {
        anyhow::ensure!(
            row.speed == speed,
            "the database was used with clock_speed {}, but clock_speed is {speed} now, so `redialer serve` refuses to start on it",
            row.speed
        );
    }
    let clock = Clock::follow_stored(store).await?;
    let ahead_ms = clock.now().as_millisecond() - clock.real_ms();
    anyhow::ensure!(
        speed > 1 || ahead_ms < VIRTUAL_AHEAD_MS,
        "the database's virtual clock is {} s ahead of real time, because the database was used with a faster clock. Webhook signatures would be rejected. Use another data directory or database",
        ahead_ms / 1_000
    );
    let virtual_time = match speed {
        1 => String::new(),
        _ => format!("; virtual time is {} and runs {speed} times as fast as real time", clock.now()),
    };
    let Some(theirs) = store.database_now_ms().await? else {
        return Ok(format!("this machine's clock is used{virtual_time}"));
    };
    let apart = theirs - Clock::start(1).real_ms();
    anyhow::ensure!(
        apart.abs() < CLOCKS_APART_MS,
        "the clocks of the database server and of this machine differ by {} s; synchronize both, for example with NTP",
        apart / 1_000
    );
    Ok(format!(
        "the database server's clock is used; it differs from this machine's by {apart} ms{virtual_time}"
    ))
}

/// Checks each workspace's provider key with a request that changes nothing.
async fn providers(report: &mut Report, store: &Store, config: &Config) -> anyhow::Result<()> {
    let providers = serve::providers(config)?;
    for tenant in store.tenants().await? {
        let tenant_store = store.for_tenant(tenant.id);
        let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
        for workspace in tenant_store.workspaces(first, MAX_WORKSPACES).await? {
            let what = format!("provider of {} {}", workspace.id, workspace.name);
            report.note(&what, probed(store, &providers, &tenant, &workspace).await);
        }
    }
    Ok(())
}

async fn probed(
    store: &Store,
    providers: &Providers,
    tenant: &TenantRow,
    workspace: &redialer_store::WorkspaceRow,
) -> anyhow::Result<String> {
    let key = store.open_key(tenant.id).await?;
    let provider = providers.get(&workspace.provider, false)?;
    provider.probe(&workspace.api_key(&key)?).await.context("the provider key could not be checked")?;
    let mut messages = vec!["the provider accepts the key".to_owned()];
    messages.extend(
        workspace
            .paused
            .map(|(why, since)| format!("the workspace has been paused since {since} ({})", why.as_str())),
    );
    if !workspace.missing_permissions.is_empty() {
        messages.push(format!("the key lacks the permissions {}", workspace.missing_permissions.join(", ")));
    }
    Ok(messages.join("; "))
}
