//! Backups: one portable file, independent of the engine.
//!
//! Invariants: a backup is a SQLite database with this schema. It holds the state at one point in time and can be
//! made while a server runs. Sealed values stay sealed, so it is useless without the key. A restore needs an empty database and begins a new
//! restore generation: nothing is dialed before the provider's records have been read (I31).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use redialer_core::{Id, Timestamp, rng::Rng, time::from_ms};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::{
    BackupError, Kek, Keyring, Store, StoreError,
    crypto::tenant_keys::version,
    db::{
        args,
        schema::{LITE, migrate_sqlite},
        sqlite::{Mode, SqliteConn},
        values::{Args, Value},
    },
    ops::{
        restore::{NEW_GENERATION, RESET_AFTER_RESTORE},
        table_copy::{copy_in, copy_out},
    },
};

const MARK: &str = "insert into meta (name, value) values ('backup_at', ?1)
     on conflict (name) do update set value = ?1";

impl Store {
    /// Writes a backup of the current state to a new file.
    pub async fn backup(&self, file: &Path, now: Timestamp) -> Result<(), BackupError> {
        if file.exists() {
            return Err(BackupError::Exists(file.display().to_string()));
        }
        match self.db.connect_apart().await? {
            None => {
                let name = file.to_string_lossy().into_owned();
                self.db.run("vacuum into $1", args![name]).await?;
            }
            Some(mut from) => {
                let mut to = SqliteConn::open(file, Mode::OtherFile)?;
                migrate_sqlite(&mut to)?;
                copy_out(&mut from, &mut to).await?;
                to.close()?;
            }
        }
        let mut made = SqliteConn::open(file, Mode::OtherFile)?;
        made.run(MARK, args![now.as_millisecond().to_string().into_bytes()], |_| ())?;
        made.close()?;
        fs::File::open(file)?.sync_all()?;
        Ok(())
    }

    /// Restores a backup into this database, which must be empty, and begins a new restore generation. Keys that the
    /// backup lacks are read from `keyring`. Returns the number of tenants without a key in the keyring: they were
    /// destroyed after the backup.
    pub async fn restore_rows(
        &self,
        file: &Path,
        keyring: Option<&Keyring>,
        now: Timestamp,
    ) -> Result<usize, BackupError> {
        let backup_at = backup_time(file)?;
        let Some(mut to) = self.db.connect_apart().await? else { return Err(BackupError::NotEmpty) };
        if !self.is_empty().await? {
            return Err(BackupError::NotEmpty);
        }
        let migrated = Migrated::read(file)?;
        let now = virtual_time(&migrated.path, now)?;
        let missing = keys_of(&migrated.path, keyring)?.ok_or_else(|| no_keys(file))?;
        let from = SqliteConn::open(&migrated.path, Mode::Read)?;
        restore(from, &mut to, &missing, (backup_at, now)).await?;
        Ok(missing.lost.len())
    }

    /// Whether the database has no tenants.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.db.read_one("select 1 as one from tenants limit 1", args![]).await?.is_none())
    }
}

/// Restores a backup as a new embedded database, whose file must not exist, and begins a new restore generation.
/// Otherwise the same as [`Store::restore_rows`].
pub async fn restore_file(
    file: &Path,
    database: &Path,
    kek: Kek,
    keyring: Option<&Keyring>,
    (rng, now): (&Rng, Timestamp),
) -> Result<usize, BackupError> {
    let backup_at = backup_time(file)?;
    // SQLite would apply a leftover journal to the restored file.
    for existing in [database.to_owned(), with_suffix(database, "-wal")] {
        if existing.exists() {
            return Err(BackupError::Exists(existing.display().to_string()));
        }
    }
    // The copy gets its final name only once it is complete, has its keys and its new restore generation.
    let partial_file = database.with_extension("restoring");
    remove_journals(&partial_file)?;
    let lost = build_restored_file(file, &partial_file, kek, keyring, (rng, backup_at, now)).await;
    remove_journals(&partial_file)?;
    if lost.is_err() && partial_file.exists() {
        fs::remove_file(&partial_file)?;
    }
    let lost = lost?;
    fs::rename(partial_file, database)?;
    Ok(lost)
}

/// Copies a backup, and gives the copy this version's tables, its keys and a new restore generation. Returns the number of
/// tenants that have no key.
async fn build_restored_file(
    file: &Path,
    partial_file: &Path,
    kek: Kek,
    keyring: Option<&Keyring>,
    (rng, backup_at, real_now): (&Rng, Timestamp, Timestamp),
) -> Result<usize, BackupError> {
    fs::copy(file, partial_file)?;
    // The copy has the backup's file mode, which may let others read it.
    #[cfg(unix)]
    fs::set_permissions(partial_file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    migrate_file(partial_file)?;
    let now = virtual_time(partial_file, real_now)?;
    let missing = keys_of(partial_file, keyring)?.ok_or_else(|| no_keys(file))?;
    put_keys(partial_file, &missing, now)?;
    let store = Store::sqlite(partial_file, kek).await?;
    store.migrate(rng).await?;
    store.begin_restore_generation(backup_at, now).await?;
    store.checkpoint().await?;
    store.close().await;
    fs::File::open(partial_file)?.sync_all()?;
    Ok(missing.lost.len())
}

fn migrate_file(file: &Path) -> Result<(), BackupError> {
    let mut to = SqliteConn::open(file, Mode::OtherFile)?;
    migrate_sqlite(&mut to)?;
    Ok(to.close()?)
}

fn no_keys(file: &Path) -> BackupError {
    BackupError::NoKeys(file.display().to_string())
}

/// A backup with this version's tables: the file itself or, if it is older, a migrated copy in the same directory.
struct Migrated {
    path: PathBuf,
    is_copy: bool,
}

impl Migrated {
    fn read(file: &Path) -> Result<Self, BackupError> {
        const APPLIED: &str = "select count(*) as n from _sqlx_migrations where success";
        let mut from = SqliteConn::open(file, Mode::Read)?;
        let applied = from.rows(APPLIED, Args::default())?.first().map_or(Ok(0_i64), |row| row.get("n"))?;
        from.close()?;
        if usize::try_from(applied).is_ok_and(|applied| applied >= LITE.iter().count()) {
            return Ok(Self { path: file.to_owned(), is_copy: false });
        }
        let copy = Self { path: with_suffix(file, ".restoring"), is_copy: true };
        fs::copy(file, &copy.path)?;
        migrate_file(&copy.path)?;
        Ok(copy)
    }
}

impl Drop for Migrated {
    fn drop(&mut self) {
        if self.is_copy
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "{} could not be removed", self.path.display());
        }
    }
}

/// The keys for a backup without keys.
#[derive(Default)]
struct MissingKeys {
    keys: Vec<(Uuid, Vec<u8>, Option<Vec<u8>>)>,
    /// Tenants without a key in the keyring: they were destroyed since the backup.
    lost: Vec<Uuid>,
}

const PUT_KEY: &str = "update tenants set wrapped_key = $2, alternate_wrapped_key = $3,
         alternate_version = case when $3 is null then null else alternate_version end
     where id = $1";

const LOST: &str = "update tenants set destroyed_at = $2 where id = $1";

/// Finds the keys that a backup was made without, in a file with this version's tables. `None` if some are missing and
/// there is no keyring.
fn keys_of(file: &Path, keyring: Option<&Keyring>) -> Result<Option<MissingKeys>, BackupError> {
    const KEYLESS: &str = "select id, key_version, alternate_version from tenants where length(wrapped_key) = 0 and destroyed_at is null";
    let mut from = SqliteConn::open(file, Mode::Read)?;
    let rows = from.rows(KEYLESS, Args::default())?;
    from.close()?;
    if rows.is_empty() {
        return Ok(Some(MissingKeys::default()));
    }
    let Some(keyring) = keyring else { return Ok(None) };
    let mut missing = MissingKeys::default();
    for row in rows {
        let tenant = Id::from_uuid(row.get("id")?);
        let key = |n: i64| Ok::<_, StoreError>(keyring.get(tenant, version(n)?).map(<[u8]>::to_vec));
        let other = row.get::<Option<i64>>("alternate_version")?.map(key).transpose()?.flatten();
        match key(row.get("key_version")?)? {
            Some(own) => missing.keys.push((tenant.uuid(), own, other)),
            None => missing.lost.push(tenant.uuid()),
        }
    }
    Ok(Some(missing))
}

/// Writes the keys into a copy of the backup that is not in use yet.
fn put_keys(copy: &Path, missing: &MissingKeys, now: Timestamp) -> Result<(), BackupError> {
    if missing.keys.is_empty() && missing.lost.is_empty() {
        return Ok(());
    }
    let mut to = SqliteConn::open(copy, Mode::OtherFile)?;
    for (tenant, own, other) in &missing.keys {
        let values = vec![Value::Uuid(Some(*tenant)), own.as_slice().into(), other.clone().into()];
        to.run(&PUT_KEY.replace('$', "?"), Args(values), |_| ())?;
    }
    for tenant in &missing.lost {
        let values = vec![Value::Uuid(Some(*tenant)), now.into()];
        to.run(&LOST.replace('$', "?"), Args(values), |_| ())?;
    }
    Ok(to.close()?)
}

/// The path of a file with a suffix, as SQLite names the files it keeps next to a database.
fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_journals(file: &Path) -> io::Result<()> {
    for left in ["-wal", "-shm"].map(|suffix| with_suffix(file, suffix)) {
        if left.exists() {
            fs::remove_file(left)?;
        }
    }
    Ok(())
}

/// When the backup was made.
fn backup_time(file: &Path) -> Result<Timestamp, BackupError> {
    const MADE: &str = "select value from meta where name = 'backup_at'";
    let not_a_backup = || BackupError::NotABackup(file.display().to_string());
    let mut from = SqliteConn::open(file, Mode::Read).map_err(|_| not_a_backup())?;
    let made = from.rows(MADE, Args::default()).map_err(|_| not_a_backup())?;
    let made = made.first().and_then(|row| row.get::<Vec<u8>>("value").ok());
    let text = made.and_then(|value| String::from_utf8(value).ok());
    from.close()?;
    text.and_then(|t| t.parse().ok()).and_then(from_ms).ok_or_else(not_a_backup)
}

/// The current time by the clock of a file with this version's tables, which may run faster than real time.
fn virtual_time(file: &Path, real_now: Timestamp) -> Result<Timestamp, BackupError> {
    const CLOCK: &str =
        "select virtual_ms + max(0, ?1 - real_ms) * speed as ms from virtual_clock where id = 1";
    let mut from = SqliteConn::open(file, Mode::Read)?;
    let clock = from.rows(CLOCK, args![real_now.as_millisecond()])?;
    let virtual_now = clock.first().map(|row| row.get("ms")).transpose()?.and_then(from_ms);
    from.close()?;
    Ok(virtual_now.map_or(real_now, |now| now.max(real_now)))
}

/// Writes every row, the keys and the new restore generation in one transaction, because rows without the generation
/// would be dialed at once.
async fn restore(
    from: SqliteConn,
    to: &mut PgConnection,
    missing: &MissingKeys,
    (backup_at, now): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let mut tx = to.begin().await?;
    copy_in(from, &mut tx).await?;
    for (tenant, own, other) in &missing.keys {
        sqlx::query(PUT_KEY).bind(tenant).bind(own).bind(other).execute(&mut *tx).await?;
    }
    for tenant in &missing.lost {
        sqlx::query(LOST).bind(tenant).bind(now.as_millisecond()).execute(&mut *tx).await?;
    }
    let new = sqlx::query(NEW_GENERATION).bind(backup_at.as_millisecond()).bind(now.as_millisecond());
    new.execute(&mut *tx).await?;
    for sql in RESET_AFTER_RESTORE {
        sqlx::query(sql).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}
