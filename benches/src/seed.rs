//! Seeds many waiting callbacks by copying one that the product created, so that no table or column is named here.
//!
//! How: in a new installation one callback is scheduled for a distant day. Every table that was empty before and has
//! one row since belongs to it. Those rows are copied with new ids (the same id in every table) and other due times;
//! every other column is copied unchanged. Sealed columns of copies cannot be decrypted, so no copy may come due.
//!
//! Invariant: the server does not run during seeding.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

mod dialect;

use dialect::Dialect;

/// The number of rows of each table.
pub(crate) type Counts = BTreeMap<String, i64>;

/// A column of a copied row.
struct Column {
    name: String,
    /// SQL expression for the copied column, over `n`, the ids of the copies, and `t`, the original row.
    copied: String,
}

struct Seeder {
    dialect: Dialect,
    connection: Connection,
}

enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl Seeder {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let dialect = Dialect::from_url(url);
        let connection = match dialect {
            Dialect::Sqlite => {
                let file = url.trim_start_matches("sqlite://");
                Connection::Sqlite(rusqlite::Connection::open(file)?)
            }
            Dialect::Postgres => Connection::Postgres(PgConnection::connect(url).await?),
        };
        let mut seeder = Self { dialect, connection };
        for sql in dialect.before() {
            seeder.run((*sql).to_owned()).await?;
        }
        Ok(seeder)
    }

    async fn run(&mut self, sql: String) -> anyhow::Result<()> {
        let done: anyhow::Result<()> = match &mut self.connection {
            Connection::Sqlite(c) => c.execute_batch(&sql).map_err(Into::into),
            Connection::Postgres(c) => {
                c.execute(AssertSqlSafe(sql.clone())).await.map(|_| ()).map_err(Into::into)
            }
        };
        done.with_context(|| format!("while seeding: {sql}"))
    }

    /// Runs a query whose rows are one text each.
    async fn texts(&mut self, sql: String) -> anyhow::Result<Vec<String>> {
        let texts: anyhow::Result<Vec<String>> = match &mut self.connection {
            Connection::Sqlite(c) => texts_of(c, &sql).map_err(Into::into),
            Connection::Postgres(c) => {
                sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_all(c).await.map_err(Into::into)
            }
        };
        texts.with_context(|| format!("while seeding: {sql}"))
    }

    async fn count(&mut self, of: &str) -> anyhow::Result<i64> {
        let n = self.texts(format!("select cast(count(*) as text) from {of}")).await?;
        Ok(n.first().context("a count")?.parse()?)
    }

    async fn counts(&mut self) -> anyhow::Result<Counts> {
        let mut counts = Counts::new();
        for table in self.texts(self.dialect.tables().to_owned()).await? {
            let n = self.count(&table).await?;
            counts.insert(table, n);
        }
        Ok(counts)
    }

    /// Every 16-byte value of a table, in hex.
    async fn ids(&mut self, table: &str) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        for (column, kind) in self.columns(table).await? {
            if let Some(hex) = self.dialect.id_as_hex(&column, &kind) {
                ids.extend(self.texts(format!("select {hex} from {table} where {hex} is not null")).await?);
            }
        }
        Ok(ids)
    }

    /// Names and types of a table's columns.
    async fn columns(&mut self, table: &str) -> anyhow::Result<Vec<(String, String)>> {
        let columns = self.texts(self.dialect.columns(table)).await?;
        let pair = |c: &String| c.split_once(' ').map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        Ok(columns.iter().filter_map(pair).collect())
    }

    /// The columns of a copy, with their expressions.
    async fn plan(&mut self, table: &str, fresh: &[String], due_ms: i64) -> anyhow::Result<Vec<Column>> {
        let mut plan = Vec::new();
        for (name, kind) in self.columns(table).await? {
            let mut copied = format!("t.{name}");
            if let Some(hex) = self.dialect.id_as_hex(&name, &kind) {
                let id = self.texts(format!("select {hex} from {table} where {hex} is not null")).await?;
                if let Some(i) = id.first().and_then(|id| fresh.iter().position(|f| f == id)) {
                    copied = self.dialect.id_of_copy(i, &kind);
                }
            } else if self.dialect.is_integer(&kind)
                && self.count(&format!("{table} where {name} = {due_ms}")).await? == 1
            {
                // Spread over three weeks, in an order that no index benefits from.
                copied = format!("t.{name} + n.i * 7919 % 1800000 * 1000");
            }
            plan.push(Column { name, copied });
        }
        Ok(plan)
    }
}

fn texts_of(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The size of a database on disk, in kilobytes.
pub(crate) struct Kilobytes {
    /// Captured webhook bodies.
    pub(crate) payloads: f64,
    /// Everything else.
    pub(crate) rows: f64,
}

/// Database size after a checkpoint and, on Postgres, a vacuum.
pub(crate) async fn kilobytes(url: &str) -> anyhow::Result<Kilobytes> {
    let mut seeder = Seeder::open(url).await?;
    for sql in seeder.dialect.settle() {
        seeder.run((*sql).to_owned()).await?;
    }
    let (payloads, all) = seeder.dialect.sizes();
    let mut sizes = [0.0; 2];
    for (size, sql) in sizes.iter_mut().zip([payloads, all]) {
        *size = seeder.texts(sql.to_owned()).await?.first().context("a size")?.parse::<f64>()? / 1_024.0;
    }
    let [payloads, all] = sizes;
    Ok(Kilobytes { payloads, rows: all - payloads })
}

/// How many rows each table has.
pub(crate) async fn counts(url: &str) -> anyhow::Result<Counts> {
    Seeder::open(url).await?.counts().await
}

/// Inserts `n` copies of the one callback that was scheduled since `before`, for `due_ms`.
pub(crate) async fn copies(url: &str, before: &Counts, due_ms: i64, n: u64) -> anyhow::Result<()> {
    let mut seeder = Seeder::open(url).await?;
    let after = seeder.counts().await?;
    let was = |table: &str| before.get(table).copied().unwrap_or(0);
    let (ours, others): (Vec<_>, Vec<_>) =
        after.iter().partition(|(table, rows)| was(table) == 0 && **rows == 1);
    if !ours.iter().any(|(table, _)| table.contains("callback")) {
        bail!("no table of callbacks has the one row that was scheduled: {after:?}");
    }
    let mut fresh = Vec::new();
    for (table, _) in &ours {
        fresh.extend(seeder.ids(table).await?);
    }
    for (table, _) in others.iter().filter(|(_, rows)| (1..10_000).contains(*rows)) {
        // The id of a tenant or agent stays the same in every copy.
        let known = seeder.ids(table).await?;
        fresh.retain(|id| !known.contains(id));
    }
    fresh.sort();
    fresh.dedup();
    let ids = seeder.dialect.ids(&fresh, n);
    seeder.run(ids).await?;
    for (table, _) in &ours {
        let plan = seeder.plan(table, &fresh, due_ms).await?;
        let names: Vec<&str> = plan.iter().map(|c| c.name.as_str()).collect();
        let copied: Vec<&str> = plan.iter().map(|c| c.copied.as_str()).collect();
        let (names, copied) = (names.join(", "), copied.join(", "));
        seeder.run(format!("create temp table one as select * from {table}")).await?;
        seeder.run(format!("insert into {table} ({names}) select {copied} from n, one t")).await?;
        seeder.run("drop table one".to_owned()).await?;
    }
    for sql in seeder.dialect.settle() {
        seeder.run((*sql).to_owned()).await?;
    }
    match seeder.connection {
        Connection::Sqlite(c) => c.close().map_err(|(_, error)| error)?,
        Connection::Postgres(c) => c.close().await?,
    }
    Ok(())
}
