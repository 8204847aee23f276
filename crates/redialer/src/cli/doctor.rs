//! `redialer doctor`: is everything there that a server needs? Read-only: it makes no file, no table and no call.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use redialer_core::{Id, Timestamp};
use redialer_kek::{Kek, KeyFile, Transit};
use redialer_providers::{http::Clients, retell::api::Api};
use redialer_store::{Store, TenantRow};
use serde_json::{Value, json};

use super::say;
use crate::{
    clock::{self, Clock},
    config::Config,
};

#[derive(Args)]
pub(super) struct Doctor {
    /// Print one line of JSON for each check
    #[arg(long)]
    json: bool,
}

/// A database's clock may be so far from ours: beyond it whoever reads both is misled.
const CLOCKS_APART_MS: i64 = 10 * 60 * 1_000;
/// Workspaces whose keys are tried, of each tenant.
const WORKSPACES: i64 = 200;

impl Doctor {
    /// Whether all is well.
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<bool> {
        let mut ward = Ward { json: self.json, well: true };
        ward.note("config", Ok(effective(config)));
        let store = match opened(config).await {
            Ok(store) => store,
            Err(error) => {
                ward.note("database", Err(error));
                return Ok(false);
            }
        };
        ward.note("database", database(&store).await);
        ward.note("key service", key_service(&store, config).await);
        ward.note("clock", clocks(&store, config).await);
        if ward.well {
            providers(&mut ward, &store, config).await?;
        }
        store.close().await;
        Ok(ward.well)
    }
}

/// What was found so far.
struct Ward {
    json: bool,
    well: bool,
}

impl Ward {
    fn note(&mut self, what: &str, found: anyhow::Result<String>) {
        let (ok, told) = match found {
            Ok(told) => (true, told),
            Err(error) => (false, format!("{error:#}")),
        };
        self.well &= ok;
        say(&match self.json {
            true => json!({"check": what, "ok": ok, "message": told}).to_string(),
            false => format!("{} {what}: {told}", if ok { "ok  " } else { "FAIL" }),
        });
    }
}

/// The settings in force, without what is secret in them.
fn effective(config: &Config) -> String {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Some(Value::String(url)) = value.get_mut("database_url") {
        *url = masked(url);
    }
    value.to_string()
}

/// A URL without its password, which may stand in its query too.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, place)) => format!("{scheme}://{}:…@{place}", user.split(':').next().unwrap_or_default()),
        None => format!("{scheme}://{rest}"),
    }
}

/// The database as it stands: nothing is made and nothing migrated.
async fn opened(config: &Config) -> anyhow::Result<Store> {
    let chance = clock::chance()?;
    let kek = match config.key_service()? {
        Some(settings) => Kek::Transit(Transit::begin(settings)?),
        None => {
            let file = config.kek_file();
            anyhow::ensure!(
                file.exists(),
                "there is no key file {}: `redialer serve` makes one",
                file.display()
            );
            Kek::File(KeyFile::open(&file, &chance)?)
        }
    };
    match &config.database_url {
        Some(url) => Ok(Store::postgres(url, kek).await?),
        None => {
            let file = config.database_file();
            anyhow::ensure!(file.exists(), "there is no {}: `redialer serve` makes one", file.display());
            Ok(Store::sqlite(&file, kek).await?)
        }
    }
}

async fn database(store: &Store) -> anyhow::Result<String> {
    store.ping().await?;
    let (applied, known) = store.schema().await?;
    anyhow::ensure!(applied >= known, "{} migrations wait: run `redialer migrate`", known - applied);
    anyhow::ensure!(applied == known, "its schema is newer than this version");
    let guard = match (store.is_shared(), store.finds_guard().await?) {
        (false, _) => "",
        (true, true) => "; tenants' rows are kept apart by the database",
        (true, false) => {
            "; WARNING: the role redialer_tenant is not there, rows are kept apart by statements alone"
        }
    };
    Ok(format!("answers, {applied} migrations{guard}"))
}

async fn key_service(store: &Store, config: &Config) -> anyhow::Result<String> {
    let proven = store.key_opens().await?;
    let file = config.kek_file();
    if config.key_service()?.is_none() {
        is_private(&file)?;
    }
    let told = if proven { "opens the data" } else { "answers; nothing is sealed yet" };
    Ok(match store.kek() {
        Kek::File(keys) => format!("{} holds {} keys and {told}", file.display(), keys.len()),
        Kek::Transit(_) => told.to_owned(),
    })
}

#[cfg(unix)]
fn is_private(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file)?.permissions().mode() & 0o777;
    anyhow::ensure!(mode & 0o077 == 0, "{} can be read by others (mode {mode:o}): chmod 600", file.display());
    Ok(())
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

async fn clocks(store: &Store, config: &Config) -> anyhow::Result<String> {
    let ours = Clock::start(1).real_ms();
    if let Some(row) = store.clock().await? {
        let speed = i64::from(config.clock_speed);
        anyhow::ensure!(
            row.speed == 1 || row.speed == speed,
            "the last server ran {} times as fast",
            row.speed
        );
    }
    let Some(theirs) = store.database_now_ms().await? else { return Ok("this machine's".to_owned()) };
    let apart = theirs - ours;
    anyhow::ensure!(apart.abs() < CLOCKS_APART_MS, "the database's clock is {} s from ours", apart / 1_000);
    Ok(format!("the database's, {apart} ms from ours"))
}

/// Every workspace's provider key: a read that changes nothing.
async fn providers(ward: &mut Ward, store: &Store, config: &Config) -> anyhow::Result<()> {
    let api = Api::new(Clients::new(config.place_deadline())?, &config.retell_base_url);
    for tenant in store.tenants().await? {
        let of = store.of(tenant.id);
        let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
        for workspace in of.workspaces(first, WORKSPACES).await? {
            let what = format!("provider of {} {}", workspace.id, workspace.name);
            ward.note(&what, probed(store, &api, &tenant, &workspace).await);
        }
    }
    Ok(())
}

async fn probed(
    store: &Store,
    api: &Api,
    tenant: &TenantRow,
    workspace: &redialer_store::WorkspaceRow,
) -> anyhow::Result<String> {
    let key = store.open_key(tenant.id).await?;
    api.probe(&workspace.api_key(&key)?).await.context("the key")?;
    Ok(match workspace.paused {
        Some((why, since)) => format!("its key is good; paused since {since} ({})", why.word()),
        None => "its key is good".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(masked("postgres://me:secret@host/db"), "postgres://me:…@host/db");
        assert_eq!(masked("postgres://me:se@cret@host/db"), "postgres://me:…@host/db");
        assert_eq!(masked("postgres://host/db?user=me&password=secret"), "postgres://host/db");
    }
}
