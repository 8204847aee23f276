//! Which commands may create a database, key file or schema, and how the others fail when one is missing.
//!
//! Invariants: only [`find`] followed by [`Inspected::create_or_migrate`] or [`Inspected::create`] creates anything. A key file is
//! created only while the database holds no sealed data; a sealed database without its key file is refused before
//! anything is written.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use redialer_core::rng::Rng;
use redialer_kek::{Kek, KeyFile, Transit};
use redialer_store::{Abort, Inspection, KeyError, SchemaState, Store, StoreError};

use crate::{
    clock::{self, Clock},
    config::Config,
};

/// How often a server tries to connect to a database that is starting, and the interval.
const CONNECT_TRIES: u32 = 20;
const CONNECT_EVERY: Duration = Duration::from_millis(500);

/// A database that was inspected but not opened yet.
pub(crate) struct Inspected<'c> {
    config: &'c Config,
    inspection: Inspection,
    rng: Rng,
}

/// Opens the database for a command that needs existing data; creates and migrates nothing.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Store> {
    find(config).await?.open().await
}

/// Inspects the database; fails if it is sealed and its key file is missing.
pub(crate) async fn find(config: &Config) -> anyhow::Result<Inspected<'_>> {
    let rng = clock::rng().context("the operating system returned no random bytes")?;
    let inspection = match &config.database_url {
        Some(url) => Inspection::of_postgres(url).await.context("database_url")?,
        None => Inspection::of_sqlite(&config.database_file())
            .with_context(|| format!("data_dir: {} cannot be read", config.database_file().display()))?,
    };
    let key_file = config.kek_file();
    ensure!(
        !inspection.sealed || config.key_service()?.is_some() || key_file.exists(),
        "kek: the key file {} of this encrypted database is missing; put it back",
        absolute(key_file).display()
    );
    Ok(Inspected { config, inspection, rng })
}

/// Like [`find`], but waits about ten seconds for a database that is starting.
pub(crate) async fn find_with_retries(config: &Config) -> anyhow::Result<Inspected<'_>> {
    let clock = Clock::start(1);
    for _ in 1..CONNECT_TRIES {
        match find(config).await {
            Err(error) if is_connection_refused(&error) => clock.wait(CONNECT_EVERY).await,
            result => return result,
        }
    }
    find(config).await
}

fn is_connection_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(StoreError::is_connection_refused)
}

impl Inspected<'_> {
    /// Opens an existing database whose schema this version can use (I35).
    pub(crate) async fn open(self) -> anyhow::Result<Store> {
        self.ensure_exists()?;
        self.ensure_not_older()?;
        let file = self.config.kek_file();
        ensure!(
            self.config.key_service()?.is_some() || file.exists(),
            "kek: the key file {} does not exist; `redialer serve` or `redialer migrate` creates one",
            absolute(file).display()
        );
        let store = self.connect(key(self.config)?).await?;
        if let SchemaState::NewerIncompatible { newest, .. } = store.check_schema().await? {
            bail!(
                "the database's schema is at migration {newest}, which this version cannot use; use a newer version of redialer"
            );
        }
        match store.key_opens().await {
            Err(StoreError::Key(error @ KeyError::Unavailable(_))) => {
                tracing::warn!(%error, "the key-encryption key could not be checked; the command continues");
            }
            opens => drop(opens?),
        }
        store.has_tenant_role().await?;
        Ok(store)
    }

    /// Opens the database, creating it if it does not exist, and migrates its schema.
    pub(crate) async fn create_or_migrate(self) -> anyhow::Result<Store> {
        self.create_data_dir()?;
        let creates_key = self.config.key_service()?.is_none() && !self.config.kek_file().exists();
        let store = self.connect(self.key_or_new()?).await?;
        let migrated = store.migrate(&self.rng).await;
        if creates_key && matches!(migrated, Err(StoreError::Key(KeyError::Wrong))) {
            let file = self.config.kek_file();
            std::fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))?;
            bail!(
                "kek: another server has just created this database with its own key; copy its key file to {}, or \
                 set REDIALER_KEK to the same key service for both",
                absolute(file).display()
            );
        }
        migrated?;
        if creates_key {
            tracing::warn!(
                "a new key file {} was created; back it up, because without it the data cannot be decrypted",
                self.config.kek_file().display()
            );
        }
        Ok(store)
    }

    /// Like [`Inspected::create_or_migrate`], but does not migrate an existing database: fails if its schema is older.
    pub(crate) async fn create(self) -> anyhow::Result<Store> {
        if self.exists() {
            self.ensure_not_older()?;
        }
        // On the current schema this migrates nothing and verifies the key.
        self.create_or_migrate().await
    }

    const fn exists(&self) -> bool {
        self.inspection.applied > 0
    }

    fn ensure_exists(&self) -> anyhow::Result<()> {
        if self.exists() {
            return Ok(());
        }
        let creator = "`redialer serve` or `redialer migrate` creates one";
        match &self.config.database_url {
            Some(url) => {
                bail!("database_url: {} contains no redialer database; {creator}", masked(url))
            }
            None => bail!(
                "data_dir: the database {} does not exist; {creator}",
                absolute(self.config.database_file()).display()
            ),
        }
    }

    fn ensure_not_older(&self) -> anyhow::Result<()> {
        let Inspection { applied, known, .. } = self.inspection;
        ensure!(
            applied >= known,
            "the database's schema is older than this version ({} migrations are missing); run `redialer migrate`",
            known - applied
        );
        Ok(())
    }

    fn create_data_dir(&self) -> anyhow::Result<()> {
        let dir = &self.config.data_dir;
        std::fs::create_dir_all(dir)
            .with_context(|| format!("data_dir: {} cannot be created", absolute(dir.clone()).display()))
    }

    /// The key-encryption key; creates the key file if it does not exist and nothing is sealed.
    fn key_or_new(&self) -> anyhow::Result<Kek> {
        let path = self.config.kek_file();
        if self.config.key_service()?.is_some() || self.inspection.sealed || path.exists() {
            return key(self.config);
        }
        Ok(Kek::File(KeyFile::create(&path, &self.rng)?))
    }

    async fn connect(&self, kek: Kek) -> anyhow::Result<Store> {
        let store = match &self.config.database_url {
            Some(url) => Store::postgres(url, kek).await.context("database_url")?,
            None => Store::sqlite(&self.config.database_file(), kek).await.context("data_dir")?,
        };
        let store = store.with_plans(self.config.plans()?);
        Ok(match self.config.fail_at.as_deref().and_then(|point| point.parse::<Abort>().ok()) {
            Some(abort) => store.with_faults(Arc::new(abort)),
            None => store,
        })
    }
}

/// The key-encryption key, from the key service or the key file.
pub(crate) fn key(config: &Config) -> anyhow::Result<Kek> {
    Ok(match config.key_service()? {
        Some(settings) => Kek::Transit(Transit::begin(settings)?),
        None => Kek::File(KeyFile::open(&config.kek_file())?),
    })
}

/// The absolute path, or `path` itself if it cannot be determined.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// A URL without its password and without its query, which may contain one too.
pub(crate) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, place)) => format!("{scheme}://{}:…@{place}", user.split(':').next().unwrap_or_default()),
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_two_that_create_a_database_at_once_the_second_leaves_no_key_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = |key: &str| Config {
            data_dir: dir.path().to_owned(),
            kek: Some(format!("file:{}", dir.path().join(key).display())),
            ..Config::default()
        };
        let (first, second) = (config("first"), config("second"));
        let late = find(&second).await.expect("nothing is there yet");
        let store =
            find(&first).await.expect("nothing is there yet").create_or_migrate().await.expect("created");
        let refused = late.create_or_migrate().await.err().expect("another key").to_string();
        assert!(refused.contains("another server has just created this database"), "{refused}");
        assert!(first.kek_file().exists() && !second.kek_file().exists());
        store.close().await;
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(masked("postgres://me:secret@host/db"), "postgres://me:…@host/db");
        assert_eq!(masked("postgres://me:se@cret@host/db"), "postgres://me:…@host/db");
        assert_eq!(masked("postgres://host/db?user=me&password=secret"), "postgres://host/db");
    }
}
