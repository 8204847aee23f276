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
    /// Add a new key-encryption key to the key file without using it yet. Copy the file to every replica, then run `rotate`
    Prepare,
    /// Replace the key-encryption key and every tenant's key, and re-encrypt all data. Resumes an interrupted rotation
    Rotate {
        /// How long each step waits, in seconds: at least the time for which a replica can keep using an unwrapped key
        #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..))]
        settle: u64,
        /// Replace only the key-encryption key: rewrap the tenants' keys and keep them
        #[arg(long)]
        wrap_only: bool,
        /// Declare that all replicas read the same key file, so `keys prepare` is not needed
        #[arg(long)]
        one_file: bool,
    },
    /// Delete old keys that are no longer used: the tenants' old keys, and every key in the key file except the current one
    Retire,
    /// Destroy a tenant's key, so that its data, including that in backups made with `--keys`, can no longer be decrypted. Backups that contain the key are not affected. This cannot be undone
    Destroy {
        /// The tenant's id (`tn_…`); `redialer tenant list` shows it
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
    let file =
        File::create(&path).with_context(|| format!("data_dir: {} cannot be created", path.display()))?;
    file.try_lock().map_err(|_| anyhow::anyhow!("another `redialer keys` command is running"))?;
    Ok(Some(file))
}

/// Slightly longer than the time for which a process caches a row.
const REMEMBERED: Duration = Duration::from_secs(2);

struct Rotation<'a> {
    store: &'a Store,
    clock: &'a Clock,
    rng: &'a Rng,
}

impl Rotation<'_> {
    fn prepare(&self) -> anyhow::Result<()> {
        let Kek::File(file) = self.store.kek() else {
            anyhow::bail!("kek: the key is at a key service; create a new version of it there");
        };
        file.prepare(self.rng)?;
        say(
            "The key file now contains a new key that is not in use yet. Copy the file to every other replica and back it up.",
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
                    "kek: every replica needs the new key before the rotation. Run `redialer keys prepare`, copy the key file to every replica, then run `redialer keys rotate`. If all replicas read the same key file, pass `--one-file` instead"
                );
                file.add(self.rng)?;
                say("The key file now begins with a new key-encryption key. Back it up.");
            }
            // The last rotation is complete, so the old keys that it left can be deleted.
            self.store.drop_old_keys().await?;
            self.rewrap().await?;
        }
        if !wrap_only {
            self.tenants(settle).await?;
        }
        say(
            "Old keys still decrypt old data. Run `redialer keys retire` once all replicas use the new keys.",
        );
        say(
            "If you make backups with `--keys`, make one before that: it rewraps the keyring under the new key.",
        );
        Ok(())
    }

    /// Gives all tenants new keys: publishes them, puts them into use, and re-encrypts all data.
    async fn tenants(&self, settle: Duration) -> anyhow::Result<()> {
        if self.store.unfinished().await? == 0 {
            let published = self.store.publish_next_keys(self.rng).await?;
            say(&format!("New tenant keys published: {}.", published.done));
        }
        self.clock.wait(settle).await;
        let promoted = self.store.promote_keys(self.clock.now()).await?;
        say(&format!("New tenant keys in use: {}.", promoted.done));
        self.clock.wait(settle).await;
        self.reseal().await
    }

    /// Re-encrypts data that is sealed with old keys; rows that change during a pass are handled by the next one.
    async fn reseal(&self) -> anyhow::Result<()> {
        loop {
            let Rotated { done, left, broken } = self.store.reseal(self.rng).await?;
            say(&format!("Values re-encrypted: {done}."));
            if left == 0 {
                anyhow::ensure!(broken == 0, "{broken} values cannot be decrypted; the log names them");
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
            // Other processes may use cached rows until then.
            self.clock.wait(REMEMBERED).await;
            say(&format!("Tenant keys rewrapped: {all}."));
        }
        Ok(all > 0)
    }

    async fn retire(&self) -> anyhow::Result<()> {
        self.rewrap().await?;
        self.reseal().await?;
        let dropped = self.store.drop_old_keys().await?;
        say(&format!("Old tenant keys deleted: {}.", dropped.done));
        anyhow::ensure!(
            dropped.left == 0,
            "the old keys of {} tenants are still in use; run `redialer keys rotate` to finish the rotation",
            dropped.left
        );
        if let Kek::File(file) = self.store.kek() {
            file.retire()?;
            say(
                "The key file now contains only the current key. Backups made before the rotation need the key file as it was then.",
            );
        }
        Ok(())
    }

    async fn destroy(&self, tenant: Id<id::Tenant>, name: &str) -> anyhow::Result<()> {
        let tenant = self.store.tenant(tenant).await.context("--tenant")?;
        anyhow::ensure!(
            tenant.name == name,
            "--name: the tenant has another name; `redialer tenant list` shows it"
        );
        self.store.destroy_key(&tenant, self.clock.now()).await?;
        say(
            "The tenant's key is destroyed, its API keys are revoked, and its members and workspaces are removed.",
        );
        say(
            "Copies of the wrapped key may remain in backups made without `--keys`, in older keyrings and in the database's logs.",
        );
        say(
            "Delete those, write a new keyring (`redialer backup --keys`), and run `redialer keys rotate --wrap-only` and",
        );
        say("`redialer keys retire`: after that, the remaining copies can no longer be unwrapped.");
        Ok(())
    }
}
