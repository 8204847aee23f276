//! `redialer keys`: rotates encryption keys while servers run.
//!
//! Invariants: only one such command runs at a time. An interrupted rotation is resumed by the next run, before a new one starts.

use std::{fs::File, time::Duration};

use anyhow::Context as _;
use clap::{Subcommand, value_parser};
use redialer_core::{Id, id, rng::Rng};
use redialer_kek::Kek;
use redialer_store::{Rotated, Store};

use crate::{
    cli::{database, say},
    clock::{self, Clock},
    config::Config,
};

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Add a new key-encryption key to the key file without using it, to be copied to every replica before `rotate`
    Prepare,
    /// Give every tenant a new key and re-encrypt all data, or resume an interrupted rotation
    Rotate {
        /// Seconds for which a replica may still use a key that it opened earlier
        #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..))]
        settle: u64,
        /// Only rewrap the tenants' keys; do not replace them
        #[arg(long)]
        wrap_only: bool,
        /// All replicas read the same key file, so none needs a copy first
        #[arg(long)]
        one_file: bool,
    },
    /// Delete old keys that are no longer used: tenants' old keys, and all but the current one in the key file
    Retire,
    /// Destroy a tenant's key: its data can never be read again, in backups made with `--keys` either. This cannot be undone
    Destroy {
        /// The tenant's id, as `tn_…`
        #[arg(long)]
        tenant: Id<id::Tenant>,
        /// The tenant's name, as a confirmation
        #[arg(long)]
        name: String,
    },
}

impl Keys {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = database::open(config).await?;
        let _file = lock(config)?;
        let lock = store.lock_keys().await?;
        let clock = Clock::follow_stored(&store).await?;
        let rotation = Rotation { store: &store, clock: &clock, rng: &clock::rng()? };
        let done = match self {
            Self::Prepare => rotation.prepare(),
            Self::Rotate { settle, wrap_only, one_file } => {
                rotation.rotate(Duration::from_secs(settle), wrap_only, one_file).await
            }
            Self::Retire => rotation.retire().await,
            Self::Destroy { tenant, name } => rotation.destroy(tenant, &name).await,
        };
        lock.release().await?;
        store.close().await;
        done
    }
}

/// Allows one such command at a time on an embedded database, until the process ends. Postgres has a lock of its own.
fn lock(config: &Config) -> anyhow::Result<Option<File>> {
    if config.database_url.is_some() {
        return Ok(None);
    }
    let path = config.data_dir.join("keys.lock");
    let file = File::create(&path).with_context(|| format!("data_dir: {} cannot be made", path.display()))?;
    file.try_lock().map_err(|_| anyhow::anyhow!("another `redialer keys` is under way"))?;
    Ok(Some(file))
}

/// Slightly longer than any process caches a row.
const REMEMBERED: Duration = Duration::from_secs(2);

struct Rotation<'a> {
    store: &'a Store,
    clock: &'a Clock,
    rng: &'a Rng,
}

impl Rotation<'_> {
    fn prepare(&self) -> anyhow::Result<()> {
        let Kek::File(file) = self.store.kek() else {
            anyhow::bail!("kek: the key is at a key service; new versions of it are made there");
        };
        file.prepare(self.rng)?;
        say(
            "A new key is in the key file and not in use: copy the file to every other replica, and back it up.",
        );
        say("Then run `redialer keys rotate`.");
        Ok(())
    }

    async fn rotate(&self, settle: Duration, wrap_only: bool, one_file: bool) -> anyhow::Result<()> {
        let goes_on = self.rewrap().await? | (self.store.unfinished().await? > 0);
        if !goes_on {
            if let Kek::File(file) = self.store.kek() {
                anyhow::ensure!(
                    one_file || file.is_prepared() || !self.store.is_shared(),
                    "replicas that have copies of the key file must have the new key first: run `redialer keys prepare`, copy the file, then rotate; or say --one-file if all read the same"
                );
                file.add(self.rng)?;
                say("A new key-encryption key stands first in the key file: back it up.");
            }
            // The last rotation is complete, so the old keys that it left can be dropped.
            self.store.drop_old_keys().await?;
            self.rewrap().await?;
        }
        if !wrap_only {
            self.tenants(settle).await?;
        }
        say(
            "Old keys still decrypt old data. Run `redialer keys retire` once all replicas use the new keys.",
        );
        say("If backups are made with `--keys`, make one first: it carries their keys over.");
        Ok(())
    }

    /// Gives all tenants new keys: publishes them, puts them into use, and re-encrypts all data.
    async fn tenants(&self, settle: Duration) -> anyhow::Result<()> {
        if self.store.unfinished().await? == 0 {
            let published = self.store.publish_next_keys(self.rng).await?;
            say(&format!("New keys of tenants published: {}.", published.done));
        }
        self.clock.wait(settle).await;
        let promoted = self.store.promote_keys(self.clock.now()).await?;
        say(&format!("Keys of tenants now in use: {}.", promoted.done));
        self.clock.wait(settle).await;
        self.reseal().await
    }

    /// Re-encrypts data that is sealed with old keys; rows that change meanwhile are picked up by the next pass.
    async fn reseal(&self) -> anyhow::Result<()> {
        loop {
            let Rotated { done, left, broken } = self.store.reseal(self.rng).await?;
            say(&format!("Values resealed: {done}."));
            if left == 0 {
                anyhow::ensure!(broken == 0, "{broken} values do not open; the log names them");
                return Ok(());
            }
        }
    }

    /// Rewraps all tenant keys that are not wrapped with the current key. Returns whether there were any.
    async fn rewrap(&self) -> anyhow::Result<bool> {
        let mut all = 0;
        loop {
            let Rotated { done, left, .. } = self.store.rewrap_keys(self.rng).await?;
            all += done;
            if left == 0 {
                break;
            }
        }
        if all > 0 {
            // Until then other processes may use the rows that they have cached.
            self.clock.wait(REMEMBERED).await;
            say(&format!("Tenant keys rewrapped: {all}."));
        }
        Ok(all > 0)
    }

    async fn retire(&self) -> anyhow::Result<()> {
        self.rewrap().await?;
        self.reseal().await?;
        let dropped = self.store.drop_old_keys().await?;
        say(&format!("Old keys of tenants dropped: {}.", dropped.done));
        anyhow::ensure!(
            dropped.left == 0,
            "{} tenants' old keys are still in use: go on with `rotate`",
            dropped.left
        );
        if let Kek::File(file) = self.store.kek() {
            file.retire()?;
            say(
                "The key file holds the current key alone. Backups made before the rotation need the file of then.",
            );
        }
        Ok(())
    }

    async fn destroy(&self, tenant: Id<id::Tenant>, name: &str) -> anyhow::Result<()> {
        let tenant = self.store.tenant(tenant).await.context("--tenant")?;
        anyhow::ensure!(tenant.name == name, "--name: that tenant is called otherwise");
        self.store.destroy_key(&tenant, self.clock.now()).await?;
        say("Its key is destroyed, its API keys are revoked, its members and workspaces gone.");
        say(
            "Copies of the wrapped key may be left in backups made with keys, in older keyrings and in the database's own logs:",
        );
        say("delete those, write a new keyring (`backup --keys`), and make the copies worthless with");
        say("`keys rotate --wrap-only` and `keys retire`.");
        Ok(())
    }
}
