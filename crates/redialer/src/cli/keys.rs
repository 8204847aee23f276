//! `redialer keys`: new keys for old data, beside running servers.
//!
//! Invariant: whatever is broken off goes on when it is run again; nothing new is begun before that.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use redialer_core::{Id, chance::Chance, id};
use redialer_kek::Kek;
use redialer_store::{Rotated, Store};

use super::{open, say};
use crate::{
    clock::{self, Clock},
    config::Config,
};

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Give every tenant a new key and seal everything anew; go on with what was broken off, if anything was
    Rotate {
        /// Seconds for which a key that was opened before may still be in use, in any replica
        #[arg(long, default_value_t = 60)]
        settle: u64,
        /// Wrap the tenants' keys anew, and leave them as they are
        #[arg(long)]
        wrap_only: bool,
    },
    /// Destroy a tenant's key: nothing of it opens any more, in backups made `--keys` apart either. Nothing brings it back
    Destroy {
        /// Its id, as `tn_…`
        #[arg(long)]
        tenant: Id<id::Tenant>,
        /// Its name, to make sure
        #[arg(long)]
        name: String,
    },
    /// Take all keys but the current one out of the key file, once nothing in the database needs them
    Retire,
}

impl Keys {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = open(config).await?;
        let clock = Clock::start(config.clock_speed);
        clock.join(&store).await?;
        let rotation = Rotation { store: &store, clock: &clock, chance: &clock::chance()? };
        match self {
            Self::Rotate { settle, wrap_only } => {
                rotation.run(Duration::from_secs(settle), wrap_only).await?
            }
            Self::Retire => rotation.retire().await?,
            Self::Destroy { tenant, name } => {
                let tenant = store.tenant(tenant).await.context("--tenant")?;
                anyhow::ensure!(tenant.name == name, "--name: that tenant is called otherwise");
                store.destroy_key(&tenant, clock.now()).await?;
                say("Its key is destroyed, its API keys are revoked, its members and workspaces gone.");
                say(
                    "Backups that hold keys still open: delete them, and write a new keyring (`backup --keys`).",
                );
            }
        }
        store.close().await;
        Ok(())
    }
}

/// A little longer than any process remembers a row.
const REMEMBERED: Duration = Duration::from_secs(2);

struct Rotation<'a> {
    store: &'a Store,
    clock: &'a Clock,
    chance: &'a Chance,
}

impl Rotation<'_> {
    async fn run(&self, settle: Duration, wrap_only: bool) -> anyhow::Result<()> {
        let went_on = self.rewrap().await? | self.store.is_rotating().await?;
        if !went_on && let Kek::File(file) = self.store.kek() {
            file.add(self.chance)?;
            say(
                "A new key-encryption key stands first in the key file: copy the file to every other replica, and back it up.",
            );
        }
        if !went_on {
            self.rewrap().await?;
        }
        if !wrap_only {
            self.tenants(settle).await?;
        }
        if let Kek::File(file) = self.store.kek()
            && file.len() > 1
        {
            say(
                "The key file still holds the keys of before, for backups; `redialer keys retire` takes them out.",
            );
        }
        Ok(())
    }

    /// New keys for all tenants: published, then used, then alone.
    async fn tenants(&self, settle: Duration) -> anyhow::Result<()> {
        if !self.store.is_rotating().await? {
            let published = self.store.publish_next_keys(self.chance).await?;
            say(&format!("{} new tenants' keys are published.", published.done));
        }
        self.clock.wait(settle).await;
        let promoted = self.store.promote_keys(self.clock.now()).await?;
        say(&format!("{} tenants' keys are in use.", promoted.done));
        self.clock.wait(settle).await;
        // What changed meanwhile is met again.
        loop {
            let Rotated { done, left } = self.store.reseal(self.chance).await?;
            say(&format!("{done} values were sealed anew."));
            if left == 0 {
                break;
            }
        }
        let dropped = self.store.drop_old_keys().await?;
        say(&format!("{} old tenants' keys are gone.", dropped.done));
        anyhow::ensure!(
            dropped.left == 0,
            "{} tenants' keys are still in use: run it again, with a longer --settle",
            dropped.left
        );
        Ok(())
    }

    /// Wraps anew whatever is not wrapped with the current key; whether anything was.
    async fn rewrap(&self) -> anyhow::Result<bool> {
        let mut all = 0;
        loop {
            let Rotated { done, left } = self.store.rewrap_keys(self.chance).await?;
            all += done;
            if left == 0 {
                break;
            }
        }
        if all > 0 {
            // Until then somebody may still go by what was read before.
            self.clock.wait(REMEMBERED).await;
            say(&format!("{all} tenants' keys were wrapped anew."));
        }
        Ok(all > 0)
    }

    async fn retire(&self) -> anyhow::Result<()> {
        let Kek::File(file) = self.store.kek() else {
            anyhow::bail!("kek: the key is at a key service; old versions of it are retired there");
        };
        self.rewrap().await?;
        file.retire()?;
        say(
            "The key file holds the current key alone. Backups made before the rotation need the file of then.",
        );
        Ok(())
    }
}
