//! `redialer backup` and `redialer restore`.
//!
//! Invariant: a restore never overwrites anything, and starts a new restore generation: callbacks that were due since the backup are
//! compared with the provider's records before anything is dialed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use redialer_store::{Keyring, restore_file, strip_keys};

use crate::{
    cli::{database, of_storage, say, serve},
    clock::{self, Clock},
    config::StorageFlags,
};

#[derive(Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
    /// Write the tenants' wrapped keys to this file, the keyring, instead of the backup. Each backup rewrites the whole keyring, so keep only the latest one
    #[arg(long)]
    keys: Option<PathBuf>,
    #[command(flatten)]
    flags: StorageFlags,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// A file written by `redialer backup`, from SQLite or Postgres
    file: PathBuf,
    /// The latest keyring written by `redialer backup --keys`
    #[arg(long)]
    keys: Option<PathBuf>,
    #[command(flatten)]
    flags: StorageFlags,
}

impl Backup {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let config = &of_storage(&self.flags)?;
        let store = database::open(config).await?;
        let rng = clock::rng()?;
        let clock = Clock::follow_stored(&store).await?;
        // Keys of the existing keyring are carried over. An unreadable keyring is an error, so that no key is lost.
        let before = match &self.keys {
            Some(file) if file.exists() => keyring(file)?,
            _ => Keyring::default(),
        };
        // The keys are read before and after the backup, because a rotation may start or finish in between.
        let mut keys = store.keyring(&before, &rng).await?;
        store.backup(&self.file, clock.now()).await.context("FILE")?;
        if let Some(file) = &self.keys {
            keys = store.keyring(&keys, &rng).await?;
            strip_keys(&self.file).context("FILE")?;
            redialer_kek::file::write(file, keys.text().as_bytes(), true)
                .with_context(|| format!("--keys: {}", file.display()))?;
            say(&format!(
                "The keyring {} now contains the wrapped keys of this backup and of all earlier ones. Delete older copies of it.",
                file.display()
            ));
        }
        store.close().await;
        say(&format!("Backed up to {}.", self.file.display()));
        say(&match config.key_service()? {
            None => format!(
                "It can be read only with the key file {}. Keep that in a separate, safe place.",
                config.kek_file().display()
            ),
            Some(_) => "It can be read only with the transit key at the key service.".to_owned(),
        });
        Ok(())
    }
}

fn keyring(file: &Path) -> anyhow::Result<Keyring> {
    let text = fs::read_to_string(file).with_context(|| format!("--keys: {}", file.display()))?;
    Keyring::parse(&text).with_context(|| format!("--keys: {}", file.display()))
}

impl Restore {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let config = &of_storage(&self.flags)?;
        ensure!(self.file.exists(), "FILE: {} does not exist", self.file.display());
        let kek_file = config.kek_file();
        ensure!(
            config.key_service()?.is_some() || kek_file.exists(),
            "kek: the key file {} does not exist. Put the key file that belongs to the backup there first; without it the backup cannot be read",
            kek_file.display()
        );
        let rng = clock::rng()?;
        let now = Clock::start(1).now();
        let keyring = match &self.keys {
            Some(file) => Some(keyring(file)?),
            None => None,
        };
        let lost = match &config.database_url {
            Some(_) => {
                let store = database::find(config).await?.create().await?;
                let lost = store.restore_rows(&self.file, keyring.as_ref(), now).await.context("FILE")?;
                // `migrate` also verifies the key against the restored data.
                store.migrate(&rng).await?;
                store.close().await;
                lost
            }
            None => {
                let _lock = serve::lock(config)?;
                let (kek, database) = (database::key(config)?, config.database_file());
                restore_file(&self.file, &database, kek, keyring.as_ref(), (&rng, now))
                    .await
                    .context("FILE")?
            }
        };
        if lost > 0 {
            say(&format!(
                "{lost} tenants have no key in the keyring, because their keys were destroyed after the backup. Their data stays unreadable."
            ));
        }
        say("Restored. `redialer serve` first reads the provider's call records since the backup.");
        say("Each workspace resumes dialing about 15 minutes after the restore.");
        Ok(())
    }
}
