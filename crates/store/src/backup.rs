//! Backups: one portable file, whichever engine it was made from and goes back to.
//!
//! Invariants: a backup is a SQLite database of this schema as it stood at one moment, taken beside a running
//! server; what is sealed stays sealed, so it is worth nothing without the key. A restore goes into an empty
//! database only and begins a new epoch: nothing is dialled before the provider's records were read (I31).

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
};

use futures_util::TryStreamExt as _;
use redialer_core::{Timestamp, chance::Chance, time::from_ms};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, Sqlite, SqliteConnection,
    postgres::PgRow,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow},
};
use uuid::Uuid;

use crate::{
    Kek, Keyring, Store, StoreError,
    engine::args,
    epochs::{FORGET_THE_TIME_BEFORE, NEW_EPOCH},
    keyring::Keyless,
    schema::LITE,
    values::Column as Values,
};

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{0} exists; name a file that does not")]
    Exists(String),
    /// The file is not a backup.
    #[error("{0} is not a backup made by `redialer backup`")]
    NotABackup(String),
    /// The backup was made without keys, and no keyring is given.
    #[error("{0} was made without keys: give the latest keyring with --keys")]
    NoKeys(String),
    /// The database to restore into holds something.
    #[error("the database holds tenants already; restore into an empty one")]
    NotEmpty,
    /// The file system.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

const MARK: &str = "insert into meta (name, value) values ('backup_at', $1)
     on conflict (name) do update set value = $1";

impl Store {
    /// Writes a backup of this moment to a new file.
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
                let mut to = create(file).await?;
                copy_out(&mut from, &mut to).await?;
                to.close().await?;
            }
        }
        let mut made = SqliteConnection::connect_with(&quiet(file)).await?;
        sqlx::query(MARK).bind(now.as_millisecond().to_string().into_bytes()).execute(&mut made).await?;
        made.close().await?;
        fs::File::open(file)?.sync_all()?;
        Ok(())
    }

    /// Reads a backup into this database, which must be empty, and begins a new epoch; one without keys with those of a
    /// keyring. How many tenants have no key in it: they were destroyed since.
    pub async fn restore_rows(
        &self,
        file: &Path,
        keyring: Option<&Keyring>,
        now: Timestamp,
    ) -> Result<usize, BackupError> {
        let (backup_at, now) = moments(file, now).await?;
        let found = keys_of(file, keyring).await?;
        let Some(mut to) = self.db.connect_apart().await? else { return Err(BackupError::NotEmpty) };
        if !self.is_empty().await? {
            return Err(BackupError::NotEmpty);
        }
        let migrated = Migrated::of(file).await?;
        let mut from = open(&migrated.path).await?;
        copy_in(&mut from, &mut to, &found, (backup_at, now)).await?;
        Ok(found.lost.len())
    }

    /// Whether nobody has ever used this database.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.db.read_one("select 1 as one from tenants limit 1", args![]).await?.is_none())
    }
}

/// Puts a backup in the place of an embedded database that is not there, and begins a new epoch in it; as
/// [`Store::restore_rows`].
pub async fn restore_file(
    file: &Path,
    database: &Path,
    kek: Kek,
    keyring: Option<&Keyring>,
    (chance, now): (&Chance, Timestamp),
) -> Result<usize, BackupError> {
    let (backup_at, now) = moments(file, now).await?;
    let found = keys_of(file, keyring).await?;
    // A journal that was left behind would be read into what is restored.
    for there in [database.to_owned(), beside(database, "-wal")] {
        if there.exists() {
            return Err(BackupError::Exists(there.display().to_string()));
        }
    }
    // The copy gets its name only when it is whole, keyed and in its new epoch.
    let part = database.with_extension("restoring");
    remove_journals(&part)?;
    fs::copy(file, &part)?;
    // The copy has the backup's file mode, which may let others read it.
    #[cfg(unix)]
    fs::set_permissions(&part, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    put_keys(&part, &found, now).await?;
    let store = Store::sqlite(&part, kek).await?;
    store.migrate(chance).await?;
    store.begin_epoch(backup_at, now).await?;
    store.checkpoint().await?;
    store.close().await;
    fs::File::open(&part)?.sync_all()?;
    remove_journals(&part)?;
    fs::rename(part, database)?;
    Ok(found.lost.len())
}

/// A backup with the tables of this version: itself, or, of an older version, a copy beside it.
struct Migrated {
    path: PathBuf,
    is_copy: bool,
}

impl Migrated {
    async fn of(file: &Path) -> Result<Self, BackupError> {
        const APPLIED: &str = "select count(*) from _sqlx_migrations where success";
        let mut from = open(file).await?;
        let (applied,): (i64,) = sqlx::query_as(APPLIED).fetch_one(&mut from).await?;
        from.close().await?;
        if usize::try_from(applied).is_ok_and(|applied| applied >= LITE.iter().count()) {
            return Ok(Self { path: file.to_owned(), is_copy: false });
        }
        let copy = Self { path: beside(file, ".restoring"), is_copy: true };
        fs::copy(file, &copy.path)?;
        let mut to = SqliteConnection::connect_with(&quiet(&copy.path)).await?;
        LITE.run(&mut to).await.map_err(|e| StoreError::Schema(e.to_string()))?;
        to.close().await?;
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

/// The keys that a backup without keys is to have.
#[derive(Default)]
struct Found {
    keys: Vec<(Uuid, Vec<u8>, Option<Vec<u8>>)>,
    /// Tenants of which the keyring has none: they were destroyed since.
    lost: Vec<Uuid>,
}

const PUT_KEY: &str = "update tenants set wrapped_key = $2, other_wrapped = $3,
         other_version = case when $3 is null then null else other_version end
     where id = $1";

const LOST: &str = "update tenants set destroyed_at = $2 where id = $1";

/// Looks for the keys that a backup was made without.
async fn keys_of(file: &Path, keyring: Option<&Keyring>) -> Result<Found, BackupError> {
    const KEYLESS: &str = "select id, key_version, other_version from tenants where length(wrapped_key) = 0 and destroyed_at is null";
    let mut from = open(file).await?;
    // A backup of before there were such columns has its keys.
    let rows: Vec<(Uuid, i64, Option<i64>)> =
        sqlx::query_as(KEYLESS).fetch_all(&mut from).await.unwrap_or_default();
    from.close().await?;
    if rows.is_empty() {
        return Ok(Found::default());
    }
    let keyring = keyring.ok_or_else(|| BackupError::NoKeys(file.display().to_string()))?;
    let mut found = Found::default();
    for (tenant, version, other) in rows {
        let keyless = Keyless::new(tenant, version, other)?;
        match keyless.found(keyring) {
            Some((own, other)) => {
                found.keys.push((keyless.tenant.uuid(), own.to_vec(), other.map(<[u8]>::to_vec)));
            }
            None => found.lost.push(tenant),
        }
    }
    Ok(found)
}

/// Puts them into a copy of the backup that nobody uses yet.
async fn put_keys(copy: &Path, found: &Found, now: Timestamp) -> Result<(), BackupError> {
    if found.keys.is_empty() && found.lost.is_empty() {
        return Ok(());
    }
    let mut to = SqliteConnection::connect_with(&quiet(copy)).await?;
    for (tenant, own, other) in &found.keys {
        sqlx::query(PUT_KEY).bind(tenant).bind(own).bind(other).execute(&mut to).await?;
    }
    for tenant in &found.lost {
        sqlx::query(LOST).bind(tenant).bind(now.as_millisecond()).execute(&mut to).await?;
    }
    to.close().await?;
    Ok(())
}

/// What SQLite keeps beside a file.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_journals(file: &Path) -> io::Result<()> {
    for left in ["-wal", "-shm"].map(|suffix| beside(file, suffix)) {
        if left.exists() {
            fs::remove_file(left)?;
        }
    }
    Ok(())
}

async fn open(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = quiet(file).read_only(true).row_buffer_size(ROWS_AHEAD);
    SqliteConnection::connect_with(&options).await
}

/// A backup file's connection. A table is read in one statement, which is slow by nature and no reason to log its text.
fn quiet(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).disable_statement_logging()
}

/// When the backup was made, and what is now by its clock, which may run faster than ours.
async fn moments(file: &Path, real_now: Timestamp) -> Result<(Timestamp, Timestamp), BackupError> {
    const MADE: &str = "select value from meta where name = 'backup_at'";
    const CLOCK: &str = "select virtual_ms + max(0, $1 - real_ms) * speed from clock where id = 1";
    let not_a_backup = || BackupError::NotABackup(file.display().to_string());
    let mut from = open(file).await.map_err(|_| not_a_backup())?;
    let made: Option<(Vec<u8>,)> =
        sqlx::query_as(MADE).fetch_optional(&mut from).await.map_err(|_| not_a_backup())?;
    let text = made.and_then(|(value,)| String::from_utf8(value).ok());
    let backup_at = text.and_then(|t| t.parse().ok()).and_then(from_ms).ok_or_else(not_a_backup)?;
    let clock: Option<(i64,)> =
        sqlx::query_as(CLOCK).bind(real_now.as_millisecond()).fetch_optional(&mut from).await?;
    from.close().await?;
    let virtual_now = clock.and_then(|(ms,)| from_ms(ms));
    Ok((backup_at, virtual_now.map_or(real_now, |now| now.max(real_now))))
}

async fn create(file: &Path) -> Result<SqliteConnection, BackupError> {
    let options = quiet(file).create_if_missing(true);
    let mut to = SqliteConnection::connect_with(&options).await?;
    LITE.run(&mut to).await.map_err(|e| StoreError::Schema(e.to_string()))?;
    Ok(to)
}

/// A column and how its values look in Postgres.
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Int,
    Bool,
    Text,
    Uuid,
    Blob,
}

impl Kind {
    const fn in_postgres(self) -> &'static str {
        match self {
            Self::Int => "int8",
            Self::Bool => "bool",
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Blob => "bytea",
        }
    }

    const fn no_values(self) -> Values {
        match self {
            Self::Int => Values::Int(Vec::new()),
            Self::Bool => Values::Bool(Vec::new()),
            Self::Text => Values::Text(Vec::new()),
            Self::Uuid => Values::Uuid(Vec::new()),
            Self::Blob => Values::Blob(Vec::new()),
        }
    }
}

/// Every table and its columns; the two engines have the same (a test sees to it).
async fn tables(pg: &mut PgConnection) -> Result<Vec<(String, Vec<Column>)>, sqlx::Error> {
    const SQL: &str = "select table_name::text, column_name::text, data_type::text from information_schema.columns
         where table_schema = current_schema() and table_name <> '_sqlx_migrations' order by 1, ordinal_position";
    let mut tables: Vec<(String, Vec<Column>)> = Vec::new();
    let rows: Vec<(String, String, String)> = sqlx::query_as(SQL).fetch_all(pg).await?;
    for (table, name, kind) in rows {
        let kind = match kind.as_str() {
            "bigint" => Kind::Int,
            "boolean" => Kind::Bool,
            "uuid" => Kind::Uuid,
            "bytea" => Kind::Blob,
            _ => Kind::Text,
        };
        match tables.last_mut() {
            Some((last, columns)) if *last == table => columns.push(Column { name, kind }),
            _ => tables.push((table, vec![Column { name, kind }])),
        }
    }
    Ok(tables)
}

/// Rows that are read from a file before they are asked for. A body may have ten megabytes.
const ROWS_AHEAD: usize = 8;
/// The most rows that one statement inserts into Postgres.
const BATCH_ROWS: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;

fn names(columns: &[Column]) -> String {
    columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn select_from(table: &str, columns: &[Column]) -> String {
    format!("select {} from {table}", names(columns))
}

fn insert_into(table: &str, columns: &[Column]) -> String {
    let places: Vec<_> = (1..=columns.len()).map(|i| format!("${i}")).collect();
    format!("insert into {table} ({}) values ({})", names(columns), places.join(", "))
}

/// Reads each table in one go, a row at a time.
async fn copy_out(pg: &mut PgConnection, lite: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut tx = pg.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    for (table, columns) in tables(&mut tx).await? {
        let (all, put) = (select_from(&table, &columns), insert_into(&table, &columns));
        let mut into = lite.begin().await?;
        // Migrations leave rows of their own.
        sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(&mut *into).await?;
        // Names of tables and columns are our own schema's, nobody's input.
        let mut rows = sqlx::query(AssertSqlSafe(all)).fetch(&mut *tx);
        while let Some(row) = rows.try_next().await? {
            let mut query = sqlx::query(AssertSqlSafe(put.clone()));
            for (i, column) in columns.iter().enumerate() {
                query = to_lite(query, &row, i, column.kind)?;
            }
            query.execute(&mut *into).await?;
        }
        drop(rows);
        into.commit().await?;
    }
    tx.commit().await
}

/// Every row and the new epoch in one transaction: rows without it would be dialed from at once. Each table is read
/// in one go, in the order in which it lies, and written in batches.
async fn copy_in(
    lite: &mut SqliteConnection,
    pg: &mut PgConnection,
    found: &Found,
    (backup_at, now): (Timestamp, Timestamp),
) -> Result<(), sqlx::Error> {
    let mut tx = pg.begin().await?;
    for (table, columns) in tables(&mut tx).await? {
        sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(&mut *tx).await?;
        let mut rows = sqlx::query(AssertSqlSafe(select_from(&table, &columns))).fetch(&mut *lite);
        let mut batch = Batch::of(&table, &columns);
        while let Some(row) = rows.try_next().await? {
            batch.push(&row)?;
            if batch.is_full() {
                batch.insert(&mut tx).await?;
            }
        }
        batch.insert(&mut tx).await?;
    }
    for (tenant, own, other) in &found.keys {
        sqlx::query(PUT_KEY).bind(tenant).bind(own).bind(other).execute(&mut *tx).await?;
    }
    for tenant in &found.lost {
        sqlx::query(LOST).bind(tenant).bind(now.as_millisecond()).execute(&mut *tx).await?;
    }
    let new = sqlx::query(NEW_EPOCH).bind(backup_at.as_millisecond()).bind(now.as_millisecond());
    new.execute(&mut *tx).await?;
    for sql in FORGET_THE_TIME_BEFORE {
        sqlx::query(sql).execute(&mut *tx).await?;
    }
    tx.commit().await
}

type Lite<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn to_lite<'q>(query: Lite<'q>, row: &PgRow, i: usize, kind: Kind) -> Result<Lite<'q>, sqlx::Error> {
    Ok(match kind {
        Kind::Int => query.bind(row.try_get::<Option<i64>, _>(i)?),
        Kind::Bool => query.bind(row.try_get::<Option<bool>, _>(i)?),
        Kind::Text => query.bind(row.try_get::<Option<String>, _>(i)?),
        Kind::Uuid => query.bind(row.try_get::<Option<Uuid>, _>(i)?),
        Kind::Blob => query.bind(row.try_get::<Option<Vec<u8>>, _>(i)?),
    })
}

/// Rows on their way into a table of Postgres, column by column.
struct Batch {
    insert: String,
    columns: Vec<Values>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn of(table: &str, columns: &[Column]) -> Self {
        let arrays =
            columns.iter().enumerate().map(|(i, c)| format!("${}::{}[]", i + 1, c.kind.in_postgres()));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        Self {
            insert: format!("insert into {table} ({}) select * from unnest({arrays})", names(columns)),
            columns: columns.iter().map(|c| c.kind.no_values()).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    fn push(&mut self, row: &SqliteRow) -> Result<(), sqlx::Error> {
        for (i, values) in self.columns.iter_mut().enumerate() {
            self.bytes += 16;
            match values {
                Values::Int(values) => values.push(row.try_get(i)?),
                Values::Bool(values) => values.push(row.try_get(i)?),
                Values::Uuid(values) => values.push(row.try_get(i)?),
                Values::Text(values) => {
                    let text: Option<String> = row.try_get(i)?;
                    self.bytes += text.as_ref().map_or(0, String::len);
                    values.push(text);
                }
                Values::Blob(values) => {
                    let blob: Option<Vec<u8>> = row.try_get(i)?;
                    self.bytes += blob.as_ref().map_or(0, Vec::len);
                    values.push(blob);
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    const fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    async fn insert(&mut self, pg: &mut PgConnection) -> Result<(), sqlx::Error> {
        if mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        self.bytes = 0;
        let mut query = sqlx::query(AssertSqlSafe(self.insert.clone()));
        for values in &mut self.columns {
            query = match values {
                Values::Int(values) => query.bind(mem::take(values)),
                Values::Bool(values) => query.bind(mem::take(values)),
                Values::Text(values) => query.bind(mem::take(values)),
                Values::Uuid(values) => query.bind(mem::take(values)),
                Values::Blob(values) => query.bind(mem::take(values)),
            };
        }
        query.execute(pg).await.map(|_| ())
    }
}
