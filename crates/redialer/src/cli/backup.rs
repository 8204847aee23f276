//! `redialer backup` and `redialer restore`.
//!
//! Invariant: a restore never writes over anything, and begins a new epoch: whatever was due since the backup is
//! compared with the provider's records before anything is dialled.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use redialer_store::{Store, restore_file, strip_keys};

use super::{kek, open, say, serve};
use crate::{
    clock::{self, Clock},
    config::Config,
};

#[derive(Args)]
pub(super) struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
    /// Write the tenants' wrapped keys into this file, and none into the backup; only the latest such file need be kept
    #[arg(long)]
    keys: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Restore {
    /// A file that `redialer backup` wrote, from either kind of database
    file: PathBuf,
    /// The latest file that `redialer backup --keys` wrote
    #[arg(long)]
    keys: Option<PathBuf>,
}

impl Backup {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = open(config).await?;
        let clock = Clock::start(config.clock_speed);
        clock.join(&store).await?;
        store.backup(&self.file, clock.now()).await.context("FILE")?;
        if let Some(keys) = &self.keys {
            strip_keys(&self.file).await.context("FILE")?;
            write_anew(keys, &store.keyring().await?)
                .with_context(|| format!("--keys: {}", keys.display()))?;
            say(&format!(
                "The tenants' keys are in {} alone; older such files are not needed.",
                keys.display()
            ));
        }
        store.close().await;
        say(&format!("Backed up to {}.", self.file.display()));
        say(&match config.key_service()? {
            None => format!(
                "It opens only with the key in {}: keep that apart, and safe.",
                config.kek_file().display()
            ),
            Some(_) => "It opens only with the transit key at the key service.".to_owned(),
        });
        Ok(())
    }
}

/// Puts a file in the place of an older one, whole at any moment, for its owner alone.
fn write_anew(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

impl Restore {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        ensure!(self.file.exists(), "FILE: {} does not exist", self.file.display());
        let kek_file = config.kek_file();
        ensure!(
            config.key_service()?.is_some() || kek_file.exists(),
            "kek: put the key that belongs to the backup into {} first; without it nothing in it can be read",
            kek_file.display()
        );
        let chance = clock::chance()?;
        let now = Clock::start(1).now();
        let keyring = match &self.keys {
            Some(file) => {
                Some(fs::read_to_string(file).with_context(|| format!("--keys: {}", file.display()))?)
            }
            None => None,
        };
        match &config.database_url {
            Some(url) => {
                let kek = kek(config, &chance)?;
                let store = Store::postgres(url, kek)
                    .await
                    .context("database_url: the database cannot be reached")?;
                store.migrate(&chance).await?;
                store.restore_rows(&self.file, now).await.context("FILE")?;
                // The key is proven against what was restored.
                store.migrate(&chance).await?;
                if let Some(keyring) = &keyring {
                    store.restore_keyring(keyring).await.context("--keys")?;
                }
                store.close().await;
            }
            None => {
                let _lock = serve::lock(config)?;
                let kek = kek(config, &chance)?;
                restore_file(&self.file, &config.database_file(), kek, &chance, now).await.context("FILE")?;
                if let Some(keyring) = &keyring {
                    let store = open(config).await?;
                    store.restore_keyring(keyring).await.context("--keys")?;
                    store.close().await;
                }
            }
        }
        say(
            "Restored. `redialer serve` first reads the provider's records of what happened since the backup;",
        );
        say("each workspace dials again about a quarter of an hour after that.");
        Ok(())
    }
}
