//! Two engines, one SQL text: SQLite in the data directory, or Postgres by URL.
//!
//! Invariants: statements are `&'static str` with `$1` placeholders that both engines take; values are
//! bound, never pasted. SQLite has exactly one writing connection, so writers queue instead of failing, and
//! syncs fully: what is acknowledged is on disk.
//! Absent on purpose: any business meaning.

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::Path,
    str::FromStr as _,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection,
    SqlitePool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{
    StoreError,
    fail::{Point, SharedFaults, Verdict},
};

pub(crate) static LITE: Migrator = sqlx::migrate!("migrations/sqlite");
static PG: Migrator = sqlx::migrate!("migrations/postgres");

/// A database, and what goes wrong with it in tests.
#[derive(Clone)]
pub(crate) struct Db {
    pools: Pools,
    pub(crate) faults: SharedFaults,
}

#[derive(Clone)]
enum Pools {
    Lite { writer: SqlitePool, reader: SqlitePool, keeper: SqlitePool },
    Pg(PgPool),
}

const BUSY: Duration = Duration::from_secs(5);
const ACQUIRE: Duration = Duration::from_secs(30);

impl Db {
    /// Opens, or makes, the embedded database.
    pub(crate) async fn sqlite(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .statement_cache_capacity(PREPARED)
            .foreign_keys(true)
            .disable_statement_logging();
        // Far beyond what the keeper lets it grow to: a process without one still ends it.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            // SQLite ends a transaction by itself when the disk is full; the driver does not notice, and begins
            // no other on that connection ever again.
            .before_acquire(|writer, _| Box::pin(async move { Ok(!writer.is_in_transaction()) }))
            .connect_with(options.clone().pragma("wal_autocheckpoint", "64000"))
            .await?;
        // Moves the journal into the file while the writer goes on: a commit never waits for that.
        let keeper = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(0)
            .connect_lazy_with(options.clone().pragma("wal_autocheckpoint", "0"));
        let reader = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self { pools: Pools::Lite { writer, reader, keeper }, faults: None })
    }

    /// Connects to Postgres.
    pub(crate) async fn postgres(url: &str) -> Result<Self, StoreError> {
        let options =
            PgConnectOptions::from_str(url)?.statement_cache_capacity(PREPARED).disable_statement_logging();
        let pool =
            PgPoolOptions::new().max_connections(16).acquire_timeout(ACQUIRE).connect_with(options).await?;
        Ok(Self { pools: Pools::Pg(pool), faults: None })
    }

    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Lite { writer, .. } => LITE.run(writer).await,
            Pools::Pg(pool) => PG.run(pool).await,
        }
        .map_err(|e| StoreError::Schema(e.to_string()))
    }

    /// A transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let open = match &self.pools {
            Pools::Lite { writer, .. } => Open::Lite(writer.begin_with("begin immediate").await?),
            Pools::Pg(pool) => Open::Pg(pool.begin().await?),
        };
        Ok(Tx { open, faults: self.faults.clone() })
    }

    /// One read outside any transaction.
    pub(crate) async fn read(&self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        match &self.pools {
            Pools::Lite { reader, .. } => Conn::Lite(&mut *reader.acquire().await?).fetch(sql, args).await,
            Pools::Pg(pool) => Conn::Pg(&mut *pool.acquire().await?).fetch(sql, args).await,
        }
    }

    /// As [`Tx::fetch_list`], outside any transaction.
    pub(crate) async fn read_list(
        &self,
        base: &'static str,
        head: Vec<Value>,
        list: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for part in list.chunks(SIZES[0]) {
            let kind = if self.is_postgres() { Kind::Pg } else { Kind::Lite };
            let (sql, args) = with_list(kind, base, &head, part);
            found.extend(self.read(sql, args).await?);
        }
        Ok(found)
    }

    pub(crate) async fn read_one(&self, sql: &'static str, args: Args) -> Result<Option<Row>, StoreError> {
        Ok(self.read(sql, args).await?.into_iter().next())
    }

    /// One statement, its own transaction; the number of rows it changed.
    pub(crate) async fn write(&self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// The pool of a Postgres; `None` for the embedded database.
    pub(crate) const fn pg(&self) -> Option<&PgPool> {
        match &self.pools {
            Pools::Pg(pool) => Some(pool),
            Pools::Lite { .. } => None,
        }
    }

    /// One statement outside any transaction, for the few that must be.
    pub(crate) async fn run(&self, sql: &'static str, args: Args) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Lite { writer, .. } => Conn::Lite(&mut *writer.acquire().await?).fetch(sql, args).await,
            Pools::Pg(pool) => Conn::Pg(&mut *pool.acquire().await?).fetch(sql, args).await,
        }
        .map(|_| ())
    }

    /// Copies the journal into the file beside the writer; once it has grown long, the little that is left is copied
    /// with the writer held, so that the journal begins anew.
    pub(crate) async fn tend(&self) -> Result<(), StoreError> {
        const LONG: i64 = 16_000;
        let Pools::Lite { keeper, .. } = &self.pools else { return Ok(()) };
        let mut conn = keeper.acquire().await?;
        let rows = Conn::Lite(&mut conn).fetch("pragma wal_checkpoint(passive)", Args::default()).await?;
        let pages: i64 = rows.first().map_or(Ok(0), |row| row.get("log"))?;
        if pages > LONG {
            Conn::Lite(&mut conn).fetch("pragma wal_checkpoint(restart)", Args::default()).await?;
        }
        Ok(())
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.pools, Pools::Pg(_))
    }

    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Lite { writer, reader, keeper } => {
                keeper.close().await;
                reader.close().await;
                writer.close().await;
            }
            Pools::Pg(pool) => pool.close().await,
        }
    }
}

/// An open transaction; dropped without [`Tx::commit`] it changes nothing.
pub(crate) struct Tx {
    open: Open,
    faults: SharedFaults,
}

enum Open {
    Lite(sqlx::Transaction<'static, Sqlite>),
    Pg(sqlx::Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        self.conn().execute(sql, args).await
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        self.conn().fetch(sql, args).await
    }

    pub(crate) async fn fetch_one(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Runs an insert or update whose `{rows}` stands for many rows of values; the number of rows it changed.
    pub(crate) async fn execute_rows(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        rows: &[RowValues],
    ) -> Result<u64, StoreError> {
        let (mut changed, mut rest) = (0, rows);
        while let Some((chunk, behind)) = chunk(rest) {
            let (sql, args) = with_rows(self.kind(), base, &head, chunk);
            changed += self.execute(sql, args).await?;
            rest = behind;
        }
        Ok(changed)
    }

    /// As [`Tx::execute_rows`], with what it returns.
    pub(crate) async fn fetch_rows(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        rows: &[RowValues],
    ) -> Result<Vec<Row>, StoreError> {
        let (mut found, mut rest) = (Vec::new(), rows);
        while let Some((chunk, behind)) = chunk(rest) {
            let (sql, args) = with_rows(self.kind(), base, &head, chunk);
            found.extend(self.fetch(sql, args).await?);
            rest = behind;
        }
        Ok(found)
    }

    /// Runs a statement whose `{list}` stands for many values of one column, each asked for once.
    pub(crate) async fn fetch_list(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        list: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for part in list.chunks(SIZES[0]) {
            let (sql, args) = with_list(self.kind(), base, &head, part);
            found.extend(self.fetch(sql, args).await?);
        }
        Ok(found)
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        if let Some(faults) = &self.faults {
            match faults.at(Point::BeforeCommit).await {
                Verdict::Go => {}
                Verdict::Fail => return Err(StoreError::Injected),
                Verdict::Pretend => return Ok(()),
            }
        }
        match self.open {
            Open::Lite(tx) => tx.commit().await?,
            Open::Pg(tx) => tx.commit().await?,
        }
        match &self.faults {
            Some(faults) if faults.at(Point::AfterCommit).await == Verdict::Fail => Err(StoreError::Injected),
            _ => Ok(()),
        }
    }

    const fn kind(&self) -> Kind {
        match self.open {
            Open::Lite(_) => Kind::Lite,
            Open::Pg(_) => Kind::Pg,
        }
    }

    fn conn(&mut self) -> Conn<'_> {
        match &mut self.open {
            Open::Lite(tx) => Conn::Lite(tx),
            Open::Pg(tx) => Conn::Pg(tx),
        }
    }
}

/// Statements over many values come in these sizes only, so that each is prepared once; any number of rows is a
/// few of them.
const SIZES: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];
/// Prepared statements that a connection keeps: every statement in every size.
const PREPARED: usize = 1024;

/// The values of one row.
type RowValues = Vec<Value>;

fn chunk(rows: &[RowValues]) -> Option<(&[RowValues], &[RowValues])> {
    let size = SIZES.into_iter().find(|s| *s <= rows.len())?;
    Some(rows.split_at(size))
}

/// Which engine a text is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Lite,
    Pg,
}

/// A part of a list, filled up to the next size with its last value.
fn with_list(kind: Kind, base: &'static str, head: &[Value], part: &[Value]) -> (&'static str, Args) {
    let size = SIZES.into_iter().rev().find(|s| *s >= part.len()).unwrap_or(SIZES[0]);
    let filling = part.last().into_iter().cycle().take(size - part.len());
    let sql = many(Shape { kind, base, head: head.len(), width: 0, n: size });
    (sql, ordered(kind, head, part.iter().chain(filling)))
}

fn with_rows(kind: Kind, base: &'static str, head: &[Value], rows: &[RowValues]) -> (&'static str, Args) {
    let width = rows.first().map_or(0, Vec::len);
    let sql = many(Shape { kind, base, head: head.len(), width, n: rows.len() });
    (sql, ordered(kind, head, rows.iter().flatten()))
}

/// The values in the order in which the text of that engine counts them.
fn ordered<'v>(kind: Kind, head: &'v [Value], many: impl Iterator<Item = &'v Value>) -> Args {
    match kind {
        Kind::Pg => Args(head.iter().chain(many).cloned().collect()),
        Kind::Lite => Args(many.chain(head).cloned().collect()),
    }
}

/// A statement over many values: its own parameters, values a row (0: a plain list), rows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    kind: Kind,
    base: &'static str,
    head: usize,
    width: usize,
    n: usize,
}

/// The statement with parameters in the place of `{rows}` or `{list}`. Made once a shape and kept: they are few.
///
/// SQLite finds a named parameter by walking all of them, so there the many have no names; they count first, and the
/// statement's own are numbered behind them.
fn many(shape: Shape) -> &'static str {
    static MADE: LazyLock<Mutex<HashMap<Shape, &'static str>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(shape).or_insert_with(|| {
        let each = shape.width.max(1);
        let name = |i: usize| match shape.kind {
            Kind::Pg => format!("${}", shape.head + i + 1),
            Kind::Lite => "?".to_owned(),
        };
        let row = |r: usize| {
            let names: Vec<_> = (r * each..(r + 1) * each).map(name).collect();
            if shape.width == 0 { names.join(", ") } else { format!("({})", names.join(", ")) }
        };
        let list = (0..shape.n).map(row).collect::<Vec<_>>().join(", ");
        let behind = if shape.kind == Kind::Lite { each * shape.n } else { 0 };
        let text = shifted(shape.base, behind).replace("{rows}", &list).replace("{list}", &list);
        Box::leak(text.into_boxed_str())
    })
}

/// The text with each `$n` as `$(n + by)`.
fn shifted(text: &str, by: usize) -> String {
    let mut parts = text.split('$');
    let mut shifted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let n: usize = part[..digits].parse().unwrap_or(0);
        // Writing to a string cannot fail.
        let _written = write!(shifted, "${}{}", n + by, &part[digits..]);
    }
    shifted
}

enum Conn<'c> {
    Lite(&'c mut SqliteConnection),
    Pg(&'c mut PgConnection),
}

macro_rules! bound {
    ($engine:ty, $sql:expr, $args:expr) => {{
        let mut query = sqlx::query::<$engine>($sql);
        for value in $args.0 {
            query = match value {
                Value::Int(v) => query.bind(v),
                Value::Text(v) => query.bind(v),
                Value::Blob(v) => query.bind(v),
                Value::Uuid(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
            };
        }
        query
    }};
}

impl Conn<'_> {
    async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Lite(c) => bound!(Sqlite, sql, args).execute(&mut **c).await?.rows_affected(),
            Self::Pg(c) => bound!(Postgres, sql, args).execute(&mut **c).await?.rows_affected(),
        })
    }

    async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Lite(c) => {
                bound!(Sqlite, sql, args).fetch_all(&mut **c).await?.into_iter().map(Row::Lite).collect()
            }
            Self::Pg(c) => {
                bound!(Postgres, sql, args).fetch_all(&mut **c).await?.into_iter().map(Row::Pg).collect()
            }
        })
    }
}

/// A row of either engine.
pub(crate) enum Row {
    Lite(SqliteRow),
    Pg(PgRow),
}

impl Row {
    pub(crate) fn get<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        Ok(match self {
            Self::Lite(row) => row.try_get(column)?,
            Self::Pg(row) => row.try_get(column)?,
        })
    }
}

/// The values of one statement, in order.
#[derive(Default)]
pub(crate) struct Args(Vec<Value>);

/// One bound value; `None` is null of that type.
#[derive(Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Bool(Option<bool>),
}

impl From<Vec<Value>> for Args {
    fn from(values: Vec<Value>) -> Self {
        Self(values)
    }
}

macro_rules! values {
    ($($from:ty => $variant:ident ($value:ident) $to:expr;)*) => {$(
        impl From<$from> for Value { fn from($value: $from) -> Self { Value::$variant(Some($to)) } }
        impl From<Option<$from>> for Value { fn from(v: Option<$from>) -> Self { Value::$variant(v.map(|$value| $to)) } }
    )*};
}

values! {
    i64 => Int(v) v;
    u32 => Int(v) i64::from(v);
    jiff::Timestamp => Int(v) v.as_millisecond();
    bool => Bool(v) v;
    String => Text(v) v;
    &str => Text(v) v.to_owned();
    &String => Text(v) v.clone();
    Vec<u8> => Blob(v) v;
    &[u8] => Blob(v) v.to_vec();
    [u8; 16] => Blob(v) v.to_vec();
    [u8; 32] => Blob(v) v.to_vec();
}

impl<T> From<redialer_core::Id<T>> for Value {
    fn from(id: redialer_core::Id<T>) -> Self {
        Self::Uuid(Some(id.uuid()))
    }
}

impl<T> From<Option<redialer_core::Id<T>>> for Value {
    fn from(id: Option<redialer_core::Id<T>>) -> Self {
        Self::Uuid(id.map(redialer_core::Id::uuid))
    }
}

/// `row![id, now, "text"]`: a row of values.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::engine::Value::from($value)),*] };
}
pub(crate) use row;

/// `args![id, now, "text"]`: the values of one statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { $crate::engine::Args::from(vec![$($crate::engine::Value::from($value)),*]) };
}
pub(crate) use args;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_named_as_each_engine_likes_it() {
        let base = "update t set a = $2 from (values {rows}) as v where b = $1 and c = v.column1";
        let of = |kind| many(Shape { kind, base, head: 2, width: 2, n: 2 });
        assert_eq!(
            of(Kind::Pg),
            "update t set a = $2 from (values ($3, $4), ($5, $6)) as v where b = $1 and c = v.column1"
        );
        assert_eq!(
            of(Kind::Lite),
            "update t set a = $6 from (values (?, ?), (?, ?)) as v where b = $5 and c = v.column1"
        );
        let list = |kind| many(Shape { kind, base: "select $1 in ({list})", head: 1, width: 0, n: 2 });
        assert_eq!((list(Kind::Pg), list(Kind::Lite)), ("select $1 in ($2, $3)", "select $3 in (?, ?)"));
    }
}
